"""`run_experts`: do sparse experts pay, beside dense networks of equal active and of equal total size?"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from mudata import MuData

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.benchmark._cells import subset
from scmoe.datasets._read import read
from scmoe.io._files import check_writable
from scmoe.studies._run import (
    FIGURES,
    Result,
    check_distinct,
    pick_seeds,
    run_tasks,
    write_result,
    write_tables,
)
from scmoe.studies.experts._arms import ARMS, DEFAULT
from scmoe.studies.experts._claims import comparisons
from scmoe.studies.experts._plan import (
    N_CELLS,
    N_CELLS_QUICK,
    N_CELLS_SCREENING,
    N_CHOSEN,
    SCREENING_SEEDS,
    SEEDS,
    SIMULATIONS,
    Source,
    Task,
    choose,
    confirmation,
    screening,
    time_factors,
)
from scmoe.studies.experts._regimes import REGIME, simulate_regimes
from scmoe.studies.experts._scores import run_scores
from scmoe.studies.experts._tables import figure, sections
from scmoe.studies.replicate._data import LABEL, complete_cells, hash_of

MAX_CELLS = 2000
"""Of a file; of more, a sample."""


@checks_arguments
def run_experts(
    output: str | Path,
    *,
    data: Sequence[str | Path] = (),
    labels: Sequence[str] = (),
    seeds: Sequence[int] = SEEDS,
    quick: bool = False,
) -> dict[str, Any]:
    """Compare settings of the experts with each other and with dense networks.

    Two stages, which :doc:`/experts` describes: a screening of all settings with seeds of its own, and a confirmation
    of the default and the best settings. Every training is a JSON file in ``output/runs``, kept when the command is
    given again, unless data, settings, model or version have changed.

    Parameters
    ----------
    output
        Folder for ``experts.json``, ``experts.md``, ``tables``, ``figures`` and ``runs``.
    data
        Files with two modalities or more, besides the simulations; the first two take part in the screening. Cells that
        have a label and every modality are used, at most 2000.
    labels
        For each file, the column of ``mdata.obs`` with the types of cells.
    seeds
        Of the confirmation.
    quick
        Small simulations, one seed of each stage.

    Returns
    -------
    The content of ``experts.json``: ``results`` (one a training), ``comparisons`` (differences of the confirmation,
    with intervals, p-values and what would have been seen), ``chosen``, ``time_factors``, ``n_planned``, ``hours`` (of
    CPU), ``skipped`` and ``settings``.

    Raises
    ------
    KeyError
        A column that the data do not have.
    ValueError
        Files that cannot be used, or that do not pair up with columns; no seed.
    WriteError
        If `output` cannot be written.
    """
    folder, seeds = check_writable(output), pick_seeds(seeds, quick=quick)
    check_distinct(seeds)
    sources = make_sources(data, labels)
    small, large = (N_CELLS_QUICK,) * 2 if quick else (N_CELLS_SCREENING, N_CELLS)
    tasks = list(screening(sources, pick_seeds(SCREENING_SEEDS, quick=quick), small))
    screened, skipped = run_tasks(tasks, folder, perform)
    chosen = choose(screened, 1 if quick else N_CHOSEN)
    factors = time_factors(screened, chosen)
    more = list(confirmation(sources, seeds, large, chosen, factors))
    confirmed, skipped_too = run_tasks(more, folder, perform)
    table = summary(sources, [*screened, *confirmed], chosen, len(tasks) + len(more))
    table |= {"time_factors": factors, "skipped": [*skipped, *skipped_too]}
    table["settings"] |= {"seeds": seeds, "quick": quick}
    write(table, folder)
    return table


def summary(sources: Sequence[Source], results: Sequence[Result], chosen: Sequence[str], n_planned: int) -> Result:
    """What results say, done or not."""
    real = {source.name: source.is_real for source in sources}
    return {
        "chosen": list(chosen),
        "comparisons": comparisons(results, [DEFAULT, *chosen], real),
        "n_planned": n_planned,
        "hours": sum(row["seconds"] for row in results) / 3600,
        "settings": {"sources": [source.name for source in sources], "scmoe": __version__},
        "results": list(results),
    }


def write(table: Mapping[str, Any], folder: Path) -> None:
    """Files of tables, and the figure."""
    parts = sections(table)
    write_result(folder, "experts", table, experts_markdown(table))
    write_tables(folder, parts)
    figure(table["comparisons"], check_writable(folder / FIGURES) / "experts.png")


def experts_markdown(table: Mapping[str, Any]) -> str:
    """All tables."""
    return "\n".join(sections(table).values())


def make_sources(data: Sequence[str | Path], labels: Sequence[str]) -> list[Source]:
    """The files, read once so that what is wrong with one is said before the work, and the simulations."""
    if len(data) != len(labels):
        raise ValueError(
            f"Every file needs a column with its labels; found {len(data)} file(s) and {len(labels)} column(s). "
            "Give --data and --labels equally often, in the same order."
        )
    files = [
        Source(
            name=Path(path).stem,
            path=str(path),
            labels=column,
            content=hash_of(cells_of_file(str(path), column)),
        )
        for path, column in zip(data, labels, strict=True)
    ]
    sources = [*files, *(Source(name=name) for name in SIMULATIONS)]
    names = [source.name for source in sources]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two data sets are called {repeated[0]!r}. Rename the file.")
    return sources


@lru_cache(maxsize=8)
def cells_of_file(path: str, labels: str) -> MuData:
    """Cells with a label and every modality, at most as many as are used."""
    mdata = complete_cells(read(path), labels, Path(path).stem)
    order = np.random.default_rng(0).permutation(mdata.n_obs)[:MAX_CELLS]
    return mdata if len(order) == mdata.n_obs else subset(mdata, mdata.obs_names[np.sort(order)], list(mdata.mod))


def perform(task: Task) -> Result:
    """Scores of one training."""
    if task.path:
        mdata = cells_of_file(task.path, task.column)
    else:
        mdata = simulate_regimes(task.n_cells, task.seed, **SIMULATIONS[task.source])
        mdata.obs[LABEL] = mdata.obs[REGIME]
    return run_scores(mdata, ARMS[task.arm], task.seed, 1.0 if task.more_epochs is None else task.more_epochs)
