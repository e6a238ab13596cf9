"""Patch-seq of mouse motor cortex: what neurons do, what they look like and what they express."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._download import GZIP, fetch
from scmoe.io._quiet import quiet_mudata

REPOSITORY = "https://raw.githubusercontent.com/berenslab/mini-atlas/3bf98a524b8e48aa8647e1b9ae8f2351d9c712c9/data/"
"""Pinned to a commit, so the files cannot change; its README lists the errata."""
PREFIX = "m1_patchseq_"
METADATA = "meta_data.csv"
METADATA_BEGINS = b"Number\tCell\t"
CELL = "Cell"
"""Column of the metadata that names the cells."""
FEATURE_CELL = "cell id"
"""The same in tables of features."""
OBS = {"RNA family": "cell_type", "RNA type": "cell_subtype", "Mouse": "mouse"}
"""Columns of the metadata to names in ``obs``."""
NOT_FEATURES = ("normalized layer", "cell class")
"""Columns of the morphology that repeat the annotation."""
WRONG_RECONSTRUCTION = "20171207_sample_1"
"""Errata of the repository: the reconstruction is an altered copy of another neuron's."""
GENES_AT_ONCE = 2000


@checks_arguments
def patchseq_m1(path: str | os.PathLike[str] | None = None, *, rna: bool = True) -> MuData:
    """Neurons of mouse motor cortex with electrophysiology, morphology and RNA (Patch-seq) :cite:p:`scala2021`.

    1329 neurons, recorded at room temperature. Half of them were reconstructed. Features are unscaled. Where a neuron
    has no value for a feature, it is NaN. Axons of excitatory neurons, for one, were not reconstructed. So *that* a
    value is missing tells kinds of neurons apart.

    Parameters
    ----------
    path
        A folder with the files in ``data`` of the repository berenslab/mini-atlas, to read these instead of
        downloading.
    rna
        Whether to read the RNA, by far the largest files. The types were assigned from it: leave it out to ask
        what the other modalities say about types.

    Returns
    -------
    MuData
        ``ephys``: 1328 cells x 29 features; ``morph``: 645 cells x 61 features (both float32); ``rna``: 1329 cells x
        42466 genes, reads on exons and introns together (CSR, float32; without UMIs, so long genes have more).
        ``obs``: ``cell_type`` (family; ``"low quality"`` where the RNA did not allow an assignment), ``cell_subtype``
        (transcriptomic type; missing for those cells) and ``mouse``. Cells are matched by name and in the order of
        the metadata.

    Raises
    ------
    ConnectionError
        A file is not in the cache and cannot be downloaded; the message names the URL and the cache.
    FileNotFoundError
        The folder lacks a file.
    ValueError
        A file lacks a column, names a cell that the metadata lack or has one twice, or is not the one downloaded first.

    Notes
    -----
    Files are cached as described at `pbmc10k_cite`. Their URLs name a commit of the repository, which fixes their
    content. The authors publish no SHA-256. So the check is how a file begins, that it has the expected columns and
    cells, and that it is the one downloaded first. The reconstruction of the cell 20171207_sample_1 is left out, as
    the authors recommend: it is an altered copy of another one.

    Examples
    --------
    >>> mdata = scmoe.datasets.patchseq_m1()  # doctest: +SKIP
    """
    folder = None if path is None else Path(path).expanduser()
    source = _file(METADATA, METADATA_BEGINS, folder)
    metadata = _table(source, CELL, sep="\t")
    _ordered(metadata.index, metadata.index, source)
    if absent := [column for column in OBS if column not in metadata]:
        raise ValueError(f"{PREFIX}{METADATA} must have the columns {', '.join(OBS)}; found no {', '.join(absent)}.")
    morph = _features("morph", metadata.index, folder).drop(columns=list(NOT_FEATURES), errors="ignore")
    parts = {
        "ephys": _to_adata(_features("ephys", metadata.index, folder)),
        "morph": _to_adata(morph.drop(index=WRONG_RECONSTRUCTION, errors="ignore")),
    }
    if rna:
        exons, introns = (_counts(f"{part}_counts.csv.gz", metadata.index, folder) for part in ("exon", "intron"))
        parts["rna"] = _sum(exons, introns)
    with quiet_mudata():
        mdata = MuData(parts)
        mdata = mdata[metadata.index[metadata.index.isin(mdata.obs_names)]].copy()
    mdata.obs = metadata.loc[mdata.obs_names, list(OBS)].rename(columns=OBS).astype("category")
    return mdata


def _file(name: str, begins: bytes, folder: Path | None) -> Path:
    """The file in the folder, or the one downloaded."""
    if folder is None:
        return fetch(f"{REPOSITORY}{PREFIX}{name}", begins=begins)
    path = folder / f"{PREFIX}{name}"
    if not path.exists():
        raise FileNotFoundError(
            f"There is no file {path}. Expected a folder with the files of data/ of the repository "
            "berenslab/mini-atlas."
        )
    return path


def _table(path: Path, cell: str, sep: str = ",") -> pd.DataFrame:
    table = pd.read_csv(path, sep=sep)
    if cell not in table:
        raise ValueError(f"{path.name} must have a column {cell!r}; found {', '.join(map(str, table.columns[:5]))}.")
    return table.set_index(pd.Index(table.pop(cell).astype(str), name=None))


def _features(modality: str, cells: pd.Index, folder: Path | None) -> pd.DataFrame:
    path = _file(f"{modality}_features.csv", FEATURE_CELL.encode(), folder)
    table = _table(path, FEATURE_CELL)
    return table.loc[_ordered(table.index, cells, path)]


def _counts(name: str, cells: pd.Index, folder: Path | None) -> AnnData:
    """Genes x cells on disk, read in pieces because zeros fill most of it."""
    path = _file(name, GZIP, folder)
    genes, parts, names = [], [], pd.Index([])
    for piece in pd.read_csv(path, index_col=0, na_filter=False, chunksize=GENES_AT_ONCE):
        names = piece.columns.astype(str)
        genes.extend(piece.index.astype(str))
        parts.append(sparse.csr_matrix(piece.to_numpy(np.float32)))
    adata = AnnData(sparse.vstack(parts).T.tocsr(), obs=pd.DataFrame(index=names), var=pd.DataFrame(index=genes))
    return adata[_ordered(names, cells, path)].copy()


def _sum(exons: AnnData, introns: AnnData) -> AnnData:
    """Reads on exons and introns together, matched by name."""
    for what, names, others in (
        ("cell", exons.obs_names, introns.obs_names),
        ("gene", exons.var_names, introns.var_names),
    ):
        if len(absent := names.difference(others)):
            raise ValueError(
                f"The introns lack the {what} {absent[0]!r} of the exons ({len(absent)} in all). Take all files from "
                "one commit of the repository."
            )
    return AnnData(exons.X + introns[exons.obs_names, exons.var_names].X, obs=exons.obs, var=exons.var)


def _ordered(names: pd.Index, cells: pd.Index, path: Path) -> pd.Index:
    """The cells of a file in the order of the metadata; an error if it has others, or one twice."""
    for wrong, what in ((names[~names.isin(cells)], "that the metadata lack"), (names[names.duplicated()], "twice")):
        if len(wrong):
            raise ValueError(
                f"{path.name} has the cell {wrong[0]!r} {what} ({len(wrong)} such cells). Its version does not fit "
                "the metadata: take all files from one commit of the repository."
            )
    return cells[cells.isin(names)]


def _to_adata(table: pd.DataFrame) -> AnnData:
    names = pd.DataFrame(index=table.index), pd.DataFrame(index=table.columns)
    return AnnData(table.to_numpy(np.float32), obs=names[0], var=names[1])
