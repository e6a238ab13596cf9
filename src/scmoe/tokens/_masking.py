"""Which counts are hidden from the encoder and have to be predicted."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from scmoe.arguments._checked import checks_arguments, checks_fields


class Masked(NamedTuple):
    """What is hidden in some cells.

    Parameters
    ----------
    stored
        (nnz,) bool: which of the stored counts, in their order in the matrix.
    zero_row, zero_gene
        (Z,) int64 each: row and column of the zeros, by row and then by gene.
    """

    stored: np.ndarray
    zero_row: np.ndarray
    zero_gene: np.ndarray


@checks_fields
@dataclass(frozen=True, kw_only=True)
class MaskingPolicy:
    """At which rates counts are hidden.

    Zeros are hidden too, since their prediction teaches something, but ten times less often. With 90 % zeros, about as
    many zeros as other counts are hidden (Gong et al. 2023, xTrimoGene).

    Parameters
    ----------
    nonzero_rate
        Probability that a count is hidden, in [0, 1).
    zero_rate
        Probability that a zero is hidden, in [0, 1).
    """

    nonzero_rate: float = 0.3
    zero_rate: float = 0.03

    @checks_arguments
    def draw(self, counts: sparse.csr_matrix, rng: np.random.Generator, missing: np.ndarray | None = None) -> Masked:
        """Draw what is hidden, each count and each zero independently of the others.

        Parameters
        ----------
        counts
            Cells x genes in canonical form (genes ascending, no stored zeros), as `read_cells` gives them.
        rng
            Where random numbers come from.
        missing
            (genes,) bool: genes that were not measured, see `Match.missing`; their zeros are unknown, and never drawn.

        Returns
        -------
        Masked
            Time and memory grow with the counts stored and the zeros drawn, not with cells x genes.
        """
        stored = rng.random(counts.nnz, dtype=np.float32) < self.nonzero_rate
        n_genes = counts.shape[1]
        cells = np.repeat(np.arange(counts.shape[0], dtype=np.int64), np.diff(counts.indptr))
        # Positions are drawn among all, and given up where there is a count: those left are zeros, at the same rate.
        position = _bernoulli(counts.shape[0] * n_genes, self.zero_rate, rng)
        position = position[~_is_in(position, cells * n_genes + counts.indices)]
        row, gene = np.divmod(position, n_genes)
        if missing is not None:
            mask = ~missing[gene]
            row, gene = row[mask], gene[mask]
        return Masked(stored, row, gene)


def _bernoulli(n: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Ascending positions below `n`, each with probability `rate`: gaps between them are geometric."""
    parts, last = [np.empty(0, np.int64)], -1
    while rate > 0 and last < n:
        expected = (n - last) * rate
        size = int(expected + 4 * math.sqrt(expected)) + 8
        gaps = np.floor(rng.standard_exponential(size) / -math.log1p(-rate)) + 1
        # A gap beyond the end ends the drawing, however far it reaches.
        parts.append(last + np.cumsum(np.minimum(gaps, n + 1).astype(np.int64)))
        last = int(parts[-1][-1])
    positions = np.concatenate(parts)
    return positions[: np.searchsorted(positions, n)]


def _is_in(positions: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Which positions are among `taken`; both ascend."""
    if not members.size:
        return np.zeros(positions.shape, bool)
    place = np.searchsorted(members, positions)
    return members[np.minimum(place, members.size - 1)] == positions
