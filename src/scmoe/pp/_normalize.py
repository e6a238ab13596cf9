"""Normalization of counts, one cell at a time: arrays in, arrays out."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy import sparse

from scmoe._matrix import Matrix, dense_blocks, row_blocks
from scmoe.io._mapped import canonical, filled, with_data

TARGET_TOTAL = 1e4
MIN_CENTERED = 3
"""Proteins from which a cell is centered on their mean; of fewer, the mean is mostly the signal itself."""


def log_normalize(counts: Matrix, over: np.ndarray | None = None, total: np.ndarray | None = None) -> Matrix:
    """Scale each cell to a total of 10 000 and take log1p; a cell without counts stays at 0.

    Parameters
    ----------
    counts
        Cells x features, dense or CSR; NaN where missing; not changed.
    over
        (features,) which the total ranges over; None: all.
    total
        (cells,) the totals, where they range over features that are not here; None: as above.

    Returns
    -------
    Same shape, float32, dense or CSR as given, on disk if `counts` are; NaN where missing.
    """
    total = totals(counts, over) if total is None else total
    scale = np.divide(TARGET_TOTAL, total, out=np.zeros_like(total), where=total > 0)
    if not sparse.issparse(counts):
        blocks = (np.log1p(counts[rows] * scale[rows, None]) for rows in row_blocks(counts))
        return filled(blocks, counts.shape, np.float32, beside=counts)
    csr = canonical(counts)  # the logarithm of a sum is not the sum of logarithms
    blocks = (np.log1p(values * each) for values, each in values_by_row(csr, scale))
    return with_data(csr, filled(blocks, (csr.nnz,), np.float32, beside=csr))


def values_by_row(csr: sparse.csr_matrix, number: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The values of a matrix, some at a time, each beside the number of its row."""
    for rows in row_blocks(csr):
        until = csr.indptr[rows.start : rows.stop + 1]
        yield csr.data[until[0] : until[-1]], np.repeat(number[rows], np.diff(until))


def totals(counts: Matrix, over: np.ndarray | None = None) -> np.ndarray:
    """Sum of each cell (n,) over some features, float64; missing values (NaN) count nothing."""
    weight = np.ones(counts.shape[1]) if over is None else over.astype(np.float64)
    rows_first = counts.tocsr() if sparse.issparse(counts) else counts
    out = np.zeros(counts.shape[0])
    for rows in row_blocks(rows_first):
        block = rows_first[rows].astype(np.float64)
        if sparse.issparse(block):
            block.data = np.nan_to_num(block.data)
        out[rows] = (block if sparse.issparse(block) else np.nan_to_num(block)) @ weight
    return out


def clr(
    counts: Matrix, over: np.ndarray | None = None, is_missing: Callable[[slice], np.ndarray] | None = None
) -> np.ndarray:
    """Center log1p of the counts on each cell's mean; a cell without counts stays at 0.

    Parameters
    ----------
    counts
        Cells x features, dense or sparse; NaN where missing; not changed.
    over
        (features,) whose mean it is; None: all. The mean is over those that a cell has. With fewer than three, cells
        are not centered.
    is_missing
        Of some rows, which values (rows, features) are missing besides; None: none.

    Returns
    -------
    Cells x features, dense float32, NaN where missing; each row with mean 0 over these features.
    """
    counts = counts.tocsr() if sparse.issparse(counts) else counts
    used = np.ones(counts.shape[1], bool) if over is None else over
    logarithms = partial(_logarithms, counts, is_missing)
    is_used = np.zeros(counts.shape[1], bool)
    for _, logarithm in logarithms():
        is_used |= ~np.isnan(logarithm).all(0) & used
    is_centered = is_used.sum() >= MIN_CENTERED
    blocks = (logarithm - _means(logarithm, used) if is_centered else logarithm for _, logarithm in logarithms())
    return filled(blocks, counts.shape, np.float32, beside=counts)


def _logarithms(counts: Matrix, is_missing: Callable[[slice], np.ndarray] | None) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows, and log1p of their counts, dense, NaN where missing."""
    for rows, block in dense_blocks(counts):
        dense = np.asarray(block, dtype=np.float64)
        yield rows, np.log1p(dense if is_missing is None else np.where(is_missing(rows), np.nan, dense))


def _means(logarithm: np.ndarray, used: np.ndarray) -> np.ndarray:
    """(n, 1) mean of each row over the features used that it has."""
    here = ~np.isnan(logarithm) & used
    return np.where(here, logarithm, 0).sum(1, keepdims=True) / np.maximum(here.sum(1, keepdims=True), 1)
