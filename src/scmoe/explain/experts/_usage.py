"""Which experts serve which modality and which group of cells."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.arguments._checked import checks_arguments
from scmoe.explain._groups import group_indicator, group_sums

ALL_MODALITIES = "all modalities"
"""What tables of expert usage call the tokens of all modalities together."""
COLUMNS = ["layer", "modality", "group", "expert", "hard", "soft", "n_cells"]


@checks_arguments
def usage_table(
    soft: Mapping[str, NDArray[np.floating]],
    hard: Mapping[str, NDArray[np.floating]],
    groups: pd.Series | None = None,
) -> pd.DataFrame:
    """Average the experts' shares over the cells of each group.

    Parameters
    ----------
    soft
        Share of the routing weight, modality -> ``(n_cells, n_layers, n_experts)``; each row sums to 1, or is NaN
        where the cell lacks the modality.
    hard
        Share of the routed tokens, in the same form.
    groups
        Group of every cell, ``(n_cells,)`` in the order of the arrays. Cells without a group count in ``"all cells"``
        only.

    Returns
    -------
    A tidy frame with columns ``layer``, ``modality``, ``group``, ``expert``, ``hard``, ``soft`` and ``n_cells``
    (cells of the group that have the modality). Rows of the group ``"all cells"`` come first. Over the experts of one
    layer, modality and group both shares sum to 1; no preference is ``1 / n_experts``. Groups without a cell that has
    the modality are left out.

    Raises
    ------
    ValueError
        If `soft` and `hard` differ in modalities or shapes, or `groups` does not fit the cells.

    Examples
    --------
    >>> soft = model.get_router_activations(kind="soft")
    >>> hard = model.get_router_activations(kind="hard")
    >>> table = scmoe.explain.usage_table(soft, hard, mdata.obs["lineage"])
    >>> float(table.query("modality == 'rna' and group == 'all cells'")["soft"].sum().round(3))
    1.0
    """
    check_same_modalities(soft, hard)
    tables = [_modality_table(name, soft[name], hard[name], groups) for name in soft]
    return pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)


def check_same_modalities(soft: Mapping[str, object], hard: Mapping[str, object]) -> None:
    """Raise unless both kinds of shares are of the same modalities, in the same order, none called like all of them."""
    if ALL_MODALITIES in soft:
        raise ValueError(f"A modality is called {ALL_MODALITIES!r}, the name kept for all together; rename it.")
    if list(soft) != list(hard):
        raise ValueError(f"soft and hard must hold the same modalities; found {list(soft)} and {list(hard)}.")


def _modality_table(
    modality: str, soft: NDArray[np.floating], hard: NDArray[np.floating], groups: pd.Series | None
) -> pd.DataFrame:
    if soft.shape != hard.shape or soft.ndim != 3:
        raise ValueError(
            f"Modality {modality!r}: soft and hard must both be cells x layers x experts; "
            f"found {soft.shape} and {hard.shape}."
        )
    names, membership = group_indicator(len(soft), groups)
    n_cells = group_sums(membership, np.isfinite(soft).all(axis=(1, 2))).astype(int)
    rows = np.flatnonzero(n_cells)
    _, n_layers, n_experts = soft.shape
    size = n_cells[rows, None, None]
    group, layer, expert = (axis.ravel() for axis in np.indices((len(rows), n_layers, n_experts)))
    return pd.DataFrame(
        {
            "layer": layer,
            "modality": modality,
            "group": np.array(names, dtype=object)[rows][group],
            "expert": expert,
            "hard": (group_sums(membership, hard)[rows] / size).ravel(),
            "soft": (group_sums(membership, soft)[rows] / size).ravel(),
            "n_cells": n_cells[rows][group],
        }
    )
