"""`majority_vote`: write the label that most cells of a group have."""

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import ANNOTATION, DEFAULT_KEY, UNKNOWN_LABEL, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.tl._results import check_results
from scmoe.tl._tables import groups_of
from scmoe.tl._write import write_obs


@checks_arguments
@takes_anndata
def majority_vote(
    mdata: MuData, *, groupby: str | None = None, min_share: float = 0.5, key_added: str = DEFAULT_KEY
) -> None:
    """Give each group of cells one label: that of most of its cells.

    Cells of a cluster mostly are of one type, so the vote mends labels of single cells of low quality. It also hides
    rare types that have no cluster of their own: the labels of cells stay beside it.

    Parameters
    ----------
    mdata
        Data with labels (see `scmoe.tl.annotate`).
    groupby
        Column of ``mdata.obs`` with groups; None: the clusters, ``"{key_added}_cluster"`` (see `scmoe.tl.cluster`).
    min_share
        Share of a group's cells that must have the label; groups without such a label get the name of declined cells,
        and so do cells without a group. Declined cells count as cells, and do not vote.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes to ``obs`` of `mdata` and of each modality ``"{key_added}_label_majority"`` (categorical) and
        ``"{key_added}_label_majority_share"`` (share of the group's cells with the label of most; NaN for cells without
        a group). Of two labels with as many cells, the first by name is taken.

    Raises
    ------
    KeyError
        There are no labels or groups.
    ValueError
        `min_share` is out of range, or a column of yours has the name of a result.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> model = scmoe.tl.train(mdata, labels_key="cell_type")
    >>> scmoe.tl.majority_vote(mdata)
    >>> table = mdata.obs[["scmoe_cluster", "scmoe_label", "scmoe_label_majority"]]
    """
    keys = Keys(name=key_added)
    if keys.label not in mdata.obs:
        raise KeyError(
            f"mdata.obs[{keys.label!r}] does not exist; run scmoe.tl.annotate(..., key_added={key_added!r})."
        )
    groups = groups_of(mdata, groupby or keys.cluster)
    paths = [f"obs/{name}" for name in (keys.label_majority, keys.label_majority_share)]
    check_results(mdata, key_added, paths, {f"obs/{groupby}": "groupby"} if groupby else {})
    reject = str(mdata.uns.get(key_added, {}).get(ANNOTATION, {}).get("reject_label", UNKNOWN_LABEL))
    label, share = vote(mdata.obs[keys.label].astype(str), groups, reject, min_share)
    write_obs(mdata, key_added, {keys.label_majority: pd.Categorical(label), keys.label_majority_share: share})


def vote(labels: pd.Series, groups: pd.Series, reject: str, min_share: float) -> tuple[np.ndarray, np.ndarray]:
    """The label of each cell's group, and the share of the group's cells that have it.

    Parameters
    ----------
    labels
        Of cells; declined ones have the label `reject`.
    groups
        Of the same cells; missing ones have none.
    reject
        What groups without a label of enough cells get.
    min_share
        Share of the cells that is enough.
    """
    table = pd.crosstab(groups.astype(str).where(groups.notna()), labels)
    share = table.drop(columns=reject, errors="ignore").div(table.sum(axis=1), axis=0)
    share[reject] = 0.0  # never more than the others, so it is chosen only where no cell of the group has a label
    best = share.max(axis=1)
    chosen = share.idxmax(axis=1).where((best >= min_share) & (best > 0), reject)
    group = groups.astype(str).where(groups.notna())
    return group.map(chosen).fillna(reject).to_numpy(dtype=object), group.map(best).to_numpy(dtype=float)
