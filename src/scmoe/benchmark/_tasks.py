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

from scmoe.benchmark._baselines import dense, pca_embedding
from scmoe.benchmark._cells import known_labels, subset
from scmoe.benchmark._mosaic import mosaic_scores
from scmoe.benchmark._plan import ANNOTATE, BATCHES, EMBED, MOSAIC, PREDICT, PREFIX, Run
from scmoe.benchmark._predicted import Predicted
from scmoe.benchmark._scores import embedding_scores
from scmoe.benchmark._scores_held_out import label_scores
from scmoe.benchmark._timing import Meter
from scmoe.benchmark.methods._annotate import CLASS_WEIGHTS, logreg
from scmoe.benchmark.methods._embed import EMBED_METHODS, Embedded
from scmoe.benchmark.methods._midas import Midas, midas_predict
from scmoe.benchmark.methods._predict import ARRAY_METHODS
from scmoe.benchmark.methods._scmoe import EMBEDDING_PARTS, VARIANTS
from scmoe.benchmark.methods._scmoe import annotate as scmoe_annotate
from scmoe.benchmark.methods._scmoe import embed as scmoe_embed
from scmoe.benchmark.methods._scmoe import predict as scmoe_predict
from scmoe.benchmark.methods._scvi import multivi_embed, totalvi_embed, totalvi_predict

TRAIN_SIZE, N_FOLDS = 0.8, 5
LIBRARIES = {
    "wnn": ["muon"],
    "mofa": ["muon", "mofapy2.run.entry_point"],
    "totalvi": ["scvi"],
    "multivi": ["scvi"],
    "midas": ["scmidas"],
} | {name: ["scmoe.model._scmoe"] for name in (*VARIANTS, *EMBEDDING_PARTS)}
"""Loaded before the clock starts."""


def perform(mdata: MuData, run: Run) -> dict[str, dict[str, float]]:
    """Scores (those that can be computed) and cost of one run on prepared data."""
    for library in LIBRARIES.get(run.method, ()):
        import_module(library)
    meter = Meter()
    task = {EMBED: _embed, PREDICT: _predict, ANNOTATE: _annotate, MOSAIC: mosaic_scores}[run.task]
    scores = {name: value for name, value in task(mdata, run, meter).items() if np.isfinite(value)}  # JSON has no NaN
    return {"scores": scores, "cost": meter.cost()}


def _embed(mdata: MuData, run: Run, meter: Meter) -> dict[str, float]:
    with meter:
        found = embed_with(run.method, mdata, run.batch, run.seed)
    return embedding_scores(
        found.points,
        graph=found.graph,
        labels=known_labels(mdata, run.labels),
        batch=None if run.batch is None else pd.Series(mdata.obs[run.batch]),
        seed=run.seed,
    )


def embed_with(method: str, mdata: MuData, batch: str | None, seed: int) -> Embedded:
    """The embedding of all cells by a method."""
    if method in EMBED_METHODS:
        return EMBED_METHODS[method](mdata, seed)
    if method in VARIANTS or method in EMBEDDING_PARTS:
        return Embedded(scmoe_embed(method, mdata, batch, seed))
    if method == "totalvi":
        return Embedded(totalvi_embed(mdata, batch, seed))
    if method == "multivi":
        return Embedded(multivi_embed(mdata, batch, seed))
    if method == "midas":
        return Embedded(Midas(mdata, batch, seed).embedding())
    modality = method.removeprefix(PREFIX)
    return Embedded(pca_embedding(mdata, np.arange(mdata.n_obs), modalities=[modality], seed=seed))


def _predict(mdata: MuData, run: Run, meter: Meter) -> dict[str, float]:
    """Train on 80 % of the cells that have both modalities; the target of the others is not there."""
    source, target = run.source, run.target
    cells = mdata.obs_names[mdata.obs_names.isin(mdata.mod[source].obs_names.intersection(mdata.mod[target].obs_names))]
    order = np.random.default_rng(run.seed).permutation(len(cells))
    n_train = round(TRAIN_SIZE * len(cells))
    train = subset(mdata, cells[order[:n_train]], [source, target])
    test = subset(mdata, cells[order[n_train:]], [source])
    truth = dense(mdata.mod[target][test.obs_names].X)
    with meter:
        found = predict_with(run, train, test)
    scores = found.scores(dense(train.mod[target].X), truth)
    return scores | {"n_train": float(train.n_obs), "n_test": float(test.n_obs)}


def predict_with(run: Run, train: MuData, test: MuData) -> Predicted:
    """The target of the test cells by the method of the run."""
    source, target = run.source, run.target
    if run.method in ARRAY_METHODS:
        x, y, query = (dense(part.X) for part in (train.mod[source], train.mod[target], test.mod[source]))
        return Predicted(values=ARRAY_METHODS[run.method](x, y, query, run.seed))
    if run.method in VARIANTS:
        return scmoe_predict(run.method, train, test, source, target, run.batch, run.seed)
    if run.method == "midas":
        return midas_predict(train, test, source, target, run.batch, run.seed)
    return Predicted(values=totalvi_predict(train, test, source, target, run.seed))


def _annotate(mdata: MuData, run: Run, meter: Meter) -> dict[str, float]:
    """Label every cell by a model that has not seen its fold, or its batch, from all modalities or from the source alone."""
    labels = known_labels(mdata, run.labels)
    assert labels is not None and run.labels is not None
    mdata = subset(mdata, mdata.obs_names[labels.notna()], [run.source] if run.source else list(mdata.mod))
    cells = mdata.obs_names
    labels = labels[cells]
    found = pd.DataFrame(np.nan, index=cells, columns=sorted(labels.unique()))
    for train, test in held_out_cells(mdata, labels, run):
        with meter:
            if run.method in CLASS_WEIGHTS:
                probability = logreg(run.method, mdata, train, test, labels, run.seed)
            else:
                # without batches: those of held-out donors are new
                unlabeled = subset(mdata, cells[test], list(mdata.mod), obs=False)
                known = subset(mdata, cells[train], list(mdata.mod))
                probability = scmoe_annotate(run.method, known, unlabeled, run.labels, run.seed)
        found.loc[probability.index, probability.columns] = probability
    return label_scores(labels, found)


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
