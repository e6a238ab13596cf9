"""Dividing sets of cells that stay together into parts."""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.integer]
TRAIN = 0


def apportion(
    n: int, shares: NDArray[np.float64], least: NDArray[np.integer], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Whole numbers that sum to `n`, within one of `n` times `shares`, and at least `least`.

    What is left after rounding down goes to parts at random, in proportion to their remainders. So over many classes
    no part is favored.
    """
    exact = np.round(n * shares, 9)
    counts = np.maximum(np.floor(exact).astype(np.int64), least)
    while counts.sum() > n:
        counts[np.argmax(np.where(counts > least, counts, -1))] -= 1
    remainder = np.clip(exact - counts, 0, None)
    rest = n - counts.sum()
    if rest:
        counts[rng.choice(len(shares), size=rest, replace=False, p=remainder / remainder.sum())] += 1
    return counts


def allot_labels(units: Codes, classes: Codes, shares: NDArray[np.float64], rng: np.random.Generator) -> Codes:
    """Part of each cell: each class is divided by `shares`, with one cell in training before any elsewhere.

    Parameters
    ----------
    units
        (n_cells,) cells with the same code stay together; they count as of the class of the first.
    classes
        (n_cells,) codes.
    shares
        (n_parts,), the first of the training part.
    rng
        Of the division.
    """
    _, first, unit, size = np.unique(units, return_index=True, return_inverse=True, return_counts=True)
    part_of_unit = np.zeros(len(size), dtype=int)
    class_of_unit = classes[first]
    for code in np.unique(classes):
        members = rng.permutation(np.flatnonzero(class_of_unit == code))
        least = (np.arange(len(shares)) == TRAIN).astype(int)
        if len(members):
            sizes = apportion(int(size[members].sum()), shares, least, rng)
            part_of_unit[members] = fill(size[members], sizes)
    return part_of_unit[unit]


def fill(sizes: NDArray[np.integer], targets: NDArray[np.int64]) -> Codes:
    """Part of each unit: the largest come first, and go to the part that lacks most cells."""
    missing, part = targets.copy(), np.empty(len(sizes), dtype=int)
    for unit in np.argsort(-sizes, kind="stable"):
        part[unit] = missing.argmax()
        missing[part[unit]] -= sizes[unit]
    return part


def allot_groups(groups: Codes, shares: NDArray[np.float64], rng: np.random.Generator, name: str) -> Codes:
    """Part of each cell: whole groups, divided by `shares` of their number, at least one for each part."""
    n_groups, n_parts = int(groups.max()) + 1, int((shares > 0).sum())
    if n_groups < n_parts:
        raise ValueError(
            f"group_key={name!r} has {n_groups} groups that can be kept apart (groups that hold the same cells "
            f"cannot), fewer than the {n_parts} parts. Set the share of a part to 0, as in fractions=(0.5, 0, 0.5), "
            "or use more groups."
        )
    counts = apportion(n_groups, shares, (shares > 0).astype(int), rng)
    return rng.permutation(np.repeat(np.arange(len(shares)), counts))[groups]
