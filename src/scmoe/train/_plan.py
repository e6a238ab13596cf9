"""The Lightning module."""

import copy
import math
from dataclasses import asdict
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from scmoe.data._dataset import Batch
from scmoe.nn._network import Network
from scmoe.train._config import TrainConfig
from scmoe.train._objective import objective


class TrainingPlan(LightningModule):
    """AdamW with warm-up and cosine, gradient clipping, running average of the weights, one log an epoch.

    Losses are accumulated on the device and read once an epoch.

    Parameters
    ----------
    network
        Trained in place.
    config
        See `TrainConfig`.
    seed
        The random numbers of an epoch are a function of the seed and the epoch, so that a resumed run repeats them.
    """

    def __init__(self, network: Network, config: TrainConfig, seed: int) -> None:
        super().__init__()
        self.network, self.config, self.seed = network, config, seed
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.history: list[dict[str, float]] = []
        self._means: dict[str, float] = {}
        self._sums: dict[str, dict[str, Tensor]] = {}
        self._steps: dict[str, int] = {}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and its schedule, one update a step."""
        matrices = [p for name, p in self.network.named_parameters() if p.ndim > 1 and "position" not in name]
        chosen = {id(p) for p in matrices}
        others = [p for p in self.network.parameters() if id(p) not in chosen]
        groups = [
            {"params": matrices, "weight_decay": self.config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        # With mixed precision a fused optimizer unscales the gradients itself, too late to clip them.
        fused = "mixed" not in str(self.trainer.precision)
        optimizer = torch.optim.AdamW(groups, lr=self.config.lr, fused=fused)
        total = max(int(self.trainer.estimated_stepping_batches), 1)
        warm = max(self.config.warmup * total, 1)

        def factor(step: int) -> float:
            done = min(max(step - warm, 0) / max(total - warm, 1), 1)
            return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * done)) + 0.01)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: object, **__: object) -> None:
        """Clip the norm of the gradient."""
        self.clip_gradients(optimizer, gradient_clip_val=self.config.gradient_clip, gradient_clip_algorithm="norm")

    def on_fit_start(self) -> None:
        """Collect once what is averaged in every step."""
        self._averaged = (list(self.average.parameters()), list(self.network.parameters()))

    def on_train_epoch_start(self) -> None:
        """Seed the epoch."""
        torch.manual_seed((self.seed * 1_000_003 + self.current_epoch) % 2**63)
        self.network.train()
        self._means = {}  # an epoch without validation has no validation loss
        self._reset("train")

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """One step."""
        terms = objective(self.network, batch, self.config)
        self._add("train", terms)
        return terms["loss"]

    def on_train_batch_end(self, *_: object) -> None:
        """Move the running average; its decay rises with the steps, so that short runs forget their start."""
        step = self.global_step
        update = get_ema_multi_avg_fn(min(self.config.ema, step / (9 + step)))
        update(*self._averaged, step)

    def on_train_epoch_end(self) -> None:
        """Keep the epoch's mean losses (validation has run by now); stop if they are not numbers."""
        self._log("train")
        self.history.append({"epoch": self.current_epoch, **self._means})
        loss = self._means["train_loss"]
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The training loss became {loss} in epoch {self.current_epoch + 1}. Lower the learning rate "
                "(plan_kwargs={'lr': ...}) and look for extreme values in the data."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the history and the settings with the rest."""
        checkpoint["history"] = self.history
        checkpoint["settings"] = self._settings()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the saved history, of a run with the same settings only."""
        then, now = checkpoint["settings"], self._settings()
        if changed := [name for name in now if then.get(name) != now[name]]:
            name = changed[0]
            raise ValueError(
                f"The checkpoint is of a run with {name}={then.get(name)}; this one has {name}={now[name]}. "
                "Resume with the same settings, or choose another checkpoint_dir."
            )
        self.history = list(checkpoint["history"])

    def _settings(self) -> dict[str, Any]:
        return {"seed": self.seed, **asdict(self.network.config), **asdict(self.config)}

    def on_validation_epoch_start(self) -> None:
        """Start the sums."""
        self._reset("validation")

    def validation_step(self, batch: Batch, _: int) -> None:
        """Losses of the averaged network, which is the one that will be kept."""
        self.average.eval()
        self._add("validation", objective(self.average, batch, self.config))

    def on_validation_epoch_end(self) -> None:
        """Log the means."""
        self._log("validation")

    def keep_average(self) -> None:
        """Replace the network's weights by their running average."""
        self.network.load_state_dict(self.average.state_dict())

    def _reset(self, stage: str) -> None:
        self._sums[stage], self._steps[stage] = {}, 0

    def _add(self, stage: str, terms: dict[str, Tensor]) -> None:
        sums = self._sums[stage]
        for name, value in terms.items():
            sums[name] = sums.get(name, 0) + value.detach()
        self._steps[stage] += 1

    def _log(self, stage: str) -> None:
        steps, reduce = self._steps[stage], self.trainer.strategy.reduce  # the mean over the processes, if several
        means = {f"{stage}_{name}": float(reduce(total / steps)) for name, total in self._sums[stage].items()}
        self._means.update(means)
        self.log_dict(means)
