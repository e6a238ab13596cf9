"""Writing to disk: all or nothing, and with a message that says what to do when it fails."""

import logging
import os
import re
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import mudata
import numpy as np
import pandas as pd
from scipy import sparse


class WriteError(OSError, ValueError):
    """A result could not be written; the message names the path and the remedy."""


@contextmanager
def quiet_mudata() -> Iterator[None]:
    """Use mudata as its next version behaves (nothing is pulled), without its announcements and without a trace.

    The same feature name in two modalities (CD4 as gene and as protein) is normal, so its warning is left out.
    """
    root, guard = logging.getLogger(), logging.NullHandler()
    # `mudata.set_options` logs on the root logger, which installs a handler for the whole program if there is none.
    root.addHandler(guard)
    try:
        with warnings.catch_warnings(), mudata.set_options(pull_on_update=False):
            warnings.filterwarnings("ignore", category=UserWarning, module=r"mudata\.")
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"mudata\.")
            yield
    finally:
        root.removeHandler(guard)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its place on success and is removed on failure.

    Raises
    ------
    WriteError
        The folder cannot be written, or writing failed (disk full, for one); an older file at `path` is kept.
    """
    target = Path(path).expanduser().resolve()
    check_writable(target.parent)
    if target.is_dir():
        raise WriteError(f"Cannot write the file {target}: a folder has this name. Choose another name.")
    temporary = _temporary(target)
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise _explain(target, error) from error
    finally:
        _remove(temporary)


@contextmanager
def atomic_dir(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, which takes its place on success and is removed on failure.

    A folder that holds anything besides the names just written is never replaced, so no foreign file can be lost.

    Raises
    ------
    WriteError
        `path` exists and `overwrite` is false, it is a file, it holds foreign files, or writing failed.
    """
    target = Path(path).expanduser().resolve()
    check_writable(target.parent)
    _refuse_existing(target, overwrite)
    temporary, old = _temporary(target), _temporary(target)
    try:
        temporary.mkdir()
        yield temporary
        _swap(temporary, target, old)
    except OSError as error:
        raise _explain(target, error) from error
    finally:
        _remove(temporary)
        if target.exists():
            _remove(old)


def check_replaceable(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Check that nothing but the files `names` would be lost if the folder were replaced; it need not exist.

    Raises
    ------
    WriteError
        It is a file, or holds something else.
    """
    folder = Path(folder).expanduser()
    _refuse_file(folder)
    foreign = sorted({entry.name for entry in folder.iterdir()} - set(names)) if folder.exists() else []
    if foreign:
        raise WriteError(
            f"The folder {folder} holds files that would be lost: {', '.join(foreign[:5])}. "
            "Choose another name, or move them first."
        )


def _refuse_file(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise WriteError(f"Cannot write the folder {target}: a file has this name. Choose another name.")


def _refuse_existing(target: Path, overwrite: bool) -> None:
    _refuse_file(target)
    if target.exists() and any(target.iterdir()) and not overwrite:
        raise WriteError(f"The folder {target} exists already. Choose another name, or pass overwrite=True.")


def _swap(new: Path, target: Path, old: Path) -> None:
    if not target.exists():
        os.rename(new, target)
        return
    check_replaceable(target, (entry.name for entry in new.iterdir()))
    os.rename(target, old)
    try:
        os.rename(new, target)
    except OSError:
        os.rename(old, target)
        raise


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Create the output folder if needed, and prove by writing to it that it can be written.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    WriteError
        A file has its name, or the folder cannot be created or written.
    """
    folder = Path(path).expanduser()
    probe = folder / f".scmoe-{uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"scmoe")
    except (FileExistsError, NotADirectoryError) as error:
        raise WriteError(f"Cannot write to {folder}: a file is in the way. Choose another folder.") from error
    except OSError as error:
        raise _explain(folder, error) from error
    finally:
        _remove(probe)
    return folder


def write_h5mu(mdata: mudata.MuData, path: str | os.PathLike[str]) -> None:
    """Write a MuData to an ``.h5mu`` file: the whole file, or none.

    Raises
    ------
    WriteError
        The file could not be written (disk full, folder not writable); an older file at `path` is kept.
    """
    with atomic_path(path) as temporary, quiet_mudata():
        try:
            mdata.write_h5mu(temporary)
            # HDF5 reports some failed writes only on stderr; a file cut short cannot be opened.
            h5py.File(temporary, "r").close()
        except RuntimeError as error:
            if "errno" not in str(error):
                raise
            # HDF5 turns a full disk met while closing into a RuntimeError.
            raise OSError(str(error)) from error


def to_uns(value: Any) -> Any:
    """Convert a value to what both ``.h5mu`` and zarr can store under ``uns``.

    Mapping keys become strings without ``/``; tuples, sets and lists become arrays, or mappings from ``"0"``, ``"1"``
    ... when they are nested; None becomes ``"None"``; paths, enumerations, dates and unknown objects become strings;
    tensors become arrays; tables get string names.

    Raises
    ------
    ValueError
        Two keys of a mapping, or two columns of a table, become the same string.
    """
    if isinstance(value, Enum):
        return to_uns(value.value)
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {key: to_uns(item) for key, item in zip(_keys(value), value.values(), strict=True)}
    if isinstance(value, pd.DataFrame):
        return _table_to_uns(value)
    if isinstance(value, (set, frozenset)):
        return to_uns(sorted(value, key=str))
    if isinstance(value, (list, tuple)):
        return _list_to_uns(list(value))
    if hasattr(value, "detach"):  # a tensor; torch is not imported here because it takes seconds
        value = value.detach().cpu()
        return to_uns((value.float() if value.is_floating_point() else value).numpy())
    if isinstance(value, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        return to_uns(np.asarray(value))
    if isinstance(value, np.generic):
        return to_uns(value.item())
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "buifU" else _list_to_uns(list(np.atleast_1d(value)))
    return value if sparse.issparse(value) else str(value)


def _keys(keys: Iterable[Any]) -> list[str]:
    names = [str(key.value if isinstance(key, Enum) else key).replace("/", "_") for key in keys]
    if len(set(names)) < len(names):
        raise ValueError(f"The keys {list(keys)} are not distinct as text, so they cannot be stored.")
    return names


def _list_to_uns(items: list[Any]) -> Any:
    items = [to_uns(item) for item in items]
    if all(isinstance(item, str) for item in items):
        return np.array(items, dtype=str)
    if all(isinstance(item, (bool, int, float)) for item in items):
        return np.array(items)
    if all(isinstance(item, (bool, int, float, str)) for item in items):
        return np.array([str(item) for item in items])
    return {str(position): item for position, item in enumerate(items)}


def _table_to_uns(table: pd.DataFrame) -> pd.DataFrame:
    table = table.copy()
    table.columns = pd.Index(_keys(table.columns), dtype=object)
    table.index = table.index.map(str)
    for name in table.columns:
        if table[name].dtype.kind in "OMm" and not isinstance(table[name].dtype, pd.CategoricalDtype):
            table[name] = [str(item) for item in table[name]]
    return table


def _temporary(target: Path) -> Path:
    """Name a temporary neighbor; it keeps the suffix, from which writers tell the format."""
    return target.with_name(f".{target.stem}-{uuid4().hex[:8]}{target.suffix}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _explain(path: Path, error: OSError) -> OSError:
    if isinstance(error, (WriteError, ConnectionError)):
        return error
    # HDF5 hides the reason in a page of text.
    number = re.search(r"errno = (\d+)", str(error))
    reason = os.strerror(int(number[1])) if number else error.strerror or str(error)
    return WriteError(f"Cannot write {path}: {reason}. Check the free space and permissions, or choose another folder.")
