"""`expert_stability`: write whether several models use their experts alike."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mudata import MuData

from scmoe._keys import DEFAULT_KEY, EXPERT_STABILITY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.explain._permutation import N_PERMUTATIONS
from scmoe.explain.experts._stability import stability_table
from scmoe.tl._results import check_results
from scmoe.tl._write import write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def expert_stability(
    mdata: MuData,
    models: Mapping[str, "SCMOE"],
    *,
    layer: int = -1,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Tell whether several models, for example of several seeds, use their experts alike.

    Parameters
    ----------
    mdata
        Cells that all models can read.
    models
        Trained models by name, such as ``{"seed 0": first, "seed 1": second}``.
    layer
        Which layer; negative numbers count from the last.
    n_permutations, seed
        Of the permutation tests, see `scmoe.explain.stability_table`.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["expert_stability"]``, the frame that `scmoe.explain.stability_table` returns:
        correlations of experts matched between each pair of models, and mutual information and divergences of each
        model.

    Raises
    ------
    KeyError
        A model has no such layer.
    TypeError
        `models` is no mapping.
    ValueError
        There are fewer than two models, they differ in modalities or numbers of experts, or the data do not fit one.

    Examples
    --------
    >>> other = scmoe.tl.train(mdata, seed=1, key_added="seed1")
    >>> scmoe.tl.expert_stability(mdata, {"seed 0": model, "seed 1": other}, n_permutations=99)
    >>> table = mdata.uns["scmoe"]["expert_stability"].query("statistic == 'matched_mean'")
    """
    if not isinstance(models, Mapping):
        raise TypeError(
            f"models must name the models, as in {{'seed 0': first, 'seed 1': second}}; found a "
            f"{type(models).__name__}."
        )
    check_results(mdata, key_added)
    if len(set(map(str, models))) < len(models):
        raise ValueError(f"Two models have the same name as text: {list(models)}. Rename one.")
    usages = {str(name): model.get_router_activations(mdata, kind="soft") for name, model in models.items()}
    table = stability_table(usages, layer=layer, n_permutations=n_permutations, seed=seed)
    write_uns(mdata, key_added, **{EXPERT_STABILITY: table})
