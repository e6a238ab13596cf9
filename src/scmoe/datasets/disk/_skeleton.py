"""A file without its matrices, so that the usual readers can read the rest of it.

In the place of each matrix is one of the same shape, whose first row says of each column which one it is: so columns
are known again after the features were divided or chosen.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from anndata.io import write_elem
from scipy import sparse

from scmoe._matrix import Matrix
from scmoe.datasets._format import Format
from scmoe.datasets.disk._stored import Stored

CONSOLIDATED = "consolidated_metadata"


def write_skeleton(source: Path, root: Any, matrices: list[Stored], form: Format, path: Path) -> None:
    """Write all but the matrices of a file or store.

    Parameters
    ----------
    source, root
        The file or store, and its root group, open for reading.
    matrices
        What to leave out.
    form
        Of the file.
    path
        The file or store to write, of the same format.
    """
    if source.is_dir():
        _copy_store(source, matrices, path)
        return
    with h5py.File(path, "w", userblock_size=root.userblock_size) as copy:
        places = [matrix.element.name.strip("/") for matrix in matrices]
        if form is Format.COUNTS_10X:
            places = [f"{place}/{name}" for place in places for name in ("data", "indices", "indptr")]
        _copy_group(root, copy, "", places)
        _renew_references(root, copy)
        for matrix in matrices:
            marker = _marker(matrix.shape)
            if form is Format.COUNTS_10X:
                for name in ("data", "indices", "indptr"):
                    copy[matrix.element.name][name] = getattr(marker, name).astype(np.int32)
            else:
                _write(copy, matrix.place, marker)
    with open(source, "rb") as file, open(path, "rb+") as copied:  # in which mudata says who wrote the file
        copied.write(file.read(root.userblock_size))


def columns_of(marker: Matrix) -> np.ndarray:
    """Which columns of a matrix one stands for that was read from a skeleton."""
    return marker[:1].toarray().ravel().astype(np.int64) - 1


def _marker(shape: tuple[int, int]) -> sparse.csr_matrix:
    n_cells, n_features = shape
    indptr = np.full(n_cells + 1, n_features)
    indptr[0] = 0
    numbers = np.arange(n_features)
    return sparse.csr_matrix((numbers + 1.0, numbers, indptr), shape=shape)


def _write(root: Any, place: str, marker: sparse.csr_matrix) -> None:
    """Write to a place like ``layers/counts``, group by group: anndata 0.13 takes no path for a name."""
    group, _, name = place.rpartition("/")
    write_elem(root.require_group(group) if group else root, name, marker)


def _copy_group(group: h5py.Group, copy: h5py.Group, prefix: str, places: list[str]) -> None:
    """Copy what lies in a group, but for what lies at some places."""
    copy.attrs.update(group.attrs)
    for name in group:
        place = f"{prefix}{name}"
        if place in places:
            continue
        if any(other.startswith(f"{place}/") for other in places):
            _copy_group(group[name], copy.create_group(name), f"{place}/", places)
        else:
            group.copy(name, copy, name)


def _renew_references(root: h5py.Group, copy: h5py.Group) -> None:
    """Let attributes that point to other entries point to their copies, as categories of anndata before 0.8 do."""

    def renew(place: str, element: h5py.Group | h5py.Dataset) -> None:
        for name, value in element.attrs.items() if place in copy else ():
            if isinstance(value, h5py.Reference) and value:
                copy[place].attrs[name] = copy[root[value].name].ref

    root.visititems(renew)


def _copy_store(source: Path, matrices: list[Stored], path: Path) -> None:
    places = {source / matrix.place for matrix in matrices}

    def skipped(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder, name) in places or name == ".zmetadata"]

    shutil.copytree(source, path, ignore=skipped)
    for file in path.rglob("zarr.json"):  # which may hold a table of what was in the store
        metadata = json.loads(file.read_text())
        if metadata.pop(CONSOLIDATED, None) is not None:
            file.write_text(json.dumps(metadata))
    store = zarr.open_group(path, mode="r+", use_consolidated=False)
    for matrix in matrices:
        _write(store, matrix.place, _marker(matrix.shape))
