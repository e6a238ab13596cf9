"""`differential`: write which features differ between conditions, with donors as replicates."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._check import check_mdata, choose_modalities
from scmoe._keys import DEFAULT_KEY, DIFFERENTIAL
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._categories import category_names
from scmoe.datasets._cells import raw_column
from scmoe.differential._observed import counts_of, measured_of
from scmoe.differential._pseudobulk import pseudobulk_table, require_pydeseq2
from scmoe.differential._samples import MIN_SAMPLES, Design, make_design, sums_by_sample
from scmoe.pp._records import read_by_models
from scmoe.tl._markers import group_names
from scmoe.tl._results import check_results
from scmoe.tl._write import write_uns

ALL = "all cells"
FOLD_CHANGES_ALONE = "scmoe.tl.differential(..., without_replicates=True) writes fold changes without p-values."


@checks_arguments
@takes_anndata
def differential(
    mdata: MuData,
    *,
    condition: str,
    sample_key: str,
    groupby: str | None = None,
    modality: str | Sequence[str] | None = None,
    reference: str | None = None,
    covariate_keys: Sequence[str] = (),
    min_cells: int = 10,
    without_replicates: bool = False,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Test which features differ between conditions, in each group of cells, with samples as replicates.

    Cells of one donor are alike, so that tests of cells find differences between any two donors. Here the counts of
    each sample and group are summed, and the sums compared with DESeq2's model (by pydeseq2:
    ``pip install 'scmoe[differential]'``). Measured counts are tested, never what a model makes of them.

    Parameters
    ----------
    mdata
        Data with counts.
    condition
        Column of ``mdata.obs``, such as disease or treatment; each sample is of one.
    sample_key
        Column of ``mdata.obs`` with the replicates: donors, or samples of donors.
    groupby
        Column of ``mdata.obs`` with cell types or clusters, each of which is compared by itself; None: all cells.
    modality
        Modality or modalities; None: all with counts.
    reference
        Condition that others are compared with; None: the first by name, which the log says.
    covariate_keys
        Columns of ``mdata.obs`` that say something of each sample, whose effect is taken out, such as the donor where
        one was sampled under several conditions.
    min_cells
        Samples with fewer cells of a group are left out of it.
    without_replicates
        Whether to write fold changes alone, without p-values, for which one sample of a condition will do.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["differential"]``, a frame with a row for each modality, group, condition (against
        ``reference``) and feature: ``n_samples`` and ``n_reference``; ``mean_count``, the mean of the samples' scaled
        sums; ``log_fold_change`` (base 2) and its ``standard_error``; ``p_value``; ``p_adjusted`` (Benjamini-Hochberg,
        as DESeq2 does it, without features of very low counts). NaN: not tested, as for a feature that was not measured
        in some of the cells.

    Raises
    ------
    ImportError
        pydeseq2 is not installed.
    KeyError
        A column, modality or condition that there is not.
    ValueError
        A condition has one sample only; a sample is of several conditions; there are no counts.

    Examples
    --------
    >>> import numpy as np
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> mdata.obs["pool"] = [f"pool{i % 4}" for i in range(mdata.n_obs)]  # in place of four donors
    >>> mdata.obs["treated"] = np.where(mdata.obs["pool"].isin(["pool0", "pool1"]), "yes", "no")
    >>> names = {"condition": "treated", "sample_key": "pool"}
    >>> scmoe.tl.differential(mdata, modality="adt", without_replicates=True, **names)
    >>> table = mdata.uns["scmoe"]["differential"]
    >>> int(table["n_samples"].iloc[0])
    2
    """
    check_mdata(mdata)
    names = choose_modalities(mdata, modality)
    obs = sample_table(mdata, condition, sample_key, covariate_keys)
    design = make_design(obs, condition, sample_key, reference, covariate_keys)
    if not without_replicates:
        check_replicates(design, condition, FOLD_CHANGES_ALONE)
    if not without_replicates:
        require_pydeseq2()
    if reference is None:
        logger.info("%s is the reference of obs[%r]", design.levels[0], condition)
    groups = pd.Series(ALL, mdata.obs_names, dtype="category") if groupby is None else group_names(mdata, groupby)
    check_results(mdata, key_added)
    parts = []
    for name in names:
        table = _of_modality(mdata, name, design, groups, min_cells, has_tests=not without_replicates)
        if table is not None:
            parts.append(table.assign(modality=name))
        elif modality is not None:
            raise ValueError(f"mdata[{name!r}] has no raw counts to sum. Put them into layers['counts'].")
    tables = [table for table in parts if len(table)]
    if not tables:
        raise ValueError(
            f"No group has {1 if without_replicates else MIN_SAMPLES} samples with {min_cells} cells of either "
            "condition. Lower min_cells, or compare all cells: groupby=None."
        )
    table = pd.concat(tables, ignore_index=True)
    first = ["modality", "group", "condition", "reference", "feature"]
    table = table[[*first, *(column for column in table if column not in first)]]
    write_uns(mdata, key_added, **{DIFFERENTIAL: table})


def sample_table(mdata: MuData, condition: str, sample_key: str, covariate_keys: Sequence[str] = ()) -> pd.DataFrame:
    """Columns that say which sample a cell is of, and of which condition, as text."""
    columns = {
        key: category_names(raw_column(mdata, key, argument))
        for key, argument in (
            (condition, "condition"),
            (sample_key, "sample_key"),
            *((key, "covariate_keys") for key in covariate_keys),
        )
    }
    table = pd.DataFrame(columns, index=mdata.obs_names)
    n_missing = int(table.isna().any(axis=1).sum())
    if n_missing:
        logger.info("%d of %d cells have no entry in %s and are left out", n_missing, len(table), ", ".join(columns))
    return table


def check_replicates(design: Design, condition: str, remedy: str) -> None:
    """Raise if a condition has one sample only, and say what to do."""
    sizes = design.sizes(list(design.table.index))
    single = [level for level, n in sizes.items() if n < MIN_SAMPLES]
    if single:
        raise ValueError(
            f"Each value of {condition!r} must have {MIN_SAMPLES} samples or more; {single[0]!r} has "
            f"{sizes[single[0]]}. One sample does not tell a difference between conditions from one between any two "
            f"donors. {remedy}"
        )


def _of_modality(
    mdata: MuData, name: str, design: Design, groups: pd.Series, min_cells: int, *, has_tests: bool
) -> pd.DataFrame | None:
    """A modality's tests, group by group; None: it has no counts."""
    kind, counts, _ = counts_of(mdata, name)
    if counts is None:
        return None
    adata = mdata.mod[name]
    measured = measured_of(mdata, name, counts, kind, None)
    rows = mdata.obs_names.get_indexer(adata.obs_names)
    codes, samples = design.codes[rows], list(design.table.index)
    group_codes = groups.cat.codes.to_numpy()[rows]
    is_read, parts, left_out = read_by_models(adata), [], []
    for code, group in enumerate(groups.cat.categories):
        own = np.where(group_codes == code, codes, -1)
        n_cells = np.bincount(own[own >= 0], minlength=len(samples))
        is_used = n_cells >= min_cells
        used = [sample for sample, is_in in zip(samples, is_used, strict=True) if is_in]
        if min(design.sizes(used).values()) < (MIN_SAMPLES if has_tests else 1):
            left_out.append(str(group))
        own = np.where(is_used[own] & (own >= 0), own, -1)
        is_measured = measured.features[np.unique(measured.codes[own >= 0])].all(0) & is_read
        sums = sums_by_sample(counts, own, len(samples))[is_used]
        enough = _enough(design, used, MIN_SAMPLES if has_tests else 1)
        table = pseudobulk_table(sums, adata.var_names.astype(str), used, enough, is_measured, has_tests=has_tests)
        if len(table):
            parts.append(table[table["feature"].isin(adata.var_names[is_read])].assign(group=str(group)))
    if left_out:
        logger.warning(
            "%s: too few samples of %d cells for some comparisons in: %s", name, min_cells, ", ".join(left_out)
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _enough(design: Design, samples: list[str], n_needed: int) -> Design:
    """The design without conditions that have too few of these samples; without the reference there is none left."""
    sizes = design.sizes(samples)
    reference, *others = design.levels
    is_compared = sizes[reference] >= n_needed
    return design._replace(levels=[reference, *(level for level in others if is_compared and sizes[level] >= n_needed)])
