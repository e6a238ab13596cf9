"""The task "mosaic": some cells have one modality, some the other, some both; what is missing is known to the scores."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from scmoe.benchmark._baselines import dense, pca_embedding
from scmoe.benchmark._cells import known_labels, subset
from scmoe.benchmark._plan import Run
from scmoe.benchmark._predicted import Predicted
from scmoe.benchmark._scores import N_NEIGHBORS, neighbor_scores
from scmoe.benchmark._timing import Meter
from scmoe.benchmark.methods._midas import Midas
from scmoe.benchmark.methods._predict import ARRAY_METHODS
from scmoe.benchmark.methods._scmoe import VARIANTS, fit, predicted
from scmoe.io._quiet import quiet_mudata

FIRST_ONLY, SECOND_ONLY = 0.4, 0.2
"""Shares of the cells; the others keep both modalities."""


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """Cells of which some lack a modality.

    Parameters
    ----------
    cells
        All cells.
    paired, first_only, second_only
        The cells with both modalities, and with one.
    """

    cells: MuData
    paired: MuData
    first_only: MuData
    second_only: MuData


@dataclass(frozen=True, kw_only=True)
class Integrated:
    """What a method makes of a mosaic; None: nothing.

    Parameters
    ----------
    points
        Embedding of all cells; NaN in those that it has no place for.
    second, first
        The second modality of cells with the first only, and the reverse.
    """

    points: NDArray[np.floating] | None = None
    second: Predicted | None = None
    first: Predicted | None = None


def make_mosaic(mdata: MuData, first: str, second: str, seed: int) -> Mosaic:
    """Take one modality away from six cells in ten, drawn by the seed."""
    order = mdata.obs_names[np.random.default_rng(seed).permutation(mdata.n_obs)]
    ends = np.round(np.cumsum([FIRST_ONLY, SECOND_ONLY]) * len(order)).astype(int)
    a, b, both = order[: ends[0]], order[ends[0] : ends[1]], order[ends[1] :]
    with quiet_mudata():
        kept = {first: ~mdata.obs_names.isin(b), second: ~mdata.obs_names.isin(a)}
        cells = MuData({name: mdata.mod[name][mdata.obs_names[keep]].copy() for name, keep in kept.items()})
    cells.obs, cells.uns = mdata.obs.loc[cells.obs_names], mdata.uns
    return Mosaic(
        cells=subset(cells, mdata.obs_names, [first, second]),
        paired=subset(mdata, both, [first, second]),
        first_only=subset(mdata, a, [first]),
        second_only=subset(mdata, b, [second]),
    )


def mosaic_scores(mdata: MuData, run: Run, meter: Meter) -> dict[str, float]:
    """Embedding of all cells, labels carried to cells with the first modality only, and both missing parts predicted."""
    first, second = run.source, run.target
    mosaic = make_mosaic(mdata, first, second, run.seed)
    with meter:
        found = integrate(mosaic, run)
    sizes = {name: float(getattr(mosaic, name).n_obs) for name in ("paired", "first_only", "second_only")}
    scores = {f"n_{name}": size for name, size in sizes.items()}
    labels = known_labels(mdata, run.labels)
    if found.points is not None and labels is not None:
        scores |= _embedding_scores(found.points, labels, mosaic, run.seed)
    parts = (("second", second, found.second, mosaic.first_only), ("first", first, found.first, mosaic.second_only))
    for place, name, values, cells in parts:
        if values is not None:
            truth = dense(mdata.mod[name][cells.obs_names].X)
            of_part = values.scores(dense(mosaic.paired.mod[name].X), truth)
            scores |= {f"{place}_{score}": value for score, value in of_part.items()}
    return scores


def integrate(mosaic: Mosaic, run: Run) -> Integrated:
    """What the method of the run makes of it: one model for everything, or a baseline for some of it."""
    first, second, cells, paired = run.source, run.target, mosaic.cells, mosaic.paired
    if run.method in VARIANTS:
        model = fit(run.method, cells, run.seed, batch_key=run.batch)
        return Integrated(
            points=model.get_latent_representation(),
            second=predicted(model, paired, mosaic.first_only, first, second),
            first=predicted(model, paired, mosaic.second_only, second, first),
        )
    if run.method == "midas":
        midas = Midas(cells, run.batch, run.seed)
        return Integrated(
            points=midas.embedding(),
            second=midas.predicted(paired, mosaic.first_only, second),
            first=midas.predicted(paired, mosaic.second_only, first),
        )
    if run.method in ARRAY_METHODS:
        method = ARRAY_METHODS[run.method]
        x, y = (dense(paired.mod[name].X) for name in (first, second))
        a, b = dense(mosaic.first_only.mod[first].X), dense(mosaic.second_only.mod[second].X)
        return Integrated(
            second=Predicted(values=method(x, y, a, run.seed)), first=Predicted(values=method(y, x, b, run.seed))
        )
    points = pca_embedding(cells, np.arange(cells.n_obs), modalities=[first], seed=run.seed)
    points[~cells.obs_names.isin(cells.mod[first].obs_names)] = np.nan
    return Integrated(points=points)


def _embedding_scores(points: NDArray[np.floating], labels: pd.Series, mosaic: Mosaic, seed: int) -> dict[str, float]:
    known, names = labels.notna().to_numpy(), mosaic.cells.obs_names
    truth = labels.to_numpy()
    train, test = (known & names.isin(part.obs_names) for part in (mosaic.paired, mosaic.first_only))
    neighbors = KNeighborsClassifier(min(N_NEIGHBORS, int(train.sum())))
    carried = neighbors.fit(points[train], truth[train].astype(str)).predict(points[test])
    scores = {"transfer_accuracy": float((carried == truth[test]).mean())}
    if np.isfinite(points).all():
        scores |= neighbor_scores(points[known], truth[known].astype(str), seed)
    return scores
