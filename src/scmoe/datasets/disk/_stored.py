"""The matrices in a file or store, without reading them: where they are, in which form, and their rows in blocks."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np
import zarr
from scipy import sparse

from scmoe.datasets._format import Format, genomes_of
from scmoe.io._mapped import canonical, index_type

ENTRIES = 1 << 20
"""Values that are in memory at once."""
MAX_BUCKETS = 128
"""Files that are open at once while columns are turned into rows."""
Form = Literal["csr", "csc", "dense"]
FORMS: dict[str, Form] = {"csr_matrix": "csr", "csc_matrix": "csc"}
LIMIT = 0.5
"""Share of values that are not zero from which a dense matrix takes no more room than a sparse one."""


class Stored(NamedTuple):
    """A matrix in a file, cells x features."""

    place: str
    """Where readers put it, such as ``"mod/rna/layers/counts"``."""
    form: Form
    element: Any
    """The group or array of h5py or zarr."""
    shape: tuple[int, int]
    dtype: np.dtype
    """Of the values in memory."""

    @property
    def n_entries(self) -> int:
        """How many values the file holds."""
        return int(np.prod(self.shape)) if self.form == "dense" else self.element["data"].shape[0]

    def n_bytes(self) -> int:
        """Bytes on the way into a cache, at most."""
        index = np.dtype(index_type(self.n_entries)).itemsize
        buckets = 2 * index + self.dtype.itemsize if self.form == "csc" else 0
        return self.n_entries * (self.dtype.itemsize + (index if self.form != "dense" else 0) + buckets)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The root group of a file or store, for reading."""
    if path.is_dir():
        yield zarr.open_group(path, mode="r")
        return
    with h5py.File(path, "r") as file:
        yield file


def stored_matrices(root: Any, form: Format, path: Path, genome: str | None) -> list[Stored]:
    """X, layers and ``.raw`` of all modalities that can be left on disk; what cannot is no matrix of numbers.

    Parameters
    ----------
    root
        The root group of the file or store.
    form, path
        Of the file.
    genome
        Whose counts are read, of a file in which those of several are apart.
    """
    if form is Format.COUNTS_10X:
        names = genomes_of(path) or ["matrix"]
        return [_of_10x(root[genome if genome in names else names[0]])]
    is_mudata = form in (Format.MUDATA, Format.MUDATA_ZARR)
    prefixes = [f"mod/{name}/" for name in root["mod"]] if is_mudata else [""]
    places = [
        f"{prefix}{place}"
        for prefix in prefixes
        for place in ("X", *(f"layers/{name}" for name in root.get(f"{prefix}layers", ())), "raw/X")
    ]
    matrices = [_of_anndata(place, root[place]) for place in places if place in root]
    return [matrix for matrix in matrices if matrix is not None and 0 not in matrix.shape]


def _of_10x(group: Any) -> Stored:
    """Counts of Cell Ranger are features x cells by columns, which are cells x features by rows."""
    n_features, n_cells = (int(n) for n in group["shape"][:])
    dtype = group["data"].dtype
    return Stored("X", "csr", group, (n_cells, n_features), np.dtype(np.float32) if dtype == np.int32 else dtype)


def _of_anndata(place: str, element: Any) -> Stored | None:
    is_group: bool = isinstance(element, (h5py.Group, zarr.Group))
    if is_group:
        form = FORMS.get(str(element.attrs.get("encoding-type", "")))
        if form is None or element["data"].dtype.kind not in "buif":
            return None
        n_cells, n_features = (int(n) for n in element.attrs["shape"])
        return Stored(place, form, element, (n_cells, n_features), _in_memory(element["data"].dtype))
    if len(element.shape) != 2 or element.dtype.kind not in "buif":
        return None
    return Stored(place, "dense", element, element.shape, _in_memory(element.dtype))


def _in_memory(dtype: np.dtype) -> np.dtype:
    """SciPy knows no half precision."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype.newbyteorder("=")


def is_sparse(stored: Stored) -> bool:
    """Whether a matrix takes less room as a sparse one; missing values count as dense."""
    if stored.form != "dense":
        return True
    n = 0
    for block in dense_rows(stored):
        if block.dtype.kind == "f" and np.isnan(block).any():
            return False
        n += int(np.count_nonzero(block))
    return n < LIMIT * stored.n_entries


def dense_rows(stored: Stored) -> Iterator[np.ndarray]:
    """Blocks of the rows of a dense matrix."""
    step = max(ENTRIES // stored.shape[1], 1)
    for start in range(0, stored.shape[0], step):
        yield np.asarray(stored.element[start : start + step], dtype=stored.dtype)


def sparse_rows(stored: Stored, folder: Path) -> Iterator[sparse.csr_matrix]:
    """Blocks of the rows of a matrix, each sorted and without duplicates.

    Parameters
    ----------
    stored
        The matrix.
    folder
        Where what is on the way from columns to rows may lie.
    """
    if stored.form == "dense":
        yield from map(sparse.csr_matrix, dense_rows(stored))
    elif stored.form == "csr":
        yield from _rows_of_rows(stored)
    else:
        yield from _rows_of_columns(stored, folder)


def _rows_of_rows(stored: Stored) -> Iterator[sparse.csr_matrix]:
    until = np.asarray(stored.element["indptr"][:], dtype=np.int64)
    for start, stop in _ranges(until, ENTRIES):
        entries = slice(int(until[start]), int(until[stop]))
        data = np.asarray(stored.element["data"][entries], dtype=stored.dtype)
        indices = np.asarray(stored.element["indices"][entries])
        shape = (stop - start, stored.shape[1])
        yield canonical(sparse.csr_matrix((data, indices, until[start : stop + 1] - until[start]), shape=shape))


def _rows_of_columns(stored: Stored, folder: Path) -> Iterator[sparse.csr_matrix]:
    """Sorted by way of files, one for each range of rows, so that everything is read once."""
    n_of_row = np.zeros(stored.shape[0], np.int64)
    for entries in _entries(stored):
        n_of_row += np.bincount(stored.element["indices"][entries], minlength=stored.shape[0])
    until = np.concatenate([[0], np.cumsum(n_of_row)])
    ranges = list(_ranges(until, max(ENTRIES, stored.n_entries // MAX_BUCKETS)))
    columns_until = np.asarray(stored.element["indptr"][:], dtype=np.int64)
    index = index_type(max(stored.shape))
    record = np.dtype([("row", index), ("column", index), ("value", stored.dtype)])
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile(dir=folder)) for _ in ranges]
        starts = np.array([start for start, _ in ranges])
        for entries in _entries(stored):
            records = np.empty(entries.stop - entries.start, record)
            records["row"], records["value"] = stored.element["indices"][entries], stored.element["data"][entries]
            positions = np.arange(entries.start, entries.stop)
            records["column"] = np.searchsorted(columns_until, positions, side="right") - 1
            bucket = np.searchsorted(starts, records["row"], side="right") - 1
            order = np.argsort(bucket, kind="stable")
            for i, part in enumerate(np.split(records[order], np.cumsum(np.bincount(bucket, minlength=len(files))))):
                if len(part):
                    files[i].write(part.data)
        for (start, stop), file in zip(ranges, files, strict=True):
            file.seek(0)
            part = np.frombuffer(file.read(), record)
            file.close()
            shape = (stop - start, stored.shape[1])
            yield canonical(sparse.csr_matrix((part["value"], (part["row"] - start, part["column"])), shape=shape))


def _entries(stored: Stored) -> Iterator[slice]:
    """All entries of a sparse matrix, some at a time."""
    for start in range(0, stored.n_entries, ENTRIES):
        yield slice(start, min(start + ENTRIES, stored.n_entries))


def _ranges(until: np.ndarray, n_entries: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that hold about so many entries, one row at least."""
    start, n = 0, len(until) - 1
    while start < n:
        stop = int(np.searchsorted(until, until[start] + n_entries, side="right")) - 1
        stop = min(max(stop, start + 1), n)
        yield start, stop
        start = stop
