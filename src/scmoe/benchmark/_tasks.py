"""The tasks of the comparison: what a method may see, and what it is scored on."""

import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedKFold

from scmoe._matrix import dense
from scmoe.benchmark._cells import known_labels, subset
from scmoe.benchmark._inputs import ANNOTATE, BATCHES, EMBED, MAP, MOSAIC, PREDICT, Fold, Run
from scmoe.benchmark._mosaic import mosaic_scores
from scmoe.benchmark._new_cells import draw_cells, hub_scores, map_scores
from scmoe.benchmark._scores import embedding_scores
from scmoe.benchmark._scores_held_out import label_scores
from scmoe.benchmark._timing import Meter
from scmoe.benchmark.methods._registry import method_of

N_FOLDS = 5


def perform(mdata: MuData, run: Run) -> dict[str, dict[str, float]]:
    """Scores (those that can be computed) and cost of one run.

    The data are prepared; for `MAP`, which prepares its parts, they are as they were read.
    """
    for library in method_of(run.method).libraries:  # before the clock starts
        import_module(library)
    meter = Meter()
    tasks = {EMBED: _embed, MAP: map_scores, PREDICT: _predict, ANNOTATE: _annotate, MOSAIC: mosaic_scores}
    task = tasks[run.task]
    scores = {name: value for name, value in task(mdata, run, meter).items() if np.isfinite(value)}  # JSON has no NaN
    return {"scores": scores, "cost": meter.cost()}


def _embed(mdata: MuData, run: Run, meter: Meter) -> dict[str, float]:
    embed = method_of(run.method).embed
    assert embed is not None
    with meter:
        embedding = embed(mdata, run)
    scores = embedding_scores(
        embedding.points,
        graph=embedding.graph,
        labels=known_labels(mdata, run.labels),
        batch=None if run.batch is None else pd.Series(mdata.obs[run.batch]),
        seed=run.seed,
    )
    return scores if embedding.held_out is None else scores | hub_scores(embedding.points, embedding.held_out)


def _predict(mdata: MuData, run: Run, meter: Meter) -> dict[str, float]:
    """Train on cells that have both modalities; the target of those held out is not there."""
    predict = method_of(run.method).predict
    assert predict is not None
    source, target = run.source, run.target
    both = mdata.mod[source].obs_names.intersection(mdata.mod[target].obs_names)
    known, new = draw_cells(mdata.obs_names[mdata.obs_names.isin(both)], run)
    train, test = subset(mdata, known, [source, target]), subset(mdata, new, [source])
    truth = dense(mdata.mod[target][test.obs_names].X)
    with meter:
        prediction = predict(train, test, run)
    scores = prediction.scores(dense(train.mod[target].X), truth)
    return scores | {"n_train": float(train.n_obs), "n_test": float(test.n_obs)}


def _annotate(mdata: MuData, run: Run, meter: Meter) -> dict[str, float]:
    """Label each cell by a model that has not seen its fold, or batch, from all modalities or from the source alone."""
    annotate, labels = method_of(run.method).annotate, known_labels(mdata, run.labels)
    assert annotate is not None and labels is not None
    mdata = subset(mdata, mdata.obs_names[labels.notna()], [run.source] if run.source else list(mdata.mod))
    labels = labels[mdata.obs_names]
    table = pd.DataFrame(np.nan, index=mdata.obs_names, columns=sorted(labels.unique()))
    for train, test in held_out_cells(mdata, labels, run):
        hidden = few_labels(labels.iloc[train], run.labels_per_type, run.seed).reindex(labels.index)
        hidden = hidden.where(hidden.notna(), None)
        with meter:
            probability = annotate(Fold(cells=mdata, train=train, test=test, labels=hidden), run)
        table.loc[probability.index, probability.columns] = probability
    return label_scores(labels, table)


def few_labels(labels: pd.Series, n: int | None, seed: int) -> pd.Series:
    """At most `n` cells of each label, drawn: those of a smaller number are among those of a larger one."""
    return labels if n is None else labels.sample(frac=1, random_state=seed).groupby(labels).head(n)


def held_out_cells(mdata: MuData, labels: pd.Series, run: Run) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Positions of training and test cells of every fold."""
    if run.case == BATCHES:
        groups = mdata.obs[run.batch].astype(str).to_numpy()
        yield from GroupKFold(min(N_FOLDS, len(np.unique(groups)))).split(groups, groups=groups)
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=run.seed)
        yield from folds.split(np.zeros(len(labels)), labels.to_numpy(dtype=str))
