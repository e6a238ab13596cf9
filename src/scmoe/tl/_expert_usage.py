"""`expert_usage`: write which experts serve which modality and which cells."""

from typing import TYPE_CHECKING

from mudata import MuData

from scmoe._keys import DEFAULT_KEY, EXPERT_USAGE, EXPERT_USAGE_GROUPBY, Keys
from scmoe.explain._usage import usage_table
from scmoe.tl._embed import rows_of
from scmoe.tl._tables import groups_of, write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


def expert_usage(mdata: MuData, model: "SCMOE", *, groupby: str | None = None, key_added: str = DEFAULT_KEY) -> None:
    """Tell which experts the cells use.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    groupby
        Column of ``mdata.obs``, such as the cell type, to split the table by as well.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes, for each modality, ``mdata.mod[m].obsm["{key_added}_router"]`` (its cells x experts: mean routing weight
        in the last block), and ``mdata.uns[key_added]["expert_usage"]``, a frame with the columns ``layer``,
        ``modality``, ``group`` (``"all cells"``, and the groups), ``expert``, ``hard`` (share of the choices), ``soft`` (share
        of the weight) and ``n_cells``; ``mdata.uns[key_added]["expert_usage_groupby"]`` holds `groupby`.

    Raises
    ------
    KeyError
        `groupby` is not a column.
    ValueError
        The data do not fit the model.
    """
    groups = groups_of(mdata, groupby)
    soft = model.get_router_activations(mdata, kind="soft")
    table = usage_table(soft, model.get_router_activations(mdata, kind="hard"), groups)
    for name, activation in soft.items():
        if name in mdata.mod:
            mdata.mod[name].obsm[Keys(name=key_added).router] = rows_of(mdata, name, activation)[:, -1]
    write_uns(mdata, key_added, **{EXPERT_USAGE: table, EXPERT_USAGE_GROUPBY: groupby or ""})
