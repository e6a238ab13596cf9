"""`run_replicate`: the tables and figures of the scMoE paper on data that anyone can make, resumable."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.benchmark._kept import kept_result, write_text
from scmoe.benchmark._run import ONE_THREAD, RUNS
from scmoe.io._files import check_writable
from scmoe.studies.replicate._data import N_FOLDS, Source, make_sources
from scmoe.studies.replicate._figures import save_replicate_figures
from scmoe.studies.replicate._plan import EXPLAIN, FULL, QUICK, REAL_SEEDS, SEEDS, Size, Task, plan, reason_to_skip
from scmoe.studies.replicate._report import replicate_markdown, replicate_sections
from scmoe.studies.replicate._verdicts import find_verdicts

DATA, FIGURES, TABLES = "data", "figures", "tables"
QUICK_SEEDS = 2
Result = dict[str, Any]


class Worker:
    """A process that does tasks one after another; a task that fails ends it, and the next one starts another."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[str] | None = None

    def perform(self, task: Task, result: Path, drawn: Path) -> str:
        """Do a task; returns why it failed, or nothing."""
        if self._process is None:
            self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scmoe.studies.replicate._worker"],
                env=os.environ | ONE_THREAD,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None and self._said is not None
        process.stdin.write(json.dumps({"task": asdict(task), "result": str(result), "drawn": str(drawn)}) + "\n")
        process.stdin.flush()
        if process.stdout.readline():
            return ""
        code = process.wait()
        self._said.seek(0)
        said = self._said.read().strip().splitlines() or [f"exit code {code}"]
        self.close()
        return f"failed: {said[-1]}"

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._said is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout, self._said):
                if stream is not None:
                    stream.close()
        self._process = self._said = None


def run_replicate(
    output: str | Path,
    *,
    data: Sequence[str | Path] = (),
    labels: Sequence[str] = (),
    seeds: Sequence[int] = SEEDS,
    folds: int = N_FOLDS,
    quick: bool = False,
) -> Result:
    """Run the tables and figures of the scMoE paper again, on simulated and real data, beside baselines.

    Tables 1 and 2 (groups of cells, cross-modal R²), Table 3 (ablation), and Figures 1 (sets of modalities, gradients), 3
    (confusion, map) and 4 (experts, attention, concepts); :doc:`/replication` says what each is. Every result is a JSON file in
    ``output/runs``, kept when the command is given again, unless data, settings, model or version have changed.

    Parameters
    ----------
    output
        Folder for ``replicate.json``, ``replicate.md``, ``tables``, ``figures``, ``data`` and ``runs``.
    data
        Files with further data, besides `scmoe.datasets.simulate_grn` and `scmoe.datasets.bmmc_cite`. Cells that have a label
        and every modality are used.
    labels
        For each file, the column of ``mdata.obs`` with the true groups.
    seeds
        Of simulation, folds and methods, one simulation each; quick: the first two. Real data are run with the first.
    folds
        How many of the 5 folds are run with each seed.
    quick
        The same methods with two seeds, one fold and 20 epochs: minutes instead of more than an hour.

    Returns
    -------
    The content of ``replicate.json``: ``results`` (one a task), ``verdicts`` (claims of the paper with measured difference,
    95 % interval over seeds and what that says), ``skipped`` and ``settings``.

    Raises
    ------
    KeyError
        A column that the data do not have.
    ValueError
        Data that cannot be used: too few cells with a label and every modality, one modality, fewer than two groups; files
        and columns that do not pair up; no seed; folds that are none.
    WriteError
        If `output` cannot be written.
    """
    if not 1 <= folds <= N_FOLDS:
        raise ValueError(f"folds must be from 1 to {N_FOLDS}; found {folds}.")
    folder, size = check_writable(output), QUICK if quick else replace(FULL, n_folds=folds)
    seeds = list(seeds)[: QUICK_SEEDS if quick else None]
    if not seeds:
        raise ValueError("seeds must name at least one; found none.")
    if repeated := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise ValueError(f"Seed {repeated[0]} is given twice; name each once.")
    sources = make_sources(folder / DATA, data, labels, seeds, seeds[: len(REAL_SEEDS)])
    results, skipped = _results(sources, size, folder)
    settings = {
        "seeds": seeds,
        "quick": quick,
        "size": asdict(size),
        "sources": [asdict(replace(source, path=Path(source.path).name)) for source in sources],
        "scmoe": __version__,
    }
    verdicts = find_verdicts(results)
    table = {"verdicts": verdicts, "skipped": skipped, "settings": settings, "results": results}
    write_text(folder / "replicate.json", json.dumps(table, indent=1) + "\n")
    sections = replicate_sections(table)
    check_writable(folder / TABLES)
    for name, text in sections.items():
        write_text(folder / TABLES / f"{name}.md", text)
    write_text(folder / "replicate.md", replicate_markdown(sections))
    save_replicate_figures(table, folder / DATA, folder / FIGURES)
    return table


def _results(sources: Sequence[Source], size: Size, folder: Path) -> tuple[list[Result], list[Result]]:
    """Results in order, and what was skipped and why."""
    kinds = {source.name: source.kinds for source in sources}
    tasks = list(plan(sources, size))
    results: list[Result] = []
    skipped: list[Result] = []
    check_writable(folder / RUNS)
    worker = Worker()
    try:
        for number, task in enumerate(tasks, start=1):
            title = f"[{number}/{len(tasks)}] {task.study} {task.source}, {', '.join(task.modalities)}, {task.method}, seed {task.seed}"
            reason = reason_to_skip(task, kinds[task.source])
            result = None if reason else _kept_or_done(task, folder, worker, title)
            about = {name: value for name, value in asdict(task).items() if name not in ("path", "content")}
            if isinstance(result, dict):
                results.append(about | result)
            else:
                logger.warning("%s: skipped: %s", title, reason or result)
                skipped.append(about | {"reason": reason or result})
    finally:
        worker.close()
    return results, skipped


def _kept_or_done(task: Task, folder: Path, worker: Worker, title: str) -> Result | str:
    """The result of an earlier start or a new one; text: why there is none."""
    file, drawn = folder / RUNS / f"{task.name}.json", folder / DATA / f"{task.name}.h5mu"
    result = kept_result(file, task.key)
    if result is not None and (task.study != EXPLAIN or drawn.exists()):
        logger.info("%s: kept", title)
        return result
    start = time.perf_counter()
    if failed := worker.perform(task, file, drawn):
        return failed
    logger.info("%s: done in %.0f s", title, time.perf_counter() - start)
    result = kept_result(file, task.key)
    return "failed: wrote no result" if result is None else result
