"""What a run costs: CPU and wall time, and memory."""

import time

from scmoe.benchmark._memory import peak_memory_gib


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
