"""A two-dimensional map of the embedding."""

import numpy as np
import scanpy as sc

from scmoe._keys import UMAP
from scmoe.model.graph._neighbors import find_leaders, neighbor_graph
from scmoe.nn._threads import threads_kept

N_PLACES = 3
"""Nearest cells of the map that another cell is placed amid."""


def layout(embedding: np.ndarray, seed: int) -> np.ndarray:
    """Places (n, 2) of (n, d) points."""
    leaders = find_leaders(embedding, seed, "The map is made")
    points = neighbor_graph(embedding[leaders.cells], seed)
    with threads_kept():  # from numba, as in `neighbor_graph`
        sc.tl.umap(points, random_state=seed)
    places = np.asarray(points.obsm[UMAP])
    values = np.empty((len(embedding), 2), places.dtype)
    values[leaders.cells] = places
    values[leaders.others] = places[leaders.nearest[:, :N_PLACES]].mean(1)
    return values
