"""What chance does: shares of experts after the modalities, or the groups, of cells have been permuted."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from scmoe.explain._groups import group_indicator

N_PERMUTATIONS = 1000
CELLS_AT_ONCE = 2048
"""Bounds the memory of drawing all permutations at once."""
ROUNDING = 1e-12
"""Two sums of the same numbers in another order may differ by this."""

Array = NDArray[np.float64]


def stack_shares(shares: Mapping[str, NDArray[np.floating]]) -> Array:
    """Stack the shares of all modalities, each (n_cells, layers, experts), as (n_cells, modalities, layers, experts).

    Shares of a token's experts sum to 1 then.

    Raises
    ------
    ValueError
        There is no modality, or the shapes differ.
    """
    shapes = {name: np.shape(values) for name, values in shares.items()}
    if not shapes or len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 3:
        listing = ", ".join(f"{name}: {shape}" for name, shape in shapes.items()) or "none"
        raise ValueError(f"Shares must be cells x layers x experts, of one shape in all modalities; found {listing}.")
    stacked = np.stack([np.asarray(values, dtype=np.float64) for values in shares.values()], axis=1)
    # The paper's gate leaves weight outside the chosen experts; a cell's tokens count alike all the same.
    return stacked / stacked.sum(axis=-1, keepdims=True)


def present_in(stacked: Array) -> NDArray[np.bool_]:
    """Which cells have which modalities, (n_cells, modalities)."""
    return np.asarray(np.isfinite(stacked).all(axis=tuple(range(2, stacked.ndim))))


def group_codes(n_cells: int, groups: pd.Series | None) -> tuple[list[str], NDArray[np.intp]]:
    """Names of the groups, and the position of every cell's group among them; -1 without a group."""
    names, membership = group_indicator(n_cells, groups)
    codes = np.full(n_cells, -1, dtype=np.intp)
    rows, cells = membership.nonzero()
    codes[cells[rows > 0]] = rows[rows > 0] - 1
    return names[1:], codes


def named_group_codes(n_cells: int, groups: pd.Series) -> tuple[list[str], NDArray[np.intp]]:
    """As `group_codes`, for what cannot do without groups.

    Raises
    ------
    ValueError
        No cell has a group.
    """
    names, codes = group_codes(n_cells, groups)
    if not names:
        raise ValueError("groups names no group: the group of every cell is missing.")
    return names, codes


def strata_of(present: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number the combinations of modalities; cells (rows) that have the same ones are in one stratum."""
    return np.unique(present, axis=0, return_inverse=True)[1].ravel()


def permute_modalities(stacked: Array, n_permutations: int, seed: int) -> Array:
    """Sums over cells of (n_cells, V, ...) with the modalities permuted within each cell.

    All tokens of one modality of one cell move together, for they share the cell's input. Labels move by a random
    number of places in the circle of the modalities that the cell has: a group of permutations in which each modality
    may become each other, so that the test stays exact. A cell with one modality stays as it is.

    Returns
    -------
    (1 + n_permutations, V, ...); the first entry is the observed one.

    Raises
    ------
    ValueError
        `n_permutations` is below 1.
    """
    rng = np.random.default_rng(seed)
    present = present_in(stacked)
    flat = stacked.reshape(*stacked.shape[:2], -1)
    sums = np.zeros((1 + n_permutations, *flat.shape[1:]))
    for pattern in np.unique(present, axis=0):
        columns = np.flatnonzero(pattern)
        cells = np.flatnonzero((present == pattern).all(axis=1))
        for start in range(0, len(cells) if len(columns) else 0, CELLS_AT_ONCE):
            part = flat[np.ix_(cells[start : start + CELLS_AT_ONCE], columns)]
            shifts = rng.integers(len(columns), size=(1 + n_permutations, len(part)), dtype=np.int8)
            shifts[0] = 0  # the observed order
            for shift in range(len(columns)):
                shifted = np.roll(part, shift, axis=1).reshape(len(part), -1)
                sums[:, columns] += ((shifts == shift).astype(np.float64) @ shifted).reshape(-1, *part.shape[1:])
    return sums.reshape(len(sums), *stacked.shape[1:])


def shuffled(strata: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """A random order of the cells that keeps each cell in its stratum."""
    order = np.argsort(strata, kind="stable")
    random = np.lexsort((rng.random(len(strata)), strata))
    out = np.empty_like(order)
    out[order] = random
    return out


def permute_groups(stacked: Array, codes: NDArray[np.intp], n_permutations: int, seed: int) -> Iterator[Array]:
    """Sums over the cells of each group, (groups, V, ...): the observed ones, then with the groups permuted.

    Groups are permuted among cells that have the same modalities, so that a group that lacks one is not taken for a
    group that uses other experts. Cells without a group (-1) are left out.
    """
    has_group = codes >= 0
    stacked, codes = stacked[has_group], codes[has_group]
    strata = strata_of(present_in(stacked))
    flat = np.nan_to_num(stacked.reshape(len(stacked), -1))
    rng = np.random.default_rng(seed)
    n_groups = int(codes.max(initial=-1)) + 1
    for i in range(1 + n_permutations):
        assignment = codes[shuffled(strata, rng)] if i else codes
        members = csr_array(
            (np.ones(len(assignment)), (assignment, np.arange(len(assignment)))), shape=(n_groups, len(assignment))
        )
        yield np.asarray(members @ flat).reshape(n_groups, *stacked.shape[1:])


def permutation_p(statistic: Array) -> Array:
    """P-values (...) of statistics (1 + R, ...): the share of values, the observed first one too, that reach it."""
    return np.asarray((statistic >= statistic[0] - ROUNDING).mean(axis=0))


def permutation_columns(statistic: Array) -> dict[str, float]:
    """Columns ``null_mean`` and ``p`` of a statistic (1 + R,), of which the first value is the observed one."""
    return {"null_mean": float(statistic[1:].mean()), "p": float(permutation_p(statistic))}
