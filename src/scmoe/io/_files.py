"""Writing to disk: all or nothing, and with a message that says what to do when it fails."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scmoe.io._leftovers import QUIET, backup_of, remove, remove_leftovers, temporary_of

ERRNO = re.compile(r"(?:errno =|os error) (\d+)")
"""How HDF5, in a page of text, and safetensors name the reason."""


class WriteError(OSError, ValueError):
    """A result could not be written; the message names the path and the remedy."""


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
    temporary = temporary_of(target)
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise _explain(target, error) from error
    finally:
        remove(temporary)


@contextmanager
def atomic_dir(path: str | os.PathLike[str], overwrite: bool = False, *, owned: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, which takes its place on success and is removed on failure.

    A folder that holds anything besides the names just written is never replaced, so no foreign file can be lost; with
    `owned` the caller has made sure that all of it may be replaced.

    Raises
    ------
    WriteError
        `path` exists and `overwrite` is false, it is a file, it holds foreign files, or writing failed.
    """
    target = Path(path).expanduser().resolve()
    check_writable(target.parent)
    _refuse_existing(target, overwrite)
    temporary, old = temporary_of(target), backup_of(target)
    try:
        temporary.mkdir()
        yield temporary
        for file in filter(Path.is_file, temporary.rglob("*")):
            _flush(file)
        if target.exists() and not owned:
            check_replaceable(target, (entry.name for entry in temporary.iterdir()))
        _swap(temporary, target, old)
    except OSError as error:
        raise _explain(target, error) from error
    finally:
        remove(temporary, n_looks=QUIET)
        if target.exists():
            remove(old)


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
    try:
        if target.exists():
            os.rename(target, old)
        os.rename(new, target)
    except BaseException:  # an interruption must not leave the place empty either
        if old.exists() and not target.exists():
            os.rename(old, target)
        raise


def _flush(file: Path) -> None:
    """Have the disk take the file before it replaces another; network drives say only now that they are full."""
    with open(file, "rb+") as written:
        os.fsync(written.fileno())


def reserve(file: Path, n_bytes: int) -> None:
    """Have the disk keep room for a file before a library writes it.

    HDF5 cannot close a file on a full disk, and crashes the process at its end, after the message.

    Raises
    ------
    OSError
        There is no room: a full disk, or a quota that no question of the free space shows.
    """
    if hasattr(os, "posix_fallocate") and n_bytes:  # not on macOS
        with open(file, "wb") as reserved:
            os.posix_fallocate(reserved.fileno(), 0, n_bytes)


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Create the output folder if needed, and prove by writing to it that it can be written.

    What a run that was killed has left half-written in it is removed.

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
    probe = temporary_of(folder / "probe")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        probe.write_bytes(b"scmoe")
    except (FileExistsError, NotADirectoryError) as error:
        raise WriteError(f"Cannot write to {folder}: a file is in the way. Choose another folder.") from error
    except OSError as error:
        raise _explain(folder, error) from error
    finally:
        remove(probe)
    return folder


def _explain(path: Path, error: OSError) -> OSError:
    if isinstance(error, (WriteError, ConnectionError)):
        return error
    number = ERRNO.search(str(error))
    reason = os.strerror(int(number[1])) if number else error.strerror or str(error)
    return WriteError(f"Cannot write {path}: {reason}. Check the free space and permissions, or choose another folder.")
