"""`run_replicate`: the tables and figures of the scMoE paper on data that anyone can make, resumable."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.io._files import check_writable
from scmoe.studies._run import (
    FIGURES,
    Result,
    Worker,
    check_distinct,
    pick_seeds,
    run_tasks,
    write_result,
    write_tables,
)
from scmoe.studies.replicate._claims import claims
from scmoe.studies.replicate._data import N_FOLDS, Source, make_sources
from scmoe.studies.replicate._figures import figures
from scmoe.studies.replicate._plan import EXPLAIN, FULL, QUICK, REAL_SEEDS, SEEDS, Size, Task, plan, reason_to_skip
from scmoe.studies.replicate._report import replicate_markdown, tables

DATA = "data"
QUICK_SEEDS = 2


@checks_arguments
def run_replicate(
    output: str | Path,
    *,
    data: Sequence[str | Path] = (),
    labels: Sequence[str] = (),
    seeds: Sequence[int] = SEEDS,
    folds: int = N_FOLDS,
    quick: bool = False,
) -> dict[str, Any]:
    """Run the tables and figures of the scMoE paper again, on simulated and real data, beside baselines.

    Tables 1 and 2 (groups of cells, cross-modal R²), Table 3 (ablation), and Figures 1 (sets of modalities, gradients),
    3 (confusion, map) and 4 (experts, attention, concepts); :doc:`/replication` says what each is. Every result is a
    JSON file in ``output/runs``, kept when the command is given again, unless data, settings, model or version have
    changed.

    Parameters
    ----------
    output
        Folder for ``replicate.json``, ``replicate.md``, ``tables``, ``figures``, ``data`` and ``runs``.
    data
        Files with further data, besides `scmoe.datasets.simulate_grn` and `scmoe.datasets.bmmc_cite`. Cells that have a
        label and every modality are used.
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
    The content of ``replicate.json``: ``results`` (one a task), ``verdicts`` (claims of the paper with measured
    difference, 95 % interval over seeds and what that says), ``skipped`` and ``settings``.

    Raises
    ------
    KeyError
        A column that the data do not have.
    ValueError
        Data that cannot be used: too few cells with a label and every modality, one modality, fewer than two groups;
        files and columns that do not pair up; no seed; folds that are none.
    WriteError
        If `output` cannot be written.

    Examples
    --------
    >>> table = scmoe.studies.run_replicate("replicate", quick=True)  # doctest: +SKIP
    """
    if not 1 <= folds <= N_FOLDS:
        raise ValueError(f"folds must be from 1 to {N_FOLDS}; found {folds}.")
    folder, size = check_writable(output), QUICK if quick else replace(FULL, n_folds=folds)
    seeds = pick_seeds(seeds, quick=quick, n_quick=QUICK_SEEDS)
    check_distinct(seeds)
    sources = make_sources(folder / DATA, data, labels, seeds, seeds[: len(REAL_SEEDS)])
    results, skipped = _results(sources, size, folder)
    settings = {
        "seeds": seeds,
        "quick": quick,
        "size": asdict(size),
        "sources": [asdict(replace(source, path=Path(source.path).name)) for source in sources],
        "scmoe": __version__,
    }
    table = {"verdicts": claims(results), "skipped": skipped, "settings": settings, "results": results}
    sections = tables(table)
    write_result(folder, "replicate", table, replicate_markdown(sections))
    write_tables(folder, sections)
    figures(table, folder / DATA, folder / FIGURES)
    return table


def _results(sources: Sequence[Source], size: Size, folder: Path) -> tuple[list[Result], list[Result]]:
    """Results in order, and what was skipped and why; all is done by one worker process."""
    kinds = {source.name: source.kinds for source in sources}

    def cells_file(task: Task) -> Path:
        return folder / DATA / f"{task.name}.h5mu"

    with Worker("scmoe.studies.replicate._worker") as worker:

        def perform(task: Task) -> dict[str, Any]:
            return worker.perform(task, cells=str(cells_file(task)))

        return run_tasks(
            list(plan(sources, size)),
            folder,
            perform,
            reason_to_skip=lambda task: reason_to_skip(task, kinds[task.source]),
            is_complete=lambda task: task.study != EXPLAIN or cells_file(task).exists(),
        )
