"""How far predictions are off: a standard deviation for each predicted value."""

from dataclasses import dataclass

import numpy as np

INTERVAL = 0.9
"""Share of held-out values that an interval of ± `WIDTH` standard deviations covers."""
WIDTH = 1.645
"""Of the interval, in standard deviations, as if errors were normal."""
MIN_HELD_OUT = 20
"""Fewer held-out cells cannot tell a feature's interval; all features share one factor then."""
LOWEST = 0.1
"""A variance is at least this share of the feature's mean variance."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Predictive standard deviation of each feature, as a function of the predicted value.

    sd = factor · √max(level + slope · (μ - center), level / 10)

    Parameters
    ----------
    center, level, slope, factor
        (D,) each: mean predicted value, mean squared error, its change with the predicted value, and the factor for
        which μ ± 1.645 sd covers 90 % of held-out values.
    """

    center: np.ndarray
    level: np.ndarray
    slope: np.ndarray
    factor: np.ndarray

    def predict(self, mean: np.ndarray) -> np.ndarray:
        """Standard deviation (n, D) of predicted values (n, D)."""
        variance = np.maximum(self.level + self.slope * (mean - self.center), LOWEST * self.level)
        return self.factor * np.sqrt(variance)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs."""
        return {name: getattr(self, name) for name in ("center", "level", "slope", "factor")}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Spread":
        """The inverse of `to_arrays`."""
        return cls(**arrays)


def fit_spread(mean: np.ndarray, truth: np.ndarray, held_out: np.ndarray) -> Spread:
    """Fit it to the errors of predictions.

    The squared error of each feature is regressed on its predicted value (errors of counts grow with them). The factor
    is the conformal one (Lei et al. 2018) of cells that nothing was learned from.

    Parameters
    ----------
    mean
        (n, D) predicted values of cells.
    truth
        (n, D) their values; NaN where missing.
    held_out
        (n,) which of the cells nothing was learned from; without any, the standard deviations are NaN.
    """
    seen = np.isfinite(truth)
    n = np.maximum(seen.sum(0), 1)
    error = np.where(seen, truth - mean, 0).astype(np.float64)
    center = (mean * seen).sum(0) / n
    level = np.maximum(np.square(error).sum(0) / n, 1e-12)
    offset = np.where(seen, mean - center, 0)
    slope = (offset * np.square(error)).sum(0) / np.maximum(np.square(offset).sum(0), 1e-12)
    plain = Spread(center=center, level=level, slope=slope, factor=np.ones_like(level))
    if seen[held_out].any():
        ratio = np.where(seen, np.abs(error) / plain.predict(mean), np.nan)[held_out]
        plain = Spread(center=center, level=level, slope=slope, factor=conformal_factor(ratio))
    return Spread(**{name: array.astype(np.float32) for name, array in plain.to_arrays().items()})


def conformal_factor(ratio: np.ndarray) -> np.ndarray:
    """(D,) factors from absolute errors in standard deviations (n, D), NaN where missing."""
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
    return np.maximum(factor, 1e-3) / WIDTH
