"""The task "map": new cells, which a method sees when its fit is done."""

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from scmoe.benchmark._cells import known_labels, subset
from scmoe.benchmark._inputs import Run
from scmoe.benchmark._outputs import QueryMapping
from scmoe.benchmark._scores import N_NEIGHBORS
from scmoe.benchmark._scores_held_out import class_scores
from scmoe.benchmark._timing import Meter
from scmoe.benchmark.methods._registry import method_of
from scmoe.metrics._hubs import hub_ratio
from scmoe.pp._prepare import prepare
from scmoe.tl._map_query import LOW_SCORE

TRAIN_SIZE = 0.8
"""Share of the cells that a method is fitted on."""


def map_scores(mdata: MuData, run: Run, meter: Meter) -> dict[str, float]:
    """Scores of the embedding of new cells: labels by their neighbors in the fit, and whether they are hubs.

    Parameters
    ----------
    mdata
        The data as they were read: what is prepared together knows of each other.
    run, meter
        The run, and the clock of the method.
    """
    map_query = method_of(run.method).map_query
    assert map_query is not None
    reference, query = split_new(mdata, run)
    with meter:
        mapped = map_query(reference, query, run)
    n_reference, n_query = len(mapped.reference), len(mapped.query)
    is_new = np.repeat([False, True], [n_reference, n_query])
    scores = {"n_reference": float(n_reference), "n_query": float(n_query)}
    labels = known_labels(mdata, run.labels)
    if labels is not None and labels.nunique() > 1:
        scores |= transfer_scores(mapped, labels[reference.obs_names], labels[query.obs_names])
    if mapped.score is not None:
        scores["low_score"] = float(np.where(np.isnan(mapped.score), np.nan, mapped.score < LOW_SCORE).mean())
    return scores | hub_scores(np.concatenate([mapped.reference, mapped.query]), is_new)


def draw_cells(cells: pd.Index, run: Run) -> tuple[pd.Index, pd.Index]:
    """Four fifths of the cells, drawn by the seed, or as many of these as a run is to fit on; and the other fifth."""
    order = cells[np.random.default_rng(run.seed).permutation(len(cells))]
    n_train = round(TRAIN_SIZE * len(order))
    return order[:n_train][: run.n_cells], order[n_train:]


def split_new(mdata: MuData, run: Run) -> tuple[MuData, MuData]:
    """Cells to fit on and new cells, each part prepared on its own."""
    parts = [subset(mdata, cells, list(mdata.mod)) for cells in draw_cells(mdata.obs_names, run)]
    for part in parts:
        prepare(part, kinds=run.kinds)
    return parts[0], parts[1]


def transfer_scores(mapped: QueryMapping, known: pd.Series, truth: pd.Series) -> dict[str, float]:
    """Labels that the nearest cells of the fit carry to new cells; cells without a label are left out."""
    train, test = known.notna().to_numpy(), truth.notna().to_numpy()
    neighbors = KNeighborsClassifier(min(N_NEIGHBORS, int(train.sum())))
    neighbors.fit(mapped.reference[train], known[train].astype(str).to_numpy())
    scores = class_scores(truth[test].astype(str).to_numpy(), neighbors.predict(mapped.query[test]))
    return {f"transfer_{name}": value for name, value in scores.items()}


def hub_scores(points: NDArray[np.floating], group: NDArray[np.bool_]) -> dict[str, float]:
    """`scmoe.metrics.hub_ratio` of a group of cells."""
    ratio = hub_ratio(points, group, n_neighbors=N_NEIGHBORS)
    return {"hub_within": ratio.within, "hub_outside": ratio.outside}
