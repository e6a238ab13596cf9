"""`run_rare_experts`: do rare types have experts, and does the loss that balances the experts take them away?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mudata import MuData
from numpy.typing import NDArray
from scipy.stats import spearmanr

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.explain.experts._rare import rare_usage_table
from scmoe.io._files import check_writable
from scmoe.metrics._classification import classification_scores
from scmoe.model._features import label_views, to_numpy
from scmoe.model._fitted import query
from scmoe.model._scmoe import SCMOE
from scmoe.pp._prepare import prepare
from scmoe.readout._annotator import fit_annotator
from scmoe.readout._held_out import N_FOLDS, split_labels
from scmoe.studies._data import check_columns, data_name, labeled_cells, load_data
from scmoe.studies._report import markdown_table, plus_minus
from scmoe.studies._run import pick_seeds, single_thread, write_result

BALANCE_WEIGHTS = (0.0, 0.01, 0.1)
"""Of the router's balance loss; the second is the default."""
EPOCHS_QUICK = 6
N_PERMUTATIONS = 200
SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "tail_recall": "tail recall",
    "state_macro_f1": "macro-F1, joint state alone",
    "state_tail_recall": "tail recall, joint state alone",
    "entropy_slope": "entropy of a type's experts and its cells",
    "divergence_slope": "divergence of a type's experts and its cells",
    "p_below": "types whose experts differ, p < .05",
}
DECIMALS = 3


@checks_arguments
def run_rare_experts(
    output: str | Path,
    *,
    data: str | Path | None = None,
    labels: str = "cell_type",
    seeds: Sequence[int] = (0, 1, 2),
    quick: bool = False,
) -> dict[str, Any]:
    """Compare expert usage and annotation of rare and frequent types at several weights of the router's balance loss.

    The network is trained on all cells without labels, once for each weight and seed; annotators are fitted in five
    folds.

    Parameters
    ----------
    output
        Folder for ``rare_experts.json`` and ``rare_experts.md``.
    data
        A file; default `scmoe.datasets.bmmc_cite`.
    labels
        Column of ``obs`` with cell types.
    seeds
        Of model and folds.
    quick
        The first seed and a few epochs.

    Returns
    -------
    The content of ``rare_experts.json``: ``rows``, the scores of each weight and seed; ``usage``, the rows of
    `scmoe.explain.rare_usage_table` with weight and seed; and ``settings``.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        No seed is given.

    Examples
    --------
    >>> table = scmoe.studies.run_rare_experts("rare_experts", quick=True)  # doctest: +SKIP
    """
    folder = check_writable(output)
    seeds = pick_seeds(seeds, quick=quick)
    mdata = load_data(data)
    check_columns(mdata, labels)
    mdata = labeled_cells(mdata, labels)
    prepare(mdata)
    rows, usage = [], []
    with single_thread():
        for seed in seeds:
            for weight in BALANCE_WEIGHTS:
                logger.info("balance weight %g, seed %d", weight, seed)
                row, table = train_and_score(mdata, labels, weight, seed, EPOCHS_QUICK if quick else None)
                rows.append(row)
                usage += table.assign(balance_weight=weight, seed=seed).to_dict("records")
    settings = {
        "data": data_name(data),
        "n_cells": mdata.n_obs,
        "seeds": seeds,
        "n_folds": N_FOLDS,
        "scmoe": __version__,
    }
    result = {"rows": rows, "usage": usage, "settings": settings}
    write_result(folder, "rare_experts", result, rare_experts_markdown(result))
    return result


def train_and_score(
    mdata: MuData, labels: str, weight: float, seed: int, max_epochs: int | None
) -> tuple[dict[str, float], pd.DataFrame]:
    """Scores of one network, and how its experts serve the types."""
    SCMOE.setup_mudata(mdata)
    model = SCMOE(mdata, seed=seed)
    model.train(max_epochs, accelerator="cpu", enable_progress_bar=False, plan_kwargs={"balance_weight": weight})
    types = mdata.obs[labels].astype(str)
    table = rare_usage_table(model.get_router_activations(), types, n_permutations=N_PERMUTATIONS, seed=seed)
    views = views_of(model)
    row = {"balance_weight": weight, "seed": seed, **usage_scores(table)}
    for prefix, subset in (("", views), ("state_", views[-1:])):
        row |= {prefix + name: value for name, value in annotated(subset, types, seed).items()}
    return row, table


@torch.no_grad()
def views_of(model: SCMOE, mdata: MuData | None = None) -> list[NDArray[np.floating]]:
    """What labels are read from, of all cells of the model or of a query; the joint state last."""
    fitted, dataset, cells = query(model, mdata, None)
    every = tuple(range(len(model.modalities)))
    parts = [label_views(fitted.network, chunk, every) for chunk in fitted.encode(dataset, cells, loadings="fixed")]
    return [np.concatenate([to_numpy(part) for part in view]) for view in zip(*parts, strict=True)]


def usage_scores(table: pd.DataFrame) -> dict[str, float]:
    """Correlations of what is beyond chance with the number of cells, and the share of types with own experts."""
    excess = table.assign(
        entropy=table["entropy"] - table["null_entropy"], divergence=table["divergence"] - table["null_divergence"]
    )
    slopes = {
        f"{name}_slope": float(spearmanr(excess["n_cells"], excess[name]).statistic)
        for name in ("entropy", "divergence")
    }
    return {**slopes, "p_below": float((table["p"] < 0.05).mean())}


def annotated(views: Sequence[np.ndarray], types: pd.Series, seed: int) -> dict[str, float]:
    """Scores of annotators that have not seen a cell's label, over the cells of all folds.

    The only cell of a type is in none.
    """
    names, codes = np.unique(types, return_inverse=True)
    folds, predicted = split_labels(codes, seed), codes.copy()
    for fold in range(N_FOLDS):
        train, test = folds != fold, folds == fold
        annotator = fit_annotator([view[train] for view in views], codes[train], len(names), seed)
        predicted[test] = annotator.predict([view[test] for view in views]).argmax(axis=1)
    tested = folds >= 0
    scores = classification_scores(
        types[tested], names[predicted[tested]], labels=list(names), n_train=types.value_counts()
    )
    return {name: getattr(scores, name) for name in ("accuracy", "macro_f1", "tail_recall")}


def rare_experts_markdown(result: Mapping[str, Any]) -> str:
    """Mean over seeds for each weight, and how it was made."""
    frame = pd.DataFrame(result["rows"])
    grouped = frame.groupby("balance_weight")[list(SCORES)]
    mean, sd = grouped.mean(), grouped.std(ddof=1)
    rows = []
    for name, head in SCORES.items():
        cells = [plus_minus(mean.loc[weight, name], sd.loc[weight, name], DECIMALS) for weight in mean.index]
        rows.append([head, *(cell.replace("\u00a0", " ") for cell in cells)])
    heads = ["weight of the balance loss", *(f"{weight:g}" for weight in mean.index)]
    settings = result["settings"]
    note = (
        f"{settings['data']}, {settings['n_cells']} cells, seeds {', '.join(map(str, settings['seeds']))}: mean and "
        "standard deviation. The network saw all cells and no label; annotators were fitted in "
        f"{settings['n_folds']} folds, types of one cell are not scored. Entropy and divergence: Spearman's "
        "correlation over types with the number of cells, after what groups of the same size drawn at random have is "
        "subtracted."
    )
    return f"{markdown_table(heads, rows)}\n\n{note}\n"
