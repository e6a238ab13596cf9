"""Normalize each modality by defaults that are chosen from the data, stated and overridable."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe._check import Matrix, check_array, check_counts, check_mdata, check_values
from scmoe._keys import COUNTS_LAYER, MADE_BY_NICHE, PREPARE, UNS_ROOT
from scmoe._log import logger
from scmoe.datasets._anndata import takes_anndata
from scmoe.io._quiet import quiet_mudata
from scmoe.io._uns import to_uns
from scmoe.pp._kind import COUNT_KINDS, KINDS, Decision, decide_kind
from scmoe.pp._normalize import clr, log_normalize

STEPS = {
    "rna": ["total 10000 per cell", "log1p"],
    "peaks": ["total 10000 per cell", "log1p"],
    "protein": ["log1p", "minus the cell's mean"],
    "continuous": [],
    "lognormalized": [],
}


class _Prepared(NamedTuple):
    """All that is to be written into one modality."""

    adata: AnnData
    counts: Matrix | None
    values: Matrix
    record: dict[str, Any]


@takes_anndata
def prepare(mdata: MuData, *, kinds: Mapping[str, str] | None = None, copy: bool = False) -> MuData | None:
    """Normalize every modality, keep its raw counts, and state what it was taken for.

    Each modality is taken for one of five kinds, by its names first and its values second:

    =================  ===========================================================  ===========================
    kind               taken when                                                   what happens to ``X``
    =================  ===========================================================  ===========================
    ``rna``            raw counts, named like RNA, or many or sparse features       total 10 000, log1p (CSR)
    ``protein``        raw counts, named like proteins, or few and dense features   CLR per cell (dense)
    ``peaks``          raw or 0/1 counts, named like ATAC or ``chr1:100-200``       total 10 000, log1p (CSR)
    ``lognormalized``  fractional values up to 20, named like one of these          nothing
    ``continuous``     anything else; only here may values be missing (NaN)         nothing
    =================  ===========================================================  ===========================

    CLR per cell is ``log1p(count)`` minus the cell's mean over the proteins. Every step looks at one cell only:
    nothing is learned across cells, so preparing before a split leaks nothing from test to training cells.

    Parameters
    ----------
    mdata
        Modalities with raw counts or continuous features in ``X``, or raw counts in ``layers["counts"]``, which are
        then the source. So a second call gives the same result, and what `scmoe.pp.niche` added stays as it is.
    kinds
        The kind of some modalities, e.g. ``{"rna": "protein"}``; the others are chosen as above.
    copy
        Return a prepared copy instead of changing `mdata`.

    Returns
    -------
    MuData or None
        The copy, if asked for. Written per modality: ``X`` (normalized, float32), ``layers["counts"]`` (raw counts,
        for the first three kinds; CSR if sparse), and ``mdata.uns["scmoe"]["prepare"][modality]`` with ``kind``,
        ``reason``, ``steps``, ``source``, ``n_cells`` and ``n_features``. One line per modality is logged.

    Raises
    ------
    TypeError
        `kinds` is not a mapping.
    KeyError
        `kinds` names a modality that does not exist.
    ValueError
        A kind is unknown, or the values do not suit it (negative, fractional or missing counts; infinite values; a
        cell or feature that is NaN throughout): the message names modality, cell and feature. Also for everything
        that makes the MuData unusable (duplicate names, empty modalities ...), a backed one, and a view.
        On any error `mdata` is unchanged.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> str(mdata.uns["scmoe"]["prepare"]["adt"]["kind"])
    'protein'
    """
    names = check_mdata(mdata)
    overrides = _check_kinds(kinds or {}, names)
    if mdata.isbacked:
        raise ValueError("The MuData is backed by a file. Read it without backed=, then prepare it.")
    if mdata.is_view and not copy:
        raise ValueError("The MuData is a view of another one. Call mdata = mdata.copy() first, or pass copy=True.")
    root = mdata.uns.get(UNS_ROOT, {})
    if not isinstance(root, Mapping):
        raise ValueError(f"mdata.uns[{UNS_ROOT!r}] must be a mapping, found {type(root).__name__}. Remove it.")
    with quiet_mudata():
        target = mdata.copy() if copy else mdata
        prepared = {name: _prepare_modality(name, target.mod[name], overrides.get(name)) for name in names}
        for name, result in prepared.items():
            _write(target, name, result)
    niches = _made_by_niche(root, overrides)
    records = {
        name: niches[name] if name in niches and result.counts is None else result.record
        for name, result in prepared.items()
    }
    target.uns[UNS_ROOT] = {**root, PREPARE: to_uns(records)}
    for name, record in records.items():
        steps = ", ".join(map(str, record["steps"])) or "left as it is"
        logger.info("%s is taken for %s (%s): %s", name, record["kind"], record["reason"], steps)
    return target if copy else None


def _check_kinds(kinds: Mapping[str, str], names: list[str]) -> Mapping[str, str]:
    if not isinstance(kinds, Mapping):
        raise TypeError(f'kinds must map modalities to kinds, as in {{"rna": "lognormalized"}}; found {kinds!r}.')
    for name, kind in kinds.items():
        if name not in names:
            raise KeyError(f"kinds names the modality {name!r}; the MuData has {names}.")
        if kind not in KINDS:
            raise ValueError(f"kinds[{name!r}] must be one of {', '.join(KINDS)}; found {kind!r}.")
    return kinds


def _made_by_niche(root: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Records of modalities that `scmoe.pp.niche` made: their kind is that of what they were made from."""
    records = root.get(PREPARE, {})
    return {
        name: dict(record)
        for name, record in records.items()
        if name not in kinds and str(record["reason"]).startswith(MADE_BY_NICHE)
    }


def _prepare_modality(name: str, adata: AnnData, kind: str | None) -> _Prepared:
    """Compute what is to be written into a modality, without writing."""
    adata = adata.copy() if adata.is_view else adata
    has_counts = COUNTS_LAYER in adata.layers
    where, matrix = (f"layers['{COUNTS_LAYER}']", adata.layers[COUNTS_LAYER]) if has_counts else ("X", adata.X)
    place = (name, where, adata.obs_names, adata.var_names)
    check_array(matrix, name, where)
    if kind is None:
        if has_counts:
            check_counts(matrix, *place)
        decision = decide_kind(name, adata, matrix)
    else:
        decision = Decision(kind, "given by kinds")
    if decision.kind not in COUNT_KINDS:
        # These kinds have no raw counts: what a user put into X is what counts.
        where, matrix = "X", adata.X
        place = (name, where, adata.obs_names, adata.var_names)
    check_values(matrix, *place, allow_missing=decision.kind == "continuous")
    record = {
        "kind": decision.kind,
        "reason": decision.reason,
        "steps": STEPS[decision.kind],
        "source": where,
        "n_cells": adata.n_obs,
        "n_features": adata.n_vars,
    }
    if decision.kind in COUNT_KINDS:
        check_counts(matrix, *place)
        counts = matrix.tocsr() if sparse.issparse(matrix) else matrix
        values = clr(counts) if decision.kind == "protein" else log_normalize(counts)
        return _Prepared(adata, counts, values, record)
    return _Prepared(adata, None, matrix, record)


def _write(mdata: MuData, name: str, result: _Prepared) -> None:
    if result.adata is not mdata.mod[name]:
        mdata.mod[name] = result.adata
    if result.counts is not None:
        result.adata.layers[COUNTS_LAYER] = result.counts
        result.adata.X = result.values
