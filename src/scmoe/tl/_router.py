"""Writing which experts the cells use."""

from collections.abc import Mapping

import numpy as np
from mudata import MuData

from scmoe._keys import Keys
from scmoe.tl._write import rows_of, write_to_modality


def router_paths(mdata: MuData, key_added: str) -> dict[str, str]:
    """Of each modality, where its routing goes."""
    return {name: f"{name}/obsm/{Keys(name=key_added).router}" for name in mdata.mod}


def write_router(mdata: MuData, activations: Mapping[str, np.ndarray], key_added: str) -> None:
    """Write the routing of the last block.

    Parameters
    ----------
    mdata
        The cells.
    activations
        Of each modality of the model, (cells, layers, experts), see `scmoe.model.SCMOE.get_router_activations`.
    key_added
        Name of the results.
    """
    for name, path in router_paths(mdata, key_added).items():
        if name in activations:
            write_to_modality(mdata, key_added, path, rows_of(mdata, name, activations[name])[:, -1])
