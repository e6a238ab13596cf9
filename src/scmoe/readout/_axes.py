"""Principal axes of a representation."""

from typing import NamedTuple

import numpy as np

MIN_SPREAD = 1e-3
"""Smallest standard deviation along an axis, of the largest: below it there is rounding."""


class Axes(NamedTuple):
    """Where a representation is centered, and how it is turned, so that its entries are uncorrelated in the training cells.

    Turning keeps all distances; but what a linear classifier with a penalty, or a scaler, makes of entries that all say nearly
    the same is much worse than what it makes of the axes.
    """

    mean: np.ndarray
    """(d,)."""
    directions: np.ndarray
    """(d, d): columns, the most variable first."""
    spread: np.ndarray
    """(d,): standard deviation along each."""

    def turn(self, x: np.ndarray) -> np.ndarray:
        """(n, d) along the axes, float32."""
        return ((x - self.mean) @ self.directions).astype(np.float32)

    def whiten(self) -> np.ndarray:
        """(d, d): turns, and divides by the spread."""
        return self.directions / np.maximum(self.spread, MIN_SPREAD * max(self.spread.max(), 1e-12))


def fit_axes(x: np.ndarray) -> Axes:
    """Fit to the representation (n, d) of training cells."""
    mean = x.mean(0, dtype=np.float64)
    variance, directions = np.linalg.eigh(np.cov((x - mean).T, bias=True).reshape(x.shape[1], x.shape[1]))
    order = np.argsort(-variance)
    directions = directions[:, order]
    directions *= np.where(directions[np.abs(directions).argmax(0), np.arange(len(order))] < 0, -1, 1)
    found = (mean, directions, np.sqrt(np.maximum(variance[order], 0)))
    return Axes(*(np.ascontiguousarray(array, np.float32) for array in found))
