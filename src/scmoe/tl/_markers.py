"""`markers`: write which features differ between groups of cells."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe._check import check_mdata, choose_modalities
from scmoe._keys import DEFAULT_KEY, MARKERS, MARKERS_GROUPBY, Keys
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.data._choice import readable_modalities
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._categories import category_names
from scmoe.datasets._cells import raw_column
from scmoe.differential._markers import REST, Denoised, marker_table
from scmoe.differential._observed import Observed, Unit, observe
from scmoe.differential._ranks import MIN_CELLS
from scmoe.differential._scanpy import scanpy_layout
from scmoe.pp._missing import BATCH_NAME
from scmoe.pp._records import read_by_models
from scmoe.tl._double_use import report_double_use
from scmoe.tl._results import check_results, inputs_of
from scmoe.tl._tables import as_layer, groups_of
from scmoe.tl._write import write_modality_uns, write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

FEW = 5
"""Names that a line of the log lists."""


@checks_arguments
@takes_anndata
def markers(
    mdata: MuData,
    model: "SCMOE | None" = None,
    *,
    groupby: str,
    modality: str | Sequence[str] | None = None,
    reference: str = REST,
    batch_key: str | None = None,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Test which features are higher or lower in each group of cells.

    Tests are of measured values, never of what a model makes of them, and keep their error rate: by rank, as
    Wilcoxon's, but among cells of the same batch and of like depth (van Elteren's test), with p-values that hold for
    groups of few cells and for genes that few cells have. A feature that was not measured in a batch is not tested
    there. What a model says is shown beside, as an effect size.

    Cells of one donor are alike, and so are no replicates: p-values are about these cells. For differences between
    conditions use `scmoe.tl.differential`.

    Clusters made from the same values make p-values too small, and the log says so. To be spared that, set counts aside
    first, with `scmoe.pp.split_counts`: then tests read these alone.

    Parameters
    ----------
    mdata
        Data with counts (`scmoe.pp.prepare` keeps them), log-normalized or continuous values.
    model
        A trained model, whose denoised fold changes are to stand beside the tests; None: without them.
    groupby
        Column of ``mdata.obs``, such as the cluster or cell type. Cells without an entry are left out.
    modality
        Modality or modalities; None: all that models read.
    reference
        What each group is compared with: ``"rest"``, all other cells, or a group.
    batch_key
        Column of ``mdata.obs`` with batches or donors, within which cells are compared; None: that of the model, or
        none.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["markers"]``, a frame with a row for each modality, group and feature:
        ``n_cells`` of the group; ``score``, the standardized sum of ranks; ``auc``, the probability that a cell of the
        group is higher than another one of its batch and depth (½: no difference); ``log_fold_change`` (base 2, of mean
        counts per 10 000; of proteins, of centered logarithms; NaN of continuous values); with a model
        ``log_fold_change_denoised`` and the ends ``_lower`` and ``_upper`` of its interval of 95 % over cells, which
        does not know the errors of the model; ``p_value``; ``p_adjusted`` (Benjamini-Hochberg over the features of a
        group and modality); ``detection_in`` and ``detection_out``, shares of cells above zero. Rows are sorted by
        score. NaN: nothing to compare, as for a group of one cell or without others in its batches.

        Writes ``mdata.mod[m].uns["{key_added}_markers"]`` as well, for scanpy's plots:
        ``sc.pl.rank_genes_groups_dotplot(mdata["rna"], key="scmoe_markers")``; and the groups to ``mdata.mod[m].obs``
        where they are not there.

    Raises
    ------
    KeyError
        A column, modality or group that there is not.
    ValueError
        There are fewer than two groups, the groups are the batches, or the data do not fit the model.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> scmoe.tl.markers(mdata, groupby="cell_type", modality="adt", batch_key="batch")
    >>> table = mdata.uns["scmoe"]["markers"]
    >>> sorted(table[table["group"] == "NK"]["feature"].head(3))
    ['CD122', 'CD335', 'CD56']
    >>> table.to_csv("markers.csv", index=False)
    """
    names = _modalities(mdata, modality)
    batch_key = _batch_key(mdata, model, groupby, batch_key)
    groups = group_names(mdata, groupby)
    _check_groups(groups, groupby, reference)
    scanpy_key = Keys(name=key_added).markers
    inputs = {} if model is None else inputs_of(model.setup, mdata)
    check_results(mdata, key_added, inputs=inputs)
    report_double_use(mdata, model, groupby, names)
    tables = {}
    for name in names:
        observed = observe(mdata, name, batch_key)
        cells = mdata.mod[name].obs_names
        of_cells = _of_modality(groups, cells)
        if reference != REST and reference not in of_cells.categories:
            logger.warning("%s: not tested, for none of its cells is in the group %r", name, reference)
            continue
        batches = _batches(mdata, batch_key, cells)
        _report_groups(name, of_cells, batches, batch_key)
        table = marker_table(
            observed,
            mdata.mod[name].var_names.astype(str),
            of_cells,
            batches,
            reference=reference,
            denoised=None if model is None else _denoised(mdata, model, name, observed),
        )
        is_read = mdata.mod[name].var_names.astype(str)[read_by_models(mdata.mod[name])]
        tables[name] = table[table["feature"].isin(is_read)].reset_index(drop=True)
    if not tables:
        raise ValueError(f"No modality has cells of the group {reference!r}. Choose another reference.")
    write_uns(mdata, key_added, **{MARKERS: _joined(tables), MARKERS_GROUPBY: groupby})
    for name, table in tables.items():
        adata = mdata.mod[name]
        if groupby not in adata.obs:
            adata.obs[groupby] = _of_modality(groups, adata.obs_names)
        write_modality_uns(mdata, key_added, name, scanpy_key, scanpy_layout(table, groupby, reference))


def group_names(mdata: MuData, groupby: str) -> pd.Series:
    """The groups of cells as an ordered list of texts, those without cells left out."""
    column = groups_of(mdata, groupby)
    assert column is not None
    names = category_names(column)
    names = names.where(names.notna() & (names != ""), None)
    if isinstance(column.dtype, pd.CategoricalDtype):
        order = list(dict.fromkeys(category_names(pd.Series(column.cat.categories))))
    else:
        order = sorted(names.dropna().unique())
    known = set(names.dropna())
    return pd.Series(pd.Categorical(names, [name for name in order if name in known]), index=mdata.obs_names)


def _modalities(mdata: MuData, modality: str | Sequence[str] | None) -> list[str]:
    check_mdata(mdata)
    return readable_modalities(mdata) if modality is None else choose_modalities(mdata, modality)


def _batch_key(mdata: MuData, model: "SCMOE | None", groupby: str, batch_key: str | None) -> str | None:
    """The column of batches; the log says where one is likely."""
    if batch_key is None and model is not None and model.setup.batch_key in mdata.obs:
        batch_key = model.setup.batch_key
        logger.info("cells are compared within the batches of the model, obs[%r]", batch_key)
    if batch_key is not None:
        column = category_names(raw_column(mdata, batch_key, "batch_key"))
        groups = category_names(raw_column(mdata, groupby, "groupby"))
        pairs = pd.DataFrame({"batch": column, "group": groups}).dropna().drop_duplicates()
        if len(pairs) > 1 and pairs["batch"].is_unique:
            raise ValueError(
                f"Every batch of {batch_key!r} holds one group of {groupby!r} only, so that nothing can tell groups "
                "from batches. Between conditions, compare donors: scmoe.tl.differential. To compare cells across "
                "batches all the same, leave batch_key out."
            )
        return batch_key
    likely = [str(key) for key in mdata.obs if BATCH_NAME.search(str(key)) and key != groupby]
    likely = [key for key in likely if 1 < mdata.obs[key].nunique() <= mdata.n_obs // 2]
    if likely:
        logger.info("cells are compared across obs[%r]; batch_key=%r compares them within", likely[0], likely[0])
    return None


def _batches(mdata: MuData, batch_key: str | None, cells: pd.Index) -> NDArray[np.intp]:
    """Code of the batch of each cell; cells without one are a batch of their own."""
    if batch_key is None:
        return np.zeros(len(cells), np.intp)
    names = category_names(mdata.obs[batch_key].loc[cells])
    return np.asarray(pd.factorize(names, use_na_sentinel=False)[0], dtype=np.intp)


def _of_modality(groups: pd.Series, cells: pd.Index) -> pd.Categorical:
    return pd.Categorical(groups.loc[cells].array).remove_unused_categories()


def _check_groups(groups: pd.Series, groupby: str, reference: str) -> None:
    names = list(groups.cat.categories)
    if len(names) < 2:
        raise ValueError(f"groupby={groupby!r} must have at least two groups; found {', '.join(names) or 'none'}.")
    if reference != REST and reference not in names:
        raise KeyError(
            f"reference={reference!r} is no group of {groupby!r}; it is 'rest' or one of {', '.join(names)}."
        )
    n_missing = int(groups.isna().sum())
    if n_missing:
        logger.info("obs[%r]: %d of %d cells have no entry and are left out", groupby, n_missing, len(groups))


def _report_groups(name: str, groups: pd.Categorical, batches: NDArray[np.intp], batch_key: str | None) -> None:
    """Say which groups cannot be tested, and why."""
    sizes = pd.Series(groups).value_counts()
    small = [f"{group} ({n})" for group, n in sizes.items() if n < MIN_CELLS]
    if small:
        logger.warning("%s: groups of fewer than %d cells are not tested: %s", name, MIN_CELLS, _few(small))
    if batch_key is None:
        return
    table = pd.crosstab(batches, np.asarray(groups.codes))
    alone = table.eq(table.sum(axis=1), axis=0)
    lonely = [groups.categories[code] for code in table if code >= 0 and alone[code][table[code] > 0].all()]
    if lonely:
        logger.warning(
            "%s: groups without other cells in their batches (obs[%r]) cannot be told from these, and are not tested: "
            "%s",
            *(name, batch_key, _few(lonely)),
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")


def _denoised(mdata: MuData, model: "SCMOE", name: str, observed: Observed) -> Denoised | None:
    """What the model says of a modality; None: it does not know it."""
    if name not in model.modalities:
        return None
    values = as_layer(mdata, name, model.get_normalized(name, mdata), model.feature_names[name], model.setup)
    unit: Unit = "amount" if model.setup.likelihood(name).reads_counts else observed.unit
    return Denoised(values, unit)


def _joined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One table, names as categories, which take less memory."""
    table = pd.concat([rows.assign(modality=name) for name, rows in tables.items()], ignore_index=True)
    for column in ("modality", "group", "feature"):
        table[column] = pd.Categorical(table[column].astype(str))
    return table[["modality", *(column for column in table if column != "modality")]]
