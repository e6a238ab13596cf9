"""Normalization of raw counts, one cell at a time: arrays in, arrays out."""

import numpy as np
from scipy import sparse

from scmoe._check import Matrix

TARGET_TOTAL = 1e4


def log_normalize(counts: Matrix) -> Matrix:
    """Scale each cell to a total of 10 000 and take log1p; a cell without counts stays at 0.

    Parameters
    ----------
    counts
        Cells x features, dense or CSR; not changed.

    Returns
    -------
    Same shape, float32, dense or CSR as given.
    """
    total = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.divide(TARGET_TOTAL, total, out=np.zeros_like(total), where=total > 0)
    if not sparse.issparse(counts):
        return np.log1p(counts * scale[:, None]).astype(np.float32)
    values = counts.astype(np.float64)
    values.sum_duplicates()  # the logarithm of a sum is not the sum of logarithms
    values.data = np.log1p(values.data * np.repeat(scale, np.diff(values.indptr)))
    return values.astype(np.float32)


def clr(counts: Matrix) -> np.ndarray:
    """Center log1p of the counts on each cell's mean; a cell without counts stays at 0.

    Parameters
    ----------
    counts
        Cells x features, dense or sparse; not changed.

    Returns
    -------
    Cells x features, dense float32, each row with mean 0.
    """
    dense = np.asarray(counts.todense() if sparse.issparse(counts) else counts, dtype=np.float64)
    logarithm = np.log1p(dense)
    return (logarithm - logarithm.mean(axis=1, keepdims=True)).astype(np.float32)
