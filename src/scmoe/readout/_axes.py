"""Principal axes of a representation."""

from typing import NamedTuple

import numpy as np

MIN_STD = 1e-3
"""Smallest standard deviation along an axis, of the largest: below it there is rounding."""


class Axes(NamedTuple):
    """The leading directions of a representation, in which its entries are uncorrelated in the training cells.

    What a linear classifier with a penalty, or a scaler, makes of entries that all say nearly the same is much worse
    than what it makes of these.
    """

    mean: np.ndarray
    """(d,)."""
    directions: np.ndarray
    """(d, k): columns, the most variable first; they give all parts of the representation the same variance in all."""
    std: np.ndarray
    """(k,): standard deviation along each."""

    def turn(self, x: np.ndarray) -> np.ndarray:
        """(n, d) to (n, k), float32."""
        return ((x - self.mean) @ self.directions).astype(np.float32)

    def whiten(self) -> np.ndarray:
        """(d, k): as `turn`, divided by the standard deviations."""
        return self.directions / np.maximum(self.std, MIN_STD * max(self.std.max(), 1e-12))


def fit_axes(x: np.ndarray, n_parts: int = 1, n_axes: int | None = None) -> Axes:
    """Fit to the representation of training cells.

    Parameters
    ----------
    x
        (n, d).
    n_parts
        Parts of equal width that are to count the same, side by side in x.
    n_axes
        k at most; None: all.
    """
    mean = x.mean(0, dtype=np.float64)
    covariance = np.cov((x - mean).T, bias=True).reshape(x.shape[1], x.shape[1])
    total = covariance.diagonal().reshape(n_parts, -1).sum(1)
    scale = np.repeat(1 / np.sqrt(np.maximum(total, 1e-12)), x.shape[1] // n_parts)
    variance, directions = np.linalg.eigh(scale[:, None] * covariance * scale)
    order = np.argsort(-variance)[:n_axes]
    directions = directions[:, order]
    directions *= np.where(directions[np.abs(directions).argmax(0), np.arange(len(order))] < 0, -1, 1)
    arrays = (mean, scale[:, None] * directions, np.sqrt(np.maximum(variance[order], 0)))
    return Axes(*(np.ascontiguousarray(array, np.float32) for array in arrays))
