"""`marker_table`: which features differ between a group and other cells, as one tidy table."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from scmoe._matrix import Matrix
from scmoe.differential._effects import fold_changes, shares_detected
from scmoe.differential._observed import Observed, Unit, block_of
from scmoe.differential._ranks import rank_tests
from scmoe.differential._strata import make_strata

REST = "rest"
"""The reference that stands for all other cells."""
WIDTH = 1.959964
"""Standard errors to either side of an interval of 95 %."""
COLUMNS = "score auc log_fold_change p_value detection_in detection_out".split()
DENOISED = "log_fold_change_denoised"
DENOISED_COLUMNS = [DENOISED, f"{DENOISED}_lower", f"{DENOISED}_upper"]


class Denoised(NamedTuple):
    """A modality as a model sees it."""

    values: Matrix
    """(n, D); NaN in features and cells that the model does not know."""
    unit: Unit


def marker_table(
    observed: Observed,
    features: pd.Index,
    groups: pd.Categorical,
    batches: NDArray[np.integer],
    *,
    reference: str = REST,
    denoised: Denoised | None = None,
) -> pd.DataFrame:
    """Test every feature in every group.

    Parameters
    ----------
    observed
        Of n cells and D features.
    features
        Their names.
    groups
        Group of each cell; cells without one are not looked at.
    batches
        (n,) codes from 0 on.
    reference
        What groups are compared with: ``"rest"`` or one of them.
    denoised
        What the model says, for effect sizes alone.

    Returns
    -------
    A row for each group and feature, groups in their order and features by score, see `scmoe.tl.markers`.
    """
    names = list(map(str, groups.categories))
    codes = np.asarray(groups.codes, dtype=np.intp)  # pandas has as few bytes as hold the number of groups
    if reference == REST:
        cells = np.flatnonzero(codes >= 0)
        arrays = _compare(observed, denoised, batches, codes, cells, len(names))
        return _table(arrays, names, np.bincount(codes[cells], minlength=len(names)), features)
    other = names.index(reference)
    tables = []
    for code, name in enumerate(names):
        if code != other:
            cells = np.flatnonzero((codes == code) | (codes == other))
            is_group = np.where(codes == code, 0, -1)
            arrays = _compare(observed, denoised, batches, is_group, cells, 1)
            tables.append(_table(arrays, [name], np.array([(codes == code).sum()]), features))
    return pd.concat(tables, ignore_index=True)


def _compare(
    observed: Observed,
    denoised: Denoised | None,
    batches: NDArray[np.integer],
    groups: NDArray[np.integer],
    cells: NDArray[np.intp],
    n_groups: int,
) -> dict[str, NDArray[np.float64]]:
    """(K, D) of each column of the table, NaN where nothing can be said."""
    if len(cells) < len(groups):
        observed, batches, groups = observed.take(cells), batches[cells], groups[cells]
        denoised = None if denoised is None else denoised._replace(values=denoised.values[cells])
    n_features = observed.values.shape[1]
    columns = COLUMNS if denoised is None else [*COLUMNS, *DENOISED_COLUMNS]
    out = {name: np.full((n_groups, n_features), np.nan) for name in columns}
    for rows, positions in observed.blocks():
        group, batch = groups[rows], batches[rows]
        values = block_of(observed.values, rows, positions)
        depth = None if observed.depth is None else observed.depth[rows]
        out["score"][:, positions], out["p_value"][:, positions], out["auc"][:, positions] = rank_tests(
            values, make_strata(batch, depth), group, n_groups
        )
        out["log_fold_change"][:, positions] = fold_changes(values, observed.unit, batch, group, n_groups)[0]
        detected = None if observed.detected is None else block_of(observed.detected, rows, positions)
        shares = shares_detected(detected, group, n_groups, len(positions))
        out["detection_in"][:, positions], out["detection_out"][:, positions] = shares
        if denoised is not None:
            values = block_of(denoised.values, rows, positions)
            change, error = fold_changes(values, denoised.unit, batch, group, n_groups)
            for name, width in zip(DENOISED_COLUMNS, (0, -WIDTH, WIDTH), strict=True):
                out[name][:, positions] = change + width * error
    return out


def _table(
    arrays: dict[str, NDArray[np.float64]], names: list[str], sizes: NDArray[np.integer], features: pd.Index
) -> pd.DataFrame:
    """Tidy rows, sorted, with p-values adjusted over the features of each group."""
    order = np.argsort(-np.nan_to_num(arrays["score"], nan=-np.inf), axis=1, kind="stable")
    adjusted = np.stack([benjamini_hochberg(p) for p in arrays["p_value"]])
    n_features = len(features)
    table = pd.DataFrame(
        {
            "group": pd.Categorical.from_codes(np.repeat(np.arange(len(names)), n_features), names),
            "feature": features.to_numpy(dtype=object)[order.ravel()],
            "n_cells": np.repeat(sizes, n_features),
        }
    )
    for name, values in {**arrays, "p_adjusted": adjusted}.items():
        table[name] = np.take_along_axis(values, order, axis=1).ravel()
    last = ["p_value", "p_adjusted", "detection_in", "detection_out"]
    return table[[name for name in table if name not in last] + last]


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values adjusted so that the expected share of false discoveries is kept; NaN is no test."""
    adjusted, is_test = np.full_like(p, np.nan), ~np.isnan(p)
    if is_test.any():
        adjusted[is_test] = false_discovery_control(p[is_test])
    return adjusted
