"""Nearest neighbors of all cells."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

N_EXACT = 65_536
"""Cells from which neighbors are searched for approximately. Comparing 40,000 cells takes seconds; numba compiles the
approximate search for half a minute in every new process."""


def nearest(points: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and positions (n, k) of the nearest other points of each of (n, d) points; more than k are needed."""
    if len(points) < N_EXACT:
        distance, neighbor = NearestNeighbors(n_neighbors=k).fit(points).kneighbors()
        return distance, neighbor
    from pynndescent import NNDescent

    neighbor, distance = NNDescent(points, n_neighbors=k + 1, random_state=seed).neighbor_graph
    # A point is the nearest to itself, but where others are in the same place: then one of these is left out.
    is_other = neighbor != np.arange(len(points))[:, None]
    is_other[is_other.all(1), -1] = False
    return distance[is_other].reshape(-1, k), neighbor[is_other].reshape(-1, k)


def nearest_among(points: np.ndarray, queries: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Positions (m, k) of the nearest of (n, d) points to each of (m, d) queries, nearest first."""
    if len(points) < N_EXACT:
        return NearestNeighbors(n_neighbors=k).fit(points).kneighbors(queries, return_distance=False)
    from pynndescent import NNDescent

    return NNDescent(points, random_state=seed).query(queries, k)[0]
