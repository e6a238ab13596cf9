"""Prepare one modality: computed here, written by `scmoe.pp.prepare`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scmoe._keys import COUNTS_LAYER, PANEL
from scmoe._log import logger
from scmoe._matrix import (
    Matrix,
    check_array,
    check_counts,
    check_values,
    has_missing,
    looks_like_counts,
    row_blocks,
    value_blocks,
    value_range,
)
from scmoe.io._mapped import filled, with_data
from scmoe.pp._kind import COUNT_KINDS, SET_ASIDE_KINDS, Decision, decide_kind, nearly_counts
from scmoe.pp._missing import Panels, find_panels, former_mask, panels_of_mask
from scmoe.pp._names import warn_of_changed
from scmoe.pp._normalize import MIN_CENTERED, clr, log_normalize, totals
from scmoe.pp._set_aside import choose_set_aside
from scmoe.pp._source import RAW, Source, find_source, refuse_empty
from scmoe.pp._values import judge
from scmoe.pp._variable import choose_variable

MIN_SHARED = 0.1
"""Share of the features that all panels must have for totals to range over these alone."""


class Settings(NamedTuple):
    """What the user says in `scmoe.pp.prepare`; see there."""

    kinds: Mapping[str, str]
    batch_key: str | None
    missing: str | Mapping[str, Any]
    set_aside: str | Mapping[str, Sequence[str]]
    n_top_features: int | str | None
    former: pd.DataFrame | None
    """What an earlier call wrote down as not measured."""


class Prepared(NamedTuple):
    """All that is to be written into one modality."""

    adata: AnnData
    source: Source
    """Where the values come from."""
    counts: Matrix | None
    values: Matrix
    set_aside: dict[str, str]
    """Features that models do not read, and why."""
    missing: pd.DataFrame
    """Rows of ``mdata.uns["scmoe"]["missing"]``."""
    panel: list[str] | None
    """Column of ``obs`` for the panels of a mask."""
    variable: np.ndarray | None
    """(features,) which are variable, if they were chosen."""
    record: dict[str, Any]


def prepare_modality(name: str, adata: AnnData, obs: pd.DataFrame, settings: Settings) -> Prepared:
    """Compute what is to be written into a modality, without writing.

    Parameters
    ----------
    name, adata
        The modality.
    obs
        What is known of its cells, with the columns of the MuData.
    settings
        What the user says.
    """
    adata = adata.copy() if adata.is_view else adata
    source = find_source(name, adata)
    where, matrix = source.where, source.matrix
    if matrix is None:
        refuse_empty(name, adata)
    check_array(matrix, name, where)
    decision = _decide(name, adata, matrix, where, settings.kinds.get(name))
    if decision.kind not in COUNT_KINDS:
        if not source.is_x and name not in settings.kinds:
            check_counts(matrix, name, where, adata.obs_names, adata.var_names)
        # These kinds have no raw counts: what a user put into X is what counts.
        where, matrix = "X", adata.X
    elif where != f"layers[{COUNTS_LAYER!r}]" and source.counts_are_in:
        logger.info(source.counts_are_in)
    place = (name, where, adata.obs_names, adata.var_names)
    if decision.kind in ("rna", "ambient", "lognormalized"):
        warn_of_changed(name, adata.var_names)
    record = {
        "kind": decision.kind,
        "reason": decision.reason,
        "steps": [],
        "source": where,
        "n_cells": adata.n_obs,
        "n_features": adata.n_vars,
    }
    nothing = Prepared(adata, source, None, matrix, {}, pd.DataFrame(), None, None, record)
    if decision.kind in SET_ASIDE_KINDS:
        check_array(matrix, *place[:2])
        return nothing
    if decision.kind not in COUNT_KINDS:
        check_values(matrix, *place, allow_missing=decision.kind == "continuous")
        return _with_features(nothing, name, obs, settings)
    counts = _as_counts(matrix, place, decision.kind, may_miss=settings.missing != "never")
    result = _normalized(nothing._replace(counts=counts), name, obs, settings)
    return _with_features(result, name, obs, settings)


def _decide(name: str, adata: AnnData, matrix: Matrix, where: str, kind: str | None) -> Decision:
    """The kind, checked against the values where the user named it."""
    if kind is None:
        decision = decide_kind(name, adata, matrix)
        if decision.is_doubtful:
            logger.warning(
                "%s: look at what %s holds: %s. Say so with kinds={%r: ...}", name, where, decision.reason, name
            )
        return decision
    place = f"mdata[{name!r}].{where}"
    if kind == "lognormalized" and looks_like_counts(matrix):
        raise ValueError(
            f"kinds[{name!r}] is 'lognormalized', but {place} holds raw counts, which are whole numbers. Leave "
            f"{name!r} out of kinds, or name what the counts are of: {', '.join(COUNT_KINDS)}."
        )
    if kind in COUNT_KINDS and not looks_like_counts(matrix):
        low, high = value_range(matrix)
        if low == 0 < high < np.inf and not has_missing(matrix):
            origin = judge(matrix)
            if origin.name == "logarithms":
                raise ValueError(
                    f"kinds[{name!r}] is {kind!r}, but {place} holds {origin.reason}. Say 'lognormalized', or put the "
                    f"counts into mdata[{name!r}].layers['{COUNTS_LAYER}']."
                )
    return Decision(kind, "given by kinds")


def _as_counts(matrix: Matrix, place: tuple[str, str, pd.Index, pd.Index], kind: str, *, may_miss: bool) -> Matrix:
    """Counts as CSR or dense, without the rounding of what was computed; an error for what cannot be counts."""
    check_values(matrix, *place, allow_missing=may_miss, allow_empty=True)
    counts = matrix.tocsr() if sparse.issparse(matrix) else matrix
    if counts.dtype.kind != "f":
        check_counts(matrix, *place)
        return counts
    if looks_like_counts(counts, allow_missing=True):
        return counts if _are_whole(counts) else _rounded(counts)
    if value_range(counts)[0] < 0 or (kind != "ambient" and nearly_counts(counts)):
        # A few fractions among whole numbers are mistakes, as negative values are. The check names the first.
        check_counts(matrix, *place, allow_missing=True)
    return counts


def _are_whole(counts: Matrix) -> bool:
    return all(np.array_equal(values, np.round(values)) for values in value_blocks(counts, skip_missing=True))


def _rounded(counts: Matrix) -> Matrix:
    """New whole numbers, on disk if the counts are."""
    if not sparse.issparse(counts):
        blocks = (np.round(counts[rows]) for rows in row_blocks(counts))
        return filled(blocks, counts.shape, counts.dtype, beside=counts)
    return with_data(counts, filled(map(np.round, value_blocks(counts)), (counts.nnz,), counts.dtype, beside=counts))


def _normalized(prepared: Prepared, name: str, obs: pd.DataFrame, settings: Settings) -> Prepared:
    """With values made from the counts, and what was not measured or is no biology."""
    adata, counts, record = prepared.adata, prepared.counts, prepared.record
    assert counts is not None
    kind, features = record["kind"], adata.var_names.astype(str)
    set_aside = choose_set_aside(name, adata, kind, counts, settings.set_aside)
    is_used = ~features.isin(list(set_aside))
    if not is_used.any() and name in settings.kinds and isinstance(settings.set_aside, str):
        set_aside, is_used = {}, np.ones(adata.n_vars, bool)  # the user wants them to be what kinds says
    if not is_used.any():
        raise ValueError(
            f"All {adata.n_vars} features of mdata[{name!r}] would be set aside ({next(iter(set_aside.values()))}), so "
            f"there is nothing to learn from. Remove the modality, or pass set_aside='never' to use them."
        )
    how, panels = _panels(name, adata, counts, obs, settings, is_protein=kind == "protein")
    if kind == "protein":
        values = clr(counts, is_used, panels.mask if panels.missing.any() else None)
        center = "minus the cell's mean" if is_used.sum() >= MIN_CENTERED else "too few proteins for a mean"
        steps = ["log1p", center]
    else:
        shared = is_used & ~panels.missing.any(0)
        over = shared if shared.sum() >= MIN_SHARED * adata.n_vars else is_used
        total = totals(adata.raw.X) if prepared.source.where == RAW and adata.raw.n_vars > adata.n_vars else None
        values = log_normalize(counts, None if over.all() else over, total)
        steps = ["total 10000 per cell" + ("" if over.all() else f" over {int(over.sum())} features"), "log1p"]
    n_empty = int((totals(counts) == 0).sum())
    record |= {"steps": steps, "missing": how, "set_aside": list(set_aside)}
    table = panels.rows(name, list(features))
    _report(name, features, set_aside, panels, n_empty if how != "never" else 0, _n_gaps(counts))
    panel = [panels.categories[code] for code in panels.codes] if panels.column == PANEL else None
    return prepared._replace(values=values, set_aside=set_aside, missing=table, panel=panel, record=record)


def _panels(
    name: str, adata: AnnData, counts: Matrix, obs: pd.DataFrame, settings: Settings, *, is_protein: bool
) -> tuple[str, Panels]:
    """By what it is known ("mask", "never" or "auto"), and what was not measured in which cells."""
    missing = settings.missing
    if missing == "never":
        return "never", Panels.complete(adata.n_obs, adata.n_vars)
    place = (name, adata.obs_names, adata.var_names)
    if not isinstance(missing, str) and name in missing:
        return "mask", panels_of_mask(missing[name], *place)
    mask = None if settings.former is None else former_mask(name, adata, settings.former)
    if mask is not None:
        return "mask", panels_of_mask(mask, *place)
    return "auto", find_panels(counts, obs, is_protein=is_protein, batch_key=settings.batch_key)


def _n_gaps(counts: Matrix) -> int:
    return sum(int(np.isnan(values).sum()) for values in value_blocks(counts)) if counts.dtype.kind == "f" else 0


def _with_features(prepared: Prepared, name: str, obs: pd.DataFrame, settings: Settings) -> Prepared:
    """With the choice of variable features."""
    variable = choose_variable(
        name,
        prepared.adata,
        prepared.record["kind"],
        prepared.values,
        obs,
        n_top_features=settings.n_top_features,
        batch_key=settings.batch_key,
        is_used=~prepared.adata.var_names.astype(str).isin(list(prepared.set_aside)),
    )
    return prepared._replace(variable=variable)


def _report(
    name: str, features: pd.Index, set_aside: Mapping[str, str], panels: Panels, n_empty: int, n_gaps: int
) -> None:
    """Say what models will not read."""
    if set_aside:
        reasons = ", ".join(sorted(set(set_aside.values())))
        names = _few(list(set_aside))
        logger.info("%s: %d features are set aside (%s): %s", name, len(set_aside), reasons, names)
    if n_gaps:
        logger.info("%s: %d values are missing (NaN), and masked", name, n_gaps)
    for category, missing in zip(panels.categories, panels.missing, strict=True):
        if missing.any() and panels.column == PANEL:
            logger.info(
                "%s: %d features are masked in the cells of %r, as missing= says", name, int(missing.sum()), category
            )
        elif missing.any():
            where = f"the cells of {panels.column} {category!r}" if panels.column else "any cell"
            logger.info(
                "%s: %d features were not measured in %s, for all are zero there: %s; they are masked "
                "(missing='never' takes the zeros for values)",
                *(name, int(missing.sum()), where, _few([str(each) for each in features[missing]])),
            )
    if n_empty:
        logger.info("%s: %d cells have no count; they count as cells that were not measured", name, n_empty)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
