"""The task "mosaic": cells have one modality, the other, or both; the scores know what is missing."""

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from scmoe._matrix import dense
from scmoe.benchmark._cells import known_labels, subset
from scmoe.benchmark._inputs import Mosaic, Run
from scmoe.benchmark._scores import N_NEIGHBORS, neighbor_scores
from scmoe.benchmark._timing import Meter
from scmoe.benchmark.methods._registry import method_of
from scmoe.io._quiet import quiet_mudata

FIRST_ONLY, SECOND_ONLY = 0.4, 0.2
"""Shares of the cells; the others keep both modalities."""


def make_mosaic(mdata: MuData, first: str, second: str, seed: int) -> Mosaic:
    """Take one modality away from six cells in ten, drawn by the seed."""
    order = mdata.obs_names[np.random.default_rng(seed).permutation(mdata.n_obs)]
    ends = np.round(np.cumsum([FIRST_ONLY, SECOND_ONLY]) * len(order)).astype(int)
    a, b, both = order[: ends[0]], order[ends[0] : ends[1]], order[ends[1] :]
    with quiet_mudata():
        masks = {first: ~mdata.obs_names.isin(b), second: ~mdata.obs_names.isin(a)}
        cells = MuData({name: mdata.mod[name][mdata.obs_names[mask]].copy() for name, mask in masks.items()})
    cells.obs, cells.uns = mdata.obs.loc[cells.obs_names], mdata.uns
    return Mosaic(
        cells=subset(cells, mdata.obs_names, [first, second]),
        paired=subset(mdata, both, [first, second]),
        first_only=subset(mdata, a, [first]),
        second_only=subset(mdata, b, [second]),
    )


def mosaic_scores(mdata: MuData, run: Run, meter: Meter) -> dict[str, float]:
    """Scores of the embedding, of labels carried to cells with the first modality only, and of both predicted parts."""
    integrate = method_of(run.method).integrate
    assert integrate is not None
    mosaic = make_mosaic(mdata, run.source, run.target, run.seed)
    with meter:
        result = integrate(mosaic, run)
    sizes = {name: float(getattr(mosaic, name).n_obs) for name in ("paired", "first_only", "second_only")}
    scores = {f"n_{name}": size for name, size in sizes.items()}
    labels = known_labels(mdata, run.labels)
    if result.points is not None and labels is not None:
        scores |= _embedding_scores(result.points, labels, mosaic, run.seed)
    parts = (
        ("second", run.target, result.second, mosaic.first_only),
        ("first", run.source, result.first, mosaic.second_only),
    )
    for place, name, prediction, cells in parts:
        if prediction is not None:
            truth = dense(mdata.mod[name][cells.obs_names].X)
            part_scores = prediction.scores(dense(mosaic.paired.mod[name].X), truth)
            scores |= {f"{place}_{score}": value for score, value in part_scores.items()}
    return scores


def _embedding_scores(points: NDArray[np.floating], labels: pd.Series, mosaic: Mosaic, seed: int) -> dict[str, float]:
    labeled, names = labels.notna().to_numpy(), mosaic.cells.obs_names
    truth = labels.to_numpy()
    train, test = (labeled & names.isin(part.obs_names) for part in (mosaic.paired, mosaic.first_only))
    neighbors = KNeighborsClassifier(min(N_NEIGHBORS, int(train.sum())))
    transfer = neighbors.fit(points[train], truth[train].astype(str)).predict(points[test])
    scores = {"transfer_accuracy": float((transfer == truth[test]).mean())}
    if np.isfinite(points).all():
        scores |= neighbor_scores(points[labeled], truth[labeled].astype(str), seed)
    return scores
