"""Tokens of many cells in one ragged table."""

from typing import NamedTuple

import numpy as np


class Tokens(NamedTuple):
    """Tokens of cells, one cell after the other, as in a CSR matrix.

    Parameters
    ----------
    gene
        (T,) int32: position of each token's gene in the vocabulary.
    value
        (T,) float32: what the scheme keeps of the count: a real number, or a whole-number code from 1 (0 stands for a
        gene without a token, and is never stored).
    offsets
        (n_cells + 1,) int64: the tokens of cell i are ``offsets[i]:offsets[i + 1]``.
    n_cut
        (n_cells,) int64: tokens of a cell beyond the limit of the scheme, which were left out.
    """

    gene: np.ndarray
    value: np.ndarray
    offsets: np.ndarray
    n_cut: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """(n_cells,) int64: number of tokens of each cell; 0 for a cell without counts."""
        return np.diff(self.offsets)

    def padded(self, length: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the tokens of every cell the same length L.

        Parameters
        ----------
        length
            L; by default the length of the longest cell.

        Returns
        -------
        gene, value, seen
            Three arrays (n_cells, L): int32, float32 and bool. Where `seen` is false the others are 0 and mean nothing.

        Raises
        ------
        ValueError
            A cell has more than `length` tokens.
        """
        lengths = self.lengths
        longest = int(lengths.max(initial=0))
        if length is None:
            length = longest
        elif length < longest:
            cell = int(lengths.argmax())
            raise ValueError(
                f"Expected at most {length} tokens a cell, found {longest} in cell {cell} (counted from 0). Pass a "
                "greater length, or a tokenizer with a limit."
            )
        seen = np.arange(length) < lengths[:, None]
        gene, value = np.zeros(seen.shape, np.int32), np.zeros(seen.shape, np.float32)
        gene[seen], value[seen] = self.gene, self.value
        return gene, value, seen
