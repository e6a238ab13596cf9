"""What each method says of test cells: their groups, and modalities from one another."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
import torch
from mudata import MuData
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from scmoe._matrix import dense
from scmoe.benchmark._baselines import pca_embedding, ridge_on_pca
from scmoe.benchmark._cells import subset
from scmoe.benchmark._timing import Meter
from scmoe.benchmark.methods._embed import N_COMPONENTS, mofa, wnn
from scmoe.benchmark.methods._schema import embed as schema
from scmoe.benchmark.methods._scvi import modality_of_kind, totalvi_embed, totalvi_predict
from scmoe.benchmark.methods._unitednet_network import fit as fit_unitednet
from scmoe.model._features import decoded, to_numpy
from scmoe.model._fitted import query
from scmoe.model._scmoe import SCMOE
from scmoe.studies.replicate._data import LABEL, N_FOLDS
from scmoe.studies.replicate._forms import FORMS, build, train_form
from scmoe.studies.replicate._plan import (
    MOFA,
    PCA,
    RIDGE,
    SCHEMA,
    TOTALVI,
    TOTALVI_R2,
    TRANSDUCTIVE,
    UNITEDNET,
    WNN,
    Task,
)
from scmoe.studies.replicate._scores import group_scores, kmeans_clusters, r2_matrix

Pairs = dict[tuple[int, int], NDArray[Any]]
"""(target, source) to predicted values."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a method says of test cells.

    Parameters
    ----------
    clusters
        The clusters that the method itself makes: one clustering, or none.
    points
        Embedding of training and of test cells, for k-means; None: no embedding.
    honest, leaky
        Predictions with the target absent from the input, and from states that have seen it.
    """

    clusters: list[NDArray[Any]] = field(default_factory=list)
    points: tuple[NDArray[Any], NDArray[Any]] | None = None
    honest: Pairs = field(default_factory=dict)
    leaky: Pairs = field(default_factory=dict)


def fit_folds(mdata: MuData, task: Task) -> dict[str, Any]:
    """Scores of each fold, and the cost of all."""
    meter = Meter()
    mdata = subset(mdata, mdata.obs_names, list(task.modalities))
    truth = mdata.obs[LABEL].to_numpy(dtype=str)
    n_clusters = len(np.unique(truth))
    with meter:
        points = transductive_points(mdata, task) if task.method in TRANSDUCTIVE else None
    rows = []
    for train, test in folds(mdata.n_obs, task):
        with meter:
            prediction = (
                predict_cells(mdata, train, test, task, n_clusters)
                if points is None
                else Prediction(points=(points[train], points[test]))
            )
        held_out = subset(mdata, mdata.obs_names[test], list(task.modalities))
        values = [dense(held_out.mod[name].X) for name in task.modalities]
        scores = score_prediction(prediction, values, truth[test], n_clusters)
        rows.append(scores | {"n_train": len(train), "n_test": len(test)})
    return {"folds": rows, "cost": meter.cost()}


def folds(n_cells: int, task: Task) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Positions of training and test cells; no label is looked at."""
    split = KFold(N_FOLDS, shuffle=True, random_state=task.seed).split(np.zeros(n_cells))
    for _, cells in zip(range(task.n_folds), split, strict=False):
        yield cells


def score_prediction(
    prediction: Prediction, values: list[NDArray[Any]], truth: NDArray[Any], n_clusters: int
) -> dict[str, Any]:
    """Scores of a prediction: of the method's own clusters, or else of k-means, and of k-means in any case."""
    row: dict[str, Any] = {}
    clusters = prediction.clusters
    if prediction.points is not None:
        near = kmeans_clusters(*prediction.points, n_clusters)
        row |= {f"kmeans_{name}": value for name, value in group_scores(truth, near).items()}
        clusters = clusters or near
    if clusters:
        n_used = np.mean([len(np.unique(clustering)) for clustering in clusters])
        row |= group_scores(truth, clusters) | {"n_used": float(n_used)}
    for name, predicted in (("honest", prediction.honest), ("leaky", prediction.leaky)):
        if predicted:
            row[name], row["n_dropped"] = r2_matrix(values, predicted)
    return row


def predict_cells(mdata: MuData, train: NDArray[Any], test: NDArray[Any], task: Task, n_clusters: int) -> Prediction:
    """What a method fitted to the training cells (positions) says of the test cells."""
    if task.method == PCA:
        points = pca_embedding(mdata, train, N_COMPONENTS, seed=task.seed)
        return Prediction(points=(points[train], points[test]))
    known, new = (subset(mdata, mdata.obs_names[cells], list(task.modalities)) for cells in (train, test))
    if task.method == RIDGE:
        return Prediction(honest=ridge_pairs(known, new, task))
    if task.method == TOTALVI_R2:
        return Prediction(honest=totalvi_pair(known, new, task))
    if task.method == UNITEDNET:
        return unitednet_prediction(known, new, task, n_clusters)
    form = FORMS[task.method]
    model = build(form, known, n_clusters, task.seed)
    train_form(model, form, task.max_epochs)
    return form_prediction(model, known, new)


def ridge_pairs(train: MuData, test: MuData, task: Task) -> Pairs:
    """Every modality from every other by ridge regression on principal components."""
    known, new = ([dense(part.mod[name].X) for name in task.modalities] for part in (train, test))
    pairs = permutations(range(len(known)), 2)
    return {(t, s): ridge_on_pca(known[s], known[t], new[s], seed=task.seed) for t, s in pairs}


def unitednet_prediction(train: MuData, test: MuData, task: Task, n_clusters: int) -> Prediction:
    """What a UnitedNet-style network says of test cells; it predicts from one modality alone, and so never leaks."""
    model = fit_unitednet(train, n_clusters, task.seed, max_epochs=task.max_epochs)
    names = list(enumerate(task.modalities))
    return Prediction(
        clusters=[model.probabilities(test).argmax(axis=1)],
        points=(model.latent(train), model.latent(test)),
        honest={(t, s): model.predict(test, source, target) for (t, target), (s, source) in permutations(names, 2)},
    )


def form_prediction(model: SCMOE, train: MuData, test: MuData) -> Prediction:
    """What a form of scMoE says of test cells."""
    names = list(enumerate(model.modalities))
    honest = {(t, s): model.impute(source, target, test) for (t, target), (s, source) in permutations(names, 2)}
    return Prediction(
        clusters=[np.asarray(model.predict_clusters(test))] if model.config.n_clusters else [],
        points=(model.get_latent_representation(train), model.get_latent_representation(test)),
        honest=honest,
        leaky=leaky_predictions(model, test),
    )


@torch.no_grad()
def leaky_predictions(model: SCMOE, test: MuData) -> Pairs:
    """Every decoder on every state after all modalities have been fused, as the published code evaluates."""
    V, (fitted, dataset, cells) = len(model.modalities), query(model, test, None)
    parts_of: dict[tuple[int, int], list[NDArray[Any]]] = {(t, s): [] for t in range(V) for s in range(V)}
    for chunk in fitted.encode(dataset, cells, loadings="trained"):
        for t, s in parts_of:
            scores = model.module.decoders[t].scores(chunk.encoded.states[:, s], chunk.covariates, own=t == s)
            parts_of[t, s].append(to_numpy(decoded(model.module, scores, t)))
    return {pair: np.concatenate(parts) for pair, parts in parts_of.items()}


def transductive_points(mdata: MuData, task: Task) -> NDArray[Any]:
    """Embedding of all cells by a method that has no way to embed new ones, or is compared with such."""
    if task.method == TOTALVI:
        return np.asarray(totalvi_embed(mdata, None, task.seed)[0])
    return np.asarray({SCHEMA: schema, MOFA: mofa, WNN: wnn}[task.method](mdata, task.seed).points)


def totalvi_pair(train: MuData, test: MuData, task: Task) -> Pairs:
    """Proteins from RNA, the one direction in which totalVI predicts."""
    rna, protein = modality_of_kind(train, "rna"), modality_of_kind(train, "protein")
    assert rna is not None and protein is not None
    place = task.modalities.index
    return {(place(protein), place(rna)): totalvi_predict(train, test, rna, protein, task.seed)}
