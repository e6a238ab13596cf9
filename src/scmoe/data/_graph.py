"""The neighbor graph of the training cells over all modalities: what the embedding is taught to keep."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from scmoe.data._dataset import MosaicDataset
from scmoe.data._statistics import Statistics, program_scores

N_NEIGHBORS = 15
N_PROGRAMS = 30
"""Leading programs of a modality that distances are measured in."""


def neighbor_graph(dataset: MosaicDataset, cells: np.ndarray, statistics: Sequence[Statistics]) -> sparse.csr_matrix:
    """Similarities of the training cells, from the neighbors they share in each modality.

    W = Σ_v S_v S_vᵀ without its diagonal, rows scaled to sum to one, where S_v holds the row-normalized weights
    exp(-d_ij² / (σ_i σ_j)) of a cell's nearest neighbors in modality v and of the cell itself, and σ_i is its mean
    distance to them.

    Parameters
    ----------
    dataset
        The data.
    cells
        Positions of the training cells; no other cell is looked at.
    statistics
        Of each modality.

    Returns
    -------
    scipy.sparse.csr_matrix
        (all cells, all cells); rows of cells outside `cells`, and of cells without a neighbor, are empty.
    """
    n = len(dataset)
    total = sparse.csr_matrix((n, n), dtype=np.float32)
    for v, found in enumerate(statistics):
        here = cells[dataset.present[cells, v]]
        if len(here) < 2:
            continue
        step = transitions(program_scores(dataset, here, v, found)[:, :N_PROGRAMS])
        shared = (step @ step.T).tocoo()
        total += sparse.csr_matrix((shared.data, (here[shared.row], here[shared.col])), shape=(n, n))
    total.setdiag(0)
    total.eliminate_zeros()
    return row_normalized(total)


def transitions(points: np.ndarray) -> sparse.csr_matrix:
    """S of `neighbor_graph` for (n, d) points."""
    n = len(points)
    k = min(N_NEIGHBORS, n - 1)
    distance, neighbor = NearestNeighbors(n_neighbors=k).fit(points).kneighbors()
    scale = distance.mean(1) + 1e-12
    weight = np.exp(-np.square(distance) / (scale[:, None] * scale[neighbor]))
    graph = sparse.csr_matrix((weight.ravel(), neighbor.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    return row_normalized((graph + sparse.identity(n)).astype(np.float32))


def row_normalized(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows divided by their sums; empty rows stay empty."""
    total = np.asarray(graph.sum(1)).ravel()
    scale = np.divide(1, total, where=total > 0, out=np.zeros_like(total))
    return (sparse.diags(scale) @ graph).tocsr().astype(np.float32)


def draw_neighbors(graph: sparse.csr_matrix, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One random neighbor for each of the cells, by weight; a cell without a neighbor draws itself."""
    until = np.concatenate([[0], np.cumsum(graph.data, dtype=np.float64)])
    first, last = until[graph.indptr[cells]], until[graph.indptr[cells + 1]]
    picked = np.searchsorted(until, first + rng.random(len(cells)) * (last - first), side="right") - 1
    picked = np.clip(picked, graph.indptr[cells], np.maximum(graph.indptr[cells + 1] - 1, graph.indptr[cells]))
    has_neighbor = graph.indptr[cells + 1] > graph.indptr[cells]
    return np.where(has_neighbor, graph.indices[np.minimum(picked, graph.nnz - 1)] if graph.nnz else cells, cells)
