"""`run_scale`: time and memory of large data, phase by phase."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.io._files import check_writable
from scmoe.studies._report import markdown_table
from scmoe.studies._run import Task, Worker, processor, run_tasks, write_result

Engine = Literal["memory", "disk", "scanpy", "totalvi"]
QUICK_CELLS = (2000, 8000)
MIN_CELLS = 100
WORKER = "scmoe.studies.scale._phases"


@dataclass(frozen=True, kw_only=True)
class ScaleTask(Task):
    """One analysis of simulated cells."""

    n_cells: int
    n_genes: int
    n_proteins: int
    engine: Engine
    max_epochs: int | None
    seed: int

    @property
    def name(self) -> str:
        """For files."""
        epochs = "" if self.max_epochs is None else f"-{self.max_epochs}"
        return f"{self.n_cells}-{self.n_genes}-{self.engine}{epochs}"


@checks_arguments
def run_scale(
    output: str | Path,
    *,
    cells: Sequence[int] = (10_000, 50_000),
    n_genes: int = 2000,
    n_proteins: int = 140,
    engines: Sequence[Engine] = ("memory", "disk"),
    epochs: Sequence[int] = (),
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """Analyze simulated CITE-seq data of growing size: read, prepare, train, embed, cluster, impute, write.

    Each analysis runs in a process of its own with one thread, with the defaults of every function. Analyses that an
    earlier call has finished are taken from its folder.

    Parameters
    ----------
    output
        Folder for ``scale.json`` and ``scale.md``. The data lie in a temporary folder inside while they are needed.
    cells
        Numbers of cells.
    n_genes, n_proteins
        Features.
    engines
        ``"memory"``: data are read into memory; ``"disk"``: with ``on_disk=True``; ``"scanpy"``: components,
        neighbors and clusters of the genes instead; ``"totalvi"``: one epoch of totalVI instead.
    epochs
        Numbers of epochs to train for, an analysis each; default the one that `scmoe.model.SCMOE.train` chooses.
    seed
        Of data and models.
    quick
        2000 and 8000 cells: minutes.

    Returns
    -------
    The content of ``scale.json``: ``results``, ``machine`` and ``versions``.

    Raises
    ------
    scmoe.io._files.WriteError
        `output` cannot be written; nothing is measured then.
    ValueError
        No number of cells, or one below 100.
    """
    if min(cells, default=0) < MIN_CELLS:
        raise ValueError(f"cells must be numbers from {MIN_CELLS} on, to train and to test; found {list(cells)}.")
    folder = check_writable(output)
    sizes = QUICK_CELLS if quick else cells
    lengths: list[int | None] = [*epochs] or [None]
    tasks = [
        ScaleTask(n_cells=n, n_genes=n_genes, n_proteins=n_proteins, engine=engine, max_epochs=max_epochs, seed=seed)
        for n in sizes
        for engine in engines
        for max_epochs in lengths
    ]
    results, skipped = run_tasks(tasks, folder, lambda task: perform(task, folder))
    result = {
        "results": results,
        "skipped": skipped,
        "machine": {"processor": processor(), "cores": os.cpu_count(), "threads": 1},
        "versions": {"scmoe": __version__},
    }
    write_result(folder, "scale", result, to_markdown(result))
    return result


def perform(task: ScaleTask, folder: Path) -> dict[str, Any]:
    """Simulate and analyze, each in a process of its own, so that the memory of one is not that of the other."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        with Worker(WORKER) as worker:
            size = worker.perform(task, folder=place, what="simulate")
        with Worker(WORKER) as worker:
            return size | worker.perform(task, folder=place, what="analyze")


def to_markdown(result: Mapping[str, Any]) -> str:
    """A row for each phase of each analysis, and the scores."""
    rows = [
        [
            f"{r['n_cells']:,}",
            r["engine"],
            _number(r["scores"].get("epochs"), 0),
            phase,
            f"{of['cpu']:.1f}",
            f"{of['wall']:.1f}",
            f"{of['peak'] - r['start']:,.0f}",
        ]
        for r in result["results"]
        for phase, of in r["phases"].items()
    ]
    phases = markdown_table(["cells", "data", "epochs", "phase", "CPU s", "wall s", "peak MiB"], rows, text=(1, 3))
    totals = [_total(r) for r in result["results"]]
    heads = [
        "cells",
        "data",
        "CPU s",
        "wall s",
        "peak MiB",
        "genes as CSR, MiB",
        "epochs",
        "validation loss",
        "15-NN",
        "Pearson",
    ]
    first = result["results"][0] if result["results"] else {"n_genes": 0, "n_proteins": 0}
    machine = result["machine"]
    note = (
        f"Simulated CITE-seq: {first['n_genes']} genes, {first['n_proteins']} proteins, 25 types, 4 batches. One "
        f"thread of {machine['processor']}. scanpy: components, neighbors and clusters of the genes; totalvi: one "
        "epoch of batches of 512, nothing else. Memory is what no file holds, above that of a process with its "
        "libraries. 15-NN: labels of test cells from their neighbors; Pearson: their proteins predicted from RNA."
    )
    return "\n\n".join([markdown_table(heads, totals, text=(1,)), phases, note]) + "\n"


def _total(result: Mapping[str, Any]) -> list[str]:
    phases, scores = result["phases"].values(), result["scores"]
    return [
        f"{result['n_cells']:,}",
        result["engine"],
        *(f"{sum(phase[name] for phase in phases):.0f}" for name in ("cpu", "wall")),
        f"{max(phase['peak'] for phase in phases) - result['start']:,.0f}",
        f"{result['csr']:,.0f}",
        _number(scores.get("epochs"), 0),
        *(_number(scores.get(name), 3) for name in ("validation_loss", "knn", "pearson")),
    ]


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"
