"""How much groups differ: fold changes with their standard errors, and shares of cells in which a feature was seen."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scmoe._matrix import Matrix, dense
from scmoe.differential._observed import Unit

PSEUDOCOUNT = 0.01
"""Added to mean amounts, in counts of 10 000: fold changes of features that a group lacks stay finite."""
SUMS_AT_ONCE = 1 << 22


class Effects(NamedTuple):
    """Of K groups and D features."""

    log_fold_change: NDArray[np.float64]
    """(K, D) base 2; NaN where values have no zero to compare with, or no batch holds the group and others."""
    standard_error: NDArray[np.float64]
    """(K, D) over cells."""


def fold_changes(
    values: Matrix, unit: Unit, batches: NDArray[np.integer], groups: NDArray[np.integer], n_groups: int
) -> Effects:
    """Compare the mean of each group with that of the other cells, as if these came from the batches as its cells do.

    Parameters
    ----------
    values
        (n, D) in `unit`.
    batches, groups
        (n,) codes from 0 on; a group of -1: no group.
    n_groups
        K.
    """
    n_features = values.shape[1]
    if unit == "other":
        return Effects(*(np.full((n_groups, n_features), np.nan) for _ in range(2)))
    n_batches = int(batches.max(initial=-1)) + 1
    step = max(SUMS_AT_ONCE // max(n_batches * n_groups, 1), 1)
    parts = [
        _of_columns(_amounts(values[:, start : start + step], unit), unit, batches, groups, (n_batches, n_groups))
        for start in range(0, n_features, step)
    ]
    return Effects(*(np.concatenate(each, axis=1) for each in zip(*parts, strict=True)))


def shares_detected(
    detected: Matrix | None, groups: NDArray[np.integer], n_groups: int, n_features: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K, D) share of a group's cells, and of the others, in which each feature is above zero; NaN without zeros."""
    if detected is None:
        return tuple(np.full((n_groups, n_features), np.nan) for _ in range(2))  # type: ignore[return-value]
    is_seen = (detected > 0).astype(np.float64)
    size = np.bincount(groups[groups >= 0], minlength=n_groups).astype(np.float64)[:, None]
    inside, total = sums(indicator(groups, n_groups), is_seen), np.asarray(is_seen.sum(0)).reshape(1, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return inside / size, (total - inside) / (len(groups) - size)


def _of_columns(
    amounts: Matrix, unit: Unit, batches: NDArray[np.integer], groups: NDArray[np.integer], shape: tuple[int, int]
) -> Effects:
    n_batches, n_groups = shape
    pairs = np.where(groups >= 0, batches * n_groups + groups, -1)
    of_pair, of_batch = indicator(pairs, n_batches * n_groups), indicator(batches, n_batches)
    n_BK = np.asarray(of_pair.sum(1)).reshape(n_batches, n_groups, 1)
    m_BK = np.asarray(of_batch.sum(1)).reshape(n_batches, 1, 1) - n_BK
    weight = n_BK * (m_BK > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = weight / weight.sum(0)
        mean_in, mean_out, variance_in, variance_out = np.zeros((4, n_groups, amounts.shape[1]))
        powers = [
            (sums(of_pair, each).reshape(n_batches, n_groups, -1), sums(of_batch, each)[:, None])
            for each in (amounts, _square(amounts))
        ]
        for b in range(n_batches):
            (first, total), (second, total_second) = ((pair[b], batch[b]) for pair, batch in powers)
            here = weight[b] > 0
            one, one_variance = _mean_and_variance(first, second, n_BK[b])
            rest, rest_variance = _mean_and_variance(total - first, total_second - second, m_BK[b])
            mean_in += np.where(here, weight[b] * one, 0)
            mean_out += np.where(here, weight[b] * rest, 0)
            variance_in += np.where(here, weight[b] ** 2 * one_variance / n_BK[b], 0)
            variance_out += np.where(here, weight[b] ** 2 * rest_variance / m_BK[b], 0)
        is_compared = np.isfinite(weight.sum(0))
        if unit == "clr":
            change, error = mean_in - mean_out, np.sqrt(variance_in + variance_out)
        else:
            mean_in, mean_out = mean_in + PSEUDOCOUNT, mean_out + PSEUDOCOUNT
            change = np.log(mean_in / mean_out)
            error = np.sqrt(variance_in / mean_in**2 + variance_out / mean_out**2)
        return Effects(*(np.where(is_compared, each / np.log(2), np.nan) for each in (change, error)))


def _mean_and_variance(
    total: NDArray[np.float64], squares: NDArray[np.float64], n: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = total / n
    return mean, np.maximum(squares - n * mean**2, 0) / np.maximum(n - 1, 1)


def _amounts(values: Matrix, unit: Unit) -> Matrix:
    """Values whose means are compared."""
    if unit != "log":
        return values.astype(np.float64)
    values = values.astype(np.float64)
    if sparse.issparse(values):
        values.data = np.expm1(values.data)
        return values
    return np.expm1(np.maximum(values, 0))  # a decoded value may lie a little below zero


def _square(amounts: Matrix) -> Matrix:
    return amounts.multiply(amounts) if sparse.issparse(amounts) else amounts**2


def indicator(codes: NDArray[np.integer], n: int) -> sparse.csr_matrix:
    """(n, cells) 1 where a cell has the code; -1 is none."""
    cells = np.flatnonzero(codes >= 0)
    return sparse.csr_matrix((np.ones(len(cells)), (codes[cells], cells)), shape=(n, len(codes)))


def sums(of_code: sparse.csr_matrix, values: Matrix) -> NDArray[np.float64]:
    """(n, D) sums of the values of the cells of each code, which `indicator` gives."""
    return dense(of_code @ values)
