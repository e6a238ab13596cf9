"""Expression values, for methods of annotation that read nothing but RNA."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scmoe._matrix import dense
from scmoe.benchmark._inputs import Facts, Fold, Run
from scmoe.benchmark.methods._method import needs_complete_cells
from scmoe.data._setup import prepared_kinds
from scmoe.train._presets import LIKE

RNA_KINDS = ("rna", *LIKE["rna"])


class Expression(NamedTuple):
    """Log-normalized values, cells x genes; the mean of the training cells where nothing was measured."""

    train: NDArray[np.float64]
    labeled: NDArray[np.float64]
    """Of the training cells that have a label."""
    test: NDArray[np.float64]


def expression(fold: Fold) -> Expression:
    """Values of all genes of training and of test cells; several modalities of RNA stand side by side."""
    kinds = prepared_kinds(fold.cells, list(fold.cells.mod))
    names = [name for name, kind in kinds.items() if kind in RNA_KINDS]
    values = np.concatenate([dense(fold.cells.mod[name][fold.cells.obs_names].X) for name in names], axis=1)
    known = np.isfinite(values[fold.train])
    mean = np.where(known, values[fold.train], 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    values = np.where(np.isfinite(values), values, mean)
    return Expression(train=values[fold.train], labeled=values[fold.labeled], test=values[fold.test])


def needs_rna(run: Run, facts: Facts) -> str:
    """Reason to skip cells without RNA."""
    kinds = {facts.kinds[run.source]} if run.source else {*facts.kinds.values()}
    if not kinds & {*RNA_KINDS}:
        return "needs RNA"
    return "" if run.source else needs_complete_cells(facts)
