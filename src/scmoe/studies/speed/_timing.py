"""Fair timing: everything that is compared runs in turn, in one process, on one thread."""

import ctypes
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

SAMPLE_SECONDS = 0.02
"""A sample repeats short functions until it lasts about this long."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""From malloc.h."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How much is measured; the methods are the same at any size.

    Parameters
    ----------
    rounds
        Rounds of everything that takes less than seconds.
    shapes
        Tokens and experts of the engine.
    skewed_tokens
        Tokens at which skewed routing is compared with balanced.
    step_features, step_batch
        Features of each of the two modalities, and cells, of the training step.
    sparse_features, sparse_batch
        Numbers of genes, and cells, of steps on sparse rows.
    cite_shape, peaks_shape
        Cells, genes, and proteins or peaks of the simulated data.
    epochs, trainings
        Epochs timed in each training, and trainings of each model, in turn.
    memory_cells
        Numbers of cells to train on, a process each.
    gpu_cells
        Cells a batch on the GPU.
    """

    rounds: int = 20
    shapes: tuple[tuple[int, int], ...] = ((256, 16), (1024, 16), (4096, 16), (16384, 16), (1024, 32))
    skewed_tokens: int = 4096
    step_features: int = 1000
    step_batch: int = 64
    sparse_features: tuple[int, ...] = (4000, 20_000)
    sparse_batch: int = 512
    cite_shape: tuple[int, int, int] = (6855, 4000, 14)
    peaks_shape: tuple[int, int, int] = (2000, 1000, 5000)
    epochs: int = 3
    trainings: int = 3
    memory_cells: tuple[int, ...] = (2000, 8000, 32000)
    gpu_cells: tuple[int, ...] = (128, 512, 2048, 8192)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    section, case
        What was measured.
    unit
        Of `scmoe` and `baseline`.
    scmoe, baseline
        Medians; None where there is none.
    baseline_is
        Name of the baseline.
    result, low, high
        Median and quartiles of what the bar is about, over the rounds; None: skipped.
    result_is
        What that is: ``"x"`` (scmoe divided by the baseline), or a unit.
    bar
        Largest result that is good enough; None: none was set.
    note
        What else is to be said; the reason when skipped.
    """

    section: str
    case: str
    unit: str = ""
    scmoe: float | None = None
    baseline: float | None = None
    baseline_is: str = ""
    result: float | None = None
    low: float | None = None
    high: float | None = None
    result_is: str = ""
    bar: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the bar is met; None without one."""
        return None if self.bar is None or self.result is None else self.result <= self.bar

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "passed": self.passed}


def interleaved(
    functions: Mapping[str, Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Seconds of each function, a sample a round: the first, the second, ..., and again from the first.

    Each is called twice before, once to warm up and once to find how many calls make a sample.
    """
    calls = {}
    for name, function in functions.items():
        function()
        calls[name] = max(round(SAMPLE_SECONDS / max(_seconds(function, 1, clock), 1e-6)), 1)
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            samples[name].append(_seconds(function, calls[name], clock))
    return samples


def _seconds(function: Callable[[], Any], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        function()
    return (clock() - start) / calls


def compare(
    section: str,
    case: str,
    ours: Sequence[float],
    baseline: Sequence[float],
    baseline_is: str,
    *,
    measure: Literal["ratio", "difference"] = "ratio",
    unit: Literal["ms", "s"] = "ms",
    bar: float | None = None,
    note: str = "",
) -> Row:
    """The row of two series of seconds, compared round by round."""
    scale = {"ms": 1e3, "s": 1.0}[unit]
    a, b = scale * np.asarray(ours), scale * np.asarray(baseline)
    low, result, high = np.quantile(a / b if measure == "ratio" else a - b, [0.25, 0.5, 0.75]).tolist()
    return Row(
        section=section,
        case=case,
        unit=unit,
        scmoe=float(np.median(a)),
        baseline=float(np.median(b)),
        baseline_is=baseline_is,
        result=result,
        low=low,
        high=high,
        result_is="x" if measure == "ratio" else unit,
        bar=bar,
        note=note,
    )


def keep_freed_memory() -> None:
    """Have the GNU C library keep freed memory, for the rest of the process; without effect elsewhere.

    By default it maps blocks of 32 MB and more anew each time, and finding their pages costs more than the arithmetic
    of a layer that needs such blocks: a comparison would measure which side has them.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have none
        mallopt(M_TRIM_THRESHOLD, 2**30)
        mallopt(M_MMAP_THRESHOLD, 2**30)
