"""`expert_usage`: write which experts serve which modality and which cells."""

from typing import TYPE_CHECKING, Literal

from mudata import MuData

from scmoe._keys import DEFAULT_KEY, EXPERT_SUMMARY, EXPERT_USAGE, EXPERT_USAGE_GROUPBY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.explain._permutation import N_PERMUTATIONS
from scmoe.explain.experts._summary import usage_summary
from scmoe.explain.experts._untrained import beside_untrained
from scmoe.explain.experts._usage import usage_table
from scmoe.tl._results import check_results
from scmoe.tl._router import router_paths, write_router
from scmoe.tl._tables import groups_of
from scmoe.tl._write import write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

KINDS: tuple[Literal["soft"], Literal["hard"]] = ("soft", "hard")
N_UNTRAINED = 5
"""Random routers beside the trained ones."""


@checks_arguments
@takes_anndata
def expert_usage(
    mdata: MuData,
    model: "SCMOE",
    *,
    groupby: str | None = None,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Tell which experts the cells use, and how much modalities and groups of cells differ in that.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    groupby
        Column of ``mdata.obs``, such as the cell type or the batch, to split the tables by as well.
    n_permutations, seed
        Of the permutation tests, see `scmoe.explain.usage_summary`.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes, for each modality, ``mdata.mod[m].obsm["{key_added}_router"]`` (its cells x experts: mean routing
        weight in the last block), and ``mdata.uns[key_added]["expert_usage"]``, a frame with the columns ``layer``,
        ``modality``, ``group`` (``"all cells"``, and the groups), ``expert``, ``hard`` (share of the choices),
        ``soft`` (share of the weight) and ``n_cells``; ``mdata.uns[key_added]["expert_usage_groupby"]`` holds
        `groupby`, and ``mdata.uns[key_added]["expert_summary"]`` mutual information, divergences, entropies and dead
        experts, as `scmoe.explain.usage_summary` returns them, and ``untrained_mean``: the mean of the same over five
        random routers, as they are before training, on the same tokens. Only what is beyond it was learned by routers.

    Raises
    ------
    KeyError
        `groupby` is not a column.
    ValueError
        The data do not fit the model, no cell has a group, or there is no permutation.

    Examples
    --------
    >>> scmoe.tl.expert_usage(mdata, model, groupby="lineage", n_permutations=99)
    >>> list(mdata.uns["scmoe"]["expert_usage"]["modality"].unique())
    ['rna', 'adt']
    """
    check_results(mdata, key_added, router_paths(mdata, key_added).values())
    groups = groups_of(mdata, groupby)
    soft, hard = (model.get_router_activations(mdata, kind=kind) for kind in KINDS)
    summary = usage_summary(soft, hard, groups, n_permutations=n_permutations, seed=seed)
    untrained = []
    for draw in range(N_UNTRAINED):
        random, choices = (model.get_router_activations(mdata, kind=kind, untrained=draw) for kind in KINDS)
        untrained.append(usage_summary(random, choices, groups, n_permutations=1))
    tables = {EXPERT_USAGE: usage_table(soft, hard, groups), EXPERT_SUMMARY: beside_untrained(summary, untrained)}
    write_router(mdata, soft, key_added)
    write_uns(mdata, key_added, **tables, **{EXPERT_USAGE_GROUPBY: groupby or ""})
