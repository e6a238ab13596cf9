"""Faults of a drive at a chosen call of the operating system, as the package makes it."""

import builtins
import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

REASONS = (errno.ENOSPC, errno.EACCES, errno.EROFS)
"""A full disk, a folder without rights, a drive that can only be read."""


class Faults:
    """Fails at the `at`-th operation that writes below `folder`, once; counts the operations.

    Parameters
    ----------
    folder
        Where.
    at
        Which of the operations, from 1; 0: none.
    reason
        Number of the error.
    """

    def __init__(self, folder: Path, at: int, reason: int) -> None:
        self.folder, self.at, self.reason, self.count = str(folder), at, reason, 0

    def strike(self, path: Any) -> None:
        """Count an operation on a path or an open file, and fail if it is the one."""
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        if str(path).startswith(self.folder):
            self.count += 1
            if self.count == self.at:
                raise OSError(self.reason, os.strerror(self.reason), str(path))

    @property
    def has_struck(self) -> bool:
        """Whether the operation was reached."""
        return self.count >= self.at


class Failing:
    """An open file whose writes are counted."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self.file, self.faults = file, faults

    def write(self, data: Any) -> int:
        """Write, or fail."""
        self.faults.strike(self.file.name)
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Failing":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.file)


@contextmanager
def faults(folder: Path, at: int, reason: int) -> Iterator[Faults]:
    """A drive that fails once: at opening for writing, writing, moving, making a folder, or bringing to the disk."""
    drive = Faults(folder, at, reason)
    plain = {name: getattr(os, name) for name in ("rename", "replace", "mkdir", "fsync")}
    opened, h5 = builtins.open, h5py.File

    def failing_open(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if not set(mode) & set("wax+"):
            return opened(file, mode, *args, **kwargs)
        drive.strike(file)
        return Failing(opened(file, mode, *args, **kwargs), drive)

    class FailingHdf5(h5):  # type: ignore[misc, valid-type]
        """An HDF5 file that may not open."""

        def __init__(self, name: Any, mode: str = "r", *args: Any, **kwargs: Any) -> None:
            if mode != "r":
                drive.strike(name)
            super().__init__(name, mode, *args, **kwargs)

    def failing(name: str) -> Any:
        def operation(path: Any, *args: Any, **kwargs: Any) -> Any:
            drive.strike(path)
            return plain[name](path, *args, **kwargs)

        return operation

    builtins.open = io.open = failing_open  # type: ignore[assignment]
    h5py.File = FailingHdf5
    for name in plain:
        setattr(os, name, failing(name))
    try:
        yield drive
    finally:
        builtins.open = io.open = opened
        h5py.File = h5
        for name, operation in plain.items():
            setattr(os, name, operation)
