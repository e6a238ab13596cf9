"""Means and standard deviations of features, over some cells at a time."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from scmoe.data._dataset import ModalityRows
from scmoe.data.sparse._rows import SparseRows


class Moments(NamedTuple):
    """Of D features, over the cells in which each is observed."""

    mean: np.ndarray
    std: np.ndarray
    """1 for a feature without variance."""
    share: np.ndarray
    """Of the cells that have the feature."""


def fit_moments(read: Callable[[], Iterable[ModalityRows]], n_cells: int, small: float) -> Moments:
    """Moments of all that `read` gives, which is called twice.

    Parameters
    ----------
    read
        Values of some cells at a time.
    n_cells
        Number of all cells.
    small
        Standard deviations that rounding leaves.
    """
    n, total = np.sum([_sums(rows) for rows in read()], axis=0)
    mean = total / np.maximum(n, 1)
    square = np.sum([_squares(rows, mean) for rows in read()], axis=0)
    std = np.sqrt(square / np.maximum(n, 1))
    return Moments(mean.astype(np.float32), one_if_constant(std, mean, small).astype(np.float32), n / n_cells)


def _sums(rows: ModalityRows) -> np.ndarray:
    """(2, D) number and sum of the observed values."""
    x = rows.values
    if isinstance(x, SparseRows):
        return np.stack([np.full(x.n_columns, x.n_rows), _by_column(x, x.value.numpy())])
    n = len(x) if rows.observed is None else rows.observed.numpy().sum(0)
    total = x.numpy().sum(0, dtype=np.float64)
    return np.stack([np.broadcast_to(n, total.shape), total])


def _squares(rows: ModalityRows, mean: np.ndarray) -> np.ndarray:
    """(D,) sum of (x - mean)² over the observed values."""
    x = rows.values
    if isinstance(x, SparseRows):
        at = x.column.numpy()
        n_zeros = x.n_rows - np.bincount(at, minlength=x.n_columns)
        return _by_column(x, np.square(x.value.numpy() - mean[at])) + n_zeros * np.square(mean)
    difference = x.numpy() - mean
    if rows.observed is not None:
        difference *= rows.observed.numpy()
    return np.square(difference).sum(0)


def _by_column(x: SparseRows, values: np.ndarray) -> np.ndarray:
    return np.bincount(x.column.numpy(), weights=values, minlength=x.n_columns)


def one_if_constant(std: np.ndarray, mean: np.ndarray, small: float) -> np.ndarray:
    """Standard deviations, 1 for what float32 cannot tell from a constant, or is no larger than `small`."""
    return np.where(std <= np.maximum(1e-6 * np.abs(mean), small), 1, std)
