"""A model as a folder: weights in safetensors, everything else in JSON."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from scmoe._log import is_first
from scmoe.data._dataset import MosaicDataset
from scmoe.data._manager import SetupField
from scmoe.data._setup import Setup
from scmoe.datasets._anndata import as_mudata
from scmoe.model._base import BaseModel, TrainingRecord
from scmoe.model._fitted import FittedModel
from scmoe.model._folder import REMEDY, SETTINGS, WEIGHTS, check_finite, read_folder, write_files
from scmoe.nn._config import NetworkConfig, from_keywords
from scmoe.readout._readouts import Readouts

M = TypeVar("M", bound=FittedModel)
READOUT = "readout/"
"""Before the names of what is not the network's."""
PACKAGES = ("scmoe", "torch", "lightning", "scvi-tools", "anndata", "mudata", "numpy")


def versions() -> dict[str, str]:
    """Versions of the packages that matter for a result."""
    return {name: version(name) for name in PACKAGES}


def save_model(model: FittedModel, path: Path, *, overwrite: bool) -> None:
    """See `scmoe.model.SCMOE.save`."""
    arrays = {
        READOUT + name: torch.from_numpy(array).contiguous() for name, array in model.readouts.to_arrays().items()
    }
    settings = {
        "setup": model.setup.to_dict(),
        "diagnostics": model.record.diagnostics,
        "class_balance": model.record.class_balance,
    }
    write_folder(model, path, arrays, settings, overwrite=overwrite)


def write_folder(
    model: BaseModel, path: Path, arrays: Mapping[str, Tensor], settings: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write a model's network and `arrays` to the weights, its training and `settings` to the settings."""
    if not model.is_trained_:
        raise ValueError("This model is not trained yet: there is nothing to save. Call model.train() first.")
    if not is_first():
        return
    record = model.record
    content = {
        "model": type(model).__name__,
        "versions": versions(),
        "seed": model.seed,
        "train_seconds": record.seconds,
        "config": asdict(model.config),
        "train_indices": record.train.tolist(),
        "validation_indices": record.validation.tolist(),
        "test_indices": record.test.tolist(),
        "history": record.history.reset_index().to_dict("list"),
        "about": record.about,
        **settings,
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.module.state_dict().items()}
    write_files(path, content, state | dict(arrays), overwrite=overwrite)


def load_model(cls: type[M], path: Path, adata: MuData | AnnData | None) -> M:
    """See `scmoe.model.SCMOE.load`."""
    path = path.expanduser()
    settings, state = read_folder(cls, path)
    with damage_explained(path / SETTINGS):
        setup, seed, config = Setup(**settings["setup"]), settings["seed"], settings["config"]
        from_keywords(NetworkConfig, config)
        record = read_record(settings, settings["diagnostics"])
    # Outside: an error of a library's API is no damaged file.
    model = cls(registry=registry_of(setup), seed=seed, **config)  # type: ignore[call-arg]
    with mismatch_explained(path):
        arrays = {name.removeprefix(READOUT): state.pop(name) for name in list(state) if name.startswith(READOUT)}
        model.module.load_state_dict(state)
        model.readouts = Readouts.from_arrays({name: array.numpy() for name, array in arrays.items()})
    check_finite(path, state)
    model.record, model.is_trained_ = record, True
    if adata is not None:
        mdata = as_mudata(adata, model)
        MosaicDataset(mdata, model.setup)  # raises if the data do not fit
        model._adata = mdata
    return model


@contextmanager
def damage_explained(path: Path) -> Iterator[None]:
    """Settings that lack something, or hold what a model does not take, are a damaged file."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged and cannot be used ({error}). {REMEDY}") from error


@contextmanager
def mismatch_explained(path: Path) -> Iterator[None]:
    """Weights that do not fit the network are those of another model."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"The weights in {path / WEIGHTS} do not belong to its settings. {REMEDY}") from error


def registry_of(setup: Setup) -> dict[str, Any]:
    """What scvi-tools wants to know of an `SCMOE` that is made without data."""
    return registry("SCMOE", "setup_mudata", SetupField.registry_key, setup.to_dict())


def registry(model: str, method: str, key: str, setup: dict[str, Any]) -> dict[str, Any]:
    """scvi-tools' registry of a model whose only field has a state."""
    state = {"data_registry": {}, "state_registry": setup, "summary_stats": {}}
    return {
        "scvi_version": version("scvi-tools"),
        "model_name": model,
        "setup_args": {},
        "setup_method_name": method,
        "field_registries": {key: state},
    }


def read_record(settings: Mapping[str, Any], diagnostics: dict[str, Any]) -> TrainingRecord:
    """What `write_folder` wrote of the training."""
    return TrainingRecord(
        history=pd.DataFrame(settings["history"]).set_index("epoch"),
        diagnostics=diagnostics,
        class_balance=settings["class_balance"],
        seconds=settings["train_seconds"],
        train=np.array(settings["train_indices"], dtype=int),
        validation=np.array(settings["validation_indices"], dtype=int),
        test=np.array(settings["test_indices"], dtype=int),
        about=dict(settings.get("about", {})),  # earlier versions of format 3 did not write it
    )


def taken(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Take what has a prefix out of a state, and the prefix off."""
    return {key.removeprefix(prefix): state.pop(key) for key in list(state) if key.startswith(prefix)}
