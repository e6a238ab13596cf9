"""Whether taking an expert away changes what is predicted of the cells that use it."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.arguments._checked import checks_arguments
from scmoe.explain._groups import group_indicator, group_sums

COLUMNS = ["layer", "group", "expert", "use", "load", "change", "expected", "n_cells"]


@checks_arguments
def expert_ablation_table(
    use: NDArray[np.floating], change: NDArray[np.floating], groups: pd.Series | None = None
) -> pd.DataFrame:
    """Average, over the cells of each group, what predictions change by without an expert, beside a random expert.

    Parameters
    ----------
    use
        Weight of each expert, ``(n_cells, n_layers, n_experts)``; NaN in cells that do not count.
    change
        Change of the predictions without it, in the same form, as `scmoe.model.SCMOE.get_expert_ablation` returns both.
    groups
        Group of every cell, ``(n_cells,)``; cells without a group count in ``"all cells"`` only.

    Returns
    -------
    A tidy frame with columns ``layer``, ``group``, ``expert``, ``use`` (in the group), ``load`` (use in all cells),
    ``change``, ``expected`` and ``n_cells``. ``expected`` is the change, in the same group, without a random other
    expert of equal load: the sum of the changes without each other expert, over the sum of their loads, times the
    load. An expert that a group depends on more than its load says has a ``change`` above it.

    Raises
    ------
    ValueError
        The shapes differ, or `groups` does not fit the cells.

    Examples
    --------
    >>> use, change = np.full((4, 1, 2), 0.5), np.tile([3.0, 1.0], (4, 1, 1))
    >>> table = scmoe.explain.expert_ablation_table(use, change)
    >>> table[["expert", "change", "expected"]].values.tolist()
    [[0.0, 3.0, 1.0], [1.0, 1.0, 3.0]]
    """
    if use.shape != change.shape or use.ndim != 3:
        raise ValueError(
            f"use and change must both be cells x layers x experts; found the shapes {use.shape} and {change.shape}."
        )
    names, membership = group_indicator(len(use), groups)
    known = np.isfinite(use).all(axis=(1, 2)) & np.isfinite(change).all(axis=(1, 2))
    n_cells = group_sums(membership, known).astype(int)
    size = np.maximum(n_cells, 1)[:, None, None]
    means = [group_sums(membership, np.where(known[:, None, None], x, np.nan)) / size for x in (use, change)]
    load = np.broadcast_to(means[0][:1], means[0].shape)
    others = [x.sum(axis=2, keepdims=True) - x for x in (means[1], load)]
    expected = load * others[0] / np.where(others[1] > 0, others[1], np.nan)
    rows = np.flatnonzero(n_cells)
    group, layer, expert = (axis.ravel() for axis in np.indices((len(rows), *use.shape[1:])))
    table = pd.DataFrame(
        {
            "layer": layer,
            "group": np.array(names, dtype=object)[rows][group],
            "expert": expert,
            "use": means[0][rows].ravel(),
            "load": load[rows].ravel(),
            "change": means[1][rows].ravel(),
            "expected": expected[rows].ravel(),
            "n_cells": n_cells[rows][group],
        }
    )
    return table[COLUMNS]
