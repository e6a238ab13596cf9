"""How much attention each modality pays to each other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.explain._groups import group_indicator, group_sums


def attention_table(
    blocks: NDArray[np.floating],
    modalities: Sequence[str],
    groups: pd.Series | None = None,
    *,
    n_tokens: Sequence[int] | None = None,
) -> pd.DataFrame:
    r"""Average attention blocks over the cells of each group and compare them with uniform attention.

    For cell `c` and present modalities :math:`S_c` with :math:`P_v` tokens each, uniform attention gives key `v` the share
    :math:`P_v [v \in S_c] / \sum_{u \in S_c} P_u`. An absent key gets a share of 0 in both averages, so that rows sum to 1
    and data with missing modalities are compared fairly.

    Parameters
    ----------
    blocks
        Share of the attention of query modality (row) on key modality (column), averaged over heads and query tokens,
        ``(n_cells, n_layers, n_modalities, n_modalities)``. Rows are NaN where the cell lacks the query modality;
        entries are NaN or 0 where it lacks the key.
    modalities
        Names, in the order of the last two axes.
    groups
        Group of every cell, ``(n_cells,)``; cells without a group count in ``"all cells"`` only.
    n_tokens
        Tokens of each modality; None if all have the same number.

    Returns
    -------
    A tidy frame with columns ``layer``, ``group``, ``query``, ``key``, ``attention`` (sums to 1 over keys), ``ratio``
    (``attention`` over its expectation under uniform attention; NaN where no cell has both) and ``n_cells`` (cells of the
    group that have the query). Combinations without a cell are left out.

    Raises
    ------
    ValueError
        If the shapes do not fit the modalities, or `groups` does not fit the cells.
    """
    n_modalities = len(modalities)
    if blocks.ndim != 4 or blocks.shape[2:] != (n_modalities, n_modalities):
        raise ValueError(
            f"blocks must be cells x layers x {n_modalities} x {n_modalities} for the modalities {list(modalities)}; "
            f"found the shape {blocks.shape}."
        )
    tokens = np.ones(n_modalities) if n_tokens is None else np.asarray(n_tokens, dtype=np.float64)
    if tokens.shape != (n_modalities,):
        raise ValueError(f"n_tokens must list one number for each of {list(modalities)}; found {len(tokens)}.")
    names, membership = group_indicator(len(blocks), groups)
    # A present modality always attends to itself, so the diagonal tells presence under either convention for keys.
    present = np.isfinite(np.diagonal(blocks, axis1=2, axis2=3))
    available = present * tokens
    share = available / np.maximum(available.sum(axis=2, keepdims=True), 1)
    expected = present[..., :, None] * share[..., None, :]
    n_cells = group_sums(membership, present).astype(int)[..., None]
    size = np.maximum(n_cells, 1)
    attention, uniform = group_sums(membership, blocks) / size, group_sums(membership, expected) / size
    ratio = np.divide(attention, uniform, out=np.full_like(attention, np.nan), where=uniform > 0)
    group, layer, query, key = (axis.ravel() for axis in np.indices(attention.shape))
    table = pd.DataFrame(
        {
            "layer": layer,
            "group": np.array(names, dtype=object)[group],
            "query": np.array(modalities, dtype=object)[query],
            "key": np.array(modalities, dtype=object)[key],
            "attention": attention.ravel(),
            "ratio": ratio.ravel(),
            "n_cells": np.broadcast_to(n_cells, attention.shape).ravel(),
        }
    )
    return table[table["n_cells"] > 0].reset_index(drop=True)
