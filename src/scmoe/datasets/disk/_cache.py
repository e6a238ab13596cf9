"""The cache of a file: a folder with its matrices, which knows the version of the file and its own content."""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from scmoe._log import logger
from scmoe._matrix import Matrix
from scmoe.io._files import WriteError, atomic_dir
from scmoe.io._leftovers import remove
from scmoe.io._lock import LOCK, sole_run
from scmoe.io._mapped import csr_of, mapped

SUFFIX = ".scmoe-cache"
RECORD = "cache.json"
VERSION = 1
CHUNK = 1 << 24
"""Bytes of a file that are looked at at once."""
REMEDY = "For data on disk, say so with cache_dir='folder'."


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A matrix in a cache.

    Parameters
    ----------
    place
        Where it is in the file.
    columns
        Checksum of the positions of its columns there.
    shape, dtype, index
        Of the matrix, of its values, and of its index arrays; a dense one has none.
    n_entries
        Values that are held.
    name
        How its files begin.
    """

    place: str
    columns: int
    shape: tuple[int, int]
    dtype: str
    index: str
    n_entries: int
    name: str

    def arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Type and shape of the array in each file."""
        if not self.index:
            return {f"{self.name}.values": (self.dtype, tuple(self.shape))}
        return {
            f"{self.name}.data": (self.dtype, (self.n_entries,)),
            f"{self.name}.indices": (self.index, (self.n_entries,)),
            f"{self.name}.indptr": (self.index, (self.shape[0] + 1,)),
        }

    def open(self, folder: Path) -> Matrix:
        """The matrix, mapped from its files."""
        arrays = [mapped(folder / file, *array) for file, array in self.arrays().items()]
        if not self.index:
            return arrays[0]
        data, indices, indptr = arrays
        return csr_of(data, indices, indptr, self.shape[1])


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in a cache.

    Parameters
    ----------
    source
        State of the file that it was made from, see `state_of`.
    entries
        Its matrices.
    checksums
        Of each file, or of each file in a folder.
    """

    source: list[int]
    entries: list[Entry]
    checksums: dict[str, int] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it down, as the last file of a cache."""
        text = json.dumps({"version": VERSION, **asdict(self)})
        (folder / RECORD).write_text(f"{zlib.crc32(text.encode())}\n{text}")

    @classmethod
    def read(cls, folder: Path) -> "Contents":
        """Read what is written down; a ValueError if that is no record of this version."""
        checksum, _, text = (folder / RECORD).read_text().partition("\n")
        record = json.loads(text)
        if checksum != str(zlib.crc32(text.encode())) or record.pop("version") != VERSION:
            raise ValueError(f"{folder / RECORD} is not whole, or of another version.")
        entries = [Entry(**{**entry, "shape": tuple(entry["shape"])}) for entry in record.pop("entries")]
        return cls(entries=entries, **record)


class MatrixFiles:
    """Files of a matrix that is written in blocks of rows.

    Parameters
    ----------
    folder
        Where.
    entry
        What is written; the number of values is not looked at.
    stack
        Closes the files, whatever happens.
    """

    def __init__(self, folder: Path, entry: Entry, stack: ExitStack) -> None:
        self.entry, self.n_entries = entry, 0
        self.files = {name: stack.enter_context(open(folder / name, "wb")) for name in entry.arrays()}
        self.row_sizes: list[np.ndarray] = []

    def append(self, block: Matrix) -> None:
        """Write some rows, sparse if the entry has an index."""
        if not self.entry.index:
            self._write("values", block, self.entry.dtype)
            return
        self._write("data", block.data, self.entry.dtype)
        self._write("indices", block.indices, self.entry.index)
        self.row_sizes.append(np.diff(block.indptr))
        self.n_entries += block.nnz

    def finish(self) -> Entry:
        """Write what is left; returns the entry with the number of values."""
        if self.entry.index:
            sizes = np.concatenate([[0], *self.row_sizes])
            self._write("indptr", np.cumsum(sizes, dtype=np.int64), self.entry.index)
        return replace(self.entry, n_entries=self.n_entries)

    def _write(self, part: str, array: np.ndarray, dtype: str) -> None:
        self.files[f"{self.entry.name}.{part}"].write(np.ascontiguousarray(array, dtype=dtype).data)


def state_of(path: Path) -> list[int]:
    """Numbers that another version of a file or store does not have: files, bytes, time of the last change."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    states = [file.stat() for file in files]
    return [len(states), sum(s.st_size for s in states), max((s.st_mtime_ns for s in states), default=0)]


def folder_of_cache(path: Path, cache_dir: Path | None) -> Path:
    """Where the cache of a file is: beside it, or in another folder, where files of one name are told apart."""
    if cache_dir is None:
        return path.with_name(f"{path.name}{SUFFIX}")
    number = zlib.crc32(os.fsencode(path.resolve()))
    return cache_dir.expanduser() / f"{path.name}-{number:08x}{SUFFIX}"


def checksums_of(folder: Path) -> dict[str, int]:
    """CRC-32 of each file in a folder, but for the record."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != RECORD)
    return {file.relative_to(folder).as_posix(): _checksum(file) for file in files}


def _checksum(path: Path) -> int:
    checksum = 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def read_current(folder: Path, source: Path, *, report: bool = False) -> Contents | None:
    """What is in a cache; None if there is none, it is of another version of the file, or it is damaged.

    With `report`, the log says why it is made anew.
    """
    if not folder.is_dir():
        return None
    try:
        contents = Contents.read(folder)
        is_whole = contents.checksums == checksums_of(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        is_whole = False
    if is_whole and contents.source == state_of(source):
        return contents
    if report:
        reason = f"{source.name} has changed" if is_whole else "it is damaged, or of another version of scmoe"
        logger.warning("the cache %s is made anew, for %s", folder, reason)
    return None


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """Let one process at a time make a cache in a folder; leave no empty one behind, and say where else it can be."""
    try:
        with sole_run(folder, wait=True):
            yield
    except WriteError as error:
        raise WriteError(f"{error} {REMEDY}") from error
    finally:
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()


def write_cache(folder: Path, source: Path, write: Callable[[Path], Sequence[Entry]]) -> Contents:
    """Make a cache, all or nothing.

    Parameters
    ----------
    folder
        The one to make; what is there is replaced.
    source
        The file.
    write
        Writes the files to a folder.

    Raises
    ------
    WriteError
        The folder cannot be written, or the disk is full.
    ValueError
        The file has changed meanwhile.
    """
    state = state_of(source)
    remove(folder)  # it is of no use, and its room is needed
    with atomic_dir(folder, overwrite=True, owned=True) as temporary:
        entries = list(write(temporary))
        contents = Contents(source=state, entries=entries, checksums=checksums_of(temporary))
        contents.write(temporary)
        if state_of(source) != state:
            raise ValueError(f"{source} changed while it was read. Wait until it is written, and read it again.")
    return contents


def remove_folder(folder: Path) -> bool:
    """Remove a cache; whether there was one.

    Raises
    ------
    WriteError
        It holds something else, or cannot be removed.
    """
    if not folder.is_dir():
        return False
    foreign = [entry.name for entry in folder.iterdir() if not (_is_ours(entry) or entry.name == LOCK)]
    if foreign:
        raise WriteError(
            f"{folder} holds other files, and is left as it is: {', '.join(foreign[:5])}. Move them first."
        )
    if (folder / LOCK).exists():  # else nobody is making it, and a full disk has no room for a lock
        with sole_run(folder):
            pass
    for entry in folder.iterdir():
        remove(entry)
    try:
        folder.rmdir()
    except OSError as error:
        raise WriteError(f"Cannot remove {folder}: {error.strerror}. Check its permissions.") from error
    return True


def _is_ours(entry: Path) -> bool:
    return entry.name.startswith(".scmoe-") or (entry / RECORD).is_file()


def columns_checksum(columns: np.ndarray) -> int:
    """A number by which the columns of an entry are known."""
    return zlib.crc32(np.ascontiguousarray(columns, np.int64).data)
