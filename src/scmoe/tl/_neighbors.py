"""The neighbor graph of the embedding, on the side: no graph made by the user is replaced."""

import numpy as np
import scanpy as sc
from anndata import AnnData
from mudata import MuData

from scmoe._keys import Keys
from scmoe.nn._threads import threads_kept

N_NEIGHBORS = 15


def stored_embedding(mdata: MuData, key_added: str) -> np.ndarray:
    """The embedding that `scmoe.tl.embed` wrote, cells x width."""
    key = Keys(name=key_added).embedding
    if key not in mdata.obsm:
        raise KeyError(
            f"mdata.obsm[{key!r}] is not there. Run scmoe.tl.embed(mdata, model, key_added={key_added!r}) first."
        )
    return np.asarray(mdata.obsm[key])


def neighbor_graph(embedding: np.ndarray, seed: int) -> AnnData:
    """An AnnData of the embedding alone, with its nearest-neighbor graph."""
    if len(embedding) < 4:
        raise ValueError(f"A graph of the embedding needs at least 4 cells; found {len(embedding)}.")
    points = AnnData(embedding)
    # numba's first parallel loop sets the threads of every OpenMP user to all cores, torch's too: against the user's choice,
    # and the order of sums would change, so that the same seed would no longer give the same model bit by bit.
    with threads_kept():
        sc.pp.neighbors(points, n_neighbors=min(N_NEIGHBORS, len(embedding) - 1), use_rep="X", random_state=seed)
    return points
