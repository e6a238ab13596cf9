"""A two-dimensional map of the embedding."""

from mudata import MuData

from scmoe._keys import DEFAULT_KEY, UMAP, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.model.graph._layout import layout
from scmoe.tl._results import check_results
from scmoe.tl._stored import stored_embedding
from scmoe.tl._write import is_same_array, move_aside, put_obsm, write_obsm


@checks_arguments
@takes_anndata
def umap(mdata: MuData, *, seed: int = 0, key_added: str = DEFAULT_KEY) -> None:
    """Map the embedding to two dimensions for `scanpy.pl.umap`.

    The neighbor graph is built on the side and not kept, so no graph made by the user is replaced. Of more than 200,000
    cells, so many at random are mapped, and each of the others is placed amid its three nearest.

    Parameters
    ----------
    mdata
        Data with an embedding written by `scmoe.tl.train` or `scmoe.tl.embed`.
    seed
        Seed of the layout.
    key_added
        The ``key_added`` of the embedding.

    Returns
    -------
    None
        Writes ``obsm["X_umap"]``, where scanpy looks for maps, and the same as ``obsm["{key_added}_umap"]``, of `mdata`
        and of each modality, cells x 2. Another map that is in ``obsm["X_umap"]`` is moved to
        ``obsm["X_umap_before"]`` (``"X_umap_before2"``, if that is taken), and a line of the log says so.

    Raises
    ------
    KeyError
        If the embedding is not there.
    ValueError
        If there are fewer than four cells.

    Examples
    --------
    >>> scmoe.tl.umap(mdata)
    >>> mdata.obsm["X_umap"].shape
    (600, 2)
    """
    name = Keys(name=key_added).umap
    check_results(mdata, key_added, [f"obsm/{name}"])
    embedding = stored_embedding(mdata, key_added)
    values = layout(embedding, seed)
    _keep_maps(mdata)
    write_obsm(mdata, key_added, name, values)
    put_obsm(mdata, UMAP, values)


def _keep_maps(mdata: MuData) -> None:
    """Move maps that nothing else holds, as ours do: somebody else made them."""
    for owner, data in [("", mdata), *mdata.mod.items()]:
        own = data.obsm.get(UMAP)
        if not any(is_same_array(own, value) for name, value in data.obsm.items() if name != UMAP):
            move_aside(owner, data.obsm, "obsm", UMAP)
