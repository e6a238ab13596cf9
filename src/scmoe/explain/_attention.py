"""How much attention each modality pays to each other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from scmoe._align import in_order_of
from scmoe.arguments._checked import checks_arguments
from scmoe.explain._groups import group_indicator, group_sums

MEAN, ROLLOUT = "mean", "rollout"
"""Entries of the column ``head`` that are no single head."""


@checks_arguments
def attention_table(
    blocks: NDArray[np.floating],
    modalities: Sequence[str],
    groups: pd.Series | None = None,
    *,
    rollout: NDArray[np.floating] | None = None,
    n_tokens: Sequence[int] | None = None,
) -> pd.DataFrame:
    r"""Average attention blocks over the cells of each group and compare them with uniform attention.

    For cell `c` and present modalities :math:`S_c` with :math:`P_v` tokens each, uniform attention gives key `v` the
    share :math:`U_v = P_v [v \in S_c] / \sum_{u \in S_c} P_u`. An absent key gets a share of 0 in both averages, so
    that rows sum to 1 and data with missing modalities are compared fairly. Rollout keeps half of each token in each
    layer, whoever attends to whom; with uniform attention, query `u` has :math:`2^{-l} [u = v] + (1 - 2^{-l}) U_v` of
    key `v` after `l` layers.

    Parameters
    ----------
    blocks
        Share of the attention of query modality (row) on key modality (column), averaged over query tokens,
        ``(n_cells, n_layers, n_modalities, n_modalities)`` of the mean over heads, or
        ``(n_cells, n_layers, n_heads, n_modalities, n_modalities)``. Rows are NaN where the cell lacks the query
        modality; entries are NaN or 0 where it lacks the key.
    modalities
        Names, in the order of the last two axes.
    groups
        Group of every cell, ``(n_cells,)``; cells without a group count in ``"all cells"`` only.
    rollout
        Attention through all layers up to each, ``(n_cells, n_layers, n_modalities, n_modalities)``, see
        `scmoe.model.SCMOE.get_attention`; None: not in the table.
    n_tokens
        Tokens of each modality; None if all have the same number.

    Returns
    -------
    A tidy frame with columns ``layer``; ``head`` (text: ``"mean"``, the number of a head, or ``"rollout"``); ``group``;
    ``query``; ``key``; ``attention`` (sums to 1 over keys); ``ratio`` (``attention`` over its expectation under uniform
    attention; NaN where no cell has both); ``n_cells`` (cells of the group that have the query); ``across`` (share of
    all the group's attention that goes to another modality than the query's,
    :math:`1 - \sum_u P_u M_{uu} / \sum_u P_u`, mean over cells, one value a layer, head and group) and
    ``across_uniform`` (the same under uniform attention). Combinations without a cell are left out.

    Raises
    ------
    ValueError
        If the shapes do not fit the modalities or each other, or `groups` does not fit the cells.

    Examples
    --------
    >>> blocks = model.get_attention()
    >>> table = scmoe.explain.attention_table(blocks, model.modalities)
    """
    size = len(modalities)
    if blocks.ndim not in (4, 5) or blocks.shape[-2:] != (size, size):
        raise ValueError(
            f"blocks must be cells x layers (x heads) x {size} x {size} for the modalities {list(modalities)}; "
            f"found the shape {blocks.shape}."
        )
    n_tokens = in_order_of(n_tokens, pd.Index(modalities), "n_tokens", "modalities")
    tokens = np.ones(size) if n_tokens is None else np.asarray(n_tokens, dtype=np.float64)
    if tokens.shape != (size,):
        raise ValueError(f"n_tokens must list one number for each of {list(modalities)}; found {len(tokens)}.")
    kinds = {MEAN: blocks}
    if blocks.ndim == 5:
        kinds = {MEAN: blocks.mean(axis=2)} | {str(head): blocks[:, :, head] for head in range(blocks.shape[2])}
    if rollout is not None:
        if rollout.shape != kinds[MEAN].shape:
            raise ValueError(f"rollout must have the shape {kinds[MEAN].shape} of the blocks; found {rollout.shape}.")
        kinds[ROLLOUT] = rollout
    names, membership = group_indicator(len(blocks), groups)
    tables = [
        _kind_table(values, _uniform(values, tokens, kind), tokens, modalities, names, membership).assign(head=kind)
        for kind, values in kinds.items()
    ]
    table = pd.concat(tables).sort_values("layer", kind="stable", ignore_index=True)
    return table[["layer", "head", *table.columns.drop(["layer", "head"])]]


def _present(blocks: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 for the modalities a cell has: they attend to themselves, so the diagonal tells, whatever absent keys are."""
    return np.isfinite(np.diagonal(blocks, axis1=2, axis2=3)).astype(np.float64)


def _uniform(blocks: NDArray[np.floating], tokens: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """What uniform attention over the tokens of each cell gives, shaped like the blocks; 0 for absent queries."""
    present = _present(blocks)
    available = present * tokens
    share = available / np.maximum(available.sum(axis=2, keepdims=True), 1)
    retained = 0.5 ** np.arange(1, blocks.shape[1] + 1) if kind == ROLLOUT else np.zeros(blocks.shape[1])
    retained = retained[:, None, None]
    return present[..., :, None] * (retained * np.eye(len(tokens)) + (1 - retained) * share[..., None, :])


def _kind_table(
    blocks: NDArray[np.floating],
    expected: NDArray[np.float64],
    tokens: NDArray[np.float64],
    modalities: Sequence[str],
    names: Sequence[str],
    membership: csr_array,
) -> pd.DataFrame:
    """The table of one head, of the mean or of the rollout."""
    present = _present(blocks)
    n_cells = group_sums(membership, present).astype(int)[..., None]
    size = np.maximum(n_cells, 1)
    attention, uniform = group_sums(membership, blocks) / size, group_sums(membership, expected) / size
    across, across_uniform = (_across(membership, values, present * tokens) for values in (blocks, expected))
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
            "across": across[group, layer],
            "across_uniform": across_uniform[group, layer],
        }
    )
    return table[table["n_cells"] > 0]


def _across(membership: csr_array, blocks: NDArray[np.floating], available: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share (n_groups, n_layers) of the attention of all tokens that goes to another modality, mean over cells."""
    n_tokens = available.sum(axis=2)
    within = (available * np.nan_to_num(np.diagonal(blocks, axis1=2, axis2=3))).sum(axis=2)
    share = 1 - np.divide(within, n_tokens, out=np.ones_like(within), where=n_tokens > 0)
    return group_sums(membership, share) / np.maximum(group_sums(membership, np.sign(n_tokens)), 1)
