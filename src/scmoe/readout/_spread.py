"""How far predictions are off: a standard deviation and an interval for each predicted value."""

from dataclasses import dataclass

import numpy as np

from scmoe.readout._interval import Interval, fit_interval
from scmoe.readout._variance import Variance, fit_variance

WIDTH = 1.645
"""Half width, in standard deviations, of the intervals of models that were saved without any: their standard
deviations were such that these hold 90 % of the values."""
IMAGINARY = 20
"""Cells with the factor of all features together, beside the held-out ones of each feature."""
SMALLEST = 1e-3
"""A factor is at least this: errors of held-out cells can be zero by chance."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Predictive standard deviation and interval of each feature, as functions of the predicted value.

    sd = factor · √variance(μ)

    Parameters
    ----------
    variance
        Squared errors of the cells that it was fitted to.
    factor
        (D,) root mean square error of held-out cells, relative to that.
    interval
        None in models that were saved without.
    """

    variance: Variance
    factor: np.ndarray
    interval: Interval | None = None

    def predict(self, mean: np.ndarray) -> np.ndarray:
        """Standard deviation (n, D) of predicted values (n, D)."""
        return self.factor * np.sqrt(self.variance.predict(mean))

    def bounds(self, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends (n, D) of the intervals of predicted values (n, D)."""
        if self.interval is not None:
            return self.interval.bounds(mean)
        half = WIDTH * self.predict(mean)
        return mean - half, mean + half

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs."""
        interval = {} if self.interval is None else self.interval.to_arrays()
        own = {**self.variance.to_arrays(), "factor": self.factor}
        return own | {f"interval_{name}": array for name, array in interval.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Spread":
        """The inverse of `to_arrays`."""
        prefix = "interval_"
        interval = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        return cls(
            variance=Variance(center=arrays["center"], level=arrays["level"], slope=arrays["slope"]),
            factor=arrays["factor"],
            interval=Interval.from_arrays(interval) if interval else None,
        )


def fit_spread(mean: np.ndarray, truth: np.ndarray, held_out: np.ndarray) -> Spread:
    """Fit it to the errors of predictions.

    The factor makes the mean of a feature's variances the mean squared error of cells that nothing was learned from.
    Few of these say little of a feature with few values above zero, so its factor is drawn to that of all features.

    Parameters
    ----------
    mean
        (n, D) predicted values of cells.
    truth
        (n, D) their values; NaN where missing.
    held_out
        (n,) which of the cells nothing was learned from; without any, errors are taken as they are.
    """
    seen = np.isfinite(truth)
    error = np.where(seen, truth - mean, 0).astype(np.float64)
    variance = fit_variance(mean, error, seen)
    # Relative to the feature's level, so that features in other units count alike.
    found, expected = (
        (np.where(seen, square, 0)[held_out] / variance.level).sum(0)
        for square in (np.square(error), variance.predict(mean))
    )
    together = found.sum() / expected.sum() if expected.any() else 1.0
    factor = np.sqrt((found + IMAGINARY * together) / (expected + IMAGINARY))
    return Spread(
        variance=Variance(**{name: array.astype(np.float32) for name, array in variance.to_arrays().items()}),
        factor=np.maximum(factor, SMALLEST).astype(np.float32),
        interval=fit_interval(mean, truth, held_out),
    )
