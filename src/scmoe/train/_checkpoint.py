"""The state of a training as a file: written whole, read without running what it may hold."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Trainer
from torch import Tensor

from scmoe._log import logger
from scmoe.io._files import WriteError, atomic_path

CHECKPOINT = "last.ckpt"
PARTS = {"state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "settings", "environment", "history"}
UNREADABLE = (
    *(zipfile.BadZipFile, UnpicklingError, AttributeError, EOFError, LookupError),
    *(OSError, RuntimeError, TypeError, ValueError),
)
"""torch has no one error for damaged files."""
REMEDY = "Remove it and train again without resume=True, or choose another checkpoint_dir."
RUN = (
    "max_epochs",
    "min_epochs",
    "max_steps",
    "precision",
    "accumulate_grad_batches",
    "limit_train_batches",
    "limit_val_batches",
    "check_val_every_n_epoch",
    "overfit_batches",
)
"""Attributes of a trainer that a result depends on."""


class CheckpointFile(CheckpointIO):
    """Writes and reads one file; leaves all others to what Lightning would write them with.

    A full disk does not end the training: what it has learned is not lost as long as it goes on. Only the process that
    writes knows of it, so the others need not.

    Parameters
    ----------
    path
        The file.
    others
        What writes other files, such as those of a callback of the user.
    """

    def __init__(self, path: Path, others: CheckpointIO) -> None:
        self.path, self.others, self.is_warned = path, others, False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the file, whole or not at all; say so in the log if it is not."""
        if path != self.path:
            self.others.save_checkpoint(checkpoint, path, storage_options)
            return
        buffer = io.BytesIO()  # torch hides why it could not write
        torch.save(checkpoint, buffer)
        try:
            with atomic_path(path) as temporary:
                temporary.write_bytes(buffer.getvalue())
        except OSError as error:
            if not self.is_warned:
                logger.warning("%s The training goes on; an interruption would lose what it learns from here.", error)
            self.is_warned = True
        else:
            self.is_warned = False

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read the file."""
        return self.others.load_checkpoint(path, map_location, weights_only) if path != self.path else read(path)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove another file; this one stays."""
        self.others.remove_checkpoint(path)


def find_checkpoint(folder: Path, *, resume: bool) -> tuple[Path, bool]:
    """The file in a folder, and whether to go on from it; says so in the log if it will be replaced.

    Raises
    ------
    WriteError
        A folder has its name.
    """
    path = folder / CHECKPOINT
    if path.is_dir():
        raise WriteError(f"Cannot write the file {path}: a folder has this name. Choose another checkpoint_dir.")
    if path.exists() and not resume:
        logger.warning(
            "%s holds the state of an earlier training, which is replaced after the first epoch. Pass resume=True to "
            "go on from it instead.",
            path,
        )
    return path, resume and path.exists()


def read(path: Path) -> dict[str, Any]:
    """The content of a file that a training of scmoe wrote.

    Raises
    ------
    ValueError
        It is damaged, cut short, or of another program; nothing in it was run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damage = archive.testzip()  # torch does not look at the checksums
        content = torch.load(path, map_location="cpu", weights_only=True) if damage is None else None
    except PermissionError as error:
        raise PermissionError(f"Cannot read {path}: {error.strerror}. Check its permissions.") from error
    except UNREADABLE as error:
        raise _unreadable(path) from error
    if content is None:
        raise _unreadable(path)
    if not isinstance(content, dict) or not set(content) >= PARTS or not _is_whole(content):
        raise ValueError(f"{path} is no checkpoint of this version of scmoe. {REMEDY}")
    if not all_finite(content["state_dict"].values()):
        raise ValueError(f"The weights in {path} are no finite numbers. {REMEDY}")
    return content


@torch.no_grad()
def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all numbers are finite; a GPU is waited for once."""
    flags = [tensor.isfinite().all() for tensor in tensors]
    return not flags or bool(torch.stack(flags).all())


def _is_whole(content: Mapping[str, Any]) -> bool:
    return isinstance(content["settings"], Mapping) and isinstance(content["history"], list)


def _unreadable(path: Path) -> ValueError:
    return ValueError(f"{path} is damaged, cut short or no checkpoint of scmoe. {REMEDY}")


def run_settings(trainer: Trainer) -> dict[str, Any]:
    """What a result depends on of what the trainer was told."""
    settings = {name: getattr(trainer, name) for name in RUN}
    return settings | {"early_stopping": trainer.early_stopping_callback is not None}


def environment(trainer: Trainer) -> dict[str, Any]:
    """What a result depends on within rounding."""
    device = trainer.strategy.root_device.type
    threads = {"threads": torch.get_num_threads()} if device == "cpu" else {}
    processes = {"processes": trainer.world_size} if trainer.world_size > 1 else {}
    return {"torch": torch.__version__.split("+")[0], "device": device, **threads, **processes}


def check_same_run(path: Any, saved: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Raise a ValueError unless a checkpoint is of a run with the same settings and data; it says what differs."""
    # As text: a limit of 1 is one batch, of 1.0 all of them.
    name = next((name for name in current if name not in saved or repr(saved[name]) != repr(current[name])), None)
    if name is None:
        return
    if name not in saved:
        raise ValueError(f"{path} is of another version of scmoe, which did not note {name}. {REMEDY}")
    if name == "data":
        raise ValueError(
            f"{path} is of a training on other data: cells, features, values and their order, and the cells held out "
            "for validation, must be the same. Resume with that data, or choose another checkpoint_dir."
        )
    note = " The learning rate follows the number of epochs." if name == "max_epochs" else ""
    raise ValueError(
        f"{path} is of a run with {name}={saved[name]}; this one has {name}={current[name]}.{note} "
        "Resume with the same settings, or choose another checkpoint_dir."
    )


def warn_of_rounding(path: Any, saved: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Say in the log that the result may not be exactly that of a run without interruption."""
    if saved != current:
        before, now = (", ".join(f"{name} {value}" for name, value in each.items()) for each in (saved, current))
        rounding = ", within rounding," if saved.get("processes") == current.get("processes") else ""
        logger.warning(
            "%s was made with %s; now there is %s. The result may differ%s from that of a run without interruption.",
            *(path, before, now, rounding),
        )
