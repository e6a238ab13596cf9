"""Arrays that lie in files and are mapped into memory: the system reads what is looked at, and forgets it again.

They are read-only, so that nothing that computes in place can change a file.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from scipy import sparse

from scmoe._matrix import BLOCK, Matrix, row_blocks
from scmoe.io._files import WriteError

INT32 = np.iinfo(np.int32).max


def folder_of(matrix: Matrix) -> Path | None:
    """The folder of the file that a matrix is mapped from; None: it is in memory."""
    array = matrix.data if sparse.issparse(matrix) else matrix
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    filename = getattr(array, "filename", None)
    return None if filename is None else Path(filename).parent


def copy_of(data: Any) -> Any:
    """A copy of an AnnData or MuData in memory; a ValueError for one on disk, which a copy would load."""
    modalities = data.mod.values() if hasattr(data, "mod") else [data]
    if any(adata.X is not None and folder_of(adata.X) is not None for adata in modalities):
        raise ValueError(
            "copy=True would load data that are on disk. Leave it out, and read the file once more to have the data as "
            "they were: scmoe.datasets.read(path, on_disk=True)."
        )
    copy = data.copy()
    for axis in ("obs", "var") if hasattr(data, "mod") else ():
        # mudata 0.4.1 guesses the types of columns anew: whole decimals become integers, text becomes nullable text.
        table = getattr(data, axis)
        if getattr(copy, axis).index.equals(table.index):
            setattr(copy, axis, table.copy())
    return copy


def filled(blocks: Iterable[np.ndarray], shape: tuple[int, ...], dtype: Any, *, beside: Matrix) -> np.ndarray:
    """An array of blocks that come one after another: in memory, or on disk if `beside` is.

    A file on disk has no name, so that it goes with the last array that is mapped from it, however the process ends.

    Raises
    ------
    WriteError
        The disk is full.
    """
    folder = folder_of(beside)
    if folder is None or 0 in shape:
        out, start = np.empty(shape, dtype), 0
        for block in blocks:
            out[start : start + len(block)] = block
            start += len(block)
        return out
    with _unnamed_files(folder, 1) as (file,):
        for block in blocks:
            _append(file, block, dtype)
        return _mapped_unnamed(file, dtype, shape, folder)


def stacked_beside(
    blocks: Iterable[sparse.csr_matrix], n_columns: int, dtype: Any, *, beside: Matrix
) -> sparse.csr_matrix:
    """As `stacked`, in the folder of `beside`, which is on disk and no smaller."""
    folder = folder_of(beside)
    assert folder is not None
    return stacked(blocks, n_columns, dtype, folder=folder, n_entries=beside.nnz)


def stacked(
    blocks: Iterable[sparse.csr_matrix], n_columns: int, dtype: Any, *, folder: Path, n_entries: int
) -> sparse.csr_matrix:
    """A matrix of blocks of rows, sorted and without duplicates, on disk; `n_entries` or fewer in all.

    Raises
    ------
    WriteError
        The disk is full.
    """
    index = index_type(n_entries)
    until, n_written = [np.zeros(1, np.int64)], 0
    with _unnamed_files(folder, 2) as (data, indices):
        for block in blocks:
            _append(data, block.data, dtype)
            _append(indices, block.indices, index)
            until.append(n_written + block.indptr[1:].astype(np.int64))
            n_written += block.nnz
        indptr = np.concatenate(until).astype(index)
        if not n_written:
            return sparse.csr_matrix((len(indptr) - 1, n_columns), dtype=dtype)
        values = _mapped_unnamed(data, dtype, (n_written,), folder)
        places = _mapped_unnamed(indices, index, (n_written,), folder)
        return csr_of(values, places, indptr, n_columns)


@contextmanager
def _unnamed_files(folder: Path, n: int) -> Iterator[list[IO[bytes]]]:
    """Files without a name in a folder; their room is free again once nothing is mapped from them."""
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(TemporaryFile(dir=folder)) for _ in range(n)]
    except OSError as error:
        raise WriteError(
            f"Cannot write to {folder}, where values computed from data on disk go: {error.strerror or error}. Free "
            "some space there, or read the data with another cache_dir=."
        ) from error


def _append(file: IO[bytes], block: np.ndarray, dtype: Any) -> None:
    file.write(np.ascontiguousarray(block, dtype=dtype).data)


def _mapped_unnamed(file: IO[bytes], dtype: Any, shape: tuple[int, ...], folder: Path) -> np.ndarray:
    file.flush()
    array = np.memmap(file, dtype=dtype, mode="r", shape=shape)
    array.filename = os.fspath(folder / "unnamed")
    return array.view(np.ndarray)  # writers know no memmap


def mapped(path: str | os.PathLike[str], dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The array in a file, read-only."""
    if 0 in shape:  # no system maps an empty file
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", shape=shape).view(np.ndarray)


def csr_of(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, n_columns: int) -> sparse.csr_matrix:
    """A CSR matrix of these very arrays, sorted and without duplicates.

    SciPy's constructor would look through 64-bit indices, and copy them where 32 bits are enough.
    """
    matrix = sparse.csr_matrix((len(indptr) - 1, n_columns), dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    matrix.has_canonical_format = True
    return matrix


def with_data(csr: sparse.csr_matrix, data: np.ndarray) -> sparse.csr_matrix:
    """Other values at the same places; indices on disk, which nothing can change, are shared."""
    if folder_of(csr) is not None:
        return csr_of(data, csr.indices, csr.indptr, csr.shape[1])
    matrix = type(csr)((data, csr.indices.copy(), csr.indptr.copy()), shape=csr.shape)
    matrix.has_canonical_format = csr.has_canonical_format
    return matrix


def with_columns(matrix: Matrix, columns: np.ndarray) -> Matrix:
    """Some columns of a matrix; on disk if it is there."""
    if folder_of(matrix) is None:
        return matrix[:, columns]
    if not sparse.issparse(matrix):
        blocks = (matrix[rows][:, columns] for rows in row_blocks(matrix))
        return filled(blocks, (len(matrix), len(columns)), matrix.dtype, beside=matrix)
    chosen = (matrix[rows][:, columns].sorted_indices() for rows in row_blocks(matrix))
    return stacked_beside(chosen, len(columns), matrix.dtype, beside=matrix)


def with_rows(csr: sparse.csr_matrix, rows: np.ndarray) -> sparse.csr_matrix:
    """Some rows of a matrix, each once; on disk if it is there."""
    if folder_of(csr) is None:
        return csr[rows]
    n_blocks = max(csr.nnz // BLOCK, 1)
    return stacked_beside((csr[part] for part in np.array_split(rows, n_blocks)), csr.shape[1], csr.dtype, beside=csr)


def index_type(n_entries: int) -> type[np.signedinteger]:
    """The type of both index arrays of a CSR matrix; SciPy's routines want one."""
    return np.int32 if n_entries <= INT32 else np.int64


def canonical(matrix: Matrix) -> sparse.csr_matrix:
    """A sparse matrix as CSR, sorted and without duplicates; a copy only where it is not so already."""
    csr = matrix.tocsr()
    if csr.has_canonical_format:
        return csr
    csr = csr.copy() if csr is matrix else csr
    csr.sum_duplicates()
    return csr
