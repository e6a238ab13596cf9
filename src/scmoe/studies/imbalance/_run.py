"""`run_imbalance`: what unequal labels do, and what helps, on data that anyone has; resumable."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.benchmark._plan import MANY_CELLS
from scmoe.datasets._imbalance import MIN_CELLS, imbalance_total
from scmoe.datasets._profile import profile
from scmoe.io._files import check_writable
from scmoe.pp._prepare import prepare
from scmoe.readout._held_out import N_FOLDS
from scmoe.studies._data import BUNDLED, check_columns, content_hash, labeled_cells, load_data
from scmoe.studies._run import FIGURES, run_tasks, write_result, write_tables
from scmoe.studies.genes._data import source_of
from scmoe.studies.imbalance._annotator import annotator_task, shared_by_donors
from scmoe.studies.imbalance._claims import claims
from scmoe.studies.imbalance._figures import figures
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
from scmoe.studies.imbalance._study import study_task
from scmoe.studies.imbalance._tables import tables

PARTS = (STUDY, ANNOTATOR)
SEEDS = (0, 1, 2, 3, 4)
N_SEEDS_QUICK = 2


@checks_arguments
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
    """Study rare labels: tokenizers, treatments and factors of imbalance, and `class_balance` of SCMOE.

    :doc:`/imbalance` says how it is made. Every result is a JSON file in ``output/runs``, kept when the command is
    given again, unless data, settings, model or version have changed.

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
    The content of ``imbalance.json``: ``results`` (one a task), ``verdicts`` (hypotheses with measured difference, 95 %
    interval over seeds, p-values and what that says) and ``settings``.

    Raises
    ------
    KeyError
        A column that the data do not have.
    ValueError
        An unknown part, no seed or one given twice, or data that cannot be used.
    WriteError
        If `output` cannot be written.

    Examples
    --------
    >>> table = scmoe.studies.run_imbalance("imbalance", quick=True)  # doctest: +SKIP
    """
    parts, seeds = list(PARTS if parts is None else parts), list(seeds)[: N_SEEDS_QUICK if quick else None]
    _check_request(parts, seeds)
    folder, size = check_writable(output), QUICK if quick else FULL
    mdata = load_data(data)
    check_columns(mdata, labels, batch)
    source = source_of(mdata, labels, BUNDLED if data is None else Path(data).stem)
    cells = labeled_cells(mdata, labels)
    prepare(cells)
    cases, skipped = cases_of(cells, labels, batch)
    contents = {STUDY: source.content, ANNOTATOR: content_of(cells, labels, batch)}
    tasks = [
        task
        for task in plan(contents, parts, cases, seeds, size)
        if task.case != NATURAL or task.seed == seeds[0] or cells.n_obs < MANY_CELLS
    ]

    def perform(task: Task) -> dict[str, Any]:
        if task.kind == STUDY:
            return _null_for_nan(study_task(task, source.adata))
        return _null_for_nan(annotator_task(task, cells, labels, batch))

    results, _ = run_tasks(tasks, folder, perform)
    settings = {
        "parts": parts,
        "seeds": seeds,
        "quick": quick,
        "size": asdict(size) | {"rhos": list(size.rhos)},
        "source": source.described(),
        "skipped": skipped,
        "scmoe": __version__,
    }
    table = {"verdicts": claims(results), "settings": settings, "results": results}
    sections = tables(table)
    write_result(folder, "imbalance", table, "\n\n".join(sections.values()) + "\n")
    write_tables(folder, {name: text + "\n" for name, text in sections.items()})
    figures(table, folder / FIGURES)
    return table


def _null_for_nan(value: Any) -> Any:
    """Scores that do not exist are null in JSON, which has no NaN."""
    if isinstance(value, dict):
        return {name: _null_for_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_null_for_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def _check_request(parts: Sequence[str], seeds: Sequence[int]) -> None:
    """Raise for an unknown part, and unless there are parts and seeds, each once and none negative."""
    if unknown := [name for name in parts if name not in PARTS]:
        raise ValueError(f"There is no part {unknown[0]!r}; choose from {', '.join(PARTS)}.")
    if not seeds or not parts or len(set(seeds)) < len(seeds):
        raise ValueError(f"Name at least one part and one seed, each seed once; found {parts} and {seeds}.")
    if min(seeds) < 0:
        raise ValueError(f"Seeds must not be negative; found {min(seeds)}.")


def content_of(cells: MuData, labels: str, batch: str | None) -> str:
    """Hash of all that the annotator reads: values of all modalities, labels and batches."""
    columns = [cells.obs[column].astype(str) for column in (labels, batch) if column is not None]
    return content_hash([m.X for m in cells.mod.values()], [str(batch), *cells.obs_names, *chain(*columns)])


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
