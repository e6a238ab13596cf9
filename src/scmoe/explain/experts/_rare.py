"""Whether groups with few cells use the experts as others do."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.arguments._checked import checks_arguments
from scmoe.explain._permutation import (
    N_PERMUTATIONS,
    named_group_codes,
    permutation_p,
    permute_groups,
    stack_shares,
)
from scmoe.explain.experts._information import entropy, jensen_shannon

COLUMNS = [
    *("layer", "group", "n_cells", "entropy", "null_entropy", "effective_experts"),
    *("divergence", "null_divergence", "p"),
]


@checks_arguments
def rare_usage_table(
    soft: Mapping[str, NDArray[np.floating]],
    groups: pd.Series,
    *,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the experts that each group of cells uses with those that all cells use, the rarest group first.

    The mean of a few cells differs from that of all by chance, the more the fewer they are. So each number stands
    beside its mean over random groups of the same sizes, among cells that have the same modalities.

    Parameters
    ----------
    soft
        Share of the routing weight, modality -> ``(n_cells, n_layers, n_experts)``, NaN where the cell lacks the
        modality; see `scmoe.model.SCMOE.get_router_activations`.
    groups
        Group of every cell, ``(n_cells,)``; cells without a group are left out.
    n_permutations
        The smallest p-value is ``1 / (1 + n_permutations)``.
    seed
        Of the permutations.

    Returns
    -------
    A tidy frame with a row for each ``layer`` and ``group``, and the columns

    - ``n_cells``;
    - ``entropy`` of the experts that the group uses, over the tokens of all modalities, in nats;
    - ``effective_experts``, its exponential;
    - ``divergence`` of these experts from those that all cells use (Jensen-Shannon, at most log 2);
    - ``null_entropy`` and ``null_divergence``, their means over the permutations;
    - ``p``: share of the permutations, the observed order among them, whose divergence is as large.

    Raises
    ------
    ValueError
        The shares differ in shape, `groups` does not fit the cells or names no group, or there is no permutation.

    Examples
    --------
    >>> soft = model.get_router_activations(kind="soft")
    >>> table = scmoe.explain.rare_usage_table(soft, mdata.obs["lineage"], n_permutations=99)
    """
    stacked = stack_shares(soft)
    names, codes = named_group_codes(len(stacked), groups)
    weight = np.stack([sums.sum(axis=1) for sums in permute_groups(stacked, codes, n_permutations, seed)])
    entropies = entropy(weight)
    # Groups divide the cells that have one, so their sum is the use of all these cells.
    divergence = jensen_shannon(weight, np.broadcast_to(weight.sum(axis=1, keepdims=True), weight.shape))
    n_layers = weight.shape[2]
    layer, group = (axis.ravel() for axis in np.indices((n_layers, len(names))))
    table = pd.DataFrame(
        {
            "layer": layer,
            "group": np.array(names, dtype=object)[group],
            "n_cells": np.bincount(codes[codes >= 0], minlength=len(names))[group],
            "entropy": entropies[0, group, layer],
            "null_entropy": entropies[1:].mean(axis=0)[group, layer],
            "effective_experts": np.exp(entropies[0, group, layer]),
            "divergence": divergence[0, group, layer],
            "null_divergence": divergence[1:].mean(axis=0)[group, layer],
            "p": permutation_p(divergence)[group, layer],
        }
    )
    return table.sort_values(["layer", "n_cells"], kind="stable", ignore_index=True)[COLUMNS]
