"""What a model folder says of its model, without the data that it was trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from scmoe.metrics._calibration import calibration_error
from scmoe.metrics._confusion import count_cells
from scmoe.metrics._per_class import class_scores
from scmoe.model._folder import read_settings, read_weights
from scmoe.model._save import READOUT, damage_explained
from scmoe.model.hub._contents import SETTINGS, WEIGHTS
from scmoe.readout._annotator import Annotator
from scmoe.readout._readouts import Readouts

N_NAMES = 5
"""Features of a modality that are named."""
DECIMALS = 3


def model_info(folder: Path) -> dict[str, Any]:
    """What a model is, as plain types that JSON can hold.

    Parameters
    ----------
    folder
        A model folder of either model.

    Returns
    -------
    ``model``, ``format``, ``bytes``, ``parameters``; ``about``; ``versions``; ``modalities``, with ``kind``,
    ``likelihood``, ``n_features`` and some ``features`` of each; ``batches``, with ``key`` and ``names``; ``labels``,
    with ``key``, ``names``, and ``n_cells`` and ``recall`` of those that held-out training cells have; ``scores``, of
    these cells' labels; and ``training``, with numbers of cells and what was wrong.

    Raises
    ------
    ValueError
        It is no model folder, or a damaged one.
    """
    settings = read_settings(folder)
    weights = read_weights(folder, settings)
    with damage_explained(folder / SETTINGS):
        network = [value for name, value in weights.items() if not name.startswith(READOUT)]
        parts = _of_cells(settings, weights) if settings["model"] == "SCMOE" else _of_genes(settings)
        return {
            "model": settings["model"],
            "format": settings["format"],
            "bytes": sum((folder / name).stat().st_size for name in (SETTINGS, WEIGHTS)),
            "parameters": sum(value.numel() for value in network),
            "about": settings.get("about", {}),
            "versions": settings["versions"],
            **parts,
            "training": _training(settings),
        }


def _of_cells(settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Modalities, batches and labels of an `SCMOE`, and how often its labels are right."""
    setup = settings["setup"]
    modalities = {
        name: {
            "kind": setup["kinds"].get(name, "as it was"),
            "likelihood": setup["likelihoods"][name],
            "n_features": len(setup["feature_names"][name]),
            "features": setup["feature_names"][name][:N_NAMES],
        }
        for name in setup["modalities"]
    }
    arrays = {name.removeprefix(READOUT): value.numpy() for name, value in weights.items() if name.startswith(READOUT)}
    annotators = Readouts.from_arrays(arrays).annotators
    best = annotators.get(tuple(range(len(modalities))))
    return {
        "modalities": modalities,
        "batches": {"key": setup["batch_key"], "names": setup["batches"] if setup["batch_key"] else []},
        **_labels(setup["labels_key"], setup["labels"], best),
    }


def _labels(key: str | None, names: list[str], annotator: Annotator | None) -> dict[str, Any]:
    labels: dict[str, Any] = {"key": key, "names": names}
    if annotator is None or not len(annotator.truth):
        return {"labels": labels, "scores": {}}
    truth, predicted = annotator.truth, annotator.predicted
    right = truth == predicted
    _, recall, f1 = class_scores(count_cells(len(names), truth, predicted))
    cells = np.bincount(truth, minlength=len(names))
    labels["n_cells"] = dict(zip(names, cells.tolist(), strict=True))
    labels["recall"] = {name: _rounded(value) for name, value in zip(names, recall, strict=True)}
    scores = {
        "accuracy": right.mean(),
        "balanced_accuracy": np.nanmean(recall),
        "macro_f1": np.nanmean(f1),
        "ece": calibration_error(annotator.confidence, right),
    }
    return {
        "labels": labels,
        "scores": {"n_cells": len(truth), **{name: _rounded(value) for name, value in scores.items()}},
    }


def _of_genes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The vocabulary and labels of an `XTRIMOGENE`."""
    names = list(settings["setup"]["names"])
    rna = {"kind": "rna", "likelihood": "masked genes", "n_features": len(names), "features": names[:N_NAMES]}
    labels = {"key": None, "names": list(settings["labels"])}
    return {"modalities": {"rna": rna}, "batches": {"key": None, "names": []}, "labels": labels, "scores": {}}


def _training(settings: Mapping[str, Any]) -> dict[str, Any]:
    diagnostics = settings.get("diagnostics", {})
    return {
        "cells": {part: len(settings[f"{part}_indices"]) for part in ("train", "validation", "test")},
        "epochs": len(settings["history"]["epoch"]),
        "seconds": round(settings["train_seconds"], 1),
        "seed": settings["seed"],
        "verdict": list(diagnostics.get("verdict", [])),
    }


def _rounded(value: float) -> float | None:
    """None for what is not known, which JSON has no number for."""
    return None if np.isnan(value) else round(float(value), DECIMALS)
