"""`expert_cards`: write what each expert serves."""

from typing import TYPE_CHECKING

from mudata import MuData

from scmoe._keys import DEFAULT_KEY, EXPERT_CARDS
from scmoe.arguments._checked import checks_arguments
from scmoe.data._dataset import MosaicDataset
from scmoe.datasets._anndata import takes_anndata
from scmoe.explain._permutation import N_PERMUTATIONS
from scmoe.explain.experts._cards import N_TOP, expert_cards_table
from scmoe.tl._feature_chunks import feature_chunks
from scmoe.tl._results import check_results
from scmoe.tl._tables import groups_of
from scmoe.tl._write import write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def expert_cards(
    mdata: MuData,
    model: "SCMOE",
    *,
    groupby: str | None = None,
    n_top: int = N_TOP,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Tell which modalities, groups of cells and features each expert serves.

    The p-values treat cells as independent, which cells of one donor are not. Features are read as the model reads
    them, counts log-normalized, some cells at a time.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    groupby
        Column of ``mdata.obs``, such as the cell type.
    n_top
        Features kept for each expert, modality and direction.
    n_permutations, seed
        Of the test of modalities, see `scmoe.explain.usage_summary`.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["expert_cards"]``, the frame that `scmoe.explain.expert_cards_table` returns.

    Raises
    ------
    KeyError
        `groupby` is not a column.
    ValueError
        The data do not fit the model, or `n_top` or `n_permutations` is below 1.

    Examples
    --------
    >>> scmoe.tl.expert_cards(mdata, model, groupby="lineage", n_permutations=99)
    >>> cards = mdata.uns["scmoe"]["expert_cards"]
    >>> markers = cards.query("expert == 0 and kind == 'feature' and p_adjusted < 0.05")
    """
    check_results(mdata, key_added)
    groups = groups_of(mdata, groupby)
    usage = model.get_router_activations(mdata, kind="soft")
    chunks = feature_chunks(MosaicDataset(mdata, model.setup))
    table = expert_cards_table(
        usage, chunks, model.feature_names, groups, n_top=n_top, n_permutations=n_permutations, seed=seed
    )
    write_uns(mdata, key_added, **{EXPERT_CARDS: table})
