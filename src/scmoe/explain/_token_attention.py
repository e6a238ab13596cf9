"""How much attention each token pays to each other."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.explain._groups import group_indicator, group_sums


def token_table(
    blocks: Iterable[NDArray[np.floating]], modalities: Sequence[str], groups: pd.Series | None = None
) -> pd.DataFrame:
    """Average attention of tokens over the cells of each group and compare it with uniform attention.

    Uniform attention of a cell is one over its tokens, those of the modalities that it has.

    Parameters
    ----------
    blocks
        Attention (n, layers, N, N) of cells, some at a time and in order: of query tokens (rows) to key tokens, one
        modality after another, with as many tokens each. NaN in rows of absent modalities, 0 in their columns.
    modalities
        Their names.
    groups
        Group of every cell; cells without one count in ``"all cells"`` only.

    Returns
    -------
    A tidy frame with columns ``layer``, ``group``, ``query``, ``key`` (such as ``"rna 0"``), ``attention`` (sums to 1
    over keys), ``ratio`` (to that of uniform attention; NaN where no cell has both) and ``n_cells`` (that have the
    query). Combinations without a cell are left out.
    """
    start, sums = 0, []
    for block in blocks:
        here = slice(start, start + len(block))
        names, membership = group_indicator(len(block), None if groups is None else groups.iloc[here])
        present = np.isfinite(np.diagonal(block, axis1=2, axis2=3)).astype(np.float64)
        share = present / np.maximum(present.sum(2, keepdims=True), 1)
        uniform = present[..., :, None] * share[..., None, :]
        parts = (group_sums(membership, values) for values in (np.nan_to_num(block), uniform, present))
        sums.append(dict(zip(names, zip(*parts, strict=True), strict=True)))
        start += len(block)
    tables = [
        _table(group, [each[group] for each in sums if group in each], modalities)
        for group in dict.fromkeys(name for each in sums for name in each)
    ]
    return pd.concat(tables).sort_values("layer", kind="stable", ignore_index=True)


def _table(group: str, sums: Sequence[tuple[NDArray[np.float64], ...]], modalities: Sequence[str]) -> pd.DataFrame:
    """The table of one group, from sums over parts of its cells."""
    attention, uniform, present = (np.sum(part, axis=0) for part in zip(*sums, strict=True))
    n_tokens = attention.shape[-1] // len(modalities)
    tokens = np.array([f"{name} {i}" for name in modalities for i in range(n_tokens)], dtype=object)
    n_cells = np.broadcast_to(present[..., None], attention.shape)
    ratio = np.divide(attention, uniform, out=np.full_like(attention, np.nan), where=uniform > 0)
    layer, query, key = (axis.ravel() for axis in np.indices(attention.shape))
    table = pd.DataFrame(
        {
            "layer": layer,
            "group": group,
            "query": tokens[query],
            "key": tokens[key],
            "attention": (attention / np.maximum(n_cells, 1)).ravel(),
            "ratio": ratio.ravel(),
            "n_cells": n_cells.ravel().astype(int),
        }
    )
    return table[table["n_cells"] > 0]
