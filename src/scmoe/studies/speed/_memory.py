"""Peak memory of training beyond the data, at several numbers of cells; each in a process of its own."""

import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from scmoe.studies.speed._timing import Row, Settings

GENES, PROTEINS, DENSITY = 2000, 20, 0.05
MIB = 2**20


def measure_memory(settings: Settings) -> list[Row]:
    """A row for each number of cells, and the growth from cell to cell."""
    if not Path("/proc/self/statm").exists():
        return [Row(section="memory", case="training", note="skipped: only Linux tells the memory in use")]
    sizes = np.array(settings.memory_cells)
    usage = [_in_new_process(n) for n in settings.memory_cells]
    beyond = np.array([mib["peak"] - mib["before"] for mib in usage])
    rows = [
        Row(
            section="memory",
            case=f"training on {n} cells x {GENES} genes, {DENSITY:.0%} filled",
            unit="MiB",
            scmoe=float(extra),
            baseline=mib["data"],
            baseline_is="the data themselves",
            note=f"{mib['before']:.0f} MiB in use before, data and libraries",
        )
        for n, extra, mib in zip(sizes, beyond, usage, strict=True)
    ]
    growth = float(np.polyfit(sizes / 1000, beyond, 1)[0])
    case = f"growth from {sizes[0]} to {sizes[-1]} cells"
    return [*rows, Row(section="memory", case=case, result=growth, result_is="MiB per 1000 cells")]


def _in_new_process(n_cells: int) -> dict[str, float]:
    command = [sys.executable, "-m", __name__, str(n_cells)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def train_once(n_cells: int) -> dict[str, float]:
    """MiB of the data, in use before training, and at its peak."""
    import torch

    from scmoe.model._scmoe import SCMOE
    from scmoe.pp._prepare import prepare
    from scmoe.studies.speed._data import simulate

    torch.set_num_threads(1)
    mdata = simulate(n_cells, genes=GENES, proteins=PROTEINS, density=DENSITY)
    prepare(mdata)
    SCMOE.setup_mudata(mdata)
    model = SCMOE(mdata)
    before = resident()
    reset_peak()
    model.train(1, accelerator="cpu", enable_progress_bar=False)
    rna, adt = mdata["rna"].X, mdata["adt"].X
    data = 2 * (rna.data.nbytes + rna.indices.nbytes + rna.indptr.nbytes + adt.nbytes) / MIB  # values and counts
    return {"data": data, "before": before, "peak": peak()}


def resident() -> float:
    """MiB in use now."""
    import resource

    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MIB


def reset_peak() -> None:
    """Forget the largest memory so far, where the system lets us; the result is an upper bound elsewhere."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """Largest MiB in use since `reset_peak`; `getrusage` would count what the parent process had in use before it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024 / MIB  # type: ignore[index]


if __name__ == "__main__":
    print(json.dumps(train_once(int(sys.argv[1]))))
