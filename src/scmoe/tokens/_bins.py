"""Bins of equal frequency within each cell, as in scGPT."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy import sparse

from scmoe.arguments._checked import checks_fields
from scmoe.tokens._rows import Block, float_keys, place_in_row, random_bits, row_blocks, sort_rows
from scmoe.tokens._tokenizer import Tokenizer
from scmoe.tokens._tokens import Tokens

_TIE_STREAM, _SUBSET_STREAM = 0, 1


@checks_fields
@dataclass(kw_only=True, eq=False)
class BinsTokenizer(Tokenizer):
    """One token a gene with counts, in the order of the vocabulary; value = bin of the count among those of its cell.

    The `n_bins` - 1 edges are quantiles of the cell's non-zero counts at equal steps from 0 to 1 (Cui et al. 2024,
    scGPT). Of n counts, those equal to a given one take the places a..b, from 0, in ascending order. The bins they
    span are

        low = ceil((n_bins - 2) a / (n - 1)) + 1,   high = floor((n_bins - 2) b / (n - 1)) + 1,

    and the bin is `high` where high < low. One count alone, or all equal ones, span all bins.

    Parameters
    ----------
    n_genes
        Number of genes of the vocabulary; set by `fit`.
    n_bins
        Number of codes: bins 1..n_bins - 1, and 0 for no counts.
    ties
        Bin of counts that span several: ``"mid"``, the mean of the span, halves rounded up; ``"low"``, its lower end;
        ``"random"``, any of them with equal probability for each count, as in scGPT.
    max_length
        Most tokens a cell; of a longer cell a random subset is kept. All by default.
    seed
        Of ties and subsets. What is drawn for a cell depends on the seed and its own counts only.
    """

    kind: ClassVar[str] = "bins"
    n_bins: int = 51
    ties: Literal["mid", "low", "random"] = "mid"
    max_length: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.n_bins < 3:
            raise ValueError(f"n_bins must be at least 3 (two bins, and 0 for no counts); found {self.n_bins}.")

    @property
    def n_codes(self) -> int:
        """The bins and 0."""
        return self.n_bins

    def _encode(self, counts: sparse.csr_matrix, totals: np.ndarray) -> Tokens:
        lengths = np.diff(counts.indptr).astype(np.int64)
        n_tokens = lengths if self.max_length is None else np.minimum(lengths, self.max_length)
        offsets = np.concatenate([[0], np.cumsum(n_tokens)])
        gene, value = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.float32)
        for block in row_blocks(counts):
            bins, genes = self._bins(block), block.gene
            if self.max_length is not None and block.lengths.max() > self.max_length:
                subset = self._subset(block, self.max_length)
                bins, genes = bins[subset], genes[subset]
            place = slice(offsets[block.rows.start], offsets[block.rows.stop])
            gene[place], value[place] = genes, bins
        return Tokens(gene, value, offsets, lengths - n_tokens)

    def _bins(self, block: Block) -> np.ndarray:
        """Bin of each count of some cells."""
        n, lengths = block.data.size, block.lengths
        position, group = sort_rows(float_keys(block.data), lengths)
        start = np.flatnonzero(np.concatenate([[n > 0], group[1:] != group[:-1]]))
        n_equal = np.diff(start, append=n)
        row = np.repeat(np.arange(len(lengths)), lengths)[start]
        first = start - (np.cumsum(lengths) - lengths)[row]
        low, high = self._span(first, first + n_equal - 1, lengths[row])
        if self.ties == "random":
            share = (random_bits(block, self.seed, _TIE_STREAM)[position] >> np.uint64(11)) * 2.0**-53
            share *= np.repeat(high - low + 1, n_equal)
            values = np.repeat(low, n_equal) + np.floor(share)
        else:
            values = np.repeat(low if self.ties == "low" else np.floor((low + high + 1) / 2), n_equal)
        bins = np.empty(n, np.float32)
        bins[position] = values
        return bins

    def _span(self, first: np.ndarray, last: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest bin of equal counts, at the places `first` to `last` among the `n` of their cell."""
        # As floats: faster than whole numbers, and as exact, for no quotient is nearer than 1 / n to a whole one.
        gaps = np.maximum(n - 1, 1).astype(np.float64)
        low = np.ceil((self.n_bins - 2) * first / gaps) + 1
        high = np.where(n == 1, self.n_bins - 1, np.floor((self.n_bins - 2) * last / gaps) + 1)
        return np.minimum(low, high), high

    def _subset(self, block: Block, size: int) -> np.ndarray:
        """Choose `size` random counts of each longer cell, and all of the others, in the order of the vocabulary."""
        position, _ = sort_rows(random_bits(block, self.seed, _SUBSET_STREAM) >> np.uint64(1), block.lengths)
        mask = np.zeros(position.size, bool)
        mask[position[place_in_row(block.lengths) < size]] = True
        return np.flatnonzero(mask)
