"""`embed`: write the embedding."""

from typing import TYPE_CHECKING

from mudata import MuData

from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.tl._results import check_results, inputs_of
from scmoe.tl._write import rows_of, write_obsm, write_to_modality

if TYPE_CHECKING:
    from scmoe.model._results import Results
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def embed(mdata: MuData, model: "SCMOE", *, key_added: str = DEFAULT_KEY) -> None:
    """Write the joint embedding of the cells, and the state of each of their modalities.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.obsm["X_{key_added}"]`` (cells x n_hidden, float32), and the same rows for the cells of each
        modality to ``mdata.mod[m].obsm["X_{key_added}"]``, where scanpy finds them beside the features. The state of
        the modality alone is ``mdata.mod[m].obsm["{key_added}_state"]`` (its cells x n_hidden). No label has shaped
        these, unless the model has a ``label_weight``. A model with labels also writes
        ``obsm["X_{key_added}_labeled"]`` to both, cells x (n_hidden + labels), in which what the labels say shapes the
        neighborhoods (see `scmoe.model.SCMOE.get_latent_representation`).

    Raises
    ------
    KeyError, ValueError
        The data do not fit the model.

    Examples
    --------
    >>> scmoe.tl.embed(mdata, model)
    >>> mdata.obsm["X_scmoe"].shape[0] == mdata.n_obs
    True
    """
    check_results(mdata, key_added, Keys(name=key_added).of_embedding(mdata.mod), inputs_of(model.setup, mdata))
    write_embedding(mdata, model.get_results(mdata, mapping_score=False, annotation=False), key_added)


def write_embedding(mdata: MuData, results: "Results", key_added: str) -> None:
    """Write the embedding and the states of `results`, which are of the cells of `mdata`."""
    keys = Keys(name=key_added)
    if results.labeled_embedding is not None:
        write_obsm(mdata, key_added, keys.labeled_embedding, results.labeled_embedding)
    write_obsm(mdata, key_added, keys.embedding, results.embedding)
    for name, state in results.states.items():
        write_to_modality(mdata, key_added, f"{name}/obsm/{keys.state}", rows_of(mdata, name, state))
