"""`run_novelty`: types of cells that a model has never seen, one left out after another."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from mudata import MuData
from sklearn.metrics import roc_auc_score

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.benchmark._cells import subset
from scmoe.benchmark.methods._scmoe import fit
from scmoe.io._files import check_writable
from scmoe.pp._prepare import prepare
from scmoe.readout._held_out import N_FOLDS, split_labels
from scmoe.studies._data import check_columns, data_name, labeled_cells, load_data
from scmoe.studies._report import markdown_table
from scmoe.studies._run import pick_seeds, single_thread, write_result
from scmoe.tl._map_query import LOW_SCORE

MIN_CELLS = 20
"""Types with fewer cells are not left out: an area under a curve of a few cells says little."""
N_TYPES_QUICK = 2
COVERAGE = 0.9
HIGH = 0.95
DECIMALS = 3
HEADS = {
    "n_cells": "cells",
    "auroc_unknown": "AUROC, unknown score",
    "auroc_probability": "AUROC, 1 - highest probability",
    "auroc_mapping": "AUROC, 1 - mapping score",
    "new_above": f"new cells above {HIGH}",
    "known_above": f"known cells above {HIGH}",
    "new_low": f"new cells with a mapping score below {LOW_SCORE}",
    "new_declined": f"new cells declined at coverage {COVERAGE}",
    "known_kept": "known cells kept",
    "accuracy": "accuracy of all known cells",
    "accuracy_kept": "of those kept",
}


@checks_arguments
def run_novelty(
    output: str | Path,
    *,
    data: str | Path | None = None,
    labels: str = "cell_type",
    batch: str | None = None,
    seeds: Sequence[int] = (0, 1),
    quick: bool = False,
) -> pd.DataFrame:
    """Leave one type of cell out after another, and see whether the model says that it does not know it.

    Cells without a label are left out. For each type with at least 20 cells, a model is trained on four fifths of the
    cells of all other types: neither network nor labels have seen the type. Its cells are the positives; the negatives
    are the last fifth of the other types, as far as training has a cell of their type.

    Parameters
    ----------
    output
        Folder for ``novelty.json`` and ``novelty.md``.
    data
        A file that `scmoe.datasets.read` reads; None: `scmoe.datasets.bmmc_cite`.
    labels
        Column of ``mdata.obs`` with types.
    batch
        Column of ``mdata.obs`` with batches or donors.
    seeds
        Of model and held-out cells; a training for each type and seed.
    quick
        The two largest types and the first seed.

    Returns
    -------
    A row for each type and seed: ``type``, ``seed``, ``n_cells``; ``auroc_unknown``, ``auroc_probability`` and
    ``auroc_mapping``, areas under the receiver operating curve of the unknown score, of 1 - the highest probability
    and of 1 - the mapping score; ``new_above`` and ``known_above``, shares of cells with an unknown score above 0.95;
    ``new_low``, share of the new cells with a mapping score below 0.05; and of `scmoe.tl.annotate` with
    ``coverage=0.9`` ``new_declined``, ``known_kept``, and ``accuracy_kept`` beside the ``accuracy`` of all known cells.

    Raises
    ------
    KeyError
        A column that ``mdata.obs`` does not have.
    ValueError
        No type has 20 cells, or no seed is given.

    Examples
    --------
    >>> table = scmoe.studies.run_novelty("novelty", quick=True)  # doctest: +SKIP
    """
    folder = check_writable(output)
    seeds = pick_seeds(seeds, quick=quick)
    mdata = load_data(data)
    prepare(mdata)
    check_columns(mdata, labels, batch)
    mdata = labeled_cells(mdata, labels)
    sizes = mdata.obs[labels].astype(str).value_counts()
    types = list(sizes.index[sizes >= MIN_CELLS])
    if len(sizes) < 3 or not types:
        raise ValueError(
            f"Leaving types out needs three types, one of them with {MIN_CELLS} cells; found {dict(sizes)}."
        )
    types = types[: N_TYPES_QUICK if quick else None]
    rows = []
    with single_thread():
        for seed in seeds:
            for i, left_out in enumerate(types):
                logger.info("without %s (%d of %d), seed %d", left_out, i + 1, len(types), seed)
                scores = novelty_scores(mdata, left_out, labels, batch, seed, fold=(i + seed) % N_FOLDS)
                rows.append({"type": left_out, "seed": seed, **scores})
    table = pd.DataFrame(rows)
    settings = {"data": data_name(data), "seeds": seeds, "scmoe": __version__}
    write_result(folder, "novelty", {"rows": rows, "settings": settings}, novelty_markdown(table))
    return table


def novelty_scores(
    mdata: MuData, left_out: str, labels: str, batch: str | None, seed: int, fold: int
) -> dict[str, float]:
    """Scores of one left-out type; all cells of `mdata` have a label."""
    truth = mdata.obs[labels].astype(str).to_numpy()
    new = truth == left_out
    # A type with one cell is in no fold, and so in all trainings.
    held_out = split_labels(np.unique(truth, return_inverse=True)[1], seed) == fold
    train = subset(mdata, mdata.obs_names[~new & ~held_out], list(mdata.mod))
    known = ~new & held_out & np.isin(truth, train.obs[labels].astype(str).unique())
    model = fit("scmoe", train, seed, labels_key=labels, batch_key=batch)
    cells = np.flatnonzero(new | known)
    annotation = model.get_annotation(mdata, cells, coverage=COVERAGE)
    mapping_score = model.get_mapping_score(mdata, cells)
    new, truth = new[cells], truth[cells]
    trusted = annotation.trust > 1 - COVERAGE
    right = np.array(model.setup.labels)[annotation.probability.argmax(1)] == truth
    return {
        "n_cells": int(new.sum()),
        "auroc_unknown": float(roc_auc_score(new, annotation.unknown_score)),
        "auroc_probability": float(roc_auc_score(new, 1 - annotation.probability.max(1))),
        "auroc_mapping": float(roc_auc_score(new, -mapping_score)),
        "new_above": float((annotation.unknown_score[new] > HIGH).mean()),
        "known_above": float((annotation.unknown_score[~new] > HIGH).mean()),
        "new_low": float((mapping_score[new] < LOW_SCORE).mean()),
        "new_declined": float((~trusted[new]).mean()),
        "known_kept": float(trusted[~new].mean()),
        "accuracy": float(right[~new].mean()),
        "accuracy_kept": float(right[~new & trusted].mean()),
    }


def novelty_markdown(table: pd.DataFrame) -> str:
    """Means over seeds for each type, and mean and worst over types."""
    of_type = table.groupby("type", sort=False)[list(HEADS)].mean()
    rows = [_cells(str(name), f"{row['n_cells']:.0f}", row) for name, row in of_type.iterrows()]
    rows += [_cells("mean", "", of_type.mean()), _cells("lowest", "", of_type.min())]
    return markdown_table(["left out", *HEADS.values()], rows) + "\n"


def _cells(name: str, n_cells: str, row: pd.Series) -> list[str]:
    return [name, n_cells, *(f"{row[score]:.{DECIMALS}f}" for score in list(HEADS)[1:])]
