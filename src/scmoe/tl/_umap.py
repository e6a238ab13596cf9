"""A two-dimensional map of the embedding."""

import numpy as np
import scanpy as sc
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, UMAP
from scmoe.nn._threads import threads_kept
from scmoe.tl._neighbors import neighbor_graph, stored_embedding


def umap(mdata: MuData, *, seed: int = 0, key_added: str = DEFAULT_KEY) -> None:
    """Map the embedding to two dimensions for `scanpy.pl.umap`.

    The neighbor graph is built on the side and not kept, so no graph made by the user is replaced.

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
        Writes ``mdata.obsm["X_umap"]``, cells x 2.

    Raises
    ------
    KeyError
        If the embedding is not there.
    ValueError
        If there are fewer than four cells.
    """
    points = neighbor_graph(stored_embedding(mdata, key_added), seed)
    with threads_kept():  # from numba, as in `neighbor_graph`
        sc.tl.umap(points, random_state=seed)
    mdata.obsm[UMAP] = np.asarray(points.obsm[UMAP])
