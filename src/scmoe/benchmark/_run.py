"""`run_compare`: the model beside other methods on a user's data, one process a fit, resumable."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mudata import MuData

from scmoe._check import check_mdata
from scmoe._log import logger
from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.benchmark._cells import known_labels
from scmoe.benchmark._figures import save_compare_figures
from scmoe.benchmark._inputs import ANNOTATE, EMBED, MAP, MOSAIC, PREDICT, TASKS, Facts, Run
from scmoe.benchmark._kept import kept_result, write_text
from scmoe.benchmark._plan import check_methods, plan, reason_to_skip, result_key
from scmoe.benchmark._report import compare_markdown, summarize
from scmoe.data._setup import prepared_kinds
from scmoe.datasets._cells import column_of
from scmoe.datasets._read import read
from scmoe.io._files import check_writable
from scmoe.pp._prepare import prepare

RUNS = "runs"
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
PROGRESS_SCORES = {
    EMBED: "knn_accuracy",
    MAP: "transfer_accuracy",
    PREDICT: "pearson",
    ANNOTATE: "macro_f1",
    MOSAIC: "second_pearson",
}
"""One of each task, for the progress lines."""


@checks_arguments
def run_compare(
    data: str | Path,
    output: str | Path,
    *,
    labels: str | None = None,
    batch: str | None = None,
    methods: Sequence[str] | None = None,
    tasks: Sequence[str] = TASKS,
    seeds: Sequence[int] = (0, 1, 2),
    quick: bool = False,
    n_cells: int | None = None,
    labels_per_type: int | None = None,
    kinds: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Compare scmoe with other methods on your own data.

    Every run has its own process with one thread. Its result is a JSON file in ``output/runs``. It is kept when the
    comparison is started again, unless data, settings or version have changed.

    Parameters
    ----------
    data
        A file that `scmoe.datasets.read` reads; `scmoe.pp.prepare` normalizes each cell.
    output
        Folder for ``runs``, ``table.json``, ``table.md`` and ``figures``.
    labels
        Column of ``mdata.obs`` with cell types, for scores and for the task "annotate". Missing ones and "Unknown" are
        left out.
    batch
        Column of ``mdata.obs`` with batches or donors.
    methods
        Names of methods, or "ablation", "likelihoods" or "tokens", groups of variants of scmoe. Default: all methods,
        and two variants, scmoe and scmoe_dense. Those that cannot be run are listed with the reason.
    tasks
        Of "embed", "map" (new cells), "predict", "annotate" and "mosaic".
    seeds
        Of methods, splits and folds. Methods that take minutes are run with the first on more than 5000 cells.
    quick
        The first seed, and without methods that take minutes (unless `methods` names them).
    n_cells
        Fit on as many cells only, drawn by the seed; scores are of the same held-out cells as without. For "map" and
        "predict".
    labels_per_type
        Only as many training cells of each label keep it, drawn by the seed, the same for all methods; a label with
        fewer cells keeps all. Methods that learn from cells without a label do; the others get those with one. For
        "annotate".
    kinds
        Kinds of some modalities, as in `scmoe.pp.prepare`, which chooses the others.

    Returns
    -------
    The content of ``table.json``: ``rows`` (mean, standard deviation and number of seeds of each score and cost by
    task, case and method), ``skipped`` and ``settings``.

    Raises
    ------
    KeyError
        A column that ``mdata.obs`` does not have.
    ValueError
        An unknown task, method or kind, or data that cannot be read.
    WriteError
        If `output` cannot be written; nothing is run then.

    Examples
    --------
    >>> table = scmoe.benchmark.run_compare("my.h5mu", "compared", labels="cell_type", batch="donor")  # doctest: +SKIP
    """
    folder, path = check_writable(output), Path(data).expanduser().resolve()
    mdata = read(path)
    facts = _facts(mdata, labels, batch, kinds)
    check_methods(facts.kinds, methods, tasks)
    seeds = list(seeds)[:1] if quick else list(seeds)
    planned = plan(facts, str(path), labels, batch, methods=methods, tasks=tasks, seeds=seeds, quick=quick)
    kinds = dict(kinds) if kinds else None
    runs = [replace(run, n_cells=n_cells, labels_per_type=labels_per_type, kinds=kinds) for run in planned]
    results = list(_results(runs, facts, folder / RUNS, hashlib.sha256(path.read_bytes()).hexdigest()))
    settings = {
        "data": path.name,
        "n_cells": facts.n_cells,
        "modalities": facts.kinds,
        "labels": labels,
        "n_labels": facts.n_labels,
        "labels_per_type": labels_per_type,
        "batch": batch,
        "n_batches": facts.n_batches,
        "seeds": seeds,
        "kinds": dict(kinds or {}),
        "scmoe": __version__,
    }
    table = summarize(results) | {"settings": settings}
    write_text(folder / "table.json", json.dumps(table, indent=2) + "\n")
    write_text(folder / "table.md", compare_markdown(table))
    save_compare_figures(table, folder / "figures")
    return table


def _facts(mdata: MuData, labels: str | None, batch: str | None, kinds: Mapping[str, str] | None) -> Facts:
    names = check_mdata(mdata)
    for argument, key in (("labels", labels), ("batch", batch)):
        if key is not None and key not in mdata.obs:
            columns = ", ".join(map(str, mdata.obs)) or "none"
            raise KeyError(f"{argument}={key!r} is not a column of mdata.obs; found {columns}.")
    prepare(mdata, kinds=kinds)
    column = known_labels(mdata, labels)
    return Facts(
        kinds=prepared_kinds(mdata, names),
        n_cells=mdata.n_obs,
        complete=all(mdata.mod[name].n_obs == mdata.n_obs for name in names),
        n_labels=0 if column is None else int(column.nunique()),
        n_batches=0 if batch is None else int(column_of(mdata, batch, "batch").nunique()),
    )


def _results(runs: list[Run], facts: Facts, folder: Path, data_hash: str) -> Iterator[dict[str, Any]]:
    """Results in order: skipped, kept or new."""
    for number, run in enumerate(runs, start=1):
        title = f"[{number}/{len(runs)}] {run.task}, {run.case}, {run.method}, seed {run.seed}"
        settings = {name: value for name, value in asdict(run).items() if name != "data"}
        if reason := reason_to_skip(run, facts):
            logger.info("%s: skipped: %s", title, reason)
            yield settings | {"skipped": reason}
            continue
        file, key = folder / f"{run.name}.json", result_key(run, data_hash)
        result = kept_result(file, key)
        state = "kept"
        if result is None:
            logger.info("%s", title)
            result, state = settings | _run(run), "done"
            if "skipped" not in result:
                write_text(file, json.dumps({"key": key} | result, indent=2) + "\n")
        if "skipped" in result:
            logger.warning("%s: %s", title, result["skipped"])
        else:
            name, scores = PROGRESS_SCORES[run.task], result["scores"]
            score = f"{name} {scores[name]:.3f}, " if name in scores else ""
            logger.info("%s: %s, %s%.1f CPU s", title, state, score, result["cost"]["cpu_seconds"])
        yield result


def _reason(code: int, messages: str) -> str:
    """Why a process ended: its last line, or the signal, before which it could say nothing of it."""
    if code == -signal.SIGKILL:
        return "it was killed, as systems do when memory is full"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return (messages.strip().splitlines() or [f"exit code {code}"])[-1]


def _run(run: Run) -> dict[str, Any]:
    """Perform a run in a process of its own; a failure is a reason for the table, not the end of the comparison."""
    with tempfile.TemporaryDirectory() as folder:
        run_file, result_file = Path(folder) / "run.json", Path(folder) / "result.json"
        run_file.write_text(json.dumps(asdict(run)), encoding="utf-8")
        command = [sys.executable, "-m", "scmoe.benchmark._worker", str(run_file), str(result_file)]
        process = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)
        if process.returncode:
            return {"skipped": f"failed: {_reason(process.returncode, process.stderr)}"}
        return json.loads(result_file.read_text(encoding="utf-8"))
