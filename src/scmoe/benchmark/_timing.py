"""What a run costs: CPU and wall time, and memory."""

import sys
import time


class Meter:
    """CPU and wall time of what runs inside ``with meter:``, added up, and the memory of the process."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0
        self.memory_before = self.memory = peak_memory_gib()

    def __enter__(self) -> None:
        self._start = time.process_time(), time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.cpu += time.process_time() - self._start[0]
        self.wall += time.perf_counter() - self._start[1]
        self.memory = peak_memory_gib()

    def cost(self) -> dict[str, float]:
        """Seconds, and the largest memory of the process when the last fit had ended and when the data were loaded."""
        return {
            "cpu_seconds": self.cpu,
            "wall_seconds": self.wall,
            "peak_memory_gib": self.memory,
            "loaded_memory_gib": self.memory_before,
        }


def peak_memory_gib() -> float:
    """Largest resident memory of this process so far; NaN where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
