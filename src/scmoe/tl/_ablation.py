"""`ablation`: write what is lost when a modality, or an expert, is taken away."""

from typing import TYPE_CHECKING, Literal

from mudata import MuData

from scmoe._align import Indices, positions_of
from scmoe._keys import ABLATION, DEFAULT_KEY, EXPERT_ABLATION
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.explain._ablation import ablation_table
from scmoe.explain.experts._ablation import expert_ablation_table
from scmoe.tl._results import check_results
from scmoe.tl._tables import groups_of, knows_split
from scmoe.tl._write import write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def ablation(
    mdata: MuData,
    model: "SCMOE",
    *,
    groupby: str | None = None,
    how: Literal["hide", "permute"] = "hide",
    experts: bool = False,
    indices: Indices | None = None,
    seed: int = 0,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Tell what each modality is worth: how much the losses rise without it. Or what each expert changes.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model with two modalities or more.
    groupby
        Column of ``mdata.obs`` to split the table by as well.
    how
        ``"hide"``: the modality is absent; ``"permute"``: cells of a batch exchange it, see
        `scmoe.model.SCMOE.get_ablation`.
    experts
        Take experts away in place of modalities: how much do predictions of one modality from the others change, in
        each group, when tokens must use their next best expert?
    indices
        The cells to look at: positions, names, or a mask. None: the model's test cells, if it has any and `mdata` is
        the MuData object that it was trained on or loaded with; else all cells. The model learned from its training
        cells, and the labels from validation cells too, so that losses of these are too small: keep test cells with
        ``train_kwargs={"validation_size": ...}``.
    seed
        Of the permutation.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["ablation"]``, a frame with the columns ``group`` (``"all cells"`` of those looked
        at, and the groups), ``hidden`` (modality), ``outcome`` (modality, or ``"label"``), ``loss``, ``loss_hidden``,
        ``increase``, ``standard_error`` (of the increase, over cells; NaN with a single cell), ``n_cells``, ``how``,
        and ``cells`` (``"test"``, ``"all"``, or ``"chosen"`` by `indices`), see `scmoe.explain.ablation_table`. Cells
        that lack the hidden modality, have no other, or lack the outcome do not count, and outcomes without a cell have
        no row.

        With `experts`, writes ``mdata.uns[key_added]["expert_ablation"]`` instead, the frame that
        `scmoe.explain.expert_ablation_table` returns: ``change`` without an expert, beside the change that is
        ``expected`` without a random expert of equal load, with ``cells`` as above.

    Raises
    ------
    KeyError
        `groupby` is not a column.
    ValueError
        The data do not fit the model, which has a single modality, or no cell has two; `how` is none of its options, or
        is given with `experts`, of which the model has none that a token does not use.

    Examples
    --------
    >>> scmoe.tl.ablation(mdata, model, groupby="lineage")
    >>> table = mdata.uns["scmoe"]["ablation"].query("group == 'all cells'")
    >>> table[["hidden", "outcome", "increase", "standard_error"]].shape
    (6, 4)
    """
    if experts and how != "hide":
        raise ValueError(f"how={how!r} is for modalities; experts are always left out. Leave how or experts out.")
    check_results(mdata, key_added)
    groups = groups_of(mdata, groupby)
    cells = "chosen"
    if indices is None and knows_split(model, mdata) and len(model.test_indices):
        cells, indices = "test", model.test_indices.tolist()
    elif indices is None:
        cells, indices = "all", range(mdata.n_obs)
    groups = None if groups is None else groups.iloc[positions_of(indices, mdata.obs_names)]
    if experts:
        use, change = model.get_expert_ablation(mdata, indices)
        of_experts = expert_ablation_table(use, change, groups).assign(cells=cells)
        return write_uns(mdata, key_added, **{EXPERT_ABLATION: of_experts})
    result = model.get_ablation(mdata, indices, how=how, seed=seed)
    table = ablation_table(result.loss, result.loss_hidden, model.modalities, result.outcomes, groups)
    write_uns(mdata, key_added, **{ABLATION: table.assign(how=how, cells=cells)})
