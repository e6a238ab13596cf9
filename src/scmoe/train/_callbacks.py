"""Lightning callbacks: progress, checkpoint, and what diagnostics need of the time before the end."""

import sys
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from tqdm.auto import tqdm

from scmoe._log import FIELDS, logger
from scmoe.data._dataset import Batch
from scmoe.train._checkpoint import CheckpointFile
from scmoe.train._diagnostics import encode_cells
from scmoe.train._plan import TrainingPlan


class EpochLines(Callback):
    """A line of the log with the losses of each epoch that is complete: for programs, which read no progress bar."""

    n_lines: int

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave out the epochs that this run does not repeat."""
        assert isinstance(pl_module, TrainingPlan)
        self.n_lines = len(pl_module.history)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the epoch before."""
        self._log(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the last epoch."""
        self._log(trainer, pl_module)

    def _log(self, trainer: Trainer, plan: LightningModule) -> None:
        assert isinstance(plan, TrainingPlan)
        for epoch in plan.history[self.n_lines :]:
            logger.info("epoch %d of %s", epoch["epoch"] + 1, trainer.max_epochs, extra={FIELDS: epoch})
        self.n_lines = len(plan.history)


class Progress(Callback):
    """A progress bar over epochs on stderr, with the losses of the last complete epoch; in the first process."""

    bar: tqdm

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        self.bar = tqdm(
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            desc="Training",
            unit="epoch",
            file=sys.stderr,
            disable=not trainer.is_global_zero,
        )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the losses."""
        self._show(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Advance."""
        self.bar.update()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the last losses and close."""
        self._show(pl_module)
        self.bar.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the bar where it is."""
        if hasattr(self, "bar"):
            self.bar.close()

    def _show(self, plan: LightningModule) -> None:
        assert isinstance(plan, TrainingPlan)
        if plan.history:
            last = plan.history[-1]
            postfix = {name: f"{last[name]:.3f}" for name in ("train_loss", "validation_loss") if name in last}
            self.bar.set_postfix(postfix)


class EpochCheckpoint(Checkpoint):
    """Writes the whole state of the training after every epoch, atomically, in the first process.

    Parameters
    ----------
    path
        The file; replaced each time.
    has_state
        Whether this process goes on from it.
    """

    def __init__(self, path: Path, has_state: bool) -> None:
        self.path, self.has_state = path, has_state

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write and read the file in our way.

        Raises
        ------
        ValueError
            Another process sees the file and this one does not, or the other way round.
        """
        if trainer.strategy.reduce_boolean_decision(self.has_state, all=False) != self.has_state:
            raise ValueError(
                f"Not all processes find {self.path}, from which the training is to go on. Choose a checkpoint_dir on "
                "a drive that all machines share."
            )
        trainer.strategy.checkpoint_io = CheckpointFile(self.path, trainer.strategy.checkpoint_io)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write."""
        trainer.save_checkpoint(self.path)


class LateEmbedding(Callback):
    """Keeps the joint states of some cells when nine tenths of the epochs are done, to tell how far they moved since.

    Parameters
    ----------
    cells
        The cells.
    """

    def __init__(self, cells: Batch) -> None:
        self.cells = cells
        self.joint: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the cells the precision of the weights."""
        self.cells = trainer.precision_plugin.convert_input(self.cells)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Embed the cells with the averaged network."""
        assert isinstance(pl_module, TrainingPlan) and trainer.max_epochs is not None
        if trainer.current_epoch == trainer.max_epochs * 9 // 10:
            self.joint = encode_cells(pl_module.average, self.cells).joint

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"joint": self.joint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.joint = state_dict["joint"]
