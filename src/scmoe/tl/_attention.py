"""`attention`: write how much modalities attend to each other."""

from typing import TYPE_CHECKING

from mudata import MuData

from scmoe._keys import ATTENTION, ATTENTION_GROUPBY, DEFAULT_KEY
from scmoe.explain._attention import attention_table
from scmoe.tl._tables import groups_of, write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


def attention(mdata: MuData, model: "SCMOE", *, groupby: str | None = None, key_added: str = DEFAULT_KEY) -> None:
    """Tell how much the modalities attend to each other.

    Attention says where a token looks, not what matters for the result.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    groupby
        Column of ``mdata.obs`` to split the table by as well.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["attention"]``, a frame with the columns ``layer``, ``group`` (``"all cells"``, and the
        groups), ``query``, ``key`` (modalities), ``attention`` (share of the query's attention; sums to one over keys),
        ``ratio`` (to what uniform attention would give) and ``n_cells``; ``mdata.uns[key_added]["attention_groupby"]``
        holds `groupby`.

    Raises
    ------
    KeyError
        `groupby` is not a column.
    ValueError
        The data do not fit the model.
    """
    groups = groups_of(mdata, groupby)
    table = attention_table(model.get_attention(mdata), model.modalities, groups)
    write_uns(mdata, key_added, **{ATTENTION: table, ATTENTION_GROUPBY: groupby or ""})
