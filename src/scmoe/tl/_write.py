"""Results of cells, written to a MuData and to its modalities, and removed from both.

scanpy works on one modality: ``sc.pl.umap(mdata["rna"], color=["scmoe_cluster", "CD3E"])`` needs clusters and genes in
one AnnData. So what is known of the cells is written to each modality for its own cells too.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import OF_DATA, Keys


def write_obs(mdata: MuData, columns: Mapping[str, Any]) -> None:
    """Write columns over all cells to ``mdata.obs``, and to ``obs`` of each modality for its cells.

    A category that none of a modality's cells has is none there: scanpy's tests fail on groups without cells.
    """
    drop_columns(mdata, columns)
    for key, values in columns.items():
        mdata.obs[key] = values
        for adata, rows in _modalities(mdata):
            own = mdata.obs[key].array[rows]
            adata.obs[key] = own.remove_unused_categories() if isinstance(own, pd.Categorical) else own


def write_obsm(mdata: MuData, key: str, values: np.ndarray | pd.DataFrame) -> None:
    """Write an array or frame over all cells to ``mdata.obsm``, and to ``obsm`` of each modality for its cells."""
    mdata.obsm[key] = values
    for adata, rows in _modalities(mdata):
        adata.obsm[key] = values.iloc[rows] if isinstance(values, pd.DataFrame) else values[rows]


def drop_columns(mdata: MuData, names: Iterable[str]) -> None:
    """Take columns out of ``obs`` of the MuData and its modalities, as far as they are there.

    ``mdata.update()`` of mudata before 0.4 copies ``scmoe_cluster`` of a modality to ``rna:scmoe_cluster`` of
    ``mdata.obs``; such copies go too, for they would be stale.
    """
    names = list(names)
    pulled = [f"{modality}:{name}" for modality in mdata.mod for name in names]
    for data in (mdata, *mdata.mod.values()):
        for name in (*names, *pulled):
            if name in data.obs:
                del data.obs[name]


def drop_results(mdata: MuData, key: str) -> None:
    """Remove what an earlier model wrote under this key, so that nothing stale stands beside the new results."""
    keys = Keys(name=key)
    drop_columns(mdata, (keys.cluster, keys.mapping_score, *keys.of_labels()))
    arrays = (
        *(keys.embedding, keys.labeled_embedding, keys.state),
        *(keys.router, keys.label_probability, keys.denoised),
    )
    adatas = list(mdata.mod.values())
    for mapping in (mdata.obsm, *(adata.obsm for adata in adatas), *(adata.layers for adata in adatas)):
        # anndata 0.13 keeps X among the layers, under the key None.
        names = [name for name in mapping if name is not None]
        for name in names:
            if name in arrays or keys.is_imputed(name, list(mdata.mod)):
                del mapping[name]
    if key in mdata.uns:
        remainder = {name: value for name, value in mdata.uns.pop(key).items() if name in OF_DATA}
        if remainder:
            mdata.uns[key] = remainder


def _modalities(mdata: MuData) -> Iterator[tuple[AnnData, NDArray[np.integer]]]:
    """Each modality with the positions of its cells in the MuData."""
    for adata in mdata.mod.values():
        yield adata, mdata.obs_names.get_indexer(adata.obs_names)
