"""Lightning's Trainer as this package sets it up, and its settings that are left to users."""

import inspect
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

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
CHOICES = ("accelerator", "devices", "strategy", "precision")
"""What depends on the machine."""
OWN = ("self", "enable_checkpointing", *FIXED)
SETTINGS = [name for name in inspect.signature(Trainer.__init__).parameters if name not in OWN]
"""Arguments of the Trainer that a training passes on."""


def make_trainer(**settings: Any) -> Trainer:
    """A Trainer; a ValueError in this package's form for settings that it refuses.

    Parameters
    ----------
    **settings
        Of `lightning.pytorch.Trainer`, but those in `FIXED`.
    """
    try:
        return Trainer(**{"logger": False, **settings}, **FIXED)
    except (
        MisconfigurationException,
        ValueError,
        TypeError,
        RuntimeError,
        ImportError,
    ) as error:  # it has no one error
        asked = ", ".join(f"{name}={settings[name]!r}" for name in CHOICES if name in settings)
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"Lightning's Trainer cannot be made with {asked}: {reason}. Leave these arguments out to have them chosen "
            "for this machine."
        ) from error
