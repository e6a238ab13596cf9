"""Lightning callbacks: progress and checkpoint."""

import sys
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from tqdm.auto import tqdm

from scmoe._io import atomic_path
from scmoe.train._plan import TrainingPlan


class Progress(Callback):
    """A progress bar over epochs on stderr, with the losses of the last complete epoch."""

    bar: tqdm

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        done = trainer.current_epoch
        self.bar = tqdm(total=trainer.max_epochs, initial=done, desc="Training", unit="epoch", file=sys.stderr)

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
            shown = {name: f"{last[name]:.3f}" for name in ("train_loss", "validation_loss") if name in last}
            self.bar.set_postfix(shown)


class EpochCheckpoint(Checkpoint):
    """Writes the whole state of the training after every epoch, atomically.

    Parameters
    ----------
    path
        The file; replaced each time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write."""
        with atomic_path(self.path) as part:
            trainer.save_checkpoint(part)
