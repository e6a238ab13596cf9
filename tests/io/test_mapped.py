"""Arrays mapped from files: the values of those in memory, read-only, without a trace in the folder."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from scmoe import _matrix
from scmoe.io import _mapped
from scmoe.io._files import WriteError
from scmoe.io._mapped import (
    csr_of,
    filled,
    folder_of,
    index_type,
    mapped,
    stacked_beside,
    with_columns,
    with_data,
    with_rows,
)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> sparse.csr_matrix:
    monkeypatch.setattr(_matrix, "BLOCK", 30)
    monkeypatch.setattr(_mapped, "BLOCK", 30)
    return sparse.random(50, 20, 0.2, format="csr", dtype=np.float32, random_state=0)


@pytest.fixture
def disk(memory: sparse.csr_matrix, tmp_path: Path) -> sparse.csr_matrix:
    arrays = []
    for name in ("data", "indices", "indptr"):
        array = getattr(memory, name)
        array.tofile(tmp_path / name)
        arrays.append(mapped(tmp_path / name, array.dtype, array.shape))
    return csr_of(*arrays, memory.shape[1])


def _same(one: sparse.csr_matrix, other: sparse.csr_matrix) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and not (one != other).nnz


def test_a_matrix_knows_its_folder(memory, disk, tmp_path: Path) -> None:
    assert folder_of(memory) is None and folder_of(np.zeros(3)) is None
    for matrix in (disk, sparse.csr_matrix(disk), disk.tocsr(), disk.data[3:7]):
        assert folder_of(matrix) == tmp_path
    assert folder_of(disk.copy()) is None


def test_what_is_made_of_data_on_disk_is_on_disk(memory, disk, tmp_path: Path) -> None:
    columns, rows = np.array([7, 0, 19]), np.array([9, 3, 49, 4])
    pairs = [
        (with_columns(disk, columns), memory[:, columns]),
        (with_rows(disk, rows), memory[rows]),
        (with_data(disk, filled([disk.data * 2], disk.data.shape, np.float32, beside=disk)), memory * 2),
        (stacked_beside((disk[i : i + 7] for i in range(0, 50, 7)), 20, np.float64, beside=disk), memory.astype(float)),
    ]
    for found, expected in pairs:
        assert folder_of(found) == tmp_path
        assert _same(found, expected)
        assert not found.data.flags.writeable
        assert found.has_canonical_format
    assert sorted(os.listdir(tmp_path)) == ["data", "indices", "indptr"]  # the others have no name


def test_what_is_made_of_data_in_memory_is_in_memory(memory) -> None:
    other = with_data(memory, filled([memory.data], memory.data.shape, np.float32, beside=memory))
    assert folder_of(other) is None and _same(other, memory)
    assert not np.shares_memory(other.indices, memory.indices)  # sorting one must not change the other
    assert _same(with_columns(memory, np.array([3, 1])), memory[:, [3, 1]])


def test_dense_columns_on_disk(memory, tmp_path: Path) -> None:
    memory.toarray().tofile(tmp_path / "dense")
    dense = mapped(tmp_path / "dense", np.float32, memory.shape)
    part = with_columns(dense, np.array([5, 2]))
    assert folder_of(part) == tmp_path
    np.testing.assert_array_equal(part, memory.toarray()[:, [5, 2]])


def test_nothing_computes_in_the_place_of_a_file(disk) -> None:
    for change in (disk.eliminate_zeros, lambda: disk.data.sort(), lambda: np.log1p(disk.data, out=disk.data)):
        with pytest.raises(ValueError, match="read-only"):
            change()


def test_empty_matrices(disk) -> None:
    assert stacked_beside([sparse.csr_matrix((4, 20))], 20, np.float32, beside=disk).shape == (4, 20)
    assert with_columns(disk, np.zeros(0, int)).shape == (50, 0)
    assert mapped("nowhere", np.float32, (0, 3)).shape == (0, 3)


def test_indices_beyond_32_bits_are_neither_narrowed_nor_copied() -> None:
    assert index_type(2**31 - 1) is np.int32
    assert index_type(2**31) is np.int64
    indices, indptr = np.array([1, 0], np.int64), np.array([0, 1, 2], np.int64)
    matrix = sparse.csr_matrix(csr_of(np.ones(2), indices, indptr, 3))
    assert np.shares_memory(matrix.indices, indices) and np.shares_memory(matrix.indptr, indptr)
    np.testing.assert_array_equal(matrix[[1, 0]].toarray(), [[1, 0, 0], [0, 1, 0]])


def test_a_full_disk_is_said(disk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_mapped, "_append", fail)
    with pytest.raises(WriteError, match="No space left.*cache_dir="):
        with_columns(disk, np.array([0]))
    assert sorted(os.listdir(tmp_path)) == ["data", "indices", "indptr"]
