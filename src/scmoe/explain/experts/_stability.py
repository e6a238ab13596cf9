"""Whether several models use their experts alike."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import false_discovery_control

from scmoe.arguments._checked import checks_arguments
from scmoe.explain._permutation import (
    N_PERMUTATIONS,
    permutation_columns,
    permute_modalities,
    present_in,
    shuffled,
    stack_shares,
    strata_of,
)
from scmoe.explain.experts._summary import information_rows

MATCHED, MEAN = "matched_correlation", "mean_correlation"
COLUMNS = [
    *("statistic", "model", "other", "first", "second"),
    *("value", "null_mean", "p", "p_adjusted"),
]
CONSTANT = 1e-9
"""Standard deviation of a share below which an expert's use does not vary."""
Array = NDArray[np.float64]


@checks_arguments
def stability_table(
    usages: Mapping[str, Mapping[str, NDArray[np.floating]]],
    *,
    layer: int = -1,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the experts of several models of the same cells, for example of several seeds.

    Numbers of experts mean nothing across models. So for each pair of models, experts are matched one to one such
    that the sum of the Pearson correlations of their use, over all cells' modalities, is largest (Hungarian method).
    Matching inflates correlations, and so does a preference for modalities that both models share. The null has both:
    the second model's cells are permuted, among cells that have the same modalities and all modalities of a cell
    together, and matched again. So p asks whether the models agree about cells; `null_mean` shows what modalities and
    matching give without that. p treats cells as independent.

    Parameters
    ----------
    usages
        Name of each model -> modality -> share of the routing weight ``(n_cells, n_layers, n_experts)``, NaN where
        the cell lacks the modality.
    layer
        Which layer; negative numbers count from the last.
    n_permutations
        The smallest p-value is ``1 / (1 + n_permutations)``.
    seed
        Of the permutations.

    Returns
    -------
    A tidy frame with the columns ``statistic``, ``model``, ``other``, ``first``, ``second`` (text), ``value``,
    ``null_mean`` (mean over the permutations), ``p`` and ``p_adjusted`` (Benjamini and Hochberg's over all rows of
    the statistic). Statistics:

    - ``matched_correlation`` of expert `first` of `model` with its match `second` of `other`; 0 if an expert's use does
      not vary.
    - ``mean_correlation`` of these over the experts of a pair of models.
    - ``mutual_information`` of modality and expert in `model`, and ``jensen_shannon`` divergence of its modalities
      `first` and `second`, in nats: these need no matching. See `scmoe.explain.usage_summary` for their test.

    Raises
    ------
    KeyError
        A model has no such layer.
    ValueError
        There are fewer than two models, or they differ in modalities, cells or numbers of experts.

    Examples
    --------
    >>> soft = model.get_router_activations(kind="soft")
    >>> swapped = {name: values[..., ::-1] for name, values in soft.items()}
    >>> table = scmoe.explain.stability_table({"a": soft, "b": swapped}, n_permutations=99)
    >>> matched = table.query("statistic == 'matched_correlation'")  # the same experts by other numbers
    >>> bool((matched["value"] > 0.999).all())
    True
    """
    stacked = {name: _at_layer(name, usage, layer) for name, usage in usages.items()}
    _check(usages, stacked)
    rows: list[dict[str, Any]] = []
    for model, other in combinations(stacked, 2):
        pair = _match(stacked[model], stacked[other], n_permutations, seed)
        rows += ({"model": model, "other": other, **row} for row in pair)
    for model, usage in stacked.items():
        informed = information_rows(permute_modalities(usage, n_permutations, seed), list(usages[model]))
        rows += ({"model": model, "other": "", **row} for row in informed)
    table = pd.DataFrame(rows)
    adjusted = table.groupby("statistic")["p"].transform(lambda p: false_discovery_control(p))
    table = table.assign(p_adjusted=adjusted).sort_values(
        "statistic", key=lambda column: column.map({MATCHED: 1, MEAN: 0}).fillna(2), kind="stable", ignore_index=True
    )
    return table[COLUMNS]


def _at_layer(model: str, usage: Mapping[str, NDArray[np.floating]], layer: int) -> Array:
    """(n_cells, V, E) of one layer."""
    stacked = stack_shares(usage)
    n_layers = stacked.shape[2]
    if not -n_layers <= layer < n_layers:
        raise KeyError(f"Model {model!r} has no layer {layer}; it has {n_layers}, counted from 0.")
    return stacked[:, :, layer]


def _check(usages: Mapping[str, Mapping[str, NDArray[np.floating]]], stacked: Mapping[str, Array]) -> None:
    if len(stacked) < 2:
        raise ValueError(f"Stability needs at least two models; found {', '.join(stacked) or 'none'}.")
    first, *others = stacked
    for other in others:
        for aspect, a, b in (
            ("modalities", list(usages[first]), list(usages[other])),
            ("numbers of cells", len(stacked[first]), len(stacked[other])),
            ("numbers of experts", stacked[first].shape[2], stacked[other].shape[2]),
        ):
            if a != b:
                raise ValueError(
                    f"Models {first!r} and {other!r} must agree in {aspect} to be matched; found {a} and {b}."
                )
        if not np.array_equal(present_in(stacked[first]), present_in(stacked[other])):
            raise ValueError(f"Models {first!r} and {other!r} must have seen the same modalities of the same cells.")


def _match(one: Array, two: Array, n_permutations: int, seed: int) -> list[dict[str, Any]]:
    """Rows about the experts of two models (n_cells, V, E)."""
    present = present_in(one)
    strata = strata_of(present)
    rng = np.random.default_rng(seed)
    x, y = _standardized(one, present), _standardized(two, present)
    matched = [_assigned(x, y)]
    matched += (_assigned(x, y[shuffled(strata, rng)]) for _ in range(n_permutations))
    values = np.stack([r for r, _ in matched])
    partner = matched[0][1]
    rows = [_row(MATCHED, str(e), str(partner[e]), values[:, e]) for e in range(len(partner))]
    return [*rows, _row(MEAN, "", "", values.mean(axis=1))]


def _standardized(usage: Array, present: NDArray[np.bool_]) -> Array:
    """Of each expert (last axis) mean 0 and sum of squares 1 over the cells' modalities; 0 where absent or constant."""
    units = usage[present]
    units = units - units.mean(axis=0)
    length = np.sqrt(np.square(units).sum(axis=0))
    varies = length > CONSTANT * np.sqrt(len(units))
    out = np.zeros_like(usage)
    out[present] = units * varies / np.where(varies, length, 1)
    return out


def _assigned(x_CVE: Array, y_CVE: Array) -> tuple[Array, NDArray[np.intp]]:
    """Correlation of each expert of the first with its match, and which that is."""
    n_experts = x_CVE.shape[2]
    r = x_CVE.reshape(-1, n_experts).T @ y_CVE.reshape(-1, n_experts)
    expert, partner = linear_sum_assignment(r, maximize=True)
    return r[expert, partner], partner


def _row(statistic: str, first: str, second: str, values: Array) -> dict[str, Any]:
    row = {"statistic": statistic, "first": first, "second": second, "value": float(values[0])}
    return {**row, **permutation_columns(values)}
