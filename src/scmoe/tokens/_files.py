"""Cells of several files with their genes in one order, for a pretraining on all of them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scmoe._log import logger
from scmoe._matrix import row_blocks
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._format import SUFFIXES
from scmoe.datasets._read import read
from scmoe.io._mapped import folder_of, stacked
from scmoe.tokens._counts import Values, read_cells
from scmoe.tokens._names import gene_names, some, unique_names
from scmoe.tokens._vocabulary import MIN_SHARE, Vocabulary

SOURCE = "source"
"""Column of ``obs`` with the file of each cell."""


@checks_arguments
def read_files(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    vocabulary: Vocabulary | None = None,
    *,
    modality: str = "rna",
    layer: str | None = None,
    values: Values = "counts",
    column: str | None = None,
    min_share: float = MIN_SHARE,
    on_disk: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> AnnData:
    """Read the counts of several files into one AnnData, with genes matched to one vocabulary.

    Parameters
    ----------
    paths
        Files that `scmoe.datasets.read` knows, or a folder of such files, which are read in the order of their names.
    vocabulary
        The genes to read. Those that a file lacks have no counts in its cells, and the log says how many they are: the
        model cannot know that they were not measured. None: the genes that all files have, in the order of the first.
    modality
        The modality to read, in files of several.
    layer, values, column, min_share
        As in `read_cells`, for all files.
    on_disk, cache_dir
        Whether matrices stay on disk, as in `scmoe.datasets.read`. The matrix of all cells takes as much room again,
        in the folder of the caches, for as long as it is used.

    Returns
    -------
    AnnData
        Cells of all files, one file after another, x genes: counts as float32 CSR. ``obs``: the columns that all files
        have, and ``"source"``, the file. Cells of different files that have the same name get that of the file before
        theirs.

    Raises
    ------
    FileNotFoundError
        There is no such file, or none in the folder.
    ValueError
        A file lacks the modality, its genes do not fit, or the files have too few genes in common.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> for name in ("a", "b"):
    ...     scmoe.datasets.write(mdata["rna"], f"{name}.h5ad")
    >>> scmoe.tokens.read_files(["a.h5ad", "b.h5ad"]).shape
    (1200, 1000)
    """
    files = files_of(paths)
    tables = [read_modality(path, modality, on_disk=on_disk, cache_dir=cache_dir) for path in files]
    if vocabulary is None:
        vocabulary = _shared_genes(files, [gene_names(adata, column) for adata in tables], min_share)
    kwargs = {"layer": layer, "values": values, "column": column, "min_share": min_share}
    parts = []
    for path, adata in zip(files, tables, strict=True):
        cells = read_cells(adata, vocabulary, **kwargs)  # type: ignore[arg-type]
        if n_missing := int(cells.match.missing.sum()):
            logger.warning("%s lacks %d of the %d genes: they count as 0 there", path.name, n_missing, len(vocabulary))
        parts.append(cells.counts)
    out = AnnData(_stack(parts), obs=_obs(files, tables), var=pd.DataFrame(index=list(vocabulary.names)))
    logger.info("%d cells of %d files, %d genes", out.n_obs, len(files), out.n_vars)
    return out


def files_of(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files that are named, or those in a folder that hold cells; a FileNotFoundError if there are none.

    A folder of Matrix Market files is one file, and so is a store of zarr.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    named = [Path(path).expanduser() for path in given]
    if len(named) == 1 and named[0].is_dir() and named[0].suffix.lower() not in SUFFIXES:
        inside = sorted(path for path in named[0].iterdir() if path.suffix.lower() in SUFFIXES)
        if inside or not list(named[0].glob("matrix.mtx*")):
            named = inside
    if not named:
        raise FileNotFoundError(
            f"There is no file with cells in {', '.join(map(str, given)) or 'an empty list'}. Expected one of "
            f"{', '.join(SUFFIXES)}."
        )
    if absent := [path for path in named if not path.exists()]:
        raise FileNotFoundError(f"There is no file {absent[0]}. Check the name and the folder.")
    if repeated := pd.Index(named)[pd.Index(named).duplicated()].tolist():
        raise ValueError(f"{repeated[0]} is named twice: its cells would be too. Name it once.")
    return named


def read_modality(path: Path, modality: str, *, on_disk: bool, cache_dir: str | os.PathLike[str] | None) -> AnnData:
    """One modality of a file; a ValueError if it is not there."""
    mdata = read(path, modality=modality, on_disk=on_disk, cache_dir=cache_dir)
    if modality not in mdata.mod:
        raise ValueError(f"{path} has no modality {modality!r}; it has {', '.join(mdata.mod)}. Pass modality=.")
    return mdata.mod[modality]


def _shared_genes(files: Sequence[Path], names: Sequence[Sequence[str]], min_share: float) -> Vocabulary:
    """The genes that all files have."""
    first = unique_names(names[0])
    shared = set(first).intersection(*names[1:])
    for path, own in zip(files, names, strict=True):
        if len(shared) < max(min_share * min(len(first), len(set(own))), 1):
            raise ValueError(
                f"The files have {len(shared)} genes in common, too few. {files[0].name} has {some(first)}; "
                f"{path.name} has {some(list(own))}. Leave a file out, name a column of var with other "
                "identifiers (column=), or pass a vocabulary with aliases (scmoe.tokens.Vocabulary)."
            )
    if len(shared) < len(first):
        logger.info("%d of the %d genes of %s are in all files", len(shared), len(first), files[0].name)
    return Vocabulary(tuple(name for name in first if name in shared))


def _stack(parts: Sequence[sparse.csr_matrix]) -> sparse.csr_matrix:
    """The rows of all parts; on disk if the first part is."""
    if len(parts) == 1:
        return parts[0]
    if (folder := folder_of(parts[0])) is None:
        return sparse.vstack(parts, format="csr")

    def blocks() -> Iterator[sparse.csr_matrix]:
        for part in parts:
            yield from (part[rows] for rows in row_blocks(part))

    n_entries = sum(part.nnz for part in parts)
    return stacked(blocks(), parts[0].shape[1], np.float32, folder=folder, n_entries=n_entries)


def _obs(files: Sequence[Path], tables: Sequence[AnnData]) -> pd.DataFrame:
    """What all files say of their cells, and the file."""
    sources = [path.stem for path in files]
    if len(set(sources)) < len(sources):
        sources = [str(path) for path in files]
    obs = pd.concat([adata.obs for adata in tables], join="inner")
    obs[SOURCE] = pd.Categorical(np.repeat(sources, [adata.n_obs for adata in tables]), sources)
    if not obs.index.is_unique:
        obs.index = obs[SOURCE].astype(str) + ":" + obs.index.astype(str)
    return obs
