"""`run_shap`: what explanations cost, beside SHAP, and whether they agree."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mudata import MuData
from scipy.stats import spearmanr

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.explain.concepts._checks import MIN_CONCEPT
from scmoe.io._files import check_writable
from scmoe.model._scmoe import SCMOE
from scmoe.pp._prepare import prepare
from scmoe.studies._data import data_name, load_data
from scmoe.studies._report import markdown_table
from scmoe.studies._run import single_thread, write_result
from scmoe.studies.explain._shap_methods import ARBITER, METHODS, N_BACKGROUND, Explanation, Question, ask

N_LABELS, N_LABELS_QUICK = 6, 2
N_CELLS, N_CELLS_QUICK = 10, 2
REFERENCE = "integrated gradients"


@checks_arguments
def run_shap(
    output: str | Path,
    *,
    data: str | Path | None = None,
    labels: str = "cell_type",
    batch: str | None = "batch",
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """Ask several methods which modality and which features make cells what the model says they are.

    Parameters
    ----------
    output
        Folder for ``shap.json`` and ``shap.md``.
    data
        A file whose cells have all modalities; None: the bundled bone marrow.
    labels, batch
        Columns of its cells.
    seed
        Of model, cells and methods.
    quick
        Two labels and two cells each, in place of six and ten.

    Returns
    -------
    The content of ``shap.json``: for each method the seconds and passes of all labels together; for each label the
    modalities' importances; and how methods agree.

    Raises
    ------
    ImportError
        The package shap is not installed.
    ValueError
        The data do not fit.

    Examples
    --------
    >>> table = scmoe.studies.run_shap("shap", quick=True)  # doctest: +SKIP
    """
    if importlib.util.find_spec("shap") is None:
        raise ImportError("This comparison needs the package shap: pip install 'scmoe[explain]'.")
    folder = check_writable(output)
    with single_thread():
        mdata = load_data(data)
        prepare(mdata)
        SCMOE.setup_mudata(mdata, labels_key=labels, batch_key=batch)
        model = SCMOE(mdata, seed=seed)
        model.train(enable_progress_bar=False)
        result = compare_methods(model, mdata, seed, quick=quick)
    result["settings"] |= {"data": data_name(data), "scmoe": __version__}
    write_result(folder, "shap", result, shap_markdown(result), indent=2)
    return result


def compare_methods(model: SCMOE, mdata: MuData, seed: int, *, quick: bool) -> dict[str, Any]:
    """All methods on the largest labels."""
    column = mdata.obs[model.setup.labels_key].astype(str)
    sizes = column[column.isin(model.setup.labels)].value_counts()
    labels = sizes.index[sizes >= MIN_CONCEPT][: N_LABELS_QUICK if quick else N_LABELS]
    if len(labels) < 2:
        raise ValueError(f"The comparison needs two labels with {MIN_CONCEPT} cells; found {len(labels)}.")
    n_cells = N_CELLS_QUICK if quick else N_CELLS
    order = np.random.default_rng(seed).permutation(mdata.n_obs)
    questions = [
        Question(
            model=model,
            mdata=mdata,
            label=label,
            cells=order[(column == label).to_numpy()[order]][:n_cells],
            background=order,
            seed=seed,
        )
        for label in labels
    ]
    explanations: dict[str, list[Explanation]] = {}
    for method in METHODS:
        logger.info("%s: %d labels, %d cells each", method, len(labels), n_cells)
        explanations[method] = [ask(question, method) for question in questions]
    return {
        "methods": [_row(method, explanations, questions) for method in METHODS],
        "importance": {method: [a.importance.tolist() for a in of] for method, of in explanations.items()},
        "settings": {"labels": list(labels), "n_cells": n_cells, "seed": seed, "modalities": model.modalities},
    }


def _row(method: str, explanations: Mapping[str, list[Explanation]], questions: list[Question]) -> dict[str, Any]:
    own, arbiter, reference = (explanations[name] for name in (method, ARBITER, REFERENCE))
    features = [a.features for a in own if a.features is not None]
    return {
        "method": method,
        "seconds": sum(a.seconds for a in own),
        "forward": sum(a.passes.forward for a in own),
        "backward": sum(a.passes.backward for a in own),
        "agreement_modalities": _rank_correlation(_shares(own), _shares(arbiter)),
        "agreement_features": _agreement(own, reference) if features else None,
        "deletion": float(np.mean([q.left_after_deletion(f) for q, f in zip(questions, features, strict=True)]))
        if features
        else None,
    }


def _shares(explanations: list[Explanation]) -> np.ndarray:
    """Of each label and modality, its share of the importance."""
    importance = np.array([explanation.importance for explanation in explanations])
    return importance / np.maximum(importance.sum(1, keepdims=True), 1e-12)


def _agreement(own: list[Explanation], reference: list[Explanation]) -> float:
    """Mean over labels of the rank correlation of features' mean sizes with those of the reference."""
    pairs = [(a.features, b.features) for a, b in zip(own, reference, strict=True)]
    sizes = [(np.abs(a).mean(0), np.abs(b).mean(0)) for a, b in pairs if a is not None and b is not None]
    return float(np.mean([_rank_correlation(a, b) for a, b in sizes]))


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's; 0 where one of them does not vary."""
    return float(spearmanr(a.ravel(), b.ravel()).statistic) if np.ptp(a) and np.ptp(b) else 0.0


def shap_markdown(result: Mapping[str, Any]) -> str:
    """A table, and how it was made."""
    settings = result["settings"]
    fastest = next(row["seconds"] for row in result["methods"] if row["method"] == REFERENCE)
    heads = ["method", "seconds", "to integrated gradients", "cells forward", "backward", "modalities", "features"]
    rows = []
    for row in result["methods"]:
        scores = ("–" if row[name] is None else f"{row[name]:.2f}" for name in ("agreement_features", "deletion"))
        times = (f"{row['seconds']:.2f}", f"{row['seconds'] / fastest:.1f} ×")
        passes = (f"{row['forward']:,}", f"{row['backward']:,}")
        rows.append([row["method"], *times, *passes, f"{row['agreement_modalities']:.2f}", *scores])
    note = (
        f"{settings['data']}, {len(settings['labels'])} labels, {settings['n_cells']} cells each (TCAV: all cells of a "
        "label, and its controls), one thread. Modalities: rank correlation, over labels and modalities, of the shares "
        "of importance with those of the arbiter (fall of the log-odds when a modality is taken from other cells). "
        "Features: rank correlation of the mean sizes with those of integrated gradients. Deletion: mean fall of the "
        "log-odds as features go that the method ranks first in a cell; the larger, the better the ranking. SHAP takes "
        f"absent features from {N_BACKGROUND} other cells, with its default numbers of samples."
    )
    return f"{markdown_table([*heads, 'deletion'], rows)}\n\n{note}\n"
