"""Scores of the replication: groups of cells, and matrices of cross-modal R²."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from scmoe.benchmark._scores import N_KMEANS
from scmoe.metrics._clusters import matched_accuracy
from scmoe.metrics._features import feature_scores

GROUP_SCORES = ("ari", "nmi", "accuracy")
Matrix = list[list[float | None]]
"""R² of target (row) from source (column); None where there is none."""


def group_scores(truth: ArrayLike, predicted: Sequence[ArrayLike]) -> dict[str, float]:
    """Agreement of clusters with labels, mean over several clusterings of the same cells.

    Returns
    -------
    ``ari``, ``nmi`` (geometric mean) and ``accuracy`` (after the best one-to-one naming of the clusters).
    """
    true = np.asarray(truth)
    scores = [
        (
            adjusted_rand_score(true, clusters),
            normalized_mutual_info_score(true, clusters, average_method="geometric"),
            matched_accuracy(true, clusters)[0],
        )
        for clusters in predicted
    ]
    return dict(zip(GROUP_SCORES, np.mean(scores, axis=0).tolist(), strict=True))


def kmeans_clusters(train: NDArray[Any], test: NDArray[Any], n_clusters: int) -> list[NDArray[Any]]:
    """Clusters of test cells by centers of training cells, from several seeds."""
    runs = [KMeans(n_clusters, n_init=10, random_state=seed).fit(train) for seed in range(N_KMEANS)]
    return [run.predict(test) for run in runs]


def r2_matrix(
    truth: Sequence[NDArray[Any]], predicted: dict[tuple[int, int], NDArray[Any]]
) -> tuple[Matrix, list[int]]:
    """R² of every target (row) from every source (column), mean over features.

    Constant features are left out, and counted.

    Parameters
    ----------
    truth
        Values of each modality in the test cells.
    predicted
        (target, source) to predicted values.
    """
    V = len(truth)
    matrix: Matrix = [[None] * V for _ in range(V)]
    dropped = [int(feature_scores(values, values)["dropped"].sum()) for values in truth]
    for (target, source), values in predicted.items():
        r2 = feature_scores(truth[target], values)["r2"].dropna()
        matrix[target][source] = float(r2.mean()) if len(r2) else None
    return matrix, dropped


def off_diagonal_mean(matrix: Matrix, *, upper: bool) -> float | None:
    """Mean R² off the diagonal; `upper`: above it only, so the last modality is never a target (the paper's)."""
    entries = [
        value
        for target, row in enumerate(matrix)
        for source, value in enumerate(row)
        if value is not None and (target < source if upper else target != source)
    ]
    return float(np.mean(entries)) if entries else None
