"""Hubness: whether a group of cells is among the neighbors of too many cells."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from scmoe._align import in_one_order
from scmoe.arguments._checked import checks_arguments
from scmoe.metrics._confusion import numbers

N_NEIGHBORS = 15
"""As in the graph of the embedding."""
MAX_QUERIES = 2000
"""Cells of the group, and of the others, whose neighbors are looked at: with so few the exact search is fast."""


class HubRatio(NamedTuple):
    """What `scmoe.metrics.hub_ratio` returns: shares of neighbors over those of chance.

    Parameters
    ----------
    within
        Of the neighbors of the group's own cells; NaN for a group of one cell.
    outside
        Of the neighbors of all other cells.
    """

    within: float
    outside: float


@checks_arguments
def hub_ratio(
    embedding: ArrayLike | pd.DataFrame,
    group: ArrayLike | pd.Series,
    *,
    n_neighbors: int = N_NEIGHBORS,
    seed: int = 0,
) -> HubRatio:
    """Share of a group of cells among the nearest neighbors of cells, over what chance would give.

    Of n cells m are in the group. Chance is the share of the group among the cells that can be neighbors:
    (m - 1) / (n - 1) for a cell of the group, m / (n - 1) for another cell.

    Cells that a model was not fitted on, such as validation cells or a query, may shrink to the center of an embedding.
    They are hubs then :cite:p:`radovanovic2010`: near to everything, and among the neighbors of cells that they do not
    resemble. `outside` shows it: it is near 1 for random cells, at most about 1 for cells that lie apart (another type
    or batch), and above 1 for hubs only. `within` is above 1 for both.

    Parameters
    ----------
    embedding
        ``(n_cells, width)``.
    group
        Whether a cell is in the group, True or False, ``(n_cells,)``. If both have names, cells are matched by them.
    n_neighbors
        Neighbors of each cell, fewer where there are fewer other cells.
    seed
        Of the choice of cells whose neighbors are looked at, where the group or the others are more than 2000. All
        cells can be neighbors.

    Returns
    -------
    HubRatio
        ``within`` and ``outside``; 1 is chance.

    Raises
    ------
    ValueError
        The group is empty or holds all cells, has other entries than True and False, or other cells than the
        embedding; or the embedding holds others than finite numbers.

    Examples
    --------
    >>> hub_ratio([[0.0], [0.1], [5.0], [5.1]], [True, False, True, False], n_neighbors=1).outside
    1.5
    """
    embedding, group = in_one_order({"embedding": embedding, "group": group})
    points, mask = numbers(embedding, "embedding"), np.asarray(group)
    if points.ndim != 2 or mask.shape != points.shape[:1]:
        raise ValueError(
            "embedding must be cells x width and group have one entry a cell; found the shapes "
            f"{points.shape} and {mask.shape}."
        )
    if not np.isfinite(points).all():
        cell = int((~np.isfinite(points)).any(axis=1).argmax())
        raise ValueError(f"embedding must hold finite numbers; found others in cell number {cell}.")
    mask = np.array(mask.tolist()) if mask.dtype == object else mask
    if mask.dtype != bool:
        raise ValueError(f"group must say True or False of each cell; found entries like {mask[:1].tolist()}.")
    if mask.all() or not mask.any():
        raise ValueError(f"group must hold some of the cells; found {mask.sum()} of {len(mask)}.")
    # In random order, cells are drawn at random, and those at the same place are not chosen by their position.
    order = np.random.default_rng(seed).permutation(len(points))
    points, mask = points[order], mask[order]
    n, m = len(mask), int(mask.sum())
    own, other = (np.flatnonzero(mask == side)[:MAX_QUERIES] for side in (True, False))
    near = nearest(points, np.concatenate([own, other]), min(n_neighbors, n - 1))
    is_hub = mask[near]
    within = is_hub[: len(own)].mean() * (n - 1) / (m - 1) if m > 1 else np.nan
    return HubRatio(within=float(within), outside=float(is_hub[len(own) :].mean() * (n - 1) / m))


def nearest(points: NDArray[np.float64], cells: NDArray[np.integer], k: int) -> NDArray[np.integer]:
    """The k nearest other points of some of the points, (cells, k)."""
    index = NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(points[cells], return_distance=False)
    others = index != cells[:, None]
    others[others.all(axis=1), -1] = False  # among many points at one place a point may not find itself
    return index[others].reshape(len(cells), k)
