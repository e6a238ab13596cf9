"""The interval of a share that stays within 0 and 1, and has a width where all are right."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm


def wilson_interval(right: ArrayLike, n: ArrayLike, level: float = 0.95) -> NDArray[np.float64]:
    """Ends of the intervals of shares, (2, ...), of `right` among `n`; NaN where `n` is 0 (Wilson 1927)."""
    k, total = np.asarray(right, dtype=np.float64), np.asarray(n, dtype=np.float64)
    total = np.where(total > 0, total, np.nan)
    z = norm.ppf((1 + level) / 2)
    share, scale = k / total, 1 + z**2 / total
    middle = (share + z**2 / (2 * total)) / scale
    half = z / scale * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return np.stack([middle - half, middle + half]).clip(0, 1)
