"""Section: predictions of one modality from others, in unseen cells, beside ridge regression."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from mudata import MuData
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline

from scmoe._keys import PARAMS, QUERY, ROLES, Keys
from scmoe._matrix import dense
from scmoe.data._likelihood import LIKELIHOODS
from scmoe.metrics._features import feature_scores
from scmoe.pl.page._section import Section, Table, count, number

MAX_CELLS, MAX_TRAIN, MAX_FEATURES = 2000, 3000, 300
"""Cells that scores and the ridge regression look at, and features of the target."""
N_COMPONENTS, PENALTIES = 30, np.logspace(-1, 4, 6)
N_DRAWS = 100
"""Bootstrap samples of cells."""
MIN_UNSEEN = 20
"""Unseen cells below which nothing is said."""
Values = NDArray[np.float64]


class Interval(NamedTuple):
    """A median and the ends of its 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """As in tables."""
        return f"{number(self.median)} [{number(self.low)}, {number(self.high)}]"


def predictions_section(mdata: MuData, keys: Keys, seed: int = 0) -> Section | None:
    """Correlations of predicted with observed values; None where nothing was predicted.

    The observed values of unseen cells are compared: validation and test cells of a training, all cells of a query.
    """
    stored = list(_stored(mdata, keys))
    if not stored:
        return None
    unseen = _unseen(mdata, keys)
    rows = []
    for target, sources in stored:
        scores = _scores(mdata, keys, target, sources, unseen, seed)
        if scores is not None:
            rows.append((f"{target} from {' + '.join(sources)}", *map(str, scores)))
    sentences = [
        f"Median over features of the Pearson correlation in cells that the model was not trained on, with a 95 % "
        f"interval ({N_DRAWS} bootstrap samples of cells). Ridge regression on {N_COMPONENTS} components of the "
        "sources stands beside it. A mean has a correlation of 0."
    ]
    tables = []
    if rows:
        columns = ("prediction", "features", "cells", "scmoe", "ridge regression")
        tables.append(Table(caption="Predictions in unseen cells.", columns=columns, rows=rows))
    else:
        sentences = [
            f"There are predictions, but not {MIN_UNSEEN} cells that are known not to have trained the model and in "
            "which the target was measured: how good they are cannot be said from these data."
        ]
    return Section(name="predictions", title="Predictions", sentences=sentences, tables=tables)


def _unseen(mdata: MuData, keys: Keys) -> NDArray[np.bool_]:
    """(cells,) which the model was not trained on: all of a query, none where nothing is known."""
    if QUERY in mdata.uns[keys.name]:
        return np.ones(mdata.n_obs, bool)
    if keys.split not in mdata.obs:
        return np.zeros(mdata.n_obs, bool)
    return (mdata.obs[keys.split].astype(str) != ROLES[0]).to_numpy()


def _stored(mdata: MuData, keys: Keys) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Targets that these data have, and the sources that they were predicted from."""
    for target, adata in mdata.mod.items():
        others = [name for name in mdata.mod if name != target]
        for n in range(1, len(others) + 1):
            for sources in combinations(others, n):
                if keys.imputed(target, sources) in adata.layers:
                    yield target, sources


def _scores(
    mdata: MuData, keys: Keys, target: str, sources: Sequence[str], unseen: NDArray[np.bool_], seed: int
) -> tuple[str, str, Interval, Interval | str] | None:
    """Numbers of features and cells, and how the model and ridge regression do."""
    rng = np.random.default_rng(seed)
    whole = [name for name in (target, *sources) if name in mdata.mod]
    common = np.flatnonzero(np.all([mdata.obs_names.isin(mdata.mod[name].obs_names) for name in whole], axis=0))
    test = rng.permutation(common[unseen[common]])[:MAX_CELLS]
    if len(test) < MIN_UNSEEN:
        return None
    adata = mdata.mod[target]
    cells = adata.obs_names.get_indexer(mdata.obs_names[test])
    predicted = dense(adata.layers[keys.imputed(target, sources)][cells])
    known = np.flatnonzero(np.isfinite(predicted).all(0))
    features = np.sort(rng.permutation(known)[:MAX_FEATURES])
    truth = _observed(mdata, keys, target, test)[:, features]
    ours = _bootstrap(truth, predicted[:, features], rng)
    train = rng.permutation(common[~unseen[common]])[:MAX_TRAIN]
    ridge: Interval | str = "no training cells here"
    if len(train) > N_COMPONENTS:
        ridge = _bootstrap(truth, _ridge(mdata, keys, target, sources, features, train, test, seed), rng)
    return count(len(features)), count(len(test)), ours, ridge


def _ridge(
    mdata: MuData,
    keys: Keys,
    target: str,
    sources: Sequence[str],
    features: NDArray[np.intp],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    seed: int,
) -> Values:
    """Ridge regression of the target on components of the sources; what was not measured counts as the mean."""
    rows = np.concatenate([train, test])
    x = np.hstack([_standardized(_observed(mdata, keys, name, rows), len(train)) for name in sources])
    y = _observed(mdata, keys, target, train)[:, features]
    y = np.where(np.isfinite(y), y, np.nanmean(y, axis=0))
    width = min(N_COMPONENTS, x.shape[1] - 1, len(train) - 1)
    model = (
        make_pipeline(TruncatedSVD(width, random_state=seed), RidgeCV(PENALTIES)) if width > 1 else RidgeCV(PENALTIES)
    )
    return np.asarray(model.fit(x[: len(train)], y).predict(x[len(train) :]))


def _standardized(x: Values, n_train: int) -> Values:
    """By mean and standard deviation of the training cells, which are first; zero where nothing was measured."""
    mean, sd = np.nanmean(x[:n_train], axis=0), np.nanstd(x[:n_train], axis=0)
    return np.nan_to_num((x - mean) / np.where(sd > 0, sd, 1))


def _observed(mdata: MuData, keys: Keys, name: str, rows: NDArray[np.intp]) -> Values:
    """Values (rows, features) that the model read, of cells that have the modality; counts at their median total.

    A model of counts predicts them for a cell of median total, so depth is taken out of what it is compared with.
    """
    setup = mdata.uns[keys.name].get(PARAMS, {}).get("setup", {})
    layer = setup.get("layers", {}).get(name, "None")
    adata = mdata.mod[name]
    matrix = adata.X if layer == "None" or layer not in adata.layers else adata.layers[layer]
    values = dense(matrix[adata.obs_names.get_indexer(mdata.obs_names[rows])])
    if not LIKELIHOODS[setup.get("likelihoods", {}).get(name, "gaussian")].reads_counts:
        return values
    total = np.nansum(values, axis=1, keepdims=True)
    return values * np.divide(np.median(total), total, out=np.ones_like(total), where=total > 0)


def _bootstrap(truth: Values, predicted: Values, rng: np.random.Generator) -> Interval:
    """Median correlation over features, its interval over samples of cells."""

    def median(cells: NDArray[np.intp]) -> float:
        return float(feature_scores(truth[cells], predicted[cells])["pearson"].median())

    n = len(truth)
    draws = [median(rng.integers(n, size=n)) for _ in range(N_DRAWS)]
    return Interval(median(np.arange(n)), *np.nanquantile(draws, [0.025, 0.975]))
