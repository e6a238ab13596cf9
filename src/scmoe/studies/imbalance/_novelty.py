"""`run_novelty`: types of cells that a model has never seen, one left out after another."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from mudata import MuData
from sklearn.metrics import roc_auc_score

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.benchmark._cells import known_labels, subset
from scmoe.benchmark.methods._scmoe import fit
from scmoe.datasets._bundled import bmmc_cite
from scmoe.datasets._read import read
from scmoe.io._files import atomic_path, check_writable
from scmoe.pp._prepare import prepare
from scmoe.readout._held_out import N_FOLDS, split_labels
from scmoe.studies._run import single_thread

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
    "new_above": f"new cells above {HIGH}",
    "known_above": f"known cells above {HIGH}",
    "new_declined": f"new cells declined at coverage {COVERAGE}",
    "known_kept": "known cells kept",
    "accuracy": "accuracy of all known cells",
    "accuracy_kept": "of those kept",
}


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

    Cells without a label are left out. For each type with at least 20 cells, a model is trained on four fifths of the cells of all other
    types: neither network nor labels have seen the type. Its cells are the positives; the negatives are the last fifth of the other types, as far as
    training has a cell of their type.

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
    A row for each type and seed: ``type``, ``seed``, ``n_cells``; ``auroc_unknown`` and ``auroc_probability``, areas under the receiver
    operating curve of the unknown score and of 1 - the highest probability; ``new_above`` and ``known_above``, shares of cells with an unknown
    score above 0.95; and of `scmoe.tl.annotate` with ``coverage=0.9`` ``new_declined``, ``known_kept``, and ``accuracy_kept`` beside the
    ``accuracy`` of all known cells.

    Raises
    ------
    KeyError
        A column that ``mdata.obs`` does not have.
    ValueError
        No type has 20 cells.
    """
    folder = check_writable(output)
    mdata = bmmc_cite() if data is None else read(data)
    prepare(mdata)
    for column in (labels, batch):
        if column is not None and column not in mdata.obs:
            raise KeyError(f"{column!r} is not a column of mdata.obs; found {', '.join(map(str, mdata.obs))}.")
    names = known_labels(mdata, labels)
    assert names is not None
    mdata = subset(mdata, mdata.obs_names[names.notna()], list(mdata.mod))
    sizes = names.value_counts()
    types, seeds = list(sizes.index[sizes >= MIN_CELLS]), list(seeds)
    if len(sizes) < 3 or not types:
        raise ValueError(
            f"Leaving types out needs three types, one of them with {MIN_CELLS} cells; found {dict(sizes)}."
        )
    if quick:
        types, seeds = types[:N_TYPES_QUICK], seeds[:1]
    rows = []
    with single_thread():
        for seed in seeds:
            for i, left_out in enumerate(types):
                logger.info("without %s (%d of %d), seed %d", left_out, i + 1, len(types), seed)
                scores = novelty_scores(mdata, left_out, labels, batch, seed, fold=(i + seed) % N_FOLDS)
                rows.append({"type": left_out, "seed": seed, **scores})
    table = pd.DataFrame(rows)
    settings = {"data": "bmmc_cite" if data is None else Path(data).name, "seeds": seeds, "scmoe": __version__}
    held = json.dumps({"rows": rows, "settings": settings}, indent=1) + "\n"
    for name, text in (("novelty.json", held), ("novelty.md", novelty_markdown(table))):
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
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
    found = model.get_annotation(mdata, cells, coverage=COVERAGE)
    new, truth = new[cells], truth[cells]
    kept = found.trust > 1 - COVERAGE
    right = np.array(model.setup.labels)[found.probability.argmax(1)] == truth
    return {
        "n_cells": int(new.sum()),
        "auroc_unknown": float(roc_auc_score(new, found.unknown_score)),
        "auroc_probability": float(roc_auc_score(new, 1 - found.probability.max(1))),
        "new_above": float((found.unknown_score[new] > HIGH).mean()),
        "known_above": float((found.unknown_score[~new] > HIGH).mean()),
        "new_declined": float((~kept[new]).mean()),
        "known_kept": float(kept[~new].mean()),
        "accuracy": float(right[~new].mean()),
        "accuracy_kept": float(right[~new & kept].mean()),
    }


def novelty_markdown(table: pd.DataFrame) -> str:
    """Means over seeds for each type, and mean and worst over types."""
    of_type = table.groupby("type", sort=False)[list(HEADS)].mean()
    lines = [f"| left out | {' | '.join(HEADS.values())} |", "|---|" + "---:|" * len(HEADS)]
    for name, row in of_type.iterrows():
        lines.append(_line(str(name), f"{row['n_cells']:.0f}", row))
    lines.append(_line("mean", "", of_type.mean()))
    lines.append(_line("lowest", "", of_type.min()))
    return "\n".join(lines) + "\n"


def _line(name: str, n_cells: str, row: pd.Series) -> str:
    values = [f"{row[score]:.{DECIMALS}f}" for score in list(HEADS)[1:]]
    return f"| {name} | {n_cells} | {' | '.join(values)} |"
