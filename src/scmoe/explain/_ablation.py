"""What losses rise when a modality is taken away."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.arguments._checked import checks_arguments
from scmoe.explain._groups import group_indicator, group_sums


@checks_arguments
def ablation_table(
    loss: NDArray[np.floating],
    loss_hidden: NDArray[np.floating],
    modalities: Sequence[str],
    outcomes: Sequence[str],
    groups: pd.Series | None = None,
) -> pd.DataFrame:
    """Average losses with and without each modality over the cells of each group.

    Parameters
    ----------
    loss
        Loss of each cell for each outcome with all modalities, ``(n_cells, n_modalities, n_outcomes)``, to be compared
        with `loss_hidden`; NaN where the cell does not count.
    loss_hidden
        The same without the modality of the second axis, as `scmoe.model.SCMOE.get_ablation` returns it.
    modalities
        Names, in the order of the second axis.
    outcomes
        Names, in the order of the last axis.
    groups
        Group of every cell, ``(n_cells,)``; cells without a group count in ``"all cells"`` only.

    Returns
    -------
    A tidy frame with columns ``group``, ``hidden`` (the modality taken away), ``outcome``, ``loss``, ``loss_hidden``,
    ``increase`` (their difference), ``standard_error`` (of the increase over cells: standard deviation over the square
    root of ``n_cells``; NaN with a single cell) and ``n_cells`` (cells in which both losses are known). Combinations
    without a cell are left out. The standard error is about these cells and this model; another seed's model may differ
    by more.

    Raises
    ------
    ValueError
        If the shapes do not fit the names or each other, or `groups` does not fit the cells.

    Examples
    --------
    >>> loss = np.full((3, 1, 1), 1.0)  # 3 cells, 1 modality, 1 outcome
    >>> table = scmoe.explain.ablation_table(loss, loss + 0.5, ["rna"], ["label"])
    >>> table["increase"].tolist()
    [0.5]
    """
    shape = (len(modalities), len(outcomes))
    if loss.shape != loss_hidden.shape or loss.ndim != 3 or loss.shape[1:] != shape:
        raise ValueError(
            f"loss and loss_hidden must be cells x {shape[0]} modalities x {shape[1]} outcomes; found the shapes "
            f"{loss.shape} and {loss_hidden.shape}."
        )
    names, membership = group_indicator(len(loss), groups)
    known = np.isfinite(loss) & np.isfinite(loss_hidden)
    before, after = (np.where(known, values, np.nan).astype(np.float64) for values in (loss, loss_hidden))
    n_cells = group_sums(membership, known)
    size = np.maximum(n_cells, 1)
    rise = after - before
    increase = group_sums(membership, rise) / size
    # Squares are taken around the mean over all cells, near that of each group, so that few digits are lost.
    center = np.where(known, rise, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    variance = group_sums(membership, (rise - center) ** 2) / size - (increase - center) ** 2
    error = np.sqrt(variance.clip(min=0) / np.where(n_cells > 1, n_cells - 1, np.nan))
    group, hidden, outcome = (axis.ravel() for axis in np.indices(n_cells.shape))
    table = pd.DataFrame(
        {
            "group": np.array(names, dtype=object)[group],
            "hidden": np.array(modalities, dtype=object)[hidden],
            "outcome": np.array(outcomes, dtype=object)[outcome],
            "loss": (group_sums(membership, before) / size).ravel(),
            "loss_hidden": (group_sums(membership, after) / size).ravel(),
            "increase": increase.ravel(),
            "standard_error": error.ravel(),
            "n_cells": n_cells.astype(int).ravel(),
        }
    )
    return table[table["n_cells"] > 0].reset_index(drop=True)
