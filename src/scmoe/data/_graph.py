"""The neighbor graph of the training cells over all modalities: what the embedding is taught to keep."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from scmoe.data._dataset import MosaicDataset
from scmoe.data._nearest import nearest
from scmoe.data.statistics._statistics import Scale, Statistics, component_scores

N_NEIGHBORS = 15
N_COMPONENTS = 30
"""Leading principal components of a modality that distances are measured in."""


class NeighborGraph:
    """Similarities of the training cells, from the neighbors that they share in each modality.

    W = Σ_v S_v S_vᵀ without its diagonal, where S_v (see `transitions`) holds the weights of a cell's nearest neighbors
    in modality v. Only the S_v are kept, 16 numbers a cell and modality: W itself would have hundreds.

    Parameters
    ----------
    dataset
        The data.
    cells
        Positions of the training cells; no other cell is looked at, and none is linked.
    statistics
        Of each modality.
    covariates
        Of `fit_scale`.
    seed
        Of the approximate search for the neighbors of very many cells.
    """

    def __init__(
        self,
        dataset: MosaicDataset,
        cells: np.ndarray,
        statistics: Sequence[Statistics],
        covariates: Scale,
        seed: int,
    ) -> None:
        self.steps: list[sparse.csr_matrix] = []
        for v, modality_statistics in enumerate(statistics):
            here = cells[dataset.present[cells, v]]
            if len(here) > 1:
                scores = component_scores(dataset, here, v, modality_statistics, covariates)[:, :N_COMPONENTS]
                step = transitions(scores, seed).tocoo()
                shape = (len(dataset), len(dataset))
                self.steps.append(sparse.csr_matrix((step.data, (here[step.row], here[step.col])), shape=shape))
        self._walks = [(RandomStep(step), RandomStep(step.T.tocsr())) for step in self.steps]

    def similarity(self, cells: np.ndarray) -> np.ndarray:
        """W between these cells, (B, B) float32."""
        total = np.zeros((len(cells), len(cells)), np.float32)
        for step in self.steps:
            rows = step[cells]
            total += (rows @ rows.T).toarray()
        np.fill_diagonal(total, 0)
        return total

    def draw(self, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random similar cell for each of the cells: in a random modality a step S_v, and a step back along S_vᵀ.

        A cell may draw itself, and does so in a modality that it lacks.
        """
        partner = cells.copy()
        modality = rng.integers(len(self._walks), size=len(cells)) if self._walks else np.zeros(0, int)
        for v, (there, back) in enumerate(self._walks):
            rows = modality == v
            partner[rows] = back.draw(there.draw(cells[rows], rng), rng)
        return partner


class RandomStep:
    """Draws a column of a sparse matrix for each row asked for, by weight.

    Parameters
    ----------
    weights
        Non-negative weights.
    """

    def __init__(self, weights: sparse.csr_matrix) -> None:
        self.weights = weights

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One column for each of the rows; an empty row draws its own number."""
        block = self.weights[rows]
        first, last = block.indptr[:-1], block.indptr[1:]
        until = np.concatenate([[0], np.cumsum(block.data, dtype=np.float64)])
        lower, upper = until[first], until[last]
        entry = np.searchsorted(until, lower + rng.random(len(rows)) * (upper - lower), side="right") - 1
        column = rows.copy()
        some = last > first
        column[some] = block.indices[np.clip(entry, first, last - 1)[some]]
        return column


def transitions(points: np.ndarray, seed: int) -> sparse.csr_matrix:
    """Neighbor weights of (n, d) points, rows summing to one.

    exp(-d_ij² / (σ_i σ_j)) for the nearest neighbors j of i, with σ_i the mean distance of i to its neighbors, and 1
    for the cell itself.
    """
    n = len(points)
    k = min(N_NEIGHBORS, n - 1)
    distance, neighbor = nearest(points, k, seed)
    scale = distance.mean(1) + 1e-12
    weight = np.exp(-np.square(distance) / (scale[:, None] * scale[neighbor]))
    columns = np.column_stack([np.arange(n), neighbor])
    weight = np.column_stack([np.ones(n), weight])
    weight /= weight.sum(1, keepdims=True)
    shape = (n, n)
    return sparse.csr_matrix(
        (weight.ravel().astype(np.float32), columns.ravel(), np.arange(n + 1) * (k + 1)), shape=shape
    )
