"""Memory of this process."""

import sys


def peak_memory_gib() -> float:
    """Largest resident memory of this process so far; NaN where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
