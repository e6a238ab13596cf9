"""How much memory is free, so that what it would not hold is refused before the work."""

import os
from contextlib import suppress
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
"""Limit, use and details of a container or a job of a cluster, in both versions of Linux's control groups."""
CACHES = ("inactive_file", "total_inactive_file")
"""What the system gives back when it is needed, by its name in these details."""


class TooLargeError(ValueError):
    """A result that free memory would not hold."""


def free_memory() -> int | None:
    """Bytes that this process can still take; None where the system does not say."""
    sizes = [size for size in (_of_system(), *(_of_group(*map(Path, group)) for group in GROUPS)) if size is not None]
    return min(sizes, default=None)


def check_memory(n_bytes: int, what: str, remedy: str) -> None:
    """Raise if free memory would not hold a result.

    Parameters
    ----------
    n_bytes
        What it takes.
    what, remedy
        What it is, and what to do.

    Raises
    ------
    TooLargeError
        It would not.
    """
    free = free_memory()
    if free is not None and n_bytes > free:
        raise TooLargeError(f"{what} take {n_bytes / 1e9:.3g} GB, and {free / 1e9:.3g} GB of memory are free. {remedy}")


def _of_system() -> int | None:
    with suppress(OSError, ValueError, KeyError, IndexError):
        fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_group(limit: Path, use: Path, details: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):  # no Linux, or no limit ("max")
        fields = dict(line.split() for line in details.read_text().splitlines())
        caches = next((int(fields[name]) for name in reversed(CACHES) if name in fields), 0)
        return max(int(limit.read_text()) - int(use.read_text()) + caches, 0)
    return None
