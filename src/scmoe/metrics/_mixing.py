"""How well batches are mixed among neighbors."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

LISI_NEIGHBORS, N_NEIGHBORS = 90, 15


def ilisi(embedding: ArrayLike, batch: ArrayLike, n_neighbors: int = LISI_NEIGHBORS) -> float:
    """Mixing of batches: median inverse Simpson's index of the neighbors' batches, scaled to 0-1, as in scib-metrics.

    Neighbors are weighted by a Gaussian whose width gives a third of their number as perplexity.
    """
    points, (codes, names) = np.asarray(embedding), pd.factorize(np.asarray(batch).astype(str))
    k = min(n_neighbors, len(points) - 1)
    distance, index = NearestNeighbors(n_neighbors=k).fit(points).kneighbors()
    weight = perplexity_weights(distance, max(k // 3, 1))
    share = np.stack([(weight * (codes[index] == code)).sum(axis=1) for code in range(len(names))])
    return float((np.median(1 / (share**2).sum(axis=0)) - 1) / (len(names) - 1))


def perplexity_weights(distance: NDArray[np.float64], perplexity: float) -> NDArray[np.float64]:
    """Weights exp(-b d) of each row, summing to 1; bisection finds the b that makes their entropy log(perplexity)."""
    low, high = np.full((len(distance), 1), -30.0), np.full((len(distance), 1), 30.0)  # logarithms of b
    shifted = distance - distance.min(axis=1, keepdims=True)  # the same weights, and no underflow
    weight = np.empty_like(shifted)
    for _ in range(60):
        middle = (low + high) / 2
        weight = np.exp(-np.exp(middle) * shifted)
        weight /= weight.sum(axis=1, keepdims=True)
        entropy = -(weight * np.log(np.maximum(weight, 1e-300))).sum(axis=1, keepdims=True)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    return weight


def knn_mixing(embedding: ArrayLike, batch: ArrayLike, n_neighbors: int = N_NEIGHBORS) -> float:
    """Share of neighbors from other batches than the cell's, divided by that of random cells (1: perfectly mixed)."""
    points, codes = np.asarray(embedding), pd.factorize(np.asarray(batch).astype(str))[0]
    k = min(n_neighbors, len(points) - 1)
    index = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
    others = 1 - np.bincount(codes)[codes] / len(codes)
    return float((codes[index] != codes[:, None]).mean() / others.mean())
