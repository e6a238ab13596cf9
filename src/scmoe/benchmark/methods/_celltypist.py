"""CellTypist: its logistic regressions, one a label, on z-scores of all genes."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from inspect import signature

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from scmoe.benchmark._inputs import Facts, Fold, Run
from scmoe.benchmark.methods._expression import expression, needs_rna
from scmoe.benchmark.methods._method import Method

OPTION, LAST_WITH = "multi_class", (1, 7, 1)
"""The option of logistic regression that CellTypist names up to this version; scikit-learn 1.8 has it no more."""
MAX_Z = 10.0
"""Where CellTypist cuts z-scores."""


def annotate(fold: Fold) -> pd.DataFrame:
    """Probabilities of the training labels in test cells: the scores of the regressions, scaled to a sum of one."""
    celltypist = import_module("celltypist")  # no dependency of ours: it cannot train with the present scikit-learn
    values, labels = expression(fold), fold.training_labels()
    genes = np.array([f"gene {number}" for number in range(values.labeled.shape[1])])
    # Our normalization is not to 10,000 counts a cell, which z-scores do not see.
    model = celltypist.train(values.labeled, labels=labels, genes=genes, check_expression=False, n_jobs=1)
    columns = np.flatnonzero(np.isin(genes, model.features))
    scaled = np.minimum(model.scaler.transform(values.test[:, columns]), MAX_Z)
    _, scores, _ = model.predict_labels_and_prob(scaled)
    return pd.DataFrame(
        scores / scores.sum(axis=1, keepdims=True),
        index=fold.cells.obs_names[fold.test],
        columns=np.asarray(model.cell_types, dtype=str),
    )


def reason_not_to_train() -> str:
    """Why the installed versions cannot train; empty if they can, or CellTypist is not installed."""
    try:
        own = version("celltypist")
    except PackageNotFoundError:
        return ""
    numbers = tuple(int(number) for number in own.split(".")[:3] if number.isdigit())
    if numbers > LAST_WITH or OPTION in signature(LogisticRegression).parameters:
        return ""
    return f'celltypist {own} cannot train with scikit-learn {version("scikit-learn")}; it needs "scikit-learn<1.8"'


def _annotate(fold: Fold, run: Run) -> pd.DataFrame:
    return annotate(fold)


def _unsuited(run: Run, facts: Facts) -> str:
    return needs_rna(run, facts) or reason_not_to_train()


METHOD = Method(name="celltypist", annotate=_annotate, unsuited=_unsuited, libraries=("celltypist",))
