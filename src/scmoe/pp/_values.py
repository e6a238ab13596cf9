"""Tell from the values alone how they were made: counted, scaled, taken to logarithms, centered, standardized."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from scmoe._matrix import MAX_ROUNDING, Matrix, is_count, value_blocks, value_range

MAX_CELLS = 500
"""Cells that are looked at, spread evenly over the data."""
SAME_TOTAL = 1e-3
"""Standard deviation of the cells' totals, relative to their mean, below which they are one total."""
UNEVEN = 1.0
"""The same ratio above which totals are no property of a normalization."""
MIN_SHARE = 0.95
"""Share of values that must be multiples of a cell's smallest one for these to be counts of something."""
ROUNDING = 0.02
"""How far, at most, such a multiple is from a whole number."""
MAX_MULTIPLE = 20
"""Larger multiples say nothing: rounding of float32 reaches whole numbers by chance."""
MIN_MULTIPLES = 20
"""Values above the smallest one of their cell that a judgment needs."""
BASES = {"e": 1.0, "2": float(np.log(2)), "10": float(np.log(10))}
"""Logarithms that are in use, by the factor that makes natural ones of them."""
MAX_LOG_VALUE = 20.0
"""log1p of any count of one molecule in one cell stays below this; larger values are not logarithms."""
CENTERED = 1e-3
"""Mean of a cell, in standard deviations of all values, up to which it is zero."""
MIN_CENTERED = 3
"""Features whose mean says anything."""
SAME = 0.01
"""How far standard deviations of features in another unit may be from one another, in all features."""
MIN_STANDARDIZED = 10
"""Cells whose mean and standard deviation say anything."""
STANDARD_MEAN, STANDARD_DEVIATION = 0.1, 0.25
"""How far the mean of a standardized feature may be from 0, and its standard deviation from 1, in the middle feature:
cells may have been chosen, and values clipped, since."""


class Origin(NamedTuple):
    """How the values of a modality were made."""

    name: str
    """``"scaled"`` (counts times a factor for each cell), ``"logarithms"`` (of such), ``"large"`` (too large for
    logarithms, and not scaled), ``"unknown"``; of `describe` also ``"empty"`` (all zero), ``"counts"``, ``"binary"``,
    and of values some of which are negative ``"centered"`` (each cell has mean 0), ``"standardized"`` (each feature has
    mean 0 and standard deviation 1), ``"signed"``."""
    reason: str
    """A phrase for the log."""
    uneven: bool = False
    """Whether, taken as logarithms, cells would have totals of any size: values are none then."""
    base: str = ""
    """Of logarithms, a key of `BASES`."""
    total: float = 0.0
    """That all cells have in common, of logarithms before these were taken; 0: none."""


def describe(matrix: Matrix) -> Origin:
    """Say how values of any kind were made.

    Parameters
    ----------
    matrix
        Cells x features, dense or sparse, finite or NaN. Whether all are whole, and some negative, is looked up in all
        cells; the rest in some.
    """
    low, high = value_range(matrix)
    if low == high == 0:
        return Origin("empty", "zeros alone")
    if all(is_count(values).all() for values in value_blocks(matrix, skip_missing=True)):
        return Origin("counts", "raw counts") if high > 1 + MAX_ROUNDING else Origin("binary", "0 and 1 alone")
    if low >= 0:
        return judge(matrix)
    n_signed, n = (
        sum(int(np.count_nonzero(is_some(values))) for values in value_blocks(matrix, skip_missing=True))
        for is_some in (lambda values: values < 0, lambda values: values)
    )
    return _of_signed(_some_cells(matrix), n_signed / n)


def _of_signed(x: np.ndarray, share: float) -> Origin:
    """How values (n, D), NaN where missing, were made, a share of which are negative."""
    seen = ~np.isnan(x)
    x = np.where(seen, x, 0)
    cell_mean = x.sum(1) / np.maximum(seen.sum(1), 1)
    if x.shape[1] >= MIN_CENTERED and (np.abs(cell_mean) < CENTERED * x.std()).all():
        return Origin("centered", "values with a mean of 0 in each cell")
    n = np.maximum(seen.sum(0), 1)
    mean = x.sum(0) / n
    deviation = np.sqrt((np.square(x - mean) * seen).sum(0) / n)
    differs = deviation > 0
    if len(x) >= MIN_STANDARDIZED and differs.any():
        middle = np.median(np.abs(mean[differs])), np.median(np.abs(deviation[differs] - 1))
        if middle[0] < STANDARD_MEAN and middle[1] < STANDARD_DEVIATION:
            return Origin("standardized", "standardized values (features with mean 0 and standard deviation 1)")
        unit = np.median(deviation[differs])
        if (np.abs(mean[differs]) < SAME * unit).all() and (np.abs(deviation[differs] / unit - 1) < SAME).all():
            return Origin(
                "standardized", f"standardized values (features with mean 0 and standard deviation {unit:.3g})"
            )
    return Origin("signed", f"values of which {share:.0%} are negative")


def judge(matrix: Matrix) -> Origin:
    """Say how fractional, non-negative values were made.

    Counts, whatever factor a cell was scaled by, are whole multiples of the smallest value of their cell, if that
    stands for one molecule. Values that were scaled to one total add up to it. The same holds of logarithms after
    exponentiation. Counts from which a share was subtracted (ambient molecules) are neither.

    Parameters
    ----------
    matrix
        Cells x features, dense or sparse, finite or NaN, not negative.
    """
    x = np.nan_to_num(_some_cells(matrix))
    x = x[(x > 0).any(1)]
    largest = float(x.max(initial=0))
    # Totals of all bases first: they are surer than multiples, which small values are to any base.
    raised = {base: np.expm1(x * factor) for base, factor in BASES.items()} if largest <= MAX_LOG_VALUE else {}
    spread = np.inf
    for base, values in raised.items():
        totals = _spread(values)
        if totals < SAME_TOTAL and len(x) > 1:
            total = float(values.sum(1).mean())
            reason = f"{_logarithms(base)} of values that sum to {total:.5g} in each cell"
            return Origin("logarithms", reason, base=base, total=total)
        spread = min(spread, totals)
    for base, values in raised.items():
        if _are_multiples(values):
            return Origin("logarithms", f"{_logarithms(base)} of counts", base=base)
    if _spread(x) < SAME_TOTAL and len(x) > 1:
        total = float(x.sum(1).mean())
        return Origin("scaled", f"values that sum to {total:.5g} in each cell", True, total=total)
    if _are_multiples(x):
        return Origin("scaled", "multiples of one value in each cell", True)
    problem = f"fractional values from 0 to {largest:.4g}, which neither are whole nor share a total"
    return Origin("unknown" if raised else "large", problem, spread > UNEVEN)


def _some_cells(matrix: Matrix) -> np.ndarray:
    """At most `MAX_CELLS` cells, evenly from all, as a dense float64 array."""
    rows = some_rows(matrix.shape[0])
    part = matrix.tocsr()[rows] if sparse.issparse(matrix) else np.asarray(matrix)[rows]
    return (part.toarray() if sparse.issparse(part) else part).astype(np.float64)


def some_rows(n_cells: int) -> np.ndarray:
    """At most `MAX_CELLS` positions, evenly from all."""
    return np.unique(np.linspace(0, n_cells - 1, min(MAX_CELLS, n_cells)).astype(int))


def _logarithms(base: str) -> str:
    return "logarithms" if base == "e" else f"logarithms to base {base}"


def _spread(x: np.ndarray) -> float:
    """Standard deviation of the cells' totals over their mean."""
    total = x.sum(1)
    return float(total.std() / max(total.mean(), 1e-12)) if len(total) else np.inf


def _are_multiples(x: np.ndarray) -> bool:
    """Whether values are whole multiples of the smallest of their cell, and some are more than once that."""
    smallest = np.where(x > 0, x, np.inf).min(1, keepdims=True)
    ratio = x / smallest
    some = ratio[(x > 0) & (ratio > 1 + ROUNDING) & (ratio <= MAX_MULTIPLE)]
    if len(some) < MIN_MULTIPLES:
        return False
    return bool((np.abs(some - np.round(some)) <= ROUNDING).mean() >= MIN_SHARE)
