"""Clusters of the embedding."""

import numpy as np
import pandas as pd
import scanpy as sc
from scipy.stats import mode
from sklearn.cluster import KMeans

from scmoe.model.graph._neighbors import find_leaders, neighbor_graph


def leiden(embedding: np.ndarray, resolution: float, seed: int) -> np.ndarray:
    """Leiden clusters of (n, d) points."""
    leaders = find_leaders(embedding, seed, "Clusters are found")
    points = neighbor_graph(embedding[leaders.cells], seed)
    sc.tl.leiden(points, resolution=resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    codes = points.obs["leiden"].cat.codes.to_numpy()
    labels = np.empty(len(embedding), codes.dtype)
    labels[leaders.cells] = codes
    labels[leaders.others] = mode(codes[leaders.nearest], axis=1).mode
    return labels


def kmeans(embedding: np.ndarray, n_clusters: int | None, seed: int) -> np.ndarray:
    """k-means clusters of (n, d) points."""
    if n_clusters is None or not 1 <= n_clusters <= len(embedding):
        raise ValueError(f"n_clusters must be between 1 and the number of cells, {len(embedding)}; found {n_clusters}.")
    n_places = len(np.unique(embedding, axis=0))
    if n_places < n_clusters:
        raise ValueError(
            f"The {len(embedding)} cells have {n_places} different places in the embedding, too few for "
            f"n_clusters={n_clusters}. Lower n_clusters, and look at what the cells have in common."
        )
    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(embedding)


def numbered_by_size(labels: np.ndarray) -> pd.Categorical:
    """Clusters renamed "0", "1", ... from the largest to the smallest."""
    order = pd.Series(labels).value_counts().index
    return pd.Categorical(
        pd.Series(labels).map({name: str(i) for i, name in enumerate(order)}), map(str, range(len(order)))
    )
