"""`sample_atlas`: some cells of an atlas, to look at and to begin a model with."""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata.io import read_elem
from mudata import MuData

from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets.atlas._atlas import Part, open_atlas
from scmoe.datasets.atlas._windows import blocks_of, check_annbatch, read_windows
from scmoe.io._plain import plain

BLOCK = 16
"""Cells that lie together and are read at once: of rows one by one, each would be decompressed with hundreds."""
N_CELLS = 50_000


@checks_arguments
def sample_atlas(
    path: str | os.PathLike[str], *, n_cells: int = N_CELLS, modality: str = "rna", seed: int = 0
) -> MuData:
    """Read some cells of an atlas that no disk of this machine holds, such as a folder of stores on a shared drive.

    What is computed once is computed from them: the choice of features, means and programs, readouts, the validation
    loss. The network then learns from all cells of the atlas: ``model.train(atlas=path)``, see
    `scmoe.model.SCMOE.train`.

    Parameters
    ----------
    path
        A store (``.zarr``) of a MuData or AnnData, or a folder of such stores, which have the same features in each
        modality, and matrices by rows (CSR) or dense. Cells may lack modalities, and stores too.
    n_cells
        How many cells, drawn at random in runs of 16 that lie together in a store; all if there are fewer.
    modality
        Name of the modality of stores that hold an AnnData.
    seed
        Of the draw.

    Returns
    -------
    MuData
        In memory. Of each modality ``layers["counts"]`` of the stores, where it is there, else ``X``; ``var`` of the
        first store; ``obs``. Names of the cells of several stores have that of the store behind: ``AAAC-1-donor1`` is
        in ``donor1.zarr``.

    Raises
    ------
    ImportError
        annbatch is not installed: ``pip install 'scmoe[atlas]'``, with Python 3.12 or newer.
    FileNotFoundError
        There is nothing at `path`.
    ValueError
        There are no stores; they differ in features or in how matrices are stored; a matrix is stored by columns; the
        name of a cell repeats.

    Examples
    --------
    >>> import scmoe
    >>> scmoe.datasets.write(scmoe.datasets.bmmc_cite(), "atlas/donor1.zarr")
    >>> mdata = scmoe.datasets.sample_atlas("atlas", n_cells=200)
    >>> scmoe.pp.prepare(mdata)
    """
    check_annbatch()
    atlas = open_atlas(path, modality)
    blocks = blocks_of(atlas.sizes, BLOCK)
    order = np.random.default_rng(seed).permutation(len(blocks))
    cells = np.sort(np.concatenate([blocks[i] for i in order])[:n_cells])
    (window,) = read_windows(atlas, [cells])
    mdata = window.mudata(atlas, table_of(atlas.stores, atlas.names[cells]))
    for name, adata in mdata.mod.items():
        adata.var = read_elem(atlas.parts[name][0].group["var"])
        adata.obs = table_of(atlas.parts[name], adata.obs_names)
    logger.info("%s: %d of %d cells", path, len(cells), len(atlas.names))
    return plain(mdata)


def table_of(parts: Sequence[Part], cells: pd.Index) -> pd.DataFrame:
    """``obs`` of these cells, of which one store is in memory at a time."""
    tables = []
    for part in parts:
        table = read_elem(part.group["obs"]).set_index(part.cells)
        tables.append(table.loc[part.cells.isin(cells)])
    # Categories that differ between stores would be text.
    categorical = [key for key in tables[0] if isinstance(tables[0][key].dtype, pd.CategoricalDtype)]
    return pd.concat(tables).loc[cells].astype(dict.fromkeys(categorical, "category"))
