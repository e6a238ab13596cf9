"""Rank tests of many features and groups at once, among cells that can be compared.

Within each stratum cells are exchangeable if nothing differs, so the sum of the ranks of a group has the distribution
of a random draw without replacement. With N cells of a stratum, n of them in the group, and ranks r of mean r̄,

    mean      n r̄
    variance  n (N − n) / (N − 1) · m₂                           m₂ = Σ (r − r̄)² / N
    third     n (N − n) (N − 2n) / ((N − 1) (N − 2)) · m₃        m₃ = Σ (r − r̄)³ / N

Sums are weighted by 1 / (N + 1) and added over strata (van Elteren 1960). The p-value is that of the gamma distribution
with these three moments (Pearson's type III): few cells of a group, and features that few cells have, make sums skewed,
and a normal distribution would call them significant too often.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammainc, gammaincc, ndtr

from scmoe._matrix import Matrix

VALUES_AT_ONCE = 1 << 22
"""Values that are sorted at a time."""
SYMMETRIC = 1e-3
"""Skewness below which the normal distribution is as good, and the gamma distribution hard to compute."""
MIN_CELLS = 2
"""Cells of a group that have others to be compared with: one cell is no group."""


class RankTests(NamedTuple):
    """Of K groups and D features."""

    score: NDArray[np.float64]
    """(K, D) standardized sum of ranks, positive where the group is higher; NaN: nothing to compare."""
    p_value: NDArray[np.float64]
    """(K, D) two-sided; NaN as above."""
    auc: NDArray[np.float64]
    """(K, D) probability that a cell of the group is higher than another of its stratum, ties counted half."""


class _Moments(NamedTuple):
    """Of the weighted ranks of C features in S strata."""

    sums: NDArray[np.float64]
    """(K, C) of each group, minus the mean."""
    second: NDArray[np.float64]
    """(C, S) m₂."""
    third: NDArray[np.float64]
    """(C, S) m₃."""


def rank_tests(values: Matrix, strata: NDArray[np.integer], groups: NDArray[np.integer], n_groups: int) -> RankTests:
    """Compare each group with the other cells of the same strata.

    Parameters
    ----------
    values
        (n, D), dense or sparse, without NaN.
    strata
        (n,) codes from 0 on, of cells that can be compared.
    groups
        (n,) codes from 0 on; -1: of no group, compared with all.
    n_groups
        K.
    """
    n_strata, n_features = int(strata.max(initial=-1)) + 1, values.shape[1]
    size = np.bincount(strata, minlength=n_strata).astype(np.float64)
    member = groups >= 0
    pair = np.bincount(groups[member] * n_strata + strata[member], minlength=n_groups * n_strata)
    n_KS = pair.reshape(n_groups, n_strata).astype(np.float64)
    m_KS = size - n_KS
    weight = 1 / (size + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_second = np.where(size > 1, n_KS * m_KS / (size - 1), 0)
        of_third = np.where(size > 2, n_KS * m_KS * (size - 2 * n_KS) / ((size - 1) * (size - 2)), 0)
    columns = sparse.csc_matrix(values) if sparse.issparse(values) else values
    parts = []
    for start, stop in _chunks(columns, n_features):
        moments = _moments(columns[:, start:stop], strata, groups, size, n_KS, weight)
        variance, third = of_second @ moments.second.T, of_third @ moments.third.T
        parts.append((moments.sums, variance, third))
    sums, variance, third = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    n_compared = (n_KS * (m_KS > 0)).sum(1)[:, None]
    is_tested = (variance > 0) & (n_compared >= MIN_CELLS)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(is_tested, sums / np.sqrt(variance), np.nan)
        skewness = np.where(is_tested, third / variance**1.5, 0)
        pairs = (n_KS * m_KS) @ weight
        auc = np.where(n_compared > 0, np.clip(0.5 + sums / pairs[:, None], 0, 1), np.nan)
    return RankTests(score, two_sided(score, skewness), auc)


def _chunks(columns: Matrix, n_features: int) -> list[tuple[int, int]]:
    """Ranges of columns with about as many values as are sorted at a time."""
    if sparse.issparse(columns):
        until = columns.indptr[1:].astype(np.int64)
    else:
        until = columns.shape[0] * np.arange(1, n_features + 1)
    chunk = until // VALUES_AT_ONCE
    starts = np.flatnonzero(np.diff(chunk, prepend=-1))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), n_features], strict=True))


def _moments(
    block: Matrix,
    strata: NDArray[np.integer],
    groups: NDArray[np.integer],
    size: NDArray[np.float64],
    n_KS: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> _Moments:
    """Rank the values of some features within strata; zeros that a sparse matrix leaves out are ranked in one go."""
    n_columns, n_strata, n_groups = block.shape[1], len(size), len(n_KS)
    cell, column, value = _entries(block)
    key = column * n_strata + strata[cell]
    order = np.argsort(_sortable(key, value))
    cell, column, value, key = cell[order], column[order], value[order], key[order]
    stored = np.bincount(key, minlength=n_columns * n_strata).astype(np.int64)
    implicit = np.tile(size, n_columns) - stored
    n_below = np.bincount(key[value < 0], minlength=n_columns * n_strata)
    rank = _mean_ranks(key, value, stored) + np.where(value > 0, implicit[key], 0)
    deviation = (rank - (size[strata[cell]] + 1) / 2) * weight[strata[cell]]
    of_zeros = (n_below + (implicit + 1) / 2 - (np.tile(size, n_columns) + 1) / 2) * np.tile(weight, n_columns)
    square, square_of_zeros = deviation * deviation, of_zeros * of_zeros
    n_keys, per_cell = n_columns * n_strata, np.tile(np.maximum(size, 1), n_columns)
    second = np.bincount(key, square, minlength=n_keys) + implicit * square_of_zeros
    third = np.bincount(key, square * deviation, minlength=n_keys) + implicit * square_of_zeros * of_zeros
    member = groups[cell] >= 0
    place = groups[cell[member]] * n_columns + column[member]
    excess = np.bincount(place, (deviation - of_zeros[key])[member], minlength=n_groups * n_columns)
    sums = excess.reshape(n_groups, n_columns) + n_KS @ of_zeros.reshape(n_columns, n_strata).T
    return _Moments(sums, *((each / per_cell).reshape(n_columns, n_strata) for each in (second, third)))


def _entries(block: Matrix) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Row, column and value of all entries that are not zero; of a dense block, of all."""
    if not sparse.issparse(block):
        values = np.asarray(block)
        cell, column = (index.ravel() for index in np.indices(values.shape))
        return cell, column, values.astype(np.float32).ravel()
    column = np.repeat(np.arange(block.shape[1]), np.diff(block.indptr))
    is_value = block.data != 0
    return block.indices[is_value].astype(np.intp), column[is_value], block.data[is_value].astype(np.float32)


def _sortable(key: NDArray[np.intp], value: NDArray[np.float32]) -> NDArray[np.int64]:
    """One whole number for key and value, in the same order: sorting it takes half the time of sorting by both."""
    bits = value.view(np.int32).astype(np.int64)
    # The bits of positive numbers have their order; those of negative ones the reverse.
    return (key.astype(np.int64) << 32) + np.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))


def _mean_ranks(key: NDArray[np.intp], value: NDArray[np.float32], stored: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ranks from 1 on of sorted values within their key, equal ones with their mean."""
    if not len(key):
        return np.zeros(0)
    is_first = np.r_[True, (key[1:] != key[:-1]) | (value[1:] != value[:-1])]
    first = np.flatnonzero(is_first)
    last = np.r_[first[1:], len(key)] - 1
    middle = (first + last) / 2
    before = np.cumsum(stored) - stored
    return np.repeat(middle, last - first + 1) - before[key] + 1


def two_sided(score: NDArray[np.float64], skewness: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values of standardized sums with this skewness; NaN where the score is."""
    p = 2 * ndtr(-np.abs(score))
    is_skewed = np.abs(skewness) > SYMMETRIC
    shape = 4 / skewness[is_skewed] ** 2
    # A sum of negative skewness is minus one of positive skewness.
    place = np.maximum(shape + score[is_skewed] * np.sign(skewness[is_skewed]) * np.sqrt(shape), 0)
    p[is_skewed] = 2 * np.minimum(gammaincc(shape, place), gammainc(shape, place))
    return np.minimum(p, 1)
