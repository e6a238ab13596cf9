"""Normalization of counts, one cell at a time: arrays in, arrays out."""

import numpy as np
from scipy import sparse

from scmoe._matrix import Matrix

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
    Same shape, float32, dense or CSR as given; NaN where missing.
    """
    total = totals(counts, over) if total is None else total
    scale = np.divide(TARGET_TOTAL, total, out=np.zeros_like(total), where=total > 0)
    if not sparse.issparse(counts):
        return np.log1p(counts * scale[:, None]).astype(np.float32)
    values = counts.astype(np.float64)
    values.sum_duplicates()  # the logarithm of a sum is not the sum of logarithms
    values.data = np.log1p(values.data * np.repeat(scale, np.diff(values.indptr)))
    return values.astype(np.float32)


def totals(counts: Matrix, over: np.ndarray | None = None) -> np.ndarray:
    """Sum of each cell (n,) over some features, float64; missing values (NaN) count nothing."""
    weight = np.ones(counts.shape[1]) if over is None else over.astype(np.float64)
    if counts.dtype.kind != "f":
        return np.asarray(counts @ weight, dtype=np.float64).ravel()
    if sparse.issparse(counts):
        counts = counts.astype(np.float64)
        counts.data = np.nan_to_num(counts.data)
        return np.asarray(counts @ weight).ravel()
    return np.nan_to_num(counts.astype(np.float64)) @ weight


def clr(counts: Matrix, over: np.ndarray | None = None) -> np.ndarray:
    """Center log1p of the counts on each cell's mean; a cell without counts stays at 0.

    Parameters
    ----------
    counts
        Cells x features, dense or sparse; NaN where missing; not changed.
    over
        (features,) whose mean it is; None: all. The mean is over those that a cell has. With fewer than three, cells
        are not centered.

    Returns
    -------
    Cells x features, dense float32, NaN where missing; each row with mean 0 over these features.
    """
    dense = np.asarray(counts.todense() if sparse.issparse(counts) else counts, dtype=np.float64)
    logarithm = np.log1p(dense)
    used = ~np.isnan(logarithm) if over is None else ~np.isnan(logarithm) & over
    if used.any(0).sum() < MIN_CENTERED:
        return logarithm.astype(np.float32)
    mean = np.where(used, logarithm, 0).sum(1, keepdims=True) / np.maximum(used.sum(1, keepdims=True), 1)
    return (logarithm - mean).astype(np.float32)
