"""`abundance`: write which groups of cells a condition has more of, with donors as replicates."""

from typing import Literal

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._check import check_mdata
from scmoe._keys import ABUNDANCE, DEFAULT_KEY
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.differential._abundance import (
    adjusted_table,
    composition_tests,
    counts_by_sample,
    draw_neighborhoods,
)
from scmoe.differential._samples import make_design
from scmoe.tl._differential import check_replicates, sample_table
from scmoe.tl._markers import group_names
from scmoe.tl._results import check_results
from scmoe.tl._stored import stored_embedding
from scmoe.tl._write import write_uns

REMEDY = "Add donors, or look at the shares of each sample: pandas.crosstab(mdata.obs[groupby], mdata.obs[sample_key])."


@checks_arguments
@takes_anndata
def abundance(
    mdata: MuData,
    *,
    condition: str,
    sample_key: str,
    groupby: str | None = None,
    parts: Literal["groups", "neighborhoods"] = "groups",
    reference: str | None = None,
    seed: int = 0,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Test which groups of cells, or neighborhoods of the embedding, a condition has more of.

    Samples are the replicates: a t-test compares the log-odds of a part in the samples of two conditions. Shares add up
    to one, so that a group that grows makes all others smaller.

    Parameters
    ----------
    mdata
        Data with labels or clusters, or with an embedding (see `scmoe.tl.embed`).
    condition
        Column of ``mdata.obs``, such as disease or treatment; each sample is of one.
    sample_key
        Column of ``mdata.obs`` with the replicates, such as donors.
    groupby
        Column of ``mdata.obs`` with cell types or clusters.
    parts
        ``"groups"``: those of `groupby`. ``"neighborhoods"``: the nearest cells (30, or five for each sample) of a
        tenth of the cells in the embedding; `groupby` then only names them.
    reference
        Condition that others are compared with; None: the first by name.
    seed
        Of the draw of neighborhoods.
    key_added
        Name of the results, and of the embedding.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["abundance"]``, a frame with a row for each condition (against ``reference``) and
        part: ``group`` (of a neighborhood, the one that most of its cells are of), of neighborhoods ``cell``, the one
        in the middle; ``n_samples``, ``n_reference``; ``share`` and ``share_reference``, means over samples;
        ``log_fold_change`` of the odds (base 2); ``p_value``; ``p_adjusted`` (Benjamini-Hochberg; of neighborhoods
        weighted by one over their radius, for they overlap).

    Raises
    ------
    KeyError
        A column, condition or embedding that there is not.
    ValueError
        A condition has one sample only; a sample is of several conditions; there is no `groupby` to count.

    Examples
    --------
    >>> import numpy as np
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> mdata.obs["pool"] = [f"pool{i % 6}" for i in range(mdata.n_obs)]  # in place of six donors
    >>> mdata.obs["treated"] = np.where(mdata.obs["pool"].isin(["pool0", "pool1", "pool2"]), "yes", "no")
    >>> scmoe.tl.abundance(mdata, condition="treated", sample_key="pool", groupby="cell_type")
    >>> bool((mdata.uns["scmoe"]["abundance"]["p_adjusted"] > 0.05).all())
    True
    """
    check_mdata(mdata)
    if groupby is None and parts == "groups":
        raise ValueError("Name the groups to count: groupby='cell_type', or pass parts='neighborhoods'.")
    design = make_design(sample_table(mdata, condition, sample_key), condition, sample_key, reference, ())
    check_replicates(design, condition, REMEDY)
    if reference is None:
        logger.info("%s is the reference of obs[%r]", design.levels[0], condition)
    check_results(mdata, key_added)
    n_samples, groups = len(design.table), None if groupby is None else group_names(mdata, groupby)
    has_sample = np.flatnonzero(design.codes >= 0)
    if parts == "groups":
        assert groups is not None
        has_sample = has_sample[groups.notna().to_numpy()[has_sample]]
        names = list(map(str, groups.cat.categories))
        cells = [np.flatnonzero(groups.cat.codes.to_numpy() == code) for code in range(len(names))]
        columns, weights = {"group": names}, None
    else:
        places = draw_neighborhoods(stored_embedding(mdata, key_added)[has_sample], n_samples, seed)
        cells, weights = list(has_sample[places.members]), 1 / np.maximum(places.radius, np.finfo(float).tiny)
        columns = {"cell": mdata.obs_names[has_sample[places.center]].tolist()}
        if groups is not None:
            modes = [groups.iloc[members].mode() for members in cells]
            columns["group"] = [str(mode.iloc[0]) if len(mode) else "None" for mode in modes]
    totals = np.bincount(design.codes[has_sample], minlength=n_samples).astype(float)
    counts = counts_by_sample(design.codes, cells, n_samples)
    is_there = totals > 0
    design = design._replace(table=design.table[is_there])
    check_replicates(design, condition, REMEDY)
    tables = composition_tests(counts[is_there], totals[is_there], design)
    table = adjusted_table([pd.DataFrame(columns).join(table) for table in tables], weights)
    write_uns(mdata, key_added, **{ABUNDANCE: table})
