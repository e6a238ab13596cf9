"""A MuData whose matrices stay on disk."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from anndata import AnnData
from mudata import MuData

from scmoe._check import layer_names
from scmoe._log import logger
from scmoe._matrix import Matrix
from scmoe.datasets._format import Format, FormatError
from scmoe.datasets.disk._cache import (
    Contents,
    Entry,
    MatrixFiles,
    columns_checksum,
    folder_of_cache,
    making,
    read_current,
    remove_folder,
    write_cache,
)
from scmoe.datasets.disk._skeleton import columns_of, write_skeleton
from scmoe.datasets.disk._stored import Stored, dense_rows, is_sparse, opened, sparse_rows, stored_matrices
from scmoe.io._mapped import index_type
from scmoe.io._place import check_space

MATRICES = "matrices"
SKELETON = "skeleton"
Reader = Callable[[Path], MuData]


class Slot(NamedTuple):
    """A matrix of a modality that stands for one in the file."""

    adata: AnnData
    part: str
    """``"X"``, ``"raw/X"`` or ``"layers/..."``."""
    place: str
    """Where it is in the file."""

    @property
    def matrix(self) -> Matrix:
        """The matrix."""
        if self.part == "X":
            return self.adata.X
        return self.adata.raw.X if self.part == "raw/X" else self.adata.layers[self.part.removeprefix("layers/")]

    def put(self, matrix: Matrix) -> None:
        """Another matrix in its place."""
        if self.part == "X":
            self.adata.X = matrix
        elif self.part == "raw/X":
            raw = self.adata.raw
            self.adata.raw = AnnData(matrix, var=raw.var, varm=dict(raw.varm))
        else:
            self.adata.layers[self.part.removeprefix("layers/")] = matrix


def open_on_disk(path: Path, form: Format, cache_dir: Path | None, genome: str | None, reader: Reader) -> MuData:
    """Read a file, but for its matrices, which are mapped from the cache of the file; it is made if need be.

    Parameters
    ----------
    path, form
        The file, and what it holds.
    cache_dir
        Where the cache is; None: beside the file.
    genome
        Whose features are read; a cache of its own.
    reader
        Reads a file of this form.
    """
    if form is Format.MATRIX_MARKET:
        raise FormatError(
            f"{path} holds {form}, which cannot stay on disk. Read it once without on_disk=True, write it with "
            "scmoe.datasets.write(mdata, 'cells.h5mu'), and read that."
        )
    folder = folder_of_cache(path, cache_dir)
    cache = folder / (MATRICES if genome is None else f"{MATRICES}-{genome}")
    skeleton = f"{SKELETON}{'.zarr' if path.is_dir() else '.h5'}"
    contents = read_current(cache, path)
    if contents is None:
        with making(folder):
            contents = read_current(cache, path, report=True)  # another process may have made it meanwhile
            if contents is None:
                contents = write_cache(cache, path, partial(_write, path, form, genome, skeleton, reader))
    mdata = reader(cache / skeleton)
    _put_matrices(mdata, form, contents, cache)
    return mdata


def remove_cache_of(path: Path, cache_dir: Path | None) -> Path | None:
    """Remove the cache of a file, which need not be there any more; returns where it was, None if there was none."""
    folder = folder_of_cache(path, cache_dir)
    return folder if remove_folder(folder) else None


def _write(path: Path, form: Format, genome: str | None, skeleton: str, reader: Reader, folder: Path) -> list[Entry]:
    """Write skeleton and matrices of a file to a folder."""
    with opened(path) as root:
        matrices = stored_matrices(root, form, path, genome)
        n_bytes = sum(matrix.n_bytes() for matrix in matrices)
        check_space(folder.parent, n_bytes)
        logger.info("%s: matrices are copied to %s, once (%.2g GB at most)", path.name, folder.parent, n_bytes / 1e9)
        write_skeleton(path, root, matrices, form, folder / skeleton)
        parts: dict[str, list[np.ndarray]] = {matrix.place: [] for matrix in matrices}
        for slot in _slots(reader(folder / skeleton), form):
            if slot.place in parts:
                parts[slot.place].append(columns_of(slot.matrix))
        return [entry for matrix in matrices for entry in _write_matrix(matrix, parts[matrix.place], folder)]


def _write_matrix(stored: Stored, parts: list[np.ndarray], folder: Path) -> list[Entry]:
    """Write the parts of a matrix, which have some of its columns each; it is read once."""
    by_rows = is_sparse(stored)
    index = np.dtype(index_type(stored.n_entries)).str if by_rows else ""
    files = []
    with ExitStack() as stack:
        for columns in parts:
            checksum = columns_checksum(columns)
            entry = Entry(
                place=stored.place,
                columns=checksum,
                shape=(stored.shape[0], len(columns)),
                dtype=stored.dtype.str,
                index=index,
                n_entries=0,
                name=f"{zlib.crc32(stored.place.encode()):08x}-{checksum:08x}",
            )
            files.append((columns, MatrixFiles(folder, entry, stack)))
        for block in sparse_rows(stored, folder) if by_rows else dense_rows(stored):
            for columns, file in files:
                is_whole = len(columns) == stored.shape[1]
                file.append(block if is_whole else block[:, columns])
        return [file.finish() for _, file in files]


def _put_matrices(mdata: MuData, form: Format, contents: Contents, cache: Path) -> None:
    entries = {(entry.place, entry.columns): entry for entry in contents.entries}
    places = {entry.place for entry in contents.entries}
    for slot in _slots(mdata, form):
        if slot.place in places:
            slot.put(entries[slot.place, columns_checksum(columns_of(slot.matrix))].open(cache))


def _slots(mdata: MuData, form: Format) -> Iterator[Slot]:
    """Matrices of a MuData, with their places in the file that it was read from."""
    is_mudata = form in (Format.MUDATA, Format.MUDATA_ZARR)
    for name, adata in mdata.mod.items():
        parts = ["X", *(f"layers/{layer}" for layer in layer_names(adata))]
        for part in (*parts, "raw/X") if adata.raw is not None else parts:
            yield Slot(adata, part, f"mod/{name}/{part}" if is_mudata else part)
