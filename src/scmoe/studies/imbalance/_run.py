"""`run_imbalance`: what unequal labels do, and what helps, on data that anyone has; resumable."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
from mudata import MuData
from scipy import sparse

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.benchmark._cells import known_labels, subset
from scmoe.benchmark._kept import kept_result, write_text
from scmoe.benchmark._plan import MANY_CELLS
from scmoe.data._fingerprint import fingerprint
from scmoe.datasets._bundled import bmmc_cite
from scmoe.datasets._imbalance import MIN_CELLS, imbalance_total
from scmoe.datasets._profile import profile
from scmoe.datasets._read import read
from scmoe.io._files import check_writable
from scmoe.pp._prepare import prepare
from scmoe.readout._held_out import N_FOLDS
from scmoe.studies._run import single_thread
from scmoe.studies.genes._data import source_of
from scmoe.studies.imbalance._annotator import annotator_task, shared_by_donors
from scmoe.studies.imbalance._figures import save_imbalance_figures
from scmoe.studies.imbalance._plan import (
    ANNOTATOR,
    DONORS,
    FULL,
    IMPOSED,
    MAIN_RHO,
    NATURAL,
    QUICK,
    STUDY,
    Task,
    plan,
)
from scmoe.studies.imbalance._report import imbalance_sections
from scmoe.studies.imbalance._study import study_task
from scmoe.studies.imbalance._verdicts import find_verdicts

PARTS = (STUDY, ANNOTATOR)
SEEDS = (0, 1, 2, 3, 4)
N_SEEDS_QUICK = 2


def run_imbalance(
    output: str | Path,
    *,
    data: str | Path | None = None,
    labels: str = "cell_type",
    batch: str | None = None,
    parts: Sequence[str] | None = None,
    seeds: Sequence[int] = SEEDS,
    quick: bool = False,
) -> dict[str, Any]:
    """Study rare labels: tokenizers, treatments and factors of imbalance, and what `class_balance` does for the labels of SCMOE.

    :doc:`/imbalance` says how it is made. Every result is a JSON file in ``output/runs``, kept when the command is given again, unless
    data, settings, model or version have changed.

    Parameters
    ----------
    output
        Folder for ``imbalance.json``, ``imbalance.md``, ``tables``, ``figures`` and ``runs``.
    data
        A file with the modality "rna" as raw counts; default `scmoe.datasets.bmmc_cite`.
    labels
        Column of ``mdata.obs`` with cell types.
    batch
        Column of ``mdata.obs`` with donors or batches, each of which is held out once.
    parts
        Of "study" and "annotator"; default both.
    seeds
        Of splits, draws and networks.
    quick
        Two seeds, fewer genes and steps.

    Returns
    -------
    The content of ``imbalance.json``: ``results`` (one a task), ``verdicts`` (hypotheses with measured difference, 95 % interval over seeds,
    p-values and what that says) and ``settings``.

    Raises
    ------
    KeyError
        A column that the data do not have.
    ValueError
        An unknown part, no seed or one given twice, or data that cannot be used.
    WriteError
        If `output` cannot be written.
    """
    chosen, seeds = list(PARTS if parts is None else parts), list(seeds)[: N_SEEDS_QUICK if quick else None]
    _check_chosen(chosen, seeds)
    folder, size = check_writable(output), QUICK if quick else FULL
    mdata = bmmc_cite() if data is None else read(data)
    for column in (labels, batch):
        if column is not None and column not in mdata.obs:
            raise KeyError(f"{column!r} is not a column of mdata.obs; found {', '.join(map(str, mdata.obs))}.")
    source = source_of(mdata, labels, "bmmc_cite" if data is None else Path(data).stem)
    cells = known_cells(mdata, labels)
    cases, skipped = cases_of(cells, labels, batch)
    contents = {STUDY: source.content, ANNOTATOR: content_of(cells, labels, batch)}
    tasks = [
        task
        for task in plan(contents, chosen, cases, seeds, size)
        if task.case != NATURAL or task.seed == seeds[0] or cells.n_obs < MANY_CELLS
    ]
    results = []
    for i, task in enumerate(tasks, 1):
        results.append(_result(task, source.adata, cells, labels, batch, folder, f"[{i}/{len(tasks)}] {task.name}"))
    settings = {
        "parts": chosen,
        "seeds": seeds,
        "quick": quick,
        "size": asdict(size) | {"rhos": list(size.rhos)},
        "source": source.described(),
        "skipped": skipped,
        "scmoe": __version__,
    }
    table = {"verdicts": find_verdicts(results), "settings": settings, "results": results}
    sections = imbalance_sections(table)
    write_text(folder / "imbalance.json", json.dumps(table, indent=1) + "\n")
    write_text(folder / "imbalance.md", "\n\n".join(sections.values()) + "\n")
    for name, text in sections.items():
        write_text(check_writable(folder / "tables") / f"{name}.md", text + "\n")
    save_imbalance_figures(table, folder / "figures")
    return table


def _check_chosen(chosen: Sequence[str], seeds: Sequence[int]) -> None:
    """Raise for an unknown part, and unless there are parts and seeds, each once and none negative."""
    if unknown := [name for name in chosen if name not in PARTS]:
        raise ValueError(f"There is no part {unknown[0]!r}; choose from {', '.join(PARTS)}.")
    if not seeds or not chosen or len(set(seeds)) < len(seeds):
        raise ValueError(f"Name at least one part and one seed, each seed once; found {chosen} and {seeds}.")
    if min(seeds) < 0:
        raise ValueError(f"Seeds must not be negative; found {min(seeds)}.")


def known_cells(mdata: MuData, labels: str) -> MuData:
    """The cells that have a label, prepared."""
    known = known_labels(mdata, labels)
    assert known is not None
    cells = subset(mdata, mdata.obs_names[known.notna()], list(mdata.mod))
    prepare(cells)
    return cells


def content_of(cells: MuData, labels: str, batch: str | None) -> str:
    """Number of all that the annotator reads: values of all modalities, labels and batches."""
    values = [sparse.csr_matrix(each.X) if sparse.issparse(each.X) else each.X for each in cells.mod.values()]
    columns = [cells.obs[column].astype(str) for column in (labels, batch) if column is not None]
    return str(fingerprint(*values, names=[str(batch), *cells.obs_names, *chain(*columns)]))


def cases_of(cells: MuData, labels: str, batch: str | None) -> tuple[list[str], list[str]]:
    """The cases of the annotator that the data allow, and why others are left out."""
    counts = pd.Series(cells.obs[labels].astype(str)).value_counts()
    total = imbalance_total(cells, labels, [MAIN_RHO])
    rarest = int(profile(len(counts), MAIN_RHO, total).min() * (N_FOLDS - 1) / N_FOLDS)
    cases, skipped = [NATURAL], []
    if rarest >= MIN_CELLS:
        cases.append(IMPOSED)
    else:
        skipped.append(
            f"{IMPOSED}: with a factor of {MAIN_RHO:g} {counts.index[-1]} would have {rarest} training cells"
        )
    if batch is None:
        skipped.append(f"{DONORS}: no batch was named")
        return cases, skipped
    shared, donors = shared_by_donors(cells, labels, batch)
    if len(donors) < 2 or shared.sum() == 0 or cells.obs[labels][shared].nunique() < 2:
        skipped.append(
            f"{DONORS}: two values of {batch!r} must share two labels; found {', '.join(donors) or 'no value'}"
        )
        return cases, skipped
    if n_missing := int(cells.obs[batch].isna().sum()):
        skipped.append(f"{n_missing} cells without a value of {batch!r}, in the case {DONORS}")
    return [*cases, DONORS], skipped


def _result(task: Task, adata: Any, cells: MuData, labels: str, batch: str | None, folder: Path, title: str) -> Any:
    """The result of an earlier start or a new one."""
    file = check_writable(folder / "runs") / f"{task.name}.json"
    about = {name: getattr(task, name) for name in ("kind", "case", "seed")}
    if (kept := kept_result(file, task.key)) is not None:
        logger.info("%s: kept", title)
        return about | kept
    start = time.perf_counter()
    with single_thread():  # other libraries raise torch's number of threads
        found = study_task(task, adata) if task.kind == STUDY else annotator_task(task, cells, labels, batch)
    text = json.dumps({"key": task.key} | found).replace("NaN", "null")
    write_text(file, text + "\n")
    logger.info("%s: done in %.0f s", title, time.perf_counter() - start)
    return about | {name: value for name, value in json.loads(text).items() if name != "key"}
