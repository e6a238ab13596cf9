"""One run at a time in a folder."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from scmoe._log import logger
from scmoe.io._files import WriteError, check_writable

try:
    import fcntl
except ImportError:  # Windows, where runs are not kept apart
    fcntl = None  # type: ignore[assignment]

LOCK = ".scmoe.lock"


@contextmanager
def sole_run(path: str | os.PathLike[str], *, wait: bool = False) -> Iterator[Path]:
    """Keep other runs out of a folder to the end of the block, or of the process, however it ends.

    The system holds the lock, so that none is left by a process that was killed. A drive without locks has none.

    Parameters
    ----------
    path
        The folder; it is created if needed.
    wait
        Whether to wait for another process to end its run, instead of raising; the log says so.

    Raises
    ------
    WriteError
        Another process writes to it (the message has its number), or it cannot be written.
    """
    folder = check_writable(path)
    file = _locked(folder, wait)
    try:
        yield folder
    finally:
        with suppress(OSError):  # removed while it is held: who waits for it would hold a file without a name
            (folder / LOCK).unlink()
        file.close()


def _locked(folder: Path, wait: bool) -> IO[str]:
    """The open file that holds the lock."""
    while True:
        file = _opened(folder / LOCK)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read()
            if wait:
                logger.info("waiting for another process (%s), which is writing to %s", holder, folder)
                with file:
                    fcntl.flock(file, fcntl.LOCK_EX)
                continue
            file.close()
            raise WriteError(
                f"Another process ({holder}) is writing to {folder}. Wait until it has ended, or choose another folder."
            ) from None
        except OSError:  # a drive without locks
            return file
        if _is_current(file, folder / LOCK):
            if file.writable():
                file.truncate(0)
                file.write(f"number {os.getpid()} on {platform.node()}")
                file.flush()
            return file
        file.close()  # the former holder has removed it meanwhile


def _opened(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)  # another process may have removed it with its lock
    try:
        return open(path, "a+", encoding="utf-8")
    except PermissionError:  # left by another user's run that was killed
        return open(path, encoding="utf-8")


def _is_current(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
