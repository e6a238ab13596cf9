"""How much modalities and groups of cells differ in the experts they use, and whether that could be chance."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.arguments._checked import checks_arguments
from scmoe.explain._permutation import (
    N_PERMUTATIONS,
    named_group_codes,
    permutation_columns,
    permute_groups,
    permute_modalities,
    stack_shares,
)
from scmoe.explain.experts._information import entropy, jensen_shannon, mutual_information, normalize_rows
from scmoe.explain.experts._usage import ALL_MODALITIES, check_same_modalities
from scmoe.train._diagnostics import DEAD

COLUMNS = [
    *("layer", "by", "share", "modality", "statistic", "first", "second"),
    *("value", "maximum", "null_mean", "p"),
]
Array = NDArray[np.float64]
Row = dict[str, Any]


@checks_arguments
def usage_summary(
    soft: Mapping[str, NDArray[np.floating]],
    hard: Mapping[str, NDArray[np.floating]],
    groups: pd.Series | None = None,
    *,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Summarize how specialized the experts are, with permutation p-values.

    With :math:`q_{re}` the share of all tokens that are of row r (a modality, or a group of cells) and go to expert
    e, the mutual information is :math:`I = \sum_{re} q_{re} \log (q_{re} / q_r q_e)`. It is 0 if all rows use the
    experts alike, and at most :math:`\min(H(q_r), \log E)`, which for rows of equal size is :math:`\log \min(R, E)`.

    What chance does: for modalities, the labels are permuted within each cell, all tokens of a modality together,
    since they share the cell's input (shuffling single tokens would call any difference significant). Cells with one
    modality cannot be permuted, so p is 1 where no cell has two. For groups, the labels are permuted across cells
    that have the same modalities. p is the share of the permutations, the observed order among them, that reach the
    observed value. It treats cells as independent, which cells of one donor are not.

    Parameters
    ----------
    soft
        Share of the routing weight, modality -> ``(n_cells, n_layers, n_experts)``, NaN where the cell lacks the
        modality.
    hard
        Share of the routed tokens, in the same form.
    groups
        Group of every cell, ``(n_cells,)``; cells without a group are left out of the groups' rows. None: no such rows.
    n_permutations
        The smallest p-value is ``1 / (1 + n_permutations)``.
    seed
        Of the permutations.

    Returns
    -------
    A tidy frame with the columns

    - ``layer``;
    - ``by``: the rows compared, ``"modality"`` or ``"group"``;
    - ``share``: ``"soft"`` or ``"hard"``;
    - ``modality``: whose tokens, ``"all modalities"``, or for groups also each alone;
    - ``statistic``, ``first``, ``second``: what it is of;
    - ``value`` and ``maximum``;
    - ``null_mean`` and ``p``: mean over the permutations and p-value; NaN for the statistics that are not tested.

    Entropies and divergences are in nats. Statistics:

    - ``mutual_information`` of row and expert.
    - ``jensen_shannon`` divergence of the modalities `first` and `second`; at most log 2.
    - ``row_entropy`` of the experts that row `first` uses, at most log E; not tested.
    - ``column_entropy`` of the rows that expert `first` serves, each row counting alike; at most log R; not tested. A
      row without cells and an expert without use have neither.
    - ``dead_experts``: how many get less than a tenth of an even share of the tokens; `first` lists them. Not tested.

    Raises
    ------
    ValueError
        `soft` and `hard` differ in modalities or shapes, `groups` does not fit the cells, or there is no permutation.

    Examples
    --------
    >>> soft = model.get_router_activations(kind="soft")
    >>> hard = model.get_router_activations(kind="hard")
    >>> table = scmoe.explain.usage_summary(soft, hard, n_permutations=99)
    >>> "mutual_information" in set(table["statistic"])
    True
    """
    check_same_modalities(soft, hard)
    names, shares = list(soft), {"soft": soft, "hard": hard}
    rows: list[Row] = []
    for share, values in shares.items():
        stacked = stack_shares(values)
        sums = permute_modalities(stacked, n_permutations, seed)
        tables = [modality_rows(sums[:, :, layer], names) for layer in range(sums.shape[2])]
        if groups is not None:
            for table, of_groups in zip(tables, _group_rows(stacked, names, groups, n_permutations, seed), strict=True):
                table += of_groups
        rows += ({"layer": layer, "share": share, **row} for layer, table in enumerate(tables) for row in table)
    return pd.DataFrame(rows, columns=COLUMNS)


def modality_rows(sums: Array, names: Sequence[str]) -> list[Row]:
    """All statistics of one layer's sums (1 + R, V, E), of which the first are the observed ones."""
    experts = sums[0].sum(axis=0)
    dead = np.flatnonzero(experts / experts.sum() < DEAD / len(experts))
    listing = ", ".join(map(str, dead))
    rows = [*information_rows(sums, names), *_entropy_rows(sums[0], names)]
    rows.append(_untested("dead_experts", listing, float(len(dead)), float(len(experts))))
    return [{"by": "modality", "modality": ALL_MODALITIES, **row} for row in rows]


def information_rows(sums: Array, names: Sequence[str]) -> list[Row]:
    """Tested statistics of sums (1 + R, V, E): mutual information, and divergence of each pair of modalities."""
    rows = [_information_row(sums[0], mutual_information(sums))]
    present = np.flatnonzero(sums[0].sum(axis=1) > 0).tolist()
    for u, v in combinations(present, 2):
        divergence = jensen_shannon(sums[:, u], sums[:, v])
        rows.append(_tested("jensen_shannon", names[u], names[v], divergence, np.log(2)))
    return rows


def _group_rows(
    stacked: Array, names: Sequence[str], groups: pd.Series, n_permutations: int, seed: int
) -> list[list[Row]]:
    """Of every layer: the statistics of groups, for the tokens of all modalities and of each alone."""
    group_names, codes = named_group_codes(len(stacked), groups)
    permuted = permute_groups(stacked, codes, n_permutations, seed)
    observed = _by_tokens(next(permuted))
    information = np.stack([mutual_information(observed), *(mutual_information(_by_tokens(s)) for s in permuted)])
    tables: list[list[Row]] = [[] for _ in range(observed.shape[1])]
    for token, layer in np.ndindex(observed.shape[:2]):
        weight = observed[token, layer]
        rows = [_information_row(weight, information[:, token, layer]), *_entropy_rows(weight, group_names)]
        modality = [ALL_MODALITIES, *names][token]
        tables[layer] += ({"by": "group", "modality": modality, **row} for row in rows)
    return tables


def _by_tokens(sums_GVLE: Array) -> Array:
    """(groups, V, layers, E) to (1 + V, layers, groups, E): all tokens, and those of each modality."""
    tokens = np.concatenate([sums_GVLE.sum(axis=1, keepdims=True), sums_GVLE], axis=1)
    return tokens.transpose(1, 2, 0, 3)


def _entropy_rows(weight_RE: Array, names: Sequence[str]) -> list[Row]:
    shares = normalize_rows(weight_RE)
    n_rows, n_experts = shares.shape
    used = np.flatnonzero(shares.sum(axis=1) > 0).tolist()
    served = np.flatnonzero(shares.sum(axis=0) > 0).tolist()
    rows = [_untested("row_entropy", names[r], float(entropy(shares[r])), np.log(n_experts)) for r in used]
    return rows + [_untested("column_entropy", str(e), float(entropy(shares[:, e])), np.log(n_rows)) for e in served]


def _information_row(weight_RE: Array, information: Array) -> Row:
    maximum = min(float(entropy(weight_RE.sum(axis=1))), float(np.log(weight_RE.shape[1])))
    return _tested("mutual_information", "", "", information, maximum)


def _tested(statistic: str, first: str, second: str, values: Array, maximum: float) -> Row:
    """A row of a statistic (1 + R,)."""
    row = {"statistic": statistic, "first": first, "second": second, "value": float(values[0])}
    return {**row, "maximum": float(maximum), **permutation_columns(values)}


def _untested(statistic: str, first: str, value: float, maximum: float) -> Row:
    row = {"statistic": statistic, "first": first, "second": "", "value": value, "maximum": float(maximum)}
    return {**row, "null_mean": np.nan, "p": np.nan}
