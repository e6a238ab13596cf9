"""Row-wise work on CSR matrices, without a loop over cells."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

ROW_BITS = 5
"""Cells are sorted in blocks of 2**5: few enough for the cache, enough to make NumPy's overhead small."""
_FLOAT_BITS = 63


def check_cells(
    counts: sparse.csr_matrix, totals: np.ndarray | None, n_genes: int | None
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Check counts, and bring them into canonical form: sorted genes, no duplicates, no stored zeros.

    Returns
    -------
    counts, totals
        The counts (a copy where they had to change), and the total of each cell as (n_cells,) float64.

    Raises
    ------
    TypeError
        `counts` is not a sparse matrix.
    ValueError
        The number of genes is not that of the vocabulary, a value is negative or not finite, or `totals` does not fit.
    """
    if not sparse.issparse(counts):
        raise TypeError(
            f"Expected counts as a sparse matrix (cells x genes), found {type(counts).__name__}. Take them from "
            "scmoe.tokens.read_cells(adata)."
        )
    if n_genes is not None and counts.shape[1] != n_genes:
        raise ValueError(
            f"The tokenizer was fitted on {n_genes} genes, found {counts.shape[1]}. Match the data to the same "
            "vocabulary: scmoe.tokens.read_cells(adata, vocabulary)."
        )
    counts = _canonical(counts.tocsr())
    if counts.nnz and not (counts.data.min() > 0 and np.isfinite(counts.data.max())):
        raise ValueError(
            "Expected counts, none negative, NaN or infinite; found "
            f"{counts.data[~(np.isfinite(counts.data) & (counts.data > 0))][0]}. Take raw counts, not scaled values: "
            "scmoe.tokens.read_cells(adata) says where they are wrong."
        )
    own = sum_rows(counts.data, counts.indptr)
    return counts, own if totals is None else _check_totals(totals, own)


def _canonical(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    if counts.has_canonical_format and counts.data.all():
        return counts
    counts = counts.copy()
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def _check_totals(totals: np.ndarray, own: np.ndarray) -> np.ndarray:
    totals = np.asarray(totals, dtype=np.float64)
    if totals.shape != own.shape:
        raise ValueError(
            f"Expected one total for each of the {own.size} cells, found an array of shape {totals.shape}."
        )
    wrong = ~np.isfinite(totals) | (totals < 0) | ((totals == 0) & (own > 0))
    if wrong.any():
        cell = int(wrong.argmax())
        raise ValueError(
            f"Expected totals that are finite and positive; found {totals[cell]} for cell {cell} (counted from 0), "
            f"whose counts add up to {own[cell]:.6g}."
        )
    return totals


def sum_rows(values: np.ndarray, indptr: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Sum the values of each row, 0 for an empty one."""
    sums: np.ndarray = np.zeros(len(indptr) - 1, dtype)
    full = np.flatnonzero(np.diff(indptr))
    if full.size:
        sums[full] = np.add.reduceat(values, indptr[full], dtype=dtype)
    return sums


class Block(NamedTuple):
    """Some cells of a CSR matrix: which, where their counts are stored, and these."""

    rows: slice
    stored: slice
    gene: np.ndarray
    data: np.ndarray
    lengths: np.ndarray


def row_blocks(counts: sparse.csr_matrix) -> Iterator[Block]:
    """Cut a CSR matrix into blocks of cells that `sort_rows` can take."""
    size, n_rows = 1 << ROW_BITS, counts.shape[0]
    for start in range(0, n_rows, size):
        rows = slice(start, min(start + size, n_rows))
        stored = slice(int(counts.indptr[rows.start]), int(counts.indptr[rows.stop]))
        lengths = np.diff(counts.indptr[rows.start : rows.stop + 1]).astype(np.int64)
        yield Block(rows, stored, counts.indices[stored], counts.data[stored], lengths)


def sort_rows(keys: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort the entries of each row by key, ascending, and equal ones by position.

    Row, key and position are packed into one 64-bit number, because NumPy sorts numbers several times faster than it
    finds the order of them. Of the key there remain the ``64 - ROW_BITS - (bits of the position)`` highest bits: about
    40 for 2000 entries a row.

    Parameters
    ----------
    keys
        (n,) uint64 below 2**63, the entries of one row after the other.
    lengths
        (rows,) entries of each row; at most ``2**ROW_BITS`` rows.

    Returns
    -------
    position, group
        (n,) where the entries were, in sorted order; (n,) row and key as one number, equal for ties in a row.
    """
    low = max(int(keys.size - 1).bit_length(), 1)
    room = 64 - ROW_BITS - low
    packed = keys >> np.uint64(_FLOAT_BITS - room)
    packed <<= np.uint64(low)
    packed |= np.arange(keys.size, dtype=np.uint64)
    packed |= np.repeat(np.arange(len(lengths), dtype=np.uint64) << np.uint64(64 - ROW_BITS), lengths)
    packed.sort()
    position = (packed & np.uint64((1 << low) - 1)).view(np.int64)
    packed >>= np.uint64(low)
    return position, packed


def place_in_row(lengths: np.ndarray) -> np.ndarray:
    """0, 1, ... along each row."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def float_keys(values: np.ndarray) -> np.ndarray:
    """Positive numbers, float32 or float64, as 63-bit keys of the same order."""
    if values.dtype == np.float32:
        return values.view(np.uint32).astype(np.uint64) << np.uint64(32)
    return values.astype(np.float64, copy=False).view(np.uint64)


def random_bits(block: Block, seed: int, stream: int) -> np.ndarray:
    """64 random bits for each count, fixed by `seed`, `stream`, gene and all counts of the cell.

    A cell gets the same bits whichever cells are beside it, in whichever order (a counter-based generator with the
    finalizer of SplitMix64).
    """
    entry = block.gene.astype(np.uint64)
    entry <<= np.uint64(32)
    entry |= block.data.astype(np.float32, copy=False).view(np.uint32)
    cell = sum_rows(entry, np.concatenate([[0], np.cumsum(block.lengths)]), np.uint64)
    cell ^= np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)
    entry ^= np.repeat(_mix(cell), block.lengths)
    return _mix(entry)


def _mix(bits: np.ndarray) -> np.ndarray:
    """Change all bits by all others, in place."""
    bits += np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits
