"""What earlier verbs have written, with an error where it is not there."""

import numpy as np
from mudata import MuData

from scmoe._keys import Keys
from scmoe._matrix import is_beyond


def stored_embedding(mdata: MuData, key_added: str) -> np.ndarray:
    """The embedding that `scmoe.tl.embed` wrote, cells x width; an error for numbers that are none."""
    key = Keys(name=key_added).embedding
    if key not in mdata.obsm:
        raise KeyError(
            f"mdata.obsm[{key!r}] is not there. Run scmoe.tl.embed(mdata, model, key_added={key_added!r}) first."
        )
    embedding = np.asarray(mdata.obsm[key])
    wrong = (np.isnan(embedding) | is_beyond(embedding)).any(axis=1)
    if wrong.any():
        raise ValueError(
            f"mdata.obsm[{key!r}] must hold finite numbers; {int(wrong.sum())} cells have others, the first is "
            f"{mdata.obs_names[int(wrong.argmax())]!r}. Run scmoe.tl.embed(mdata, model, key_added={key_added!r}) "
            "again."
        )
    return embedding
