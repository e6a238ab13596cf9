"""`attention`: write how much modalities attend to each other."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import ATTENTION, ATTENTION_GROUPBY, ATTENTION_TOKENS, DEFAULT_KEY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.explain._attention import attention_table
from scmoe.explain._token_attention import token_table
from scmoe.tl._results import check_results
from scmoe.tl._tables import groups_of
from scmoe.tl._write import drop_table, write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

AT_ONCE = 512
"""Cells whose attention is held at a time."""


@checks_arguments
@takes_anndata
def attention(
    mdata: MuData,
    model: "SCMOE",
    *,
    groupby: str | None = None,
    tokens: bool = False,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Tell how much the modalities attend to each other.

    Attention says where a token looks, not what matters for the result: read it next to `scmoe.tl.ablation`.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    groupby
        Column of ``mdata.obs`` to split the table by as well.
    tokens
        Whether to tell it of single tokens, too, such as the patches of the scMoE paper's figure 4.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["attention"]``, a frame with the columns ``layer``, ``head`` (``"mean"`` over
        heads, the number of a head as text, or ``"rollout"`` through all layers up to this one), ``group``
        (``"all cells"``, and the groups), ``query``, ``key`` (modalities), ``attention`` (share of the query's
        attention; sums to one over keys), ``ratio`` (to what uniform attention would give), ``n_cells``, ``across``
        (share of all attention that goes to another modality) and ``across_uniform`` (that of uniform attention), see
        `scmoe.explain.attention_table`; ``mdata.uns[key_added]["attention_groupby"]`` holds `groupby`. With `tokens`,
        also ``mdata.uns[key_added]["attention_tokens"]``, a frame with the columns ``layer``, ``group``, ``query``,
        ``key`` (tokens, such as ``"rna 0"``), ``attention``, ``ratio`` and ``n_cells`` of the mean over heads.

    Raises
    ------
    KeyError
        `groupby` is not a column.
    ValueError
        The data do not fit the model.

    Examples
    --------
    >>> scmoe.tl.attention(mdata, model, groupby="lineage")
    >>> table = mdata.uns["scmoe"]["attention"].query("head == 'mean' and group == 'all cells'")
    """
    check_results(mdata, key_added)
    groups = groups_of(mdata, groupby)
    heads, rollout = (model.get_attention(mdata, kind=kind) for kind in ("heads", "rollout"))
    table = attention_table(heads, model.modalities, groups, rollout=rollout)
    tables = {ATTENTION: table, ATTENTION_GROUPBY: groupby or ""}
    if tokens:
        tables[ATTENTION_TOKENS] = token_table(_token_blocks(mdata, model), model.modalities, groups)
    drop_table(mdata, key_added, ATTENTION_TOKENS)
    write_uns(mdata, key_added, **tables)


def _token_blocks(mdata: MuData, model: "SCMOE") -> Iterator[NDArray[np.floating]]:
    """Attention of tokens, of some cells at a time: of all it may not fit into memory."""
    for start in range(0, mdata.n_obs, AT_ONCE):
        cells = np.arange(start, min(start + AT_ONCE, mdata.n_obs))
        yield model.get_attention(mdata, cells, kind="tokens")
