"""One fit: plan, callbacks and trainer put together."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.utilities import rank_zero_only

from scmoe._log import is_json
from scmoe.data._datamodule import MosaicDataModule
from scmoe.data._fingerprint import fingerprint
from scmoe.data._shard import check_shard
from scmoe.data.genes._batches import GeneDataModule
from scmoe.io._lock import sole_run
from scmoe.losses._labels import LabelLoss
from scmoe.nn._network import Network
from scmoe.nn._threads import threads_for, threads_worth
from scmoe.train._callbacks import EpochCheckpoint, EpochLines, LateEmbedding, Progress
from scmoe.train._checkpoint import find_checkpoint
from scmoe.train._children import Handover, errors_of_others
from scmoe.train._config import TrainConfig
from scmoe.train._diagnostics import diagnose, encode_cells, sample_cells
from scmoe.train._loggers import ExpertLoads, guard_loggers
from scmoe.train._objective import objective
from scmoe.train._plan import TrainingPlan
from scmoe.train._quiet import quiet
from scmoe.train._trainer import make_trainer

LARGE = 20_000
"""Cells from which data are large."""
FEW_STEPS, MANY_STEPS = 300, 1200
"""Steps that small and large data are trained for."""
PATIENCE = 10
"""Epochs without a better validation loss before early stopping stops."""


class RunResult(NamedTuple):
    """What any training leaves besides the weights."""

    history: pd.DataFrame
    """Mean losses, one row an epoch."""
    n_steps: int
    """Steps of the optimizer."""
    n_skipped: int
    """Of these, steps whose loss or gradient was not finite."""
    kept: int
    """Epoch whose weights are kept, a row of the history."""
    is_joint: bool
    """Whether other processes have trained along, and go on beside this one; see `scmoe.train._once.once`."""


class FitResult(NamedTuple):
    """What a training leaves besides the weights."""

    history: pd.DataFrame
    """Mean losses, one row an epoch."""
    diagnostics: dict[str, Any]
    """See `scmoe.train._diagnostics.diagnose`."""
    is_joint: bool
    """See `RunResult`."""


def default_batch_size(n_cells: int) -> int:
    """128 cells a step; of large data 512, for four times as many steps would not be worth four times the time."""
    return 128 if n_cells < LARGE else 512


def default_epochs(n_cells: int, batch_size: int) -> int:
    """About 300 steps, in 24 to 60 epochs: more over-fits small data. But no more than 1200 steps, or 2 epochs.

    What steps beyond 1200 of large data are worth is in the documentation of the recipe.
    """
    steps = -(-n_cells // batch_size)
    return max(min(max(round(FEW_STEPS / steps), 24), 60, round(MANY_STEPS / steps)), 2)


def fit(
    network: Network,
    data: MosaicDataModule,
    config: TrainConfig,
    *,
    seed: int,
    label_loss: LabelLoss | None = None,
    callbacks: Sequence[Callback] = (),
    **run_kwargs: Any,
) -> FitResult:
    """Train `network` in place, with `label_loss` on labels too; see `scmoe.model.SCMOE.train` for the others."""
    if len(network.decoders) == 1:  # nothing is predicted from others; several processes wait for all gradients
        for part in (network.decoders[0].norm, network.decoders[0].cross):
            part.requires_grad_(False)
    network.graph_head.requires_grad_(bool(config.graph_weight))
    late = LateEmbedding(sample_cells(data))
    width = network.config.n_hidden
    losses = objective if label_loss is None else partial(objective, label_loss=label_loss)
    plan = TrainingPlan(network, losses, config, seed)
    result = run(plan, data, width=width, callbacks=[late, ExpertLoads(late.cells), *callbacks], **run_kwargs)
    with threads_for(width):
        encoded = encode_cells(network, late.cells)
    is_last = result.kept == result.history.index[-1]
    return FitResult(
        result.history,
        diagnose(
            result.history,
            encoded,
            late.joint if is_last else None,
            kept=result.kept,
            n_steps=result.n_steps,
            n_skipped=result.n_skipped,
        ),
        result.is_joint,
    )


def run(
    plan: TrainingPlan,
    data: MosaicDataModule | GeneDataModule,
    *,
    width: int,
    max_epochs: int,
    early_stopping: bool = False,
    checkpoint_dir: str | Path | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    enable_progress_bar: bool = True,
    **trainer_kwargs: Any,
) -> RunResult:
    """Run a plan and leave the averaged weights that are kept in its network, on the device of the training.

    Parameters
    ----------
    plan
        Network, losses and settings.
    data
        Training and validation batches.
    width
        Of the network's states, which decides how many threads it is worth on a CPU.
    max_epochs, early_stopping, checkpoint_dir, resume, callbacks, enable_progress_bar, **trainer_kwargs
        See `scmoe.model.SCMOE.train`.
    """
    network, callbacks = plan.train().network, list(callbacks)
    if enable_progress_bar:
        callbacks.append(EpochLines() if is_json() else Progress())
    if early_stopping:
        callbacks.append(EarlyStopping("validation_loss", patience=PATIENCE))
    with ExitStack() as stack:
        checkpoint, start = None, None
        if checkpoint_dir is not None:
            if not getattr(rank_zero_only, "rank", 0):  # the other processes of this run write nothing
                stack.enter_context(sole_run(checkpoint_dir))
            checkpoint, has_state = find_checkpoint(Path(checkpoint_dir).expanduser(), resume=resume)
            start = checkpoint if has_state else None
            callbacks.append(EpochCheckpoint(checkpoint, has_state))
            plan.data = identity_of(data)
        stack.enter_context(isolated())
        stack.enter_context(threads_for(width))
        folder = stack.enter_context(TemporaryDirectory())
        handover = Handover(Path(folder) / "handover", threads_worth(width), callbacks)
        trainer = make_trainer(
            max_epochs=max_epochs,
            callbacks=[*callbacks, handover],
            enable_checkpointing=checkpoint is not None,
            **trainer_kwargs,
        )
        guard_loggers(trainer)
        check_shard(len(data.train), data.batch_size, trainer.world_size)
        hint = "" if checkpoint is None else f" Call it again with resume=True to go on from {checkpoint}."
        try:
            with errors_of_others(hint):
                trainer.fit(plan, datamodule=data, ckpt_path=start, weights_only=True)
        except SystemExit as error:  # Lightning ends the whole program on Ctrl-C; the caller may have other plans
            raise KeyboardInterrupt(f"Training was interrupted.{hint}") from error
        n_steps = handover.take(trainer, plan)
        kept = plan.keep_weights(len(data.validation))
        network.to(trainer.strategy.root_device)  # Lightning has moved it to the CPU
    is_joint = trainer.world_size > 1 and torch.distributed.is_initialized()
    return RunResult(plan.table(), n_steps, plan.n_skipped, kept, is_joint)


def identity_of(data: MosaicDataModule | GeneDataModule) -> dict[str, int]:
    """What a checkpoint must have been made with to be gone on from."""
    cells = fingerprint(data.train, data.validation, np.array([data.dataset.fingerprint()]))
    return {"batch_size": data.batch_size, "data": cells}


@contextmanager
def isolated() -> Iterator[None]:
    """Leave the caller's random state, loggers and warning filters as they were."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices), quiet():
        yield
