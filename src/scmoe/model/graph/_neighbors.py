"""The neighbor graph of the embedding, on the side: no graph made by the user is replaced."""

from typing import Any, NamedTuple

import numpy as np
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scmoe._log import logger
from scmoe.data._nearest import N_EXACT, nearest_among
from scmoe.nn._threads import threads_kept

N_NEIGHBORS = 15
MAX_CELLS = 200_000
"""Cells that clusters and maps are computed from; more would take hours and more memory than all else."""


class Leaders(NamedTuple):
    """Cells that something is computed for, and whom the others follow."""

    cells: np.ndarray
    """(n,) positions."""
    others: np.ndarray
    """(m,) positions."""
    nearest: np.ndarray
    """(m, k) places in `cells` of those nearest to each of the others."""


def find_leaders(embedding: np.ndarray, seed: int, what: str) -> Leaders:
    """All cells, or a random part of very many, which the log says.

    Parameters
    ----------
    embedding
        (n, d).
    seed
        Of the choice.
    what
        What is computed for them, for the log.
    """
    n_cells = len(embedding)
    if n_cells <= MAX_CELLS:
        return Leaders(np.arange(n_cells), np.zeros(0, int), np.zeros((0, N_NEIGHBORS), int))
    is_leader = np.zeros(n_cells, bool)
    is_leader[np.random.default_rng(seed).choice(n_cells, MAX_CELLS, replace=False)] = True
    cells, others = np.flatnonzero(is_leader), np.flatnonzero(~is_leader)
    logger.info("%s of %d random cells; the other %d follow the nearest of them", what, len(cells), len(others))
    with threads_kept():
        return Leaders(cells, others, nearest_among(embedding[cells], embedding[others], N_NEIGHBORS, seed))


def neighbor_graph(embedding: np.ndarray, seed: int) -> AnnData:
    """An AnnData of the embedding alone, with its nearest-neighbor graph."""
    if len(embedding) < 4:
        raise ValueError(f"A graph of the embedding needs at least 4 cells; found {len(embedding)}.")
    points, k = AnnData(embedding), min(N_NEIGHBORS, len(embedding) - 1)
    # numba's first parallel loop sets the threads of every OpenMP user to all cores, torch's too. That is against the
    # user's choice, and it changes the order of sums: the same seed would no longer give the same model bit by bit.
    with threads_kept():
        sc.pp.neighbors(
            points, n_neighbors=k, use_rep="X", random_state=seed, transformer=search_of(len(points), k, seed)
        )
    return points


def search_of(n_cells: int, n_neighbors: int, seed: int) -> Any:
    """A comparison of all cells with all; of very many, the search that scanpy chooses, with a matrix as it knows it.

    pynndescent 0.7 returns a sparse array, which has no ``getnnz``, and scanpy 1.11 fails there.
    """
    if n_cells < N_EXACT:
        return "sklearn"
    from pynndescent import PyNNDescentTransformer

    class Search(PyNNDescentTransformer):
        def fit_transform(self, X: np.ndarray, y: None = None) -> sparse.csr_matrix:
            return sparse.csr_matrix(super().fit_transform(X))

    n_trees, n_iters = min(64, 5 + round(n_cells**0.5 / 20)), max(5, round(np.log2(n_cells)))
    return Search(n_neighbors=n_neighbors, random_state=seed, n_trees=n_trees, n_iters=n_iters)
