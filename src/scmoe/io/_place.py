"""Places of results that take long to make."""

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe._log import logger
from scmoe.io._files import WriteError

State = tuple[tuple[str, int, int, int], ...]


class Place:
    """A path to be written at the end of long work, remembered as it is now.

    Parameters
    ----------
    path
        A file or folder, which may be there: whoever replaces it has asked the user.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = _state(path)

    def now(self) -> Path:
        """The path, or a free one beside it if something else has come there meanwhile; the log says so."""
        if not self.path.exists() or _state(self.path) == self._before:
            return self.path
        free = free_beside(self.path, first=2)
        logger.warning(
            "%s was written by something else in the meantime and stays as it is; this result is in %s", self.path, free
        )
        return free


def free_beside(path: Path, *, first: int) -> Path:
    """A path beside another one that is free: its name with a number, from `first` on."""
    names = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(first))
    return next(name for name in names if not name.exists())


def _state(path: Path) -> State:
    """What tells a file or folder from another one of the same name; nothing if there is none."""
    if not path.exists():
        return ()
    entries = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(entry.name, entry.lstat()) for entry in entries]
    return tuple((name, state.st_ino, state.st_mtime_ns, state.st_size) for name, state in states)


def check_space(folder: Path, n_bytes: int) -> None:
    """Raise if the disk of a folder, which exists, has less room than a result will take at least.

    Raises
    ------
    WriteError
        It does not.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise WriteError(
            f"{os.fspath(folder)} has {free / 1e9:.2g} GB left, and the result takes {n_bytes / 1e9:.2g} GB at least. "
            "Free some space, or choose another folder."
        )


def size_of(data: MuData | AnnData) -> int:
    """Bytes of the matrices and tables of data: what a file of them takes at least."""
    parts = [data, *data.mod.values()] if isinstance(data, MuData) else [data]
    return sum(_bytes(matrix) for part in parts for matrix in _matrices(part))


def _matrices(part: MuData | AnnData) -> Iterator[Any]:
    yield from (part.obs, part.var)
    for mapping in (part.obsm, part.varm, part.obsp, part.varp):
        yield from mapping.values()
    if isinstance(part, AnnData):
        # anndata 0.13 keeps X among the layers, under the key None.
        yield from (part.X, *(part.layers[name] for name in part.layers if name is not None))


def _bytes(matrix: Any) -> int:
    if isinstance(matrix, pd.DataFrame):
        return int(matrix.memory_usage(index=False).sum())
    if sparse.issparse(matrix):
        return int(matrix.data.nbytes) + int(getattr(matrix, "indices", np.zeros(0)).nbytes)
    return int(getattr(matrix, "nbytes", 0))
