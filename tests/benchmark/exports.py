"""CPU time, peak memory and size of each export of a file: ``python tests/benchmark/exports.py result.h5mu``.

Each is a process of its own, so its memory is that of Python, libraries and data together; the first row is reading
alone.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

EXPORTS = {
    "cellxgene": "cells.h5ad",
    "seurat, .h5ad": "r.h5ad",
    "seurat, .h5mu": "r.h5mu",
    "vitessce": "vitessce",
    "csv": "tables",
}


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds on a CPU and peak memory (MB) of a process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def size(path: Path) -> int:
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )


def main(file: str) -> None:
    print("| export | CPU seconds | peak memory, MB | size, MB |\n|---|---|---|---|")
    read = f"import scmoe; scmoe.datasets.read({file!r})"
    seconds, memory = measure([sys.executable, "-c", read])
    print(f"| reading alone | {seconds:.0f} | {memory:.0f} | {size(Path(file)) / 1e6:.0f} |")
    with tempfile.TemporaryDirectory() as folder:
        for name, output in EXPORTS.items():
            path, tool = Path(folder) / output, name.split(",")[0]
            call = f"from scmoe.cli import app; app(['export', {file!r}, '--to', {tool!r}, '-o', {str(path)!r}])"
            seconds, memory = measure([sys.executable, "-c", call])
            print(f"| {name} | {seconds:.0f} | {memory:.0f} | {size(path) / 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
