"""A two-dimensional map of the embedding."""

import numpy as np
import scanpy as sc
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, UMAP, UMAP_BEFORE
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.nn._threads import threads_kept
from scmoe.tl._embed import rows_of
from scmoe.tl._neighbors import neighbor_graph, stored_embedding
from scmoe.tl._write import write_obsm


@checks_arguments
@takes_anndata
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
        Writes ``obsm["X_umap"]`` of `mdata` and of each modality, cells x 2. Another map that a modality has is moved
        to ``mdata.mod[m].obsm["X_umap_before"]``, and a line of the log says so.

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
    _keep_maps(mdata)
    write_obsm(mdata, UMAP, np.asarray(points.obsm[UMAP]))


def _keep_maps(mdata: MuData) -> None:
    """Move maps of the modalities that are no rows of ``mdata``'s, and so were made by somebody else."""
    for name, adata in mdata.mod.items():
        own, joint = adata.obsm.get(UMAP), mdata.obsm.get(UMAP)
        if own is None or (joint is not None and np.array_equal(own, rows_of(mdata, name, np.asarray(joint)))):
            continue
        adata.obsm[UMAP_BEFORE] = own
        logger.info("%s: the map in obsm[%r] is now in obsm[%r]; scmoe's takes its place", name, UMAP, UMAP_BEFORE)
