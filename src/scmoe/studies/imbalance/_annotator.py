"""What `class_balance` does to the labels of SCMOE, beside balanced logistic regression on the same cells."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe.benchmark._cells import subset
from scmoe.benchmark.methods._annotate import logreg
from scmoe.datasets._imbalance import imbalance, imbalance_total
from scmoe.model._scmoe import SCMOE
from scmoe.readout._annotator import fit_annotator
from scmoe.readout._held_out import N_FOLDS, split_labels
from scmoe.studies.imbalance._plan import ANNOTATED, DONORS, IMPOSED, MAIN_RHO, Task
from scmoe.studies.imbalance._rare_experts import views_of
from scmoe.studies.imbalance._study import label_scores

BASELINES = {"logistic regression": "logreg", "balanced logistic regression": "logreg_balanced"}
Fold = tuple[NDArray[np.integer], NDArray[np.integer]]


def annotator_task(task: Task, mdata: MuData, labels: str, batch: str | None) -> dict[str, Any]:
    """Scores of all options over the cells of all folds; one network serves all of them, for it sees no label.

    Parameters
    ----------
    task
        Its `case` says which cells are held out.
    mdata
        Prepared cells, all of which have a label.
    labels, batch
        Columns of ``mdata.obs``.
    """
    if task.case == DONORS:
        shared, _ = shared_by_donors(mdata, labels, str(batch))
        mdata = subset(mdata, mdata.obs_names[shared], list(mdata.mod))
    truth = mdata.obs[labels].astype(str)
    names, codes = np.unique(truth, return_inverse=True)
    probability = {name: np.full((len(truth), len(names)), np.nan, np.float32) for name in (*ANNOTATED, *BASELINES)}
    n_train = np.zeros(len(names))
    for train, test in folds_of(task, mdata, labels, batch, codes):
        n_train += np.bincount(codes[train], minlength=len(names))
        SCMOE.setup_mudata(part := subset(mdata, mdata.obs_names[train], list(mdata.mod)))
        model = SCMOE(part, seed=task.seed)
        model.train(task.size.epochs, accelerator="cpu", enable_progress_bar=False)
        query = subset(mdata, mdata.obs_names[test], list(mdata.mod))
        views, theirs = views_of(model), views_of(model, query)
        for option in ANNOTATED:
            annotator = fit_annotator(views, codes[train], len(names), task.seed, option)
            probability[option][test] = annotator.predict(theirs)
        for name, method in BASELINES.items():
            predicted = logreg(method, mdata, train, test, truth, task.seed)
            probability[name][test] = predicted.reindex(columns=names, fill_value=0.0)
    tested = np.isfinite(probability[ANNOTATED[0]][:, 0])
    counts = pd.Series(n_train, index=names)
    rows = []
    for name, values in probability.items():
        scores = label_scores(truth.to_numpy(str)[tested], pd.DataFrame(values[tested], columns=names), counts)
        rows.append({"method": name, **scores})
    return {"rows": rows, "n_test": int(tested.sum()), "n_labels": len(names)}


def shared_by_donors(mdata: MuData, labels: str, batch: str) -> tuple[NDArray[np.bool_], list[str]]:
    """Which cells are of a donor and have a label that every donor has; and the donors."""
    known = mdata.obs[batch].notna()
    label, donor = mdata.obs[labels].astype(str), mdata.obs[batch].astype(str)
    counts = pd.crosstab(label[known], donor[known])
    shared = counts.index[(counts > 0).all(axis=1)]
    return (known & label.isin(shared)).to_numpy(), list(counts.columns)


def folds_of(task: Task, mdata: MuData, labels: str, batch: str | None, codes: NDArray[np.integer]) -> Iterator[Fold]:
    """Positions of training and test cells. The only cell of a label is in all trainings."""
    if task.case == DONORS:
        donor = mdata.obs[batch].astype(str).to_numpy()
        for name in np.unique(donor):
            yield np.flatnonzero(donor != name), np.flatnonzero(donor == name)
        return
    folds = split_labels(codes, task.seed)
    for fold in range(N_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if task.case == IMPOSED:
            train = train[np.isin(mdata.obs_names[train], imposed(mdata, labels, train, task.seed))]
        yield train, test


def imposed(mdata: MuData, labels: str, train: NDArray[np.integer], seed: int) -> pd.Index:
    """Names of training cells drawn with the factor of the case, as many as there can be.

    The order of the labels is that of all cells.
    """
    cells = subset(mdata, mdata.obs_names[train], list(mdata.mod))
    order = list(mdata.obs[labels].astype(str).value_counts().index)
    total = imbalance_total(cells, labels, [MAIN_RHO], order=order)
    return imbalance(cells, labels, MAIN_RHO, n_total=total, order=order, seed=seed).obs_names
