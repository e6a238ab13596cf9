"""Intervals that hold 90 % of a feature's values, and 90 % of those above zero where many are zero."""

from dataclasses import dataclass

import numpy as np

from scmoe.readout._variance import LOWEST, Variance, fit_variance

INTERVAL = 0.9
"""Share of held-out values, or of those above zero, that an interval covers."""
SURE = 0.7
"""An interval leaves zero out where a value above zero is at least as probable as this. Then about nine in ten of the
values whose interval leaves zero out are above zero; at 0.9 hardly any interval would."""
MIN_HELD_OUT = 20
"""Fewer held-out values cannot tell a feature's interval; all features share one factor then."""
IMAGINARY = 5
"""Cells in which the values above zero do not change with the predicted value, beside those of each feature."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A feature's values as a mixture of zeros and values above zero, or as one kind of values if it has no zeros.

    The value expected if it is above zero is μ₊ = max(start + gain · (μ - center), start / 10), so one above zero has
    the probability μ / μ₊. The interval is μ₊ ± √variance(μ), and reaches down to zero where that probability is below
    `SURE`. Without zeros μ₊ = μ.

    Parameters
    ----------
    has_zeros
        (D,) features with zeros and values above, but none below.
    center, start, gain
        (D,) each: mean predicted value of values above zero, their mean, and its change with the predicted value; 0, 0
        and 1 without zeros.
    variance
        (D,) square of half the width.
    """

    has_zeros: np.ndarray
    center: np.ndarray
    start: np.ndarray
    gain: np.ndarray
    variance: Variance

    def above_zero(self, mean: np.ndarray) -> np.ndarray:
        """Values (n, D) that are expected if they are above zero, where (n, D) are predicted."""
        lowest = np.where(self.has_zeros, LOWEST * self.start, -np.inf)
        return np.maximum(self.start + self.gain * (mean - self.center), lowest)

    def reaches_zero(self, mean: np.ndarray) -> np.ndarray:
        """Of which predicted values (n, D) the interval holds zero, because it is probable enough."""
        return self.has_zeros & (mean < SURE * self.above_zero(mean))

    def bounds(self, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends (n, D) for predicted values (n, D)."""
        middle, half = self.above_zero(mean), np.sqrt(self.variance.predict(mean))
        lower = np.where(self.reaches_zero(mean), 0, middle - half)
        return np.maximum(lower, np.where(self.has_zeros, 0, -np.inf)), middle + half

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs."""
        own = {name: getattr(self, name) for name in ("has_zeros", "center", "start", "gain")}
        return own | {f"variance_{name}": array for name, array in self.variance.to_arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Interval":
        """The inverse of `to_arrays`."""
        prefix = "variance_"
        own = {name: array for name, array in arrays.items() if not name.startswith(prefix)}
        rest = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        return cls(**own, variance=Variance(**rest))


def fit_interval(mean: np.ndarray, truth: np.ndarray, held_out: np.ndarray) -> Interval:
    """Fit intervals to the values of cells; parameters as in `scmoe.readout._spread.fit_spread`.

    Where a feature has zeros, values above zero are regressed on the predicted ones. The width is the conformal one of
    these values in held-out cells (label-conditional, Vovk 2013): of an interval that reaches down to zero, they can
    only be beyond the upper end.
    """
    seen = np.isfinite(truth)
    values = np.where(seen, truth, 0).astype(np.float64)
    has_zeros = (values >= 0).all(0) & (values > 0).any(0) & (seen & (values == 0)).any(0)
    part = seen & ((values > 0) | ~has_zeros)
    n = np.maximum(part.sum(0), 1)
    center = np.where(part, mean, 0).sum(0, dtype=np.float64) / n
    start = np.where(part, values, 0).sum(0) / n
    offset = np.where(part, mean - center, 0)
    gain = (offset * values).sum(0) / np.maximum(np.square(offset).sum(0) * (1 + IMAGINARY / n), 1e-12)
    trial = Interval(
        has_zeros=has_zeros,
        center=np.where(has_zeros, center, 0),
        start=np.where(has_zeros, start, 0),
        gain=np.where(has_zeros, np.maximum(gain, 0), 1),
        variance=Variance(center=center, level=np.ones_like(center), slope=np.zeros_like(center)),
    )
    error = values - trial.above_zero(mean)
    variance = fit_variance(mean, error, part)
    distance = np.where(trial.reaches_zero(mean), error, np.abs(error)) / np.sqrt(variance.predict(mean))
    calibration = held_out if part[held_out].any() else np.ones_like(held_out)
    square = np.square(conformal_factor(np.where(part, distance, np.nan)[calibration]))
    return Interval(
        has_zeros=has_zeros,
        center=trial.center.astype(np.float32),
        start=trial.start.astype(np.float32),
        gain=trial.gain.astype(np.float32),
        variance=Variance(
            center=variance.center.astype(np.float32),
            level=(square * variance.level).astype(np.float32),
            slope=(square * variance.slope).astype(np.float32),
        ),
    )


def conformal_factor(ratio: np.ndarray) -> np.ndarray:
    """(D,) factors from errors in standard deviations (n, D), NaN where missing; NaN if all are."""
    n = np.isfinite(ratio).sum(0)
    if not n.any():  # nothing tells how far predictions of new cells are off
        return np.full(ratio.shape[1], np.nan)
    share = min(INTERVAL * (1 + 1 / int(n.sum())), 1)
    together = float(np.nanquantile(ratio, share))
    levels = np.minimum(np.ceil((n + 1) * INTERVAL) / np.maximum(n, 1), 1)
    factor = np.full(ratio.shape[1], together)
    for level in np.unique(levels[n >= MIN_HELD_OUT]):  # one for all, unless values are missing
        features = (levels == level) & (n >= MIN_HELD_OUT)
        factor[features] = np.nanquantile(ratio[:, features], level, axis=0)
    # A feature that is hardly ever present has held-out errors near zero: it keeps the width of its mean squared error.
    return np.maximum(factor, 1e-3)
