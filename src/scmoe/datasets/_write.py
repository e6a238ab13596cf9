"""One writer for the files that `read` reads: whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
from anndata import AnnData
from mudata import MuData

from scmoe._check import check_tables
from scmoe._log import is_first
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._format import STORE_FILES
from scmoe.io._files import WriteError, atomic_dir, atomic_path, reserve
from scmoe.io._place import size_of
from scmoe.io._plain import plain, text_as_arrays
from scmoe.io._quiet import quiet_mudata
from scmoe.io._storable import refuse_unstorable

LONGEST_NAME = 255
"""Bytes of a file's name that file systems take."""
OVERHEAD = 1 << 20
"""Bytes for names, ``uns`` and HDF5's own tables."""


@checks_arguments
def write(data: MuData | AnnData, path: str | os.PathLike[str]) -> None:
    """Write data to a file or store that older and newer libraries read too.

    Parameters
    ----------
    data
        A MuData, or an AnnData. It is not changed.
    path
        ``.h5mu`` or ``.zarr`` for a MuData, ``.h5ad`` or ``.zarr`` for an AnnData. An older file or store is
        replaced, once the new one is whole.

    Returns
    -------
    None
        Text is written in the one form that all versions of anndata read; text with gaps becomes categorical. Of
        several processes that train together, only the first one writes.

    Raises
    ------
    scmoe.io._files.WriteError
        (an `OSError` and `ValueError`) Another suffix, a folder of other files in place of the store, an entry that the
        installed libraries cannot write (the message names it), or a full or protected disk. An older file is kept.
    ValueError
        A table of ``obsm`` has other rows than cells.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.datasets.write(mdata, "bmmc.zarr")
    >>> scmoe.datasets.read("bmmc.zarr").n_obs
    600
    """
    path = check_suffix(Path(path).expanduser(), ".h5mu" if isinstance(data, MuData) else ".h5ad")
    check_tables(data)
    refuse_unstorable(data, path.suffix)  # writers take some of it for something else, without a word
    if is_first():
        write_whole(data, path)


def check_suffix(path: Path, own: str) -> Path:
    """The path, if it ends in `own` or ``.zarr`` and replaces no folder but a store.

    Raises
    ------
    WriteError
        It does not.
    """
    if len(path.name.encode()) > LONGEST_NAME:
        raise WriteError(f"The name of a file has at most {LONGEST_NAME} characters; found {len(path.name)}: {path}.")
    if path.suffix not in (own, ".zarr"):
        raise WriteError(f"The output must end in {own} or .zarr; found {path}.")
    if path.suffix == own and path.is_dir():
        raise WriteError(f"Cannot write the file {path}: a folder has this name. Choose another name.")
    if path.suffix == ".zarr" and path.is_dir() and any(path.iterdir()):
        if not any((path / name).is_file() for name in STORE_FILES):
            raise WriteError(f"Cannot write {path}: a folder with other files has this name. Choose another name.")
    return path


def write_whole(data: MuData | AnnData, path: Path, edit: Callable[[h5py.File], None] | None = None) -> None:
    """As `write`, without its checks.

    Parameters
    ----------
    data, path
        As in `write`.
    edit
        What is done to the finished HDF5 file before it takes its place.
    """
    with quiet_mudata(), text_as_arrays():
        plainer = plain(data)
        if path.suffix == ".zarr":
            with atomic_dir(path, overwrite=True, owned=True) as folder:
                plainer.write_zarr(folder)
            return
        with atomic_path(path) as temporary:
            reserve(temporary, size_of(plainer) + OVERHEAD)
            try:
                plainer.write_h5mu(temporary) if isinstance(plainer, MuData) else plainer.write_h5ad(temporary)
                # HDF5 reports some failed writes only on stderr; a file cut short cannot be opened.
                with h5py.File(temporary, "r" if edit is None else "r+") as file:
                    if edit is not None:
                        edit(file)
            except RuntimeError as error:
                if "errno" not in str(error):
                    raise
                # HDF5 turns a full disk met while closing into a RuntimeError.
                raise OSError(str(error)) from error
