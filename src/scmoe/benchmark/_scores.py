"""Scores of embeddings: arrays in, named numbers out."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_rand_score,
    normalized_mutual_info_score,
    recall_score,
    silhouette_score,
)
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from scmoe.arguments._checked import checks_arguments
from scmoe.benchmark._scores_held_out import class_scores
from scmoe.metrics._mixing import ilisi, knn_mixing

N_KMEANS = 5
"""Seeds of k-means that the scores are averaged over."""
N_NEIGHBORS, N_FOLDS = 15, 5
"""Of the neighbor classifier."""
RARE = 0.03
"""Share of the cells below which a label is rare."""
LEIDEN_STEPS = 20
MIN_OVERLAP = 1 / 15


@checks_arguments
def embedding_scores(
    embedding: ArrayLike,
    *,
    labels: pd.Series | None = None,
    batch: pd.Series | None = None,
    graph: csr_matrix | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Score an embedding that was made without labels.

    Parameters
    ----------
    embedding
        ``(n_cells, width)``.
    labels
        Label of every cell, ``(n_cells,)``; cells without one are left out of the scores that need labels.
    batch
        Batch of every cell, ``(n_cells,)``.
    graph
        Similarities of cells, ``(n_cells, n_cells)``, for methods that make a graph rather than an embedding: Leiden
        then uses it in place of the neighbors in `embedding`.
    seed
        Of Leiden and of the folds.

    Returns
    -------
    With at least two labels:

    - ``leiden_ari`` and ``leiden_nmi``: Leiden on the shared-neighbor graph, at the resolution that gives as many
      clusters as labels;
    - ``kmeans_ari`` and ``kmeans_nmi``: k-means with as many clusters as labels, mean of five seeds;
    - of a 15-nearest-neighbor classifier in 5 folds ``knn_accuracy``, ``knn_macro_f1``, ``knn_macro_f1_5`` (classes
      with at least 5 cells) and ``rare_recall`` (mean recall over labels of less than 3 % of the cells);
    - ``silhouette``.

    With at least two batches: ``ilisi`` (0-1, 90 neighbors) and ``knn_mixing``.

    Examples
    --------
    >>> scores = scmoe.benchmark.embedding_scores(mdata.obsm["X_scmoe"], labels=mdata.obs["lineage"])
    >>> scores["knn_accuracy"] > 0.5
    True
    """
    points = np.asarray(embedding, dtype=np.float64)
    scores: dict[str, float] = {}
    if labels is not None and labels.nunique() > 1:
        mask = labels.notna().to_numpy()
        subgraph = None if graph is None else graph[mask][:, mask]
        scores |= _label_scores_of(points[mask], labels[mask].astype(str).to_numpy(), subgraph, seed)
    if batch is not None and batch.nunique() > 1:
        scores |= {"ilisi": ilisi(points, batch), "knn_mixing": knn_mixing(points, batch)}
    return scores


def _label_scores_of(
    points: NDArray[np.float64], truth: NDArray[Any], graph: csr_matrix | None, seed: int
) -> dict[str, float]:
    n_labels = len(np.unique(truth))
    near = shared_neighbors(points) if graph is None else graph
    clusters = leiden_clusters(near, n_labels, seed)
    kmeans = kmeans_scores(points, pd.Series(truth))
    return {
        "leiden_ari": float(adjusted_rand_score(truth, clusters)),
        "leiden_nmi": _nmi(truth, clusters),
        "kmeans_ari": kmeans["ari"],
        "kmeans_nmi": kmeans["nmi"],
        **neighbor_scores(points, truth, seed),
        "silhouette": float(silhouette_score(points, truth)) if n_labels < len(truth) else float("nan"),
    }


def neighbor_scores(points: NDArray[np.floating], truth: NDArray[Any], seed: int = 0) -> dict[str, float]:
    """Scores of a nearest-neighbor classifier of the labels, in folds; see `embedding_scores`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
        predicted = cross_val_predict(KNeighborsClassifier(N_NEIGHBORS), points, truth, cv=folds)
    scores = {f"knn_{name}": value for name, value in class_scores(truth, predicted).items()}
    return scores | {"rare_recall": _rare_recall(truth, predicted)}


def kmeans_scores(embedding: ArrayLike, labels: pd.Series) -> dict[str, float]:
    """ARI and NMI (geometric mean) of k-means with as many clusters as labels, averaged over seeds.

    Parameters
    ----------
    embedding
        ``(n_cells, width)``.
    labels
        Label of every cell, ``(n_cells,)``; cells without one are left out.

    Returns
    -------
    ``{"ari": ..., "nmi": ...}``.
    """
    mask = labels.notna().to_numpy()
    values, truth = np.asarray(embedding)[mask], labels[mask].astype(str).to_numpy()
    partitions = kmeans_partitions(values, len(np.unique(truth)))
    return {
        "ari": float(np.mean([adjusted_rand_score(truth, clusters) for clusters in partitions])),
        "nmi": float(np.mean([_nmi(truth, clusters) for clusters in partitions])),
    }


def kmeans_partitions(embedding: ArrayLike, n_clusters: int) -> list[NDArray[np.integer]]:
    """Clusters (n_cells,) of an embedding (n_cells, width) by k-means, with each of the seeds."""
    return [KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(embedding) for seed in range(N_KMEANS)]


def shared_neighbors(embedding: ArrayLike, n_neighbors: int = N_NEIGHBORS) -> csr_matrix:
    """Graph of cells by the overlap (Jaccard) of their neighbors; those below 1/15 are left out, as in Seurat."""
    points = np.asarray(embedding)
    k = min(n_neighbors, len(points) - 1)
    near = NearestNeighbors(n_neighbors=k).fit(points).kneighbors_graph()
    graph = csr_matrix(near @ near.T)
    graph.setdiag(0)
    graph.data = graph.data / (2 * k - graph.data)
    graph.data[graph.data < MIN_OVERLAP] = 0
    graph.eliminate_zeros()
    return graph


def leiden_clusters(graph: csr_matrix, n_clusters: int, seed: int = 0) -> NDArray[Any]:
    """Leiden clusters at the resolution, found by bisection, whose number of clusters comes nearest to `n_clusters`."""
    import scanpy as sc

    cells = AnnData(np.zeros((graph.shape[0], 1), dtype=np.float32))
    low, high, best, closest = 1e-3, 1e2, np.zeros(graph.shape[0], dtype=int), np.inf
    for _ in range(LEIDEN_STEPS):
        resolution = float(np.sqrt(low * high))
        sc.tl.leiden(
            cells,
            resolution=resolution,
            adjacency=graph,
            flavor="igraph",
            n_iterations=2,
            directed=False,
            random_state=seed,
        )
        clusters = cells.obs["leiden"].astype(int).to_numpy()
        excess = len(np.unique(clusters)) - n_clusters
        if abs(excess) < closest:
            best, closest = clusters, abs(excess)
        if excess == 0:
            break
        low, high = (low, resolution) if excess > 0 else (resolution, high)
    return best


def _nmi(truth: NDArray[Any], clusters: NDArray[Any]) -> float:
    return float(normalized_mutual_info_score(truth, clusters, average_method="geometric"))


def _rare_recall(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Mean recall over the labels of less than 3 % of the cells; NaN if there is none."""
    names, sizes = np.unique(truth, return_counts=True)
    rare = names[sizes < RARE * len(truth)]
    if not len(rare):
        return float("nan")
    return float(recall_score(truth, predicted, labels=rare, average="macro", zero_division=0))
