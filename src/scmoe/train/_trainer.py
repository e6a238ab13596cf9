"""Lightning's Trainer as this package sets it up, and its settings that are left to users."""

import inspect
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
"""Weights stay in float32: their running average and the statistics need its digits."""
FIXED: dict[str, Any] = {
    "enable_progress_bar": False,  # ours counts epochs
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "use_distributed_sampler": False,
}
REFUSALS = (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError)
"""What the Trainer raises, which has no one error of its own."""
SYNCED = inspect.signature(DistributedDataParallel).parameters
PLACES = ("accelerator", "devices", "num_nodes", "plugins")
"""What decides how many processes there are."""
CHOICES = (*PLACES, "strategy", "precision")
"""What depends on the machine."""
START_METHODS: dict[str, Literal["popen", "spawn", "fork"]] = {
    "ddp": "popen",
    "ddp_spawn": "spawn",
    "ddp_fork": "fork",
    "ddp_notebook": "fork",
}
"""How a strategy starts the other processes: by running the script again, or from the present process."""
STATISTICS: dict[str, Any] = {
    # Of newer versions of torch, and its former name.
    next(name for name in ("forward_sync_buffers", "broadcast_buffers") if name in SYNCED): False
}
"""They do not change in training: sending them to all processes before each step would only take time."""
QUIET: dict[str, Any] = {"logger": False, "enable_checkpointing": False}
OWN = ("self", "enable_checkpointing", *FIXED)
SETTINGS = [name for name in inspect.signature(Trainer.__init__).parameters if name not in OWN]
"""Arguments of the Trainer that a training passes on."""


def make_trainer(**settings: Any) -> Trainer:
    """A Trainer; a ValueError in this package's form for settings that it refuses.

    One process is trained in as it is, whatever the strategy.

    Parameters
    ----------
    **settings
        Of `lightning.pytorch.Trainer`, but those in `FIXED`.
    """
    try:
        places = {name: settings[name] for name in PLACES if name in settings}
        alone = Trainer(**places, **QUIET, **FIXED)
        strategy = _strategy(alone, settings.get("strategy", "auto"))
        trainer = Trainer(**{"logger": False, **settings, "strategy": strategy}, **FIXED)
        if trainer.world_size > 1 and not isinstance(trainer.strategy, DDPStrategy):
            raise ValueError(f"several devices train by one of the strategies {', '.join(START_METHODS)}")
        return trainer
    except REFUSALS as error:
        asked = ", ".join(f"{name}={settings[name]!r}" for name in CHOICES if name in settings)
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"Lightning's Trainer cannot be made with {asked}: {reason}. Leave these arguments out to have them chosen "
            "for this machine."
        ) from error


def _strategy(alone: Trainer, name: Any) -> Any:
    """The strategy of that name, as training needs it, in the place of what Lightning would choose by itself.

    Where processes were started before, as by SLURM and torchrun, it starts none.
    """
    if name != "auto" and name not in START_METHODS:
        return name
    if alone.world_size == 1 or not isinstance(alone.strategy, DDPStrategy):
        return "auto"
    launcher, environment = alone.strategy.launcher, alone.strategy.cluster_environment
    method = START_METHODS["ddp_notebook" if launcher is not None and launcher.is_interactive_compatible else "ddp"]
    if name != "auto" and not (environment is not None and environment.creates_processes_externally):
        method = START_METHODS[name]
    return DDPStrategy(start_method=method, **STATISTICS)
