"""Arrays that lie in files and are mapped into memory: the system reads what is looked at, and forgets it again.

They are read-only, so that nothing that computes in place can change a file.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from scipy import sparse

from scmoe._matrix import Matrix, row_blocks
from scmoe.io._files import WriteError

INT32 = np.iinfo(np.int32).max


def folder_of(matrix: Matrix) -> Path | None:
    """The folder of the file that a matrix is mapped from; None: it is in memory."""
    array = matrix.data if sparse.issparse(matrix) else matrix
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    filename = getattr(array, "filename", None)
    return None if filename is None else Path(filename).parent


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
    try:
        with TemporaryFile(dir=folder) as file:
            write_blocks(file, blocks, dtype)
            # The file itself, which has no name on the disk; the memmap's own is that of the folder's.
            array = np.memmap(file, dtype=dtype, mode="r", shape=shape)
            array.filename = folder / "unnamed"
            return array.view(np.ndarray)  # writers know no memmap
    except OSError as error:
        raise WriteError(
            f"Cannot write to {folder}, where values computed from data on disk go: {error.strerror or error}. Free "
            "some space there, or read the data with another cache_dir=."
        ) from error


def write_blocks(file: IO[bytes], blocks: Iterable[np.ndarray], dtype: Any) -> int:
    """Append blocks to a file that is mapped later; returns how many values they hold."""
    n = 0
    for block in blocks:
        file.write(np.ascontiguousarray(block, dtype=dtype).data)
        n += block.size
    file.flush()
    return n


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
    """Some columns (positions, each once) of a matrix; on disk if it is there."""
    if folder_of(matrix) is None:
        return matrix[:, columns]
    shape = (matrix.shape[0], len(columns))
    if not sparse.issparse(matrix):
        return filled((matrix[rows][:, columns] for rows in row_blocks(matrix)), shape, matrix.dtype, beside=matrix)
    n_entries = np.concatenate([np.diff(block.indptr) for block in _chosen(matrix, columns)])
    total = int(n_entries.sum())
    dtype = index_type(total)
    data = filled((block.data for block in _chosen(matrix, columns)), (total,), matrix.dtype, beside=matrix)
    indices = filled((block.indices for block in _chosen(matrix, columns)), (total,), dtype, beside=matrix)
    return csr_of(data, indices, np.concatenate([[0], np.cumsum(n_entries)]).astype(dtype), len(columns))


def _chosen(csr: sparse.csr_matrix, columns: np.ndarray) -> Iterator[sparse.csr_matrix]:
    """Some columns of some rows at a time."""
    for rows in row_blocks(csr):
        yield csr[rows][:, columns].sorted_indices()


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
