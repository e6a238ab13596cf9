"""Memory and time of large data, phase by phase, in memory and on disk: a development check.

``python tests/benchmark/large.py --cells 50000 --genes 20000`` prints a table. Memory is anonymous (what the system
cannot read again from a file), above that at the start of a phase, and, for data in memory, over the size of the genes'
counts as CSR. Each way of reading has a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
from scipy import sparse

import scmoe
from scmoe.io._quiet import quiet_mudata

N_PROTEINS, N_TYPES, CHUNK = 140, 20, 1000
MB = 1e6


def simulate(n_cells: int, n_genes: int, density: float) -> mudata.MuData:
    """Counts of genes and proteins of cells of some types, in two batches."""
    rng = np.random.default_rng(0)
    rates = rng.lognormal(0, 1.5, n_genes) * rng.lognormal(0, 0.7, (N_TYPES, n_genes))
    low, high = 0.0, 1e3
    for _ in range(50):  # to the density asked for
        scale = np.sqrt(max(low, 1e-9) * high)
        low, high = (scale, high) if -np.expm1(-rates * scale).mean() < density else (low, scale)
    kinds = rng.integers(N_TYPES, size=n_cells)
    levels = rng.gamma(2, 5, (N_TYPES, N_PROTEINS))
    chunks = [kinds[start : start + CHUNK] for start in range(0, n_cells, CHUNK)]
    rna = sparse.vstack([sparse.csr_matrix(rng.poisson(rates[k] * scale).astype(np.float32)) for k in chunks], "csr")
    adt = np.concatenate([rng.poisson(levels[k]).astype(np.float32) for k in chunks])
    with quiet_mudata():
        mdata = mudata.MuData({"rna": ad.AnnData(rna), "adt": ad.AnnData(adt)})
    mdata.obs["kind"] = [f"type{k}" for k in kinds]
    mdata.obs["batch"] = rng.choice(["a", "b"], n_cells)
    return mdata


def anonymous() -> float:
    """Bytes of anonymous memory in use."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) * 1024


@contextmanager
def measured(rows: list[dict[str, object]], phase: str) -> Iterator[None]:
    """Append a row with the peak above the start and the CPU seconds of a block."""
    start = highest = anonymous()
    stop = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not stop.wait(0.005):
            highest = max(highest, anonymous())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    seconds, wall = time.process_time(), time.perf_counter()
    try:
        yield
    finally:
        highest = max(highest, anonymous())
        stop.set()
        thread.join()
        rows.append(
            {
                "phase": phase,
                "peak": highest - start,
                "after": anonymous() - start,
                "cpu": time.process_time() - seconds,
                "wall": time.perf_counter() - wall,
            }
        )


def run(path: Path, on_disk: bool, n_top: int | None, epochs: int, phases: list[str]) -> list[dict[str, object]]:
    """The phases, one after another."""
    import torch

    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    with measured(rows, "libraries"):
        small = scmoe.datasets.bmmc_cite()
        scmoe.pp.prepare(small)
        scmoe.tl.train(small, max_epochs=1, train_kwargs={"enable_progress_bar": False})
        del small
    state: dict[str, object] = {}

    def read() -> None:
        state["mdata"] = scmoe.datasets.read(path, **({"on_disk": True} if on_disk else {}))

    def train() -> None:
        options = {"enable_progress_bar": False}
        state["model"] = scmoe.tl.train(state["mdata"], max_epochs=epochs, labels_key="kind", train_kwargs=options)

    verbs: dict[str, Callable[[], object]] = {
        "read": read,
        "prepare": lambda: scmoe.pp.prepare(state["mdata"], n_top_features=n_top, batch_key="batch"),
        "train": train,
        "embed": lambda: scmoe.tl.embed(state["mdata"], state["model"]),
        "annotate": lambda: scmoe.tl.annotate(state["mdata"], state["model"]),
        "impute": lambda: scmoe.tl.impute(state["mdata"], state["model"], source="rna", target="adt"),
        "impute_genes": lambda: scmoe.tl.impute(state["mdata"], state["model"], source="adt", target="rna"),
        "map_query": lambda: scmoe.tl.map_query(state["mdata"], state["model"], key_added="query"),
        "write": lambda: scmoe.datasets.write(state["mdata"], path.with_name("result.h5mu")),
    }
    for phase in phases:
        with measured(rows, phase):
            verbs[phase]()
    return rows


def main() -> None:
    """Make the data, run all phases in new processes, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--genes", type=int, default=4_000)
    parser.add_argument("--density", type=float, default=0.1)
    parser.add_argument("--top", type=int, default=None)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--ways", nargs="+", default=["memory", "disk"])
    parser.add_argument("--phases", nargs="+", default="read prepare train embed annotate impute write".split())
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--child", choices=["memory", "disk", "data"])
    arguments = parser.parse_args()
    if arguments.child:
        path = arguments.folder / "data.h5mu"
        if arguments.child == "data":
            mdata = simulate(arguments.cells, arguments.genes, arguments.density)
            scmoe.datasets.write(mdata, path)
            counts = mdata["rna"].X
            print(json.dumps(sum(a.nbytes for a in (counts.data, counts.indices, counts.indptr))))
        else:
            on_disk = arguments.child == "disk"
            print(json.dumps(run(path, on_disk, arguments.top, arguments.epochs, arguments.phases)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        options = [*sys.argv[1:], "--folder", folder, "--child"]
        size = _child([*options, "data"])
        print(f"{arguments.cells} cells x {arguments.genes} genes: {size / MB:.0f} MB as CSR\n")
        print("| way | phase | peak MB | / CSR | after MB | CPU s | wall s |\n|---|---|---|---|---|---|---|")
        for way in arguments.ways:
            for row in _child([*options, way]):
                print(
                    f"| {way} | {row['phase']} | {row['peak'] / MB:.0f} | {row['peak'] / size:.2f} "
                    f"| {row['after'] / MB:.0f} | {row['cpu']:.1f} | {row['wall']:.1f} |",
                    flush=True,
                )


def _child(options: list[str]) -> object:
    done = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
