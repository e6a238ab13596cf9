"""Spots of tissue slices, as the scMoE paper has them."""

import os
from collections.abc import Mapping

import numpy as np
from anndata import AnnData, concat
from mudata import MuData

from scmoe._keys import SPATIAL
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets.paper._parts import files_of, join, read_part

DBITSEQ = {"rna": "adata_rna", "protein": "adata_protein", "rna_niche": "adata_niche_rna"}
PARTS = ("train", "test")
DLPFC = {"rna": "adata_rna_all.h5ad", "morph": "adata_morph_all.h5ad", "rna_niche": "adata_mrna_niche_all.h5ad"}
POSITION = ("array_row", "array_col")
"""Columns of ``obs`` with the place of a spot."""


@checks_arguments
def dbitseq(path: str | os.PathLike[str]) -> MuData:
    """Spots of a mouse embryo with RNA and proteins (DBiT-seq) :cite:p:`liu2020dbit`, divided as in the scMoE paper.

    936 spots: 748 for training, 188 for tests.

    Parameters
    ----------
    path
        A folder with ``adata_rna_train.h5ad``, ``adata_protein_train.h5ad``, ``adata_niche_rna_train.h5ad``, and the
        same with ``test``, as the authors of UnitedNet share them (Zenodo, record 7708592).

    Returns
    -------
    MuData
        ``rna`` (568 genes), ``protein`` (22) and ``rna_niche`` (the genes, averaged over neighboring spots), with
        places in ``obsm["spatial"]``. ``obs``: ``cell_type`` (13 groups) and ``split`` (``"train"`` or ``"test"``).

    Raises
    ------
    FileNotFoundError
        The folder lacks a file.
    ValueError
        A file lacks a column, or files are not of the same spots.

    Examples
    --------
    >>> mdata = scmoe.datasets.dbitseq()  # doctest: +SKIP
    """
    names = {modality: [f"{stem}_{part}.h5ad" for part in PARTS] for modality, stem in DBITSEQ.items()}
    files_of(path, [name for pair in names.values() for name in pair], "DBiT-seq")
    columns = ("cell_type", *POSITION)
    parts = {}
    for modality, pair in names.items():
        tables = [read_part(file, columns) for file in files_of(path, pair, "DBiT-seq")]
        parts[modality] = concat(dict(zip(PARTS, tables, strict=True)), label="split", index_unique="-")
    return _with_places(parts, {"cell_type": "cell_type", "split": "split"})


@checks_arguments
def dlpfc(path: str | os.PathLike[str]) -> MuData:
    """Spots of human prefrontal cortex with RNA and features of the image :cite:p:`maynard2021`, as in the scMoE paper.

    Parameters
    ----------
    path
        A folder with ``adata_rna_all.h5ad``, ``adata_morph_all.h5ad`` and ``adata_mrna_niche_all.h5ad``, as the authors
        of UnitedNet share them.

    Returns
    -------
    MuData
        ``rna``, ``morph`` (features of the image under a spot) and ``rna_niche``, with places in ``obsm["spatial"]``.
        ``obs``: ``cell_type`` (layer of the cortex) and ``batch`` (slice).

    Raises
    ------
    FileNotFoundError
        The folder lacks a file.
    ValueError
        A file lacks a column, or files are not of the same spots.

    Examples
    --------
    >>> mdata = scmoe.datasets.dlpfc()  # doctest: +SKIP
    """
    files = files_of(path, list(DLPFC.values()), "DLPFC")
    columns = ("cell_type", "batch", *POSITION)
    parts = {modality: read_part(file, columns) for modality, file in zip(DLPFC, files, strict=True)}
    for adata in parts.values():
        adata.obs_names = adata.obs["batch"].astype(str) + "-" + adata.obs_names
    return _with_places(parts, {"cell_type": "cell_type", "batch": "batch"})


def _with_places(parts: Mapping[str, AnnData], columns: Mapping[str, str]) -> MuData:
    """The tables joined, and where the spots are."""
    mdata = join(parts, {**columns, **dict.fromkeys(POSITION, "")})
    places = np.column_stack([next(iter(parts.values())).obs[name].astype(float) for name in POSITION])
    for adata in mdata.mod.values():
        adata.obsm[SPATIAL] = places
    mdata.obsm[SPATIAL] = places
    mdata.obs = next(iter(parts.values())).obs[list(columns)].rename(columns=dict(columns)).astype("category")
    return mdata
