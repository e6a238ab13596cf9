"""The neighbor graph of the training cells over all modalities: what the embedding is taught to keep."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from scmoe.data._dataset import MosaicDataset
from scmoe.data._nearest import nearest
from scmoe.data.statistics._statistics import Scale, Statistics, component_scores
from scmoe.io._mapped import index_type

N_NEIGHBORS = 15
N_COMPONENTS = 30
"""Leading principal components of a modality that distances are measured in."""


class NeighborGraph:
    """Similarities of the training cells, from the neighbors that they share in each modality.

    W = Σ_v S_v S_vᵀ without its diagonal, where S_v (see `transitions`) holds the weights of a cell's nearest neighbors
    in modality v. Only the S_v are stored, 16 numbers a cell and modality: W itself would have hundreds.

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
        self._walks: list[Walk] = []
        for v, modality_statistics in enumerate(statistics):
            here = cells[dataset.present[cells, v]]
            if len(here) > 1:
                scores = component_scores(dataset, here, v, modality_statistics, covariates)[:, :N_COMPONENTS]
                self._walks.append(Walk(*transitions(scores, seed), here, len(dataset)))

    def similarity(self, cells: np.ndarray) -> np.ndarray:
        """W between these cells, (B, B) float32."""
        total = np.zeros((len(cells), len(cells)), np.float32)
        for walk in self._walks:
            rows = walk.steps(cells)
            total += (rows @ rows.T).toarray()
        np.fill_diagonal(total, 0)
        return total

    def draw(self, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random similar cell for each of the cells: in a random modality a step S_v, and a step back along S_vᵀ.

        A cell may draw itself, and does so in a modality that it lacks.
        """
        partner = cells.copy()
        modality = rng.integers(len(self._walks), size=len(cells)) if self._walks else np.zeros(0, int)
        for v, walk in enumerate(self._walks):
            chosen = modality == v
            partner[chosen] = walk.draw(cells[chosen], rng)
        return partner


class Walk:
    """Weighted steps from a cell to its neighbors in one modality, and back.

    About 180 bytes a cell: the weights need no more digits than 16 bits have, and the way back is a list of the same
    steps in the order of where they lead.

    Parameters
    ----------
    neighbor, weight
        Of `transitions`, (n, k).
    cells
        Positions in the data set of the n cells, rising.
    n_cells
        Cells of the data set.
    """

    def __init__(self, neighbor: np.ndarray, weight: np.ndarray, cells: np.ndarray, n_cells: int) -> None:
        self._neighbor, self._weight, self._cells = neighbor, weight.astype(np.float16), cells
        self._row = np.full(n_cells, -1, np.int32)
        self._row[cells] = np.arange(len(cells), dtype=np.int32)
        n, k = neighbor.shape
        number = np.arange(n * k, dtype=index_type(n * k))
        until = np.arange(n + 1, dtype=number.dtype) * k
        by_end = sparse.csr_matrix((number, neighbor.ravel(), until), shape=(n, n)).tocsc()
        self._into, self._until = by_end.data, by_end.indptr

    def steps(self, cells: np.ndarray) -> sparse.csr_matrix:
        """Rows of S_v, (B, n); empty for cells without the modality."""
        row = self._row[cells]
        here, k = row >= 0, self._neighbor.shape[1]
        weight, neighbor = self._weight[row[here]].astype(np.float32), self._neighbor[row[here]]
        until = np.concatenate([[0], np.cumsum(here * k)])
        return sparse.csr_matrix((weight.ravel(), neighbor.ravel(), until), shape=(len(cells), len(self._cells)))

    def draw(self, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A cell at the end of a step and of one back, for each of the cells; a cell that is not here draws itself."""
        row, k = self._row[cells], self._neighbor.shape[1]
        partner, here = cells.copy(), row >= 0
        row = row[here].astype(np.int64)
        step = row * k + draw_by_weight(self._weight[row].ravel(), np.full(len(row), k), rng)
        middle = self._neighbor.ravel()[step]
        first, last = self._until[middle], self._until[middle + 1]
        # The steps that lead to each of the cells in the middle, one list after another.
        length = (last - first).astype(np.int64)
        offset = first - (np.cumsum(length) - length)
        steps = self._into[np.arange(length.sum()) + np.repeat(offset, length)]
        chosen = draw_by_weight(self._weight.ravel()[steps], length, rng)
        partner[here] = self._cells[self._into[first + chosen] // k]
        return partner


def draw_by_weight(weight: np.ndarray, length: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A position (m,) within each of m lists, by weight.

    Parameters
    ----------
    weight
        Non-negative weights of the lists, one list after another; none of them all zero.
    length
        Of each list, (m,), at least 1.
    rng
        Generator.
    """
    until = np.concatenate([[0], np.cumsum(weight, dtype=np.float64)])
    last = np.cumsum(length)
    first = last - length
    lower, upper = until[first], until[last]
    entry = np.searchsorted(until, lower + rng.random(len(length)) * (upper - lower), side="right") - 1
    return np.clip(entry, first, last - 1) - first


def transitions(points: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbors (n, k) of (n, d) points, and their weights (n, k), rows summing to one.

    exp(-d_ij² / (σ_i σ_j)) for the nearest neighbors j of i, with σ_i the mean distance of i to its neighbors, and 1
    for the cell itself, which comes first.
    """
    n = len(points)
    distance, neighbor = nearest(points, min(N_NEIGHBORS, n - 1), seed)
    scale = distance.mean(1) + 1e-12
    weight = np.exp(-np.square(distance) / (scale[:, None] * scale[neighbor]))
    weight = np.column_stack([np.ones(n, np.float32), weight.astype(np.float32)])
    weight /= weight.sum(1, keepdims=True)
    return np.column_stack([np.arange(n), neighbor]).astype(index_type(n)), weight
