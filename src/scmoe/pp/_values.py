"""Tell from the values alone how they were made: counted, scaled, or taken to logarithms."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from scmoe._check import Matrix

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


class Origin(NamedTuple):
    """How the values of a modality were made."""

    name: str
    """``"scaled"`` (counts times a factor for each cell), ``"logarithms"`` (of such), ``"unknown"``."""
    reason: str
    """A phrase for the log."""
    uneven: bool
    """Whether, taken as logarithms, cells would have totals of any size: values are none then."""


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
    rows = np.unique(np.linspace(0, matrix.shape[0] - 1, min(MAX_CELLS, matrix.shape[0])).astype(int))
    part = matrix.tocsr()[rows] if sparse.issparse(matrix) else np.asarray(matrix)[rows]
    x = np.nan_to_num((part.toarray() if sparse.issparse(part) else part).astype(np.float64))
    x = x[(x > 0).any(1)]
    largest = float(x.max(initial=0))
    spread = totals = np.inf
    if largest <= MAX_LOG_VALUE:
        for base, factor in BASES.items():
            raised = np.expm1(x * factor)
            name = "" if base == "e" else f" to base {base}"
            totals = _spread(raised)
            if totals < SAME_TOTAL and len(x) > 1:
                total = raised.sum(1).mean()
                return Origin("logarithms", f"logarithms{name} of values that sum to {total:.5g} in each cell", False)
            if _are_multiples(raised):
                return Origin("logarithms", f"logarithms{name} of counts", False)
            spread = min(spread, totals)
    if _spread(x) < SAME_TOTAL and len(x) > 1:
        return Origin("scaled", f"values that sum to {x.sum(1).mean():.5g} in each cell", True)
    if _are_multiples(x):
        return Origin("scaled", "multiples of one value in each cell", True)
    problem = f"fractional values from 0 to {largest:.4g}, which neither are whole nor share a total"
    return Origin("unknown", problem, spread > UNEVEN)


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
