"""Names of what is being written, by which a later run knows what one that was killed has left behind."""

import os
import platform
import re
import shutil
import time
import zlib
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

PATTERN = re.compile(r"\.scmoe-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}(?:~(?P<name>.+)|\.\w+)?")
"""Machine, process, a random part, and the name of what was put aside or the ending of what is being written."""

TRIES, PAUSE = 40, 0.05
"""Looks at a folder that is removed, and seconds between them."""
QUIET = 6
"""Looks in a row at which a folder that was being written must be gone: after an error, threads of zarr write on for a
while, and make it anew."""


def temporary_of(target: Path) -> Path:
    """A name beside the target; it keeps the ending, from which writers tell the format."""
    return target.with_name(_stem() + target.suffix)


def backup_of(target: Path) -> Path:
    """A name beside the target, under which it waits until its successor is in place."""
    return target.with_name(f"{_stem()}~{target.name}")


def remove_leftovers(folder: Path) -> None:
    """Remove what processes of this machine that are no more were writing in a folder; bring back what they put aside.

    What another machine writes to a shared drive is left alone: whether its process lives cannot be known here.
    """
    for path in folder.glob(".scmoe-*"):
        match = PATTERN.fullmatch(path.name)
        if match is None or match[1] != _machine() or _is_running(int(match[2])):
            continue
        if match["name"] and not (folder / match["name"]).exists():
            with suppress(OSError):
                os.rename(path, folder / match["name"])
        else:
            remove(path)


def remove(path: Path, *, n_looks: int = 1) -> None:
    """Remove a file or folder as far as it can be removed; a folder must be gone at `n_looks` looks in a row."""
    if not path.is_dir():
        with suppress(OSError):
            path.unlink()
        return
    n_gone = 0
    for _ in range(TRIES):
        shutil.rmtree(path, ignore_errors=True)
        n_gone = 0 if path.exists() else n_gone + 1
        if n_gone == n_looks:
            return
        time.sleep(PAUSE)


def _stem() -> str:
    return f".scmoe-{_machine()}-{os.getpid()}-{uuid4().hex[:8]}"


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_running(process: int) -> bool:
    if os.name != "posix":  # signal 0 asks nothing there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True
