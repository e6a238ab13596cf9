"""Writing to disk: all or nothing, and with a message that says what to do when it fails."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


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
    temporary = _temporary(target)
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise _explain(target, error) from error
    finally:
        _remove(temporary)


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
    temporary, old = _temporary(target), _temporary(target)
    try:
        temporary.mkdir()
        yield temporary
        _swap(temporary, target, old, owned)
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


def _swap(new: Path, target: Path, old: Path, owned: bool) -> None:
    if not target.exists():
        os.rename(new, target)
        return
    if not owned:
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
