"""Sums over groups of cells as one sparse product."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

ALL_CELLS = "all cells"
"""Name of the group that holds every cell."""


def group_indicator(n_cells: int, groups: pd.Series | None) -> tuple[list[str], csr_array]:
    """Membership of cells in groups.

    Parameters
    ----------
    n_cells
        Number of cells.
    groups
        Group of every cell in the order of the arrays, or None. Cells without a group belong to ``"all cells"`` only.

    Returns
    -------
    names
        ``"all cells"`` followed by the groups (category order, else sorted).
    membership
        ``(n_groups, n_cells)``, 1 for members.

    Raises
    ------
    ValueError
        If the lengths differ or a group is called ``"all cells"``.
    """
    everyone = np.ones((1, n_cells))
    if groups is None:
        return [ALL_CELLS], csr_array(everyone)
    groups = pd.Series(groups)
    if len(groups) != n_cells:
        raise ValueError(f"groups must name one group a cell; found {len(groups)} entries for {n_cells} cells.")
    categories = groups.astype("category").cat.remove_unused_categories()
    names = [str(name) for name in categories.cat.categories]
    if ALL_CELLS in names:
        raise ValueError(f"A group is called {ALL_CELLS!r}, the name kept for all cells together; rename it.")
    members = categories.cat.codes.to_numpy()[None, :] == np.arange(len(names))[:, None]
    return [ALL_CELLS, *names], csr_array(np.concatenate([everyone, members.astype(np.float64)]))


def group_sums(membership: csr_array, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums over the cells of each group, ``(n_cells, ...)`` to ``(n_groups, ...)``; NaN counts as 0."""
    flat = np.nan_to_num(values.reshape(len(values), -1).astype(np.float64))
    return np.asarray(membership @ flat).reshape(membership.shape[0], *values.shape[1:])
