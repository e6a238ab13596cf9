"""The Lightning module."""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from scmoe._version import __version__
from scmoe.train._checkpoint import REMEDY, all_finite, check_same_run, environment, run_settings, warn_of_rounding
from scmoe.train._config import StepConfig
from scmoe.train._course import LOSS, is_lowest, kept_epoch

Objective = Callable[[Any, Any, Any], dict[str, Tensor]]
"""A network, a batch and settings to the batch's losses by name; ``loss`` is the one to lower."""
RANK_STRIDE = 2**40
"""Between the seeds of two processes, further apart than those of epochs."""
MAX_SKIPPED = 0.5
"""Share of an epoch's steps that may be skipped. Extreme cells spoil their batches; beyond it, the training fails."""


class TrainingPlan(LightningModule):
    """AdamW with warm-up and cosine, gradient clipping, running average of the weights, one log an epoch.

    The running average at the epoch of the lowest validation loss so far is held beside the present one.

    Losses are accumulated on the device and read once an epoch. A step whose loss or gradient is not finite leaves the
    weights, the optimizer's moments and the running average as they were, and is counted; a GPU is not waited for to
    find out. After each epoch, before a checkpoint is written, weights and losses must be finite.

    Several processes keep the same weights: they learn from the mean gradient over all cells of a batch, each cell
    counting the same whichever process has it, and know the mean losses over all.

    Parameters
    ----------
    network
        Trained in place; its settings are its ``config``.
    objective
        The losses of a batch.
    config
        Settings of the training, which the objective gets too.
    seed
        The random numbers of an epoch are a function of the seed, the epoch and the process, so that a resumed run
        repeats them.
    """

    network: Any  # each objective knows its own kind
    average: Any
    best: Any
    config: Any

    def __init__(self, network: nn.Module, objective: Objective, config: StepConfig, seed: int) -> None:
        super().__init__()
        self.network, self.objective, self.config, self.seed = network, objective, config, seed
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.best = copy.deepcopy(self.average)
        self.data: dict[str, int] = {}
        """What identifies the data, where checkpoints are written."""
        self.history: list[dict[str, float]] = []
        self.n_skipped = 0
        self._means: dict[str, float] = {}
        self._names: dict[str, list[str]] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and its schedule, one update a step."""
        matrices = [p for name, p in self.network.named_parameters() if p.ndim > 1 and "position" not in name]
        matrix_ids = {id(p) for p in matrices}
        others = [p for p in self.network.parameters() if id(p) not in matrix_ids]
        groups = [
            {"params": matrices, "weight_decay": self.config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        # In float16, whose gradients are scaled, a fused optimizer unscales them itself, too late to clip them.
        fused = self.trainer.precision != "16-mixed"
        optimizer = torch.optim.AdamW(groups, lr=self.config.lr, fused=fused)
        total = max(int(self.trainer.estimated_stepping_batches), 1)
        warm = max(self.config.warmup * total, 1)

        def factor(step: int) -> float:
            progress = min(max(step - warm, 0) / max(total - warm, 1), 1)
            return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * progress)) + 0.01)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: object, **__: object) -> None:
        """Clip the norm of the gradient; tell the optimizer to skip the step where it is not finite."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.gradient_clip)
        if optimizer.defaults["fused"]:  # else the gradient scaler skips steps, as it must to find its scale
            self._skip = (~norm.isfinite()).float()
            self._skipped += self._skip
            optimizer.found_inf = self._skip  # type: ignore[attr-defined]

    def on_fit_start(self) -> None:
        """Collect once what is averaged in every step, and tell loggers the settings."""
        self._averaged: tuple[list[Tensor], list[Tensor]] = (
            list(self.average.parameters()),
            list(self.network.parameters()),
        )
        for logger in self.trainer.loggers:
            logger.log_hyperparams(self._settings())

    def on_train_epoch_start(self) -> None:
        """Seed the epoch."""
        torch.manual_seed((self.seed * 1_000_003 + self.current_epoch + self.global_rank * RANK_STRIDE) % 2**63)
        self.network.train()
        self._means = {}  # an epoch without validation has no validation loss
        self._reset("train")
        self._first_step = self.global_step
        self._skip, self._skipped = torch.zeros(2, device=self.device)

    def training_step(self, batch: Any, _: int) -> Tensor:
        """One step."""
        terms = self.objective(self.network, batch, self.config)
        finite = terms["loss"].isfinite()
        weight = self._weight(batch)
        self._add("train", terms, finite, weight)
        # Divided by 0 where it is not finite, so that no process has a finite gradient.
        return terms["loss"] * weight / finite

    def _weight(self, batch: Any) -> Tensor | float:
        """Cells of this process over the mean of all: with it, the mean over processes is the one over cells."""
        if self.trainer.world_size == 1:
            return 1.0
        n_cells = torch.full((), float(batch.n_cells), device=self.device)
        return n_cells / self.trainer.strategy.reduce(n_cells.clone(), reduce_op="mean")

    def on_train_batch_end(self, *_: object) -> None:
        """Move the running average; its decay rises with the steps, so that short runs forget their start."""
        step = self.global_step
        follow(*self._averaged, min(self.config.ema, step / (9 + step)), self._skip)

    def on_train_epoch_end(self) -> None:
        """Keep the epoch's mean losses (validation has run by now), and the weights if it is the best epoch so far.

        Stop if too many losses, or any weight, were no numbers.
        """
        self._log("train")
        self.history.append({"epoch": self.current_epoch, **self._means})
        skipped, steps = int(self._skipped), self.global_step - self._first_step
        self.n_skipped += skipped
        if skipped > MAX_SKIPPED * steps or not math.isfinite(self._means["train_loss"]):
            self._fail(f"Loss or gradient was not a finite number in {skipped} of the {steps} steps")
        # The last step's update is in no loss yet: without this look, it would be found out by nobody.
        if not all_finite([*self.network.state_dict().values(), *self.average.state_dict().values()]):
            self._fail("Weights of the network were no finite numbers at the end")
        if not math.isfinite(self._means.get(LOSS, 0.0)):
            self._fail("The loss of the validation cells was not a finite number at the end")
        if is_lowest(self.history):
            self.best.load_state_dict(self.average.state_dict())

    def _fail(self, problem: str) -> None:
        raise FloatingPointError(
            f"{problem} of epoch {self.current_epoch + 1}. Lower the learning rate (plan_kwargs={{'lr': ...}}) and "
            "look for extreme values in the data."
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the history and the settings with the rest."""
        checkpoint["history"], checkpoint["n_skipped"] = self.history, self.n_skipped
        checkpoint["settings"], checkpoint["environment"] = self._settings(), environment(self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the saved history, of a run with the same settings and data only."""
        path = self.trainer.ckpt_path
        check_same_run(path, checkpoint["settings"], self._settings())
        shapes = [{name: each.shape for name, each in s.items()} for s in (checkpoint["state_dict"], self.state_dict())]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{path} is of another network than this one. {REMEDY}")
        warn_of_rounding(path, checkpoint["environment"], environment(self.trainer))
        self.history, self.n_skipped = list(checkpoint["history"]), checkpoint["n_skipped"]

    def _settings(self) -> dict[str, Any]:
        own = {"scmoe": __version__, "seed": self.seed, **asdict(self.network.config), **asdict(self.config)}
        return {**own, **run_settings(self.trainer), **self.data}

    def on_validation_epoch_start(self) -> None:
        """Start the sums."""
        self._reset("validation")
        batches: Any = self.trainer.val_dataloaders
        self._n_own = batches.sampler.n_own

    def validation_step(self, batch: Any, i: int) -> None:
        """Losses of the averaged network, which is the one that will be kept."""
        self.average.eval()
        terms = self.objective(self.average, batch, self.config)
        self._add("validation", terms, torch.full_like(terms["loss"], i < self._n_own, dtype=torch.bool))

    def on_validation_epoch_end(self) -> None:
        """Log the means."""
        self._log("validation")

    def keep_weights(self, n_cells: int) -> int:
        """Replace the network's weights by their running average at the epoch that is kept, which is returned.

        Parameters
        ----------
        n_cells
            Number of validation cells, see `scmoe.train._course.kept_epoch`.
        """
        history = self.table()
        kept = kept_epoch(history, n_cells)
        self.network.load_state_dict((self.average if kept == history.index[-1] else self.best).state_dict())
        return kept

    def table(self) -> pd.DataFrame:
        """The history, one row an epoch."""
        return pd.DataFrame(self.history).set_index("epoch")

    def _reset(self, stage: str) -> None:
        self._sums[stage] = self._counts[stage] = torch.zeros((), device=self.device)

    def _add(self, stage: str, terms: dict[str, Tensor], counted: Tensor, weight: Tensor | float = 1.0) -> None:
        self._names[stage] = list(terms)
        values = torch.stack(list(terms.values())).detach()
        self._sums[stage] = self._sums[stage] + torch.where(counted, values * weight, 0)
        self._counts[stage] = self._counts[stage] + counted * weight

    def _log(self, stage: str) -> None:
        total, count = (
            self.trainer.strategy.reduce(part, reduce_op="sum") for part in (self._sums[stage], self._counts[stage])
        )
        epoch_means = zip(self._names[stage], (total / count).tolist(), strict=True)
        means = {f"{stage}_{name}": mean for name, mean in epoch_means}
        self._means.update(means)
        self.log_dict(means)


@torch.no_grad()
def follow(average: list[Tensor], weights: list[Tensor], decay: float, skip: Tensor) -> None:
    """Move `average` toward `weights` by 1 - `decay`, or not at all if `skip` (0 or 1) is 1.

    The host of a GPU does not know `skip` yet: both results are computed there, and one is chosen exactly.
    """
    update = get_ema_multi_avg_fn(decay)
    if skip.is_cuda:
        previous = torch._foreach_mul(average, skip)
        update(average, weights, None)
        torch._foreach_mul_(average, 1 - skip)
        torch._foreach_add_(average, previous)
    elif not skip:
        update(average, weights, None)
