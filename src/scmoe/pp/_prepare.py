"""Normalize each modality by defaults that are chosen from the data, stated and overridable."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from mudata import MuData

from scmoe._check import check_free, check_mdata
from scmoe._keys import COUNTS_LAYER, HIGHLY_VARIABLE, MADE_BY_NICHE, MISSING, PANEL, PREPARE, SET_ASIDE, UNS_ROOT
from scmoe._log import logger
from scmoe._matrix import NOT_LOADED
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._cells import all_obs, raw_column
from scmoe.datasets._pairing import describe_pairing
from scmoe.io._mapped import copy_of
from scmoe.io._quiet import quiet_mudata
from scmoe.io._uns import to_uns
from scmoe.pp._kind import KINDS, SET_ASIDE_KINDS
from scmoe.pp._modality import Prepared, Settings, prepare_modality
from scmoe.pp._records import missing_table, prepare_records
from scmoe.pp._source import keep_original


@checks_arguments
@takes_anndata
def prepare(
    mdata: MuData,
    *,
    kinds: Mapping[str, str] | None = None,
    batch_key: str | None = None,
    missing: Literal["auto", "never"] | Mapping[str, Any] = "auto",
    set_aside: Literal["auto", "never"] | Mapping[str, Sequence[str]] = "auto",
    n_top_features: int | Literal["auto"] | None = "auto",
    copy: bool = False,
) -> MuData | None:
    """Normalize every modality, keep its raw counts, and state what it was taken for.

    Each modality is taken for one of these kinds, by its names first, as far as its values agree:

    =================  ===========================================================  ===========================
    kind               taken when                                                   what happens to ``X``
    =================  ===========================================================  ===========================
    ``rna``            raw counts, named like RNA, or many or sparse features       total 10 000, log1p (CSR)
    ``ambient``        fractional counts, as after the removal of ambient RNA       total 10 000, log1p (CSR)
    ``protein``        raw counts, named like proteins, or few and dense features   CLR per cell (dense)
    ``peaks``          raw or 0/1 counts, named like ATAC or ``chr1:100-200``       total 10 000, log1p (CSR)
    ``lognormalized``  logarithms of counts, whatever total they were scaled to     nothing
    ``continuous``     anything else                                                nothing
    ``tags``           hashtags, Multiplexing Capture                               nothing, not read by models
    ``guides``         CRISPR Guide Capture                                         nothing, not read by models
    ``controls``       negative control probes, blank codewords                     nothing, not read by models
    ``custom``         features of the type ``Custom``                              nothing, not read by models
    =================  ===========================================================  ===========================

    CLR per cell is ``log1p(count)`` minus the cell's mean over the proteins it has; one or two proteins are not
    centered. Values that were scaled but not taken to logarithms count as counts. Normalization looks at one cell
    only: no value is learned across cells, so preparing before a split leaks nothing from test to training cells.

    **Not measured is not zero.** A feature that is zero in a whole batch against all odds, by its rate in the other
    batches, was not measured there (another panel, an outer join). Single genes that a batch lacks are left as they
    are, for a donor may have none (XIST, HLA-DRB5). A cell without any count of a modality was not measured in it.
    Models mask all of these, and NaN.

    **What is no biology is set aside**: hashtags and sample tags among proteins, isotype controls, blank probes, ERCC
    spike-ins, and the last four kinds. It stays in the file, and `scmoe.pp.assign_tags` makes columns of it.

    Parameters
    ----------
    mdata
        Modalities with counts or continuous features in ``X``, or raw counts in ``layers["counts"]``, which are
        then the source. So a second call gives the same result, and what `scmoe.pp.niche` added stays as it is.
    kinds
        The kind of some modalities, e.g. ``{"rna": "protein"}``; the others are chosen as above. A kind of counts is
        accepted for fractional values too.
    batch_key
        Column of ``mdata.obs`` with batches, in each of which other features may have been measured. None: columns
        that are called like one (batch, donor, sample, lane ...) are looked through.
    missing
        ``"auto"``: as above. ``"never"``: zeros are values. A mapping gives, for some modalities, an array or frame of
        cells x features that is True where a value was not measured; it holds in later calls too, unless these say
        something else.
    set_aside
        ``"auto"``: as above. ``"never"``: models read all features. A mapping lists the features for some modalities.
    n_top_features
        How many variable features models read, where ``var["highly_variable"]`` does not say so already. ``"auto"``:
        4000 genes of more than 10 000, 20 000 peaks of more than 50 000; otherwise all. None: all. Totals are of all
        features. With ``obs["split"]`` (see `scmoe.pp.split`) the training cells choose; else all cells do.
    copy
        Return a prepared copy instead of changing `mdata`.

    Returns
    -------
    MuData or None
        The copy, if asked for. Written per modality: ``X`` (normalized, float32; NaN where a protein was not measured),
        ``layers["counts"]`` (the counts, for the first four kinds; CSR if sparse), ``var["scmoe_set_aside"]`` (the
        reason, or ``""``) where features are set aside, ``var["highly_variable"]`` if it was chosen,
        ``obs["scmoe_panel"]`` for a mask, and ``mdata.uns["scmoe"]["prepare"][modality]`` with ``kind``, ``reason``,
        ``steps``, ``source``, ``n_cells``, ``n_features`` and, for counts, ``missing`` and ``set_aside``. What was not
        measured is listed in ``mdata.uns["scmoe"]["missing"]``: a frame with the columns ``modality``, ``column`` of
        ``obs`` (``""``: all cells), ``category`` and ``feature``. The log has a line for each choice.

    Raises
    ------
    TypeError
        `kinds`, `missing` or `set_aside` is of another type.
    KeyError
        A modality, feature or column that does not exist.
    ValueError
        A kind is unknown, or the values cannot be of it (negative counts, a few fractions among whole numbers,
        infinite values, logarithms given for counts): the message names modality, cell and feature. Also for a mask of
        another shape, for a modality of which every feature is set aside or no value was measured, for everything that
        makes the MuData unusable (duplicate names, empty modalities ...), a backed one, and a view; and for a copy of
        data that are on disk.
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
    _check_modalities("missing", missing, names)
    _check_modalities("set_aside", set_aside, names)
    if mdata.isbacked:
        raise ValueError(f"The MuData is backed by a file. {NOT_LOADED}")
    if mdata.is_view and not copy:
        raise ValueError("The MuData is a view of another one. Call mdata = mdata.copy() first, or pass copy=True.")
    check_free(mdata, UNS_ROOT, PREPARE)
    root = mdata.uns.get(UNS_ROOT, {})
    if not isinstance(root.get(MISSING, pd.DataFrame()), pd.DataFrame):
        raise ValueError(f"mdata.uns[{UNS_ROOT!r}][{MISSING!r}] must be free for a table. Rename what is there.")
    if batch_key == PANEL and isinstance(missing, Mapping):
        raise ValueError(f"batch_key={PANEL!r} is read, and a mask in missing= would replace it. Rename the column.")
    describe_pairing(mdata)
    former = missing_table(mdata)
    settings = Settings(_check_kinds(kinds or {}, names), batch_key, missing, set_aside, n_top_features, former)
    obs = all_obs(mdata)
    if batch_key is not None:
        raw_column(mdata, batch_key, "batch_key")
    with quiet_mudata():
        target = copy_of(mdata) if copy else mdata
        prepared = {
            name: prepare_modality(name, target.mod[name], obs.loc[target.mod[name].obs_names], settings)
            for name in names
        }
        for name, result in prepared.items():
            _write(target, name, result)
    niches = _made_by_niche(prepare_records(mdata), settings.kinds)
    records = {
        name: niches[name] if name in niches and result.counts is None else result.record
        for name, result in prepared.items()
    }
    rest = {key: value for key, value in root.items() if key != MISSING}
    table = pd.concat([result.missing for result in prepared.values()], ignore_index=True)
    target.uns[UNS_ROOT] = {**rest, PREPARE: to_uns(records)} | ({MISSING: to_uns(table)} if len(table) else {})
    for name, record in records.items():
        unread = "set aside: models do not read it" if record["kind"] in SET_ASIDE_KINDS else "left as it is"
        steps = ", ".join(map(str, record["steps"])) or unread
        logger.info("%s is taken for %s (%s): %s", name, record["kind"], record["reason"], steps)
    return target if copy else None


def _check_modalities(argument: str, value: str | Mapping[str, Any], names: list[str]) -> None:
    """Raise if an argument, which is a word or something for each modality, names one that there is not."""
    for name in () if isinstance(value, str) else value:
        if name not in names:
            raise KeyError(f"{argument} names the modality {name!r}; the data have {', '.join(names)}.")


def _check_kinds(kinds: Mapping[str, str], names: list[str]) -> Mapping[str, str]:
    for name, kind in kinds.items():
        if name not in names:
            raise KeyError(f"kinds names the modality {name!r}; the MuData has {names}.")
        if kind not in KINDS:
            raise ValueError(f"kinds[{name!r}] must be one of {', '.join(KINDS)}; found {kind!r}.")
    return kinds


def _made_by_niche(records: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Records of modalities that `scmoe.pp.niche` made: their kind is that of what they were made from."""
    return {
        name: dict(record)
        for name, record in records.items()
        if name not in kinds and str(record.get("reason")).startswith(MADE_BY_NICHE)
    }


def _write(mdata: MuData, name: str, result: Prepared) -> None:
    adata = result.adata
    if adata is not mdata.mod[name]:
        mdata.mod[name] = adata
    if result.counts is not None:
        keep_original(name, adata, result.source, result.values)
        adata.layers[COUNTS_LAYER] = result.counts
        adata.X = result.values
    if result.set_aside or SET_ASIDE in adata.var:
        adata.var[SET_ASIDE] = [result.set_aside.get(feature, "") for feature in adata.var_names.astype(str)]
    if result.variable is not None:
        adata.var[HIGHLY_VARIABLE] = result.variable
    if result.panel is not None:
        adata.obs[PANEL] = pd.Categorical(result.panel)
