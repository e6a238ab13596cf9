"""The two files of a model folder: written together, and read only as they were written."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from scmoe.io._files import atomic_dir
from scmoe.model.hub._contents import SETTINGS, WEIGHTS, check_folder

FORMAT = 3
"""Raised when the files change in a way that older versions of scmoe cannot read."""
CHECKSUM = "settings_sha256"
"""Of all other settings, among which is the checksum of the weights. Earlier versions of format 3 did not write it."""
REMEDY = "Copy or save the model again."


def write_files(path: Path, settings: Mapping[str, Any], weights: Mapping[str, Tensor], *, overwrite: bool) -> None:
    """Write a model folder, whole or not at all."""
    with atomic_dir(path, overwrite=overwrite) as folder:
        try:
            save_file(dict(weights), folder / WEIGHTS)
        except SafetensorError as error:  # its only one, a full disk included
            raise OSError(str(error)) from error
        content = {"format": FORMAT, "weights_sha256": _digest(folder / WEIGHTS), **settings}
        content = json.loads(json.dumps(content))  # as it will be read: keys are text
        content[CHECKSUM] = _settings_digest(content)
        (folder / SETTINGS).write_text(json.dumps(content, indent=1), encoding="utf-8")
        shutil.copymode(folder / SETTINGS, folder / WEIGHTS)  # safetensors lets nobody but the owner read


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a model folder.

    Raises
    ------
    ValueError
        It is no model folder, it holds code, or they are damaged, changed, or of a format that this version does not
        read.
    """
    for name in (SETTINGS, WEIGHTS):
        if not (path / name).is_file():
            hint = f" Did you mean {path / 'model'}?" if (path / "model" / SETTINGS).is_file() else ""
            state = "is a folder" if (path / name).is_dir() else "is missing"
            raise ValueError(f"{path} is not a model folder: expected {SETTINGS} and {WEIGHTS}, {name} {state}.{hint}")
    check_folder(path)
    try:
        settings = json.loads(_read(path / SETTINGS))
        form, writer = int(settings["format"]), str(settings["versions"]["scmoe"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path / SETTINGS} is damaged and cannot be read. {REMEDY}") from error
    if form != FORMAT:
        raise ValueError(
            f"{path} was written by scmoe {writer}, before the format of model folders changed. Train the model again, "
            "or use that version."
            if form < FORMAT
            else f"{path} was written by scmoe {writer}, in a newer format than this version reads. Update scmoe."
        )
    if CHECKSUM in settings and settings[CHECKSUM] != _settings_digest(settings):
        raise ValueError(
            f"{path / SETTINGS} was changed after the model was saved: its checksum is not the one saved. {REMEDY} A "
            "model with other settings must be trained."
        )
    if not {"model", "weights_sha256"} <= set(settings):
        raise ValueError(f"{path / SETTINGS} is damaged: it does not say which model this is. {REMEDY}")
    return settings


def read_folder(cls: type, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and weights of a model of a class, or a ValueError that says what is wrong with the folder."""
    settings = read_settings(path)
    if (kind := settings["model"]) != cls.__name__:
        raise ValueError(f"{path} holds a {kind} model, not {cls.__name__}. Load it with scmoe.model.{kind}.load.")
    return settings, read_weights(path, settings)


def read_weights(path: Path, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights that belong to settings, or a ValueError."""
    file = path / WEIGHTS
    if _digest(file) != settings["weights_sha256"]:
        raise ValueError(
            f"{file} is damaged, cut short or of another model: its checksum is not the one saved in {SETTINGS}. "
            f"{REMEDY}"
        )
    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged and cannot be read. {REMEDY}") from error


def check_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Raise a ValueError if a network's weights are not all numbers; what is fitted to it may have gaps."""
    for name, values in weights.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise ValueError(f"{path / WEIGHTS} holds NaN or infinite weights, in {name!r}. Train the model again.")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OSError(f"Cannot read {path}: {error.strerror}. Check its permissions.") from error


def _digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OSError(f"Cannot read {path}: {error.strerror}. Check its permissions.") from error


def _settings_digest(settings: Mapping[str, Any]) -> str:
    """Of their content: it does not matter how the text is laid out."""
    content = {name: value for name, value in settings.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
