"""How many cells each type has, by rank, where the most frequent has a given number of times those of the rarest."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ROUNDING = 1e-9
"""Share by which a product of floating-point numbers may miss a whole number."""


def shares(n_types: int, rho: float) -> NDArray[np.float64]:
    """Cells by rank, relative to those of the first: (n_types,), from 1 to 1 / rho."""
    return rho ** (-np.arange(n_types) / (n_types - 1))


def profile(n_types: int, rho: float, n_total: int) -> NDArray[np.int64]:
    """Whole numbers of cells by rank that sum to `n_total`: those with the largest remainders are rounded up."""
    exact = n_total * shares(n_types, rho) / shares(n_types, rho).sum()
    counts = np.floor(exact * (1 + ROUNDING)).astype(np.int64)
    most = np.argsort(counts - exact, kind="stable")[: n_total - counts.sum()]
    counts[most] += 1
    return counts


def largest_total(ranked: pd.Series, rhos: Iterable[float]) -> int:
    """The largest total that all factors allow, for the cells of each type by rank."""
    relative = [shares(len(ranked), rho) for rho in rhos]
    return int(min((ranked.to_numpy() / row).min() * row.sum() * (1 + ROUNDING) for row in relative))


def least_total(n_types: int, rho: float, min_cells: int) -> int:
    """The smallest total that leaves the rarest type with `min_cells`."""
    relative = shares(n_types, rho)
    total = max(int((min_cells - 1) * relative.sum() / relative[-1]), 1)
    while profile(n_types, rho, total)[-1] < min_cells:
        total += 1
    return total
