"""Which modalities, groups of cells and features each expert serves."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, mannwhitneyu

from scmoe.arguments._checked import checks_arguments
from scmoe.explain._correlation import Correlation, FeatureChunk, correlate
from scmoe.explain._permutation import (
    N_PERMUTATIONS,
    group_codes,
    permutation_p,
    permute_modalities,
    present_in,
    stack_shares,
)
from scmoe.explain.experts._information import normalize_rows
from scmoe.explain.experts._usage import ALL_MODALITIES

N_TOP = 10
EXPERT, MODALITY, GROUP = "expert", "modality", "group"
FEATURE, FEATURE_WITHIN = "feature", "feature within groups"
COLUMNS = [
    *("layer", "expert", "kind", "modality", "name", "value", "reference"),
    *("use", "use_elsewhere", "p", "p_adjusted", "n_cells"),
]
Array = NDArray[np.float64]


@checks_arguments
def expert_cards_table(
    usage: Mapping[str, NDArray[np.floating]],
    features: Iterable[FeatureChunk],
    feature_names: Mapping[str, Sequence[str]],
    groups: pd.Series | None = None,
    *,
    n_top: int = N_TOP,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """List what each expert serves, with adjusted p-values.

    The p-values treat cells as independent. Cells of one donor or one clone are not, so small p-values say that a
    pattern is no accident of these cells, not that it holds for other donors. What an expert serves is also not what
    it does for the result.

    Parameters
    ----------
    usage
        Share of the routing weight, modality -> ``(n_cells, n_layers, n_experts)``, NaN where the cell lacks the
        modality.
    features
        Values of the features, in chunks of cells; read once, so that all cells' values need not be in memory.
    feature_names
        Of each modality, in the order of the values.
    groups
        Group of every cell, ``(n_cells,)``. None: no rows about groups.
    n_top
        Features kept for each expert, modality and direction.
    n_permutations, seed
        Of the test of modalities, see `scmoe.explain.usage_summary`.

    Returns
    -------
    A tidy frame with a row for each ``layer``, ``expert``, ``kind``, ``modality`` (whose tokens) and ``name``, and
    the columns

    - ``value``, to be compared with ``reference``, its value without any preference;
    - ``use`` and ``use_elsewhere``: mean use by the modality and by the other modalities, or in the group and in the
      cells of other groups; NaN for other kinds, and where there is only one modality;
    - ``p``: two-sided test of the difference;
    - ``p_adjusted``: Benjamini and Hochberg's over all rows of the kind in all layers (also those of features that
      are not in the table);
    - ``n_cells``: the cells that the row rests on.

    Kinds:

    - ``expert``: share of all tokens, against 1 / experts. Not tested: both p are NaN.
    - ``modality``: share of the expert's use that is by this modality, each modality counting alike, against
      1 / modalities; modalities permuted within cells.
    - ``group``: probability that a cell of group `name` uses the expert more than a cell of another group (area under
      the ROC curve; ties count half), against 0.5; Mann-Whitney U test. Left out if there is one group only.
    - ``feature``: Pearson correlation of the feature with the use over the modality's cells, against 0.
    - ``feature within groups``: the same after the groups' means have been taken out, since a marker of a cell type
      correlates with everything of that type. A feature that is among the `n_top` of either is kept for both.

    Raises
    ------
    ValueError
        The shapes of `usage` differ, `groups` does not fit the cells, or `n_top` or `n_permutations` is below 1.

    Examples
    --------
    >>> from scmoe.explain._correlation import FeatureChunk
    >>> use = {"rna": np.random.default_rng(0).dirichlet([1, 1], size=(50, 1))}  # 50 cells, 1 layer, 2 experts
    >>> values = use["rna"][:, 0, :1] + [0.0]  # a gene that expert 0 follows
    >>> chunks = [FeatureChunk("rna", np.arange(50), values, None)]
    >>> table = scmoe.explain.expert_cards_table(use, chunks, {"rna": ["CD74"]}, n_permutations=19)
    >>> table.query("expert == 0 and name == 'CD74'")["value"].round(3).tolist()
    [1.0]
    """
    stacked, modalities = stack_shares(usage), np.array(list(usage), dtype=object)
    has_cells = present_in(stacked).any(axis=0)
    stacked, names = stacked[:, has_cells], [str(name) for name in modalities[has_cells]]
    sums = permute_modalities(stacked, n_permutations, seed)
    group_names, codes = group_codes(len(stacked), groups)
    codings = [np.zeros(len(stacked), dtype=np.intp), *([codes] if group_names else [])]
    use = {name: stacked[:, v].reshape(len(stacked), -1) for v, name in enumerate(names)}
    correlations = correlate(features, use, codings)
    table = pd.concat(
        [
            _rows(EXPERT, ALL_MODALITIES, "", _token_shares(sums[0]), 1 / stacked.shape[3], np.nan, len(stacked)),
            *_adjusted(_modality_rows(sums, names, present_in(stacked).sum(axis=0))),
            *_adjusted(_group_rows(stacked, names, group_names, codes)),
            *_feature_rows(correlations, feature_names, stacked.shape[2:], n_top),
        ],
        ignore_index=True,
    )
    return table.sort_values(["layer", "expert"], kind="stable", ignore_index=True)[COLUMNS]


def _rows(
    kind: str,
    modality: str,
    name: str,
    value: Array,
    reference: float,
    p: Array | float,
    n_cells: int,
    use: Array | float = np.nan,
    use_elsewhere: Array | float = np.nan,
) -> pd.DataFrame:
    """One row for each entry of (layers, E); the adjusted p-values are still to come."""
    layer, expert = (axis.ravel() for axis in np.indices(value.shape))
    numbers: dict[str, Array | float] = {
        **{"value": value, "reference": reference, "p": p},
        **{"use": use, "use_elsewhere": use_elsewhere},
    }
    columns = {column: np.broadcast_to(number, value.shape).ravel() for column, number in numbers.items()}
    text = {"kind": kind, "modality": modality, "name": name}
    return pd.DataFrame({"layer": layer, "expert": expert, **text, **columns, "p_adjusted": np.nan, "n_cells": n_cells})


def _adjusted(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The rows of one kind as one table, if there are any."""
    if not tables:
        return []
    table = pd.concat(tables, ignore_index=True)
    return [table.assign(p_adjusted=false_discovery_control(table["p"]))]


def _token_shares(sums_VLE: Array) -> Array:
    """Share of all tokens that each expert gets, (layers, E)."""
    return normalize_rows(sums_VLE.sum(axis=0))


def _modality_rows(sums: Array, names: Sequence[str], n_cells: NDArray[np.int64]) -> list[pd.DataFrame]:
    use = normalize_rows(sums)
    total = use.sum(axis=1, keepdims=True)
    share = np.divide(use, total, out=np.full_like(use, 1 / len(names)), where=total > 0)
    # In a mosaic, cells with one modality stay as they are, so permuted shares are not centered at 1 / modalities.
    p = permutation_p(np.abs(share - share.mean(axis=0)))
    observed = use[0]
    rows = []
    for v, name in enumerate(names):
        others = np.delete(observed, v, axis=0)
        elsewhere = others.mean(axis=0) if len(others) else np.nan
        about = (share[0, v], 1 / len(names), p[v], int(n_cells[v]), observed[v], elsewhere)
        rows.append(_rows(MODALITY, name, name, *about))
    return rows


def _group_rows(
    stacked: Array, names: Sequence[str], group_names: Sequence[str], codes: NDArray[np.intp]
) -> list[pd.DataFrame]:
    rows = []
    present = present_in(stacked)
    for v, name in enumerate(names):
        for g, group in enumerate(group_names):
            inside, outside = (
                stacked[members & present[:, v], v] for members in (codes == g, (codes >= 0) & (codes != g))
            )
            if len(inside) and len(outside):
                test = mannwhitneyu(inside, outside, axis=0, method="asymptotic")
                area, n_cells = test.statistic / (len(inside) * len(outside)), len(inside)
                means = inside.mean(axis=0), outside.mean(axis=0)
                # Shares that are the same in all cells differ in none: SciPy said p = 1, and says NaN since 1.18.
                p = np.nan_to_num(test.pvalue, nan=1.0)
                rows.append(_rows(GROUP, name, group, area, 0.5, p, n_cells, *means))
    return rows


def _feature_rows(
    correlations: Mapping[str, Sequence[Correlation]],
    feature_names: Mapping[str, Sequence[str]],
    shape: tuple[int, ...],
    n_top: int,
) -> list[pd.DataFrame]:
    tables = []
    selection = {name: _strongest_entries(kind_correlations, n_top) for name, kind_correlations in correlations.items()}
    for kind, *kind_correlations in zip((FEATURE, FEATURE_WITHIN), *correlations.values(), strict=False):
        adjusted = false_discovery_control(np.concatenate([correlation.p.ravel() for correlation in kind_correlations]))
        parts = np.split(adjusted, np.cumsum([correlation.p.size for correlation in kind_correlations])[:-1])
        for name, correlation, part in zip(correlations, kind_correlations, parts, strict=True):
            feature, column = selection[name]
            layer, expert = np.unravel_index(column, shape)
            numbers = {
                "value": correlation.r[feature, column],
                "reference": 0.0,
                "use": np.nan,
                "use_elsewhere": np.nan,
            }
            tests = {
                "p": correlation.p[feature, column],
                "p_adjusted": part.reshape(correlation.p.shape)[feature, column],
            }
            text = {"kind": kind, "modality": name, "name": np.array(feature_names[name], dtype=object)[feature]}
            place = {"layer": layer, "expert": expert}
            tables.append(pd.DataFrame({**place, **text, **numbers, **tests, "n_cells": correlation.n_cells[feature]}))
    return tables


def _strongest_entries(correlations: Sequence[Correlation], n_top: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Features and columns of what is among the strongest of either direction in any of the correlations.

    Of each column the features come from the largest plain correlation to the smallest.
    """
    selected = np.zeros(correlations[0].r.shape, dtype=bool)
    for r in (correlation.r for correlation in correlations):
        order = np.argsort(-r, axis=0, kind="stable")
        for top in (order[:n_top], order[::-1][:n_top]):
            np.put_along_axis(selected, top, True, axis=0)
    selected &= np.any([correlation.r != 0 for correlation in correlations], axis=0)
    column, place = np.nonzero(selected.T)
    order = np.lexsort((-correlations[0].r[place, column], column))
    return place[order], column[order]
