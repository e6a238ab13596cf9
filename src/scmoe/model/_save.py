"""A model as a folder: weights in safetensors, everything else in JSON."""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from mudata import MuData
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from scmoe._io import atomic_dir
from scmoe.data._dataset import MosaicDataset
from scmoe.data._manager import SetupField
from scmoe.data._setup import Setup
from scmoe.readout._readouts import Readouts

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

FORMAT = 2
"""Raised when the files change in a way that older versions of scmoe cannot read."""
REMEDY = "Copy or save the model again."
READOUT = "readout/"
"""Before the names of what is not the network's."""
WEIGHTS, SETTINGS = "weights.safetensors", "settings.json"
PACKAGES = ("scmoe", "torch", "lightning", "scvi-tools", "anndata", "mudata", "numpy")


def versions() -> dict[str, str]:
    """Versions of the packages that matter for a result."""
    return {name: version(name) for name in PACKAGES}


def save_model(model: "SCMOE", path: Path, *, overwrite: bool) -> None:
    """See `scmoe.model.SCMOE.save`."""
    if not model.is_trained_:
        raise ValueError("This model is not trained yet: there is nothing to save. Call model.train() first.")
    with atomic_dir(path, overwrite=overwrite) as folder:
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.module.state_dict().items()}
        state |= {READOUT + name: torch.from_numpy(array) for name, array in model.readouts.to_arrays().items()}
        save_file(state, folder / WEIGHTS)
        settings = {
            "format": FORMAT,
            "model": type(model).__name__,
            "versions": versions(),
            "weights_sha256": _digest(folder / WEIGHTS),
            "seed": model.seed,
            "train_seconds": model.train_seconds_,
            "config": asdict(model.config),
            "setup": model.setup.to_dict(),
            "train_indices": model.train_indices_.tolist(),
            "validation_indices": model.validation_indices_.tolist(),
            "test_indices": model.test_indices_.tolist(),
            "history": model.history_.reset_index().to_dict("list"),
            "diagnostics": model.diagnostics_,
        }
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1))


def load_model(cls: type["SCMOE"], path: Path, adata: MuData | None) -> "SCMOE":
    """See `scmoe.model.SCMOE.load`."""
    path = path.expanduser()
    settings, state = _read(cls, path)
    try:
        model = _restore(cls, settings)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path / SETTINGS} is damaged and cannot be used ({error}). {REMEDY}") from error
    try:
        readouts = {name: state.pop(name) for name in list(state) if name.startswith(READOUT)}
        model.module.load_state_dict(state)
        model.readouts = Readouts.from_arrays({name.removeprefix(READOUT): x.numpy() for name, x in readouts.items()})
    except (KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"The weights in {path} do not belong to its settings. {REMEDY}") from error
    if adata is not None:
        MosaicDataset(adata, model.setup)  # raises if the data do not fit
        model._adata = adata
    return model


def registry_of(setup: Setup) -> dict[str, Any]:
    """What scvi-tools wants to know of a model that is made without data."""
    state = {"data_registry": {}, "state_registry": setup.to_dict(), "summary_stats": {}}
    return {
        "scvi_version": version("scvi-tools"),
        "model_name": "SCMOE",
        "setup_args": {},
        "setup_method_name": "setup_mudata",
        "field_registries": {SetupField.registry_key: state},
    }


def _restore(cls: type["SCMOE"], settings: dict[str, Any]) -> "SCMOE":
    """The model without its weights."""
    registry = registry_of(Setup(**settings["setup"]))
    model = cls(registry=registry, seed=settings["seed"], **settings["config"])
    model.is_trained_ = True
    model.train_seconds_ = settings["train_seconds"]
    model.train_indices_ = np.array(settings["train_indices"], dtype=int)
    model.validation_indices_ = np.array(settings["validation_indices"], dtype=int)
    model.test_indices_ = np.array(settings["test_indices"], dtype=int)
    model.history_ = pd.DataFrame(settings["history"]).set_index("epoch")
    model.diagnostics_ = settings["diagnostics"]
    return model


def _read(cls: type, path: Path) -> tuple[dict[str, Any], dict]:
    """Settings and weights, or a ValueError that says what is wrong with the folder."""
    for name in (SETTINGS, WEIGHTS):
        if not (path / name).is_file():
            raise ValueError(f"{path} is not a model folder: expected {SETTINGS} and {WEIGHTS}, {name} is missing.")
    try:
        settings = json.loads((path / SETTINGS).read_text())
        kind, form, checksum = settings["model"], int(settings["format"]), settings["weights_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path / SETTINGS} is damaged and cannot be read. {REMEDY}") from error
    if kind != cls.__name__:
        raise ValueError(f"{path} holds a {kind} model, not {cls.__name__}. Load it with scmoe.model.{kind}.load.")
    if form < FORMAT:
        raise ValueError(
            f"{path} was written by scmoe {settings['versions']['scmoe']}, before the format of model folders changed. Train "
            "the model again, or use that version."
        )
    if form > FORMAT:
        raise ValueError(
            f"{path} was written by scmoe {settings['versions']['scmoe']}, in a newer format than this version reads. "
            "Update scmoe."
        )
    if _digest(path / WEIGHTS) != checksum:
        raise ValueError(f"{path / WEIGHTS} is damaged or cut short: its checksum is not the one saved. {REMEDY}")
    try:
        return settings, load_file(path / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(f"{path / WEIGHTS} is damaged and cannot be read. {REMEDY}") from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
