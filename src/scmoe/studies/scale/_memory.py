"""Time and memory of one phase of work."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY = 0.02
"""Seconds between looks at the memory."""
MIB = 2**20


def anonymous_memory() -> float:
    """MiB in use that no file holds; NaN where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
    return float(line.split()[1]) / 1024


@contextmanager
def measured(phases: dict[str, dict[str, float]], name: str) -> Iterator[None]:
    """Put the CPU and wall seconds of a block, and the largest anonymous memory in it (MiB), among the phases."""
    peak, done = anonymous_memory(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(EVERY):
            peak = max(peak, anonymous_memory())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        yield
    finally:
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        done.set()
        watcher.join()
        phases[name] = {"cpu": cpu, "wall": wall, "peak": max(peak, anonymous_memory())}
