"""The variance of errors as a function of the predicted value."""

from dataclasses import dataclass

import numpy as np

LOWEST = 0.1
"""A variance is at least this share of the feature's mean variance."""


@dataclass(frozen=True, kw_only=True)
class Variance:
    """Of each feature: max(level + slope · (μ - center), level / 10).

    Parameters
    ----------
    center, level, slope
        (D,) each: mean predicted value, mean squared error, and its change with the predicted value.
    """

    center: np.ndarray
    level: np.ndarray
    slope: np.ndarray

    def predict(self, mean: np.ndarray) -> np.ndarray:
        """Variance (n, D) of errors of predicted values (n, D)."""
        return np.maximum(self.level + self.slope * (mean - self.center), LOWEST * self.level)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What the constructor takes."""
        return {"center": self.center, "level": self.level, "slope": self.slope}


def fit_variance(mean: np.ndarray, error: np.ndarray, seen: np.ndarray) -> Variance:
    """Regress the squared error of each feature on its predicted value: errors of counts grow with them.

    Parameters
    ----------
    mean, error
        (n, D) predicted values and their errors.
    seen
        (n, D) which of them to look at.
    """
    n = np.maximum(seen.sum(0), 1)
    center = np.where(seen, mean, 0).sum(0, dtype=np.float64) / n
    square = np.where(seen, np.square(error, dtype=np.float64), 0)
    level = np.maximum(square.sum(0) / n, 1e-12)
    offset = np.where(seen, mean - center, 0)
    slope = (offset * square).sum(0) / np.maximum(np.square(offset).sum(0), 1e-12)
    return Variance(center=center, level=level, slope=slope)
