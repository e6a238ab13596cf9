"""`run_scale`: time and memory of large data, phase by phase."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.io._files import check_writable
from scmoe.studies._run import Task, Worker, processor, run_tasks, write_result
from scmoe.studies.scale._report import scale_figure, to_markdown

Engine = Literal["memory", "disk", "scanpy", "totalvi", "multivi"]
QUICK_CELLS = (2000, 8000)
MIN_CELLS = 100
WORKER = "scmoe.studies.scale._phases"


@dataclass(frozen=True, kw_only=True)
class ScaleTask(Task):
    """One analysis of simulated cells."""

    n_cells: int
    n_genes: int
    n_proteins: int
    n_peaks: int
    all_features: bool
    engine: Engine
    max_epochs: int | None
    seed: int

    @property
    def name(self) -> str:
        """For files."""
        peaks = f"-{self.n_peaks}" if self.n_peaks else ""
        epochs = "" if self.max_epochs is None else f"-{self.max_epochs}"
        return f"{self.n_cells}-{self.n_genes}{peaks}-{self.engine}{'-all' if self.all_features else ''}{epochs}"

    def reason_to_skip(self) -> str:
        """Why the engine cannot do it; empty if it can."""
        if self.engine == "totalvi" and self.n_peaks:
            return "totalVI reads RNA and proteins: leave out the peaks"
        if self.engine == "multivi" and not self.n_peaks:
            return "MultiVI reads RNA and peaks: ask for peaks (n_peaks=, --peaks)"
        return ""


@checks_arguments
def run_scale(
    output: str | Path,
    *,
    cells: Sequence[int] = (10_000, 50_000),
    n_genes: int = 2000,
    n_proteins: int = 140,
    n_peaks: int = 0,
    all_features: bool = False,
    engines: Sequence[Engine] = ("memory", "disk"),
    epochs: Sequence[int] = (),
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """Analyze simulated CITE-seq or multiome data of growing size: read, prepare, train, embed, cluster, impute, write.

    Each analysis runs in a process of its own with one thread, with the defaults of every function. Analyses that an
    earlier call has finished are taken from its folder.

    Parameters
    ----------
    output
        Folder for ``scale.json``, ``scale.md`` and ``scale.png``. The data lie in a temporary folder inside while they
        are needed.
    cells
        Numbers of cells.
    n_genes, n_proteins
        Features.
    n_peaks
        If not 0, cells have so many peaks in place of proteins, and nothing is imputed.
    all_features
        Whether scmoe reads all features, as totalVI and MultiVI do, and not the most variable of very many.
    engines
        ``"memory"``: data are read into memory; ``"disk"``: with ``on_disk=True``; ``"scanpy"``: components,
        neighbors and clusters of the genes instead; ``"totalvi"``, ``"multivi"``: one epoch of these instead, for
        proteins and for peaks.
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

    Examples
    --------
    >>> table = scmoe.studies.run_scale("scale", cells=[10_000])  # doctest: +SKIP
    """
    if min(cells, default=0) < MIN_CELLS:
        raise ValueError(f"cells must be numbers from {MIN_CELLS} on, to train and to test; found {list(cells)}.")
    folder = check_writable(output)
    sizes = QUICK_CELLS if quick else cells
    lengths: list[int | None] = [*epochs] or [None]
    tasks = [
        ScaleTask(
            n_cells=n,
            n_genes=n_genes,
            n_proteins=n_proteins,
            n_peaks=n_peaks,
            all_features=all_features,
            engine=engine,
            max_epochs=max_epochs,
            seed=seed,
        )
        for n in sizes
        for engine in engines
        for max_epochs in lengths
    ]
    results, skipped = run_tasks(
        tasks, folder, lambda task: perform(task, folder), reason_to_skip=ScaleTask.reason_to_skip
    )
    result = {
        "results": results,
        "skipped": skipped,
        "machine": {"processor": processor(), "cores": os.cpu_count(), "threads": 1},
        "versions": {"scmoe": __version__},
    }
    write_result(folder, "scale", result, to_markdown(result))
    if results:
        scale_figure(results, folder / "scale.png")
    return result


def perform(task: ScaleTask, folder: Path) -> dict[str, Any]:
    """Simulate and analyze, each in a process of its own, so that the memory of one is not that of the other."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        with Worker(WORKER) as worker:
            size = worker.perform(task, folder=place, what="simulate")
        with Worker(WORKER) as worker:
            return size | worker.perform(task, folder=place, what="analyze")
