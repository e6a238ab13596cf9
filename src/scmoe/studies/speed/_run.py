"""`run_speed`: all measurements, saved as a table."""

import os
import platform
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from mudata import MuData

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._read import read
from scmoe.io._files import check_writable
from scmoe.pp._prepare import prepare
from scmoe.studies._report import markdown_table
from scmoe.studies._run import processor, single_thread, write_result
from scmoe.studies.speed._data import simulate
from scmoe.studies.speed._engine import measure_engine
from scmoe.studies.speed._epochs import measure_epochs
from scmoe.studies.speed._gpu import measure_gpu
from scmoe.studies.speed._memory import measure_memory
from scmoe.studies.speed._timing import Row, Settings
from scmoe.studies.speed._training import measure_loading, measure_overhead, measure_sparse, measure_step, step_model

QUICK = Settings(
    rounds=5,
    shapes=((256, 16), (1024, 16)),
    skewed_tokens=1024,
    sparse_features=(4000,),
    cite_shape=(1000, 1000, 14),
    peaks_shape=(500, 500, 1000),
    epochs=1,
    trainings=1,
    memory_cells=(1000, 4000),
    gpu_cells=(128, 2048),
)
PEAKS_FILLED = 0.05


@checks_arguments
def run_speed(output: str | Path, *, quick: bool = False, data: str | Path | None = None) -> dict[str, Any]:
    """Measure the speed and memory of the package beside baselines, in one run on one thread.

    Parameters
    ----------
    output
        Folder for ``speed.json`` and ``speed.md``.
    quick
        Fewer rounds and smaller data: half a minute in place of five.
    data
        A file of CITE data with raw counts, modalities ``rna`` and ``adt``; default simulated counts.

    Returns
    -------
    The content of ``speed.json``: ``rows``, ``machine``, ``versions``, ``rounds``, ``data`` and ``seconds``.

    Raises
    ------
    WriteError
        If `output` cannot be written; nothing is measured then.
    ValueError
        If `data` is not such a file.

    Examples
    --------
    >>> table = scmoe.studies.run_speed("speed", quick=True)  # doctest: +SKIP
    """
    return measure_speed(check_writable(output), QUICK if quick else Settings(), data)


def measure_speed(folder: Path, settings: Settings, data: str | Path | None = None) -> dict[str, Any]:
    """As `run_speed`, at any size."""
    start, cite = perf_counter(), cite_data(data, settings)
    with single_thread():
        rows = _measure(cite, settings)
    result: dict[str, Any] = {
        "rows": [row.to_dict() for row in rows],
        "machine": {"processor": processor(), "cores": os.cpu_count(), "threads": 1, "system": platform.system()},
        "versions": {"scmoe": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "rounds": settings.rounds,
        "data": "simulated" if data is None else Path(data).name,
        "seconds": perf_counter() - start,
    }
    write_result(folder, "speed", result, to_markdown(result), indent=2)
    return result


def cite_data(path: str | Path | None, settings: Settings) -> MuData:
    """The file, or simulated counts; prepared."""
    if path is None:
        cells, genes, proteins = settings.cite_shape
        mdata = simulate(cells, genes=genes, proteins=proteins)
    else:
        mdata = read(path)
        if set(mdata.mod) != {"rna", "adt"}:
            raise ValueError(f"The data must have the modalities rna and adt; found {', '.join(mdata.mod)} in {path}.")
    prepare(mdata)
    return mdata


def _measure(cite: MuData, settings: Settings) -> list[Row]:
    """All sections; each says on stderr that it begins."""
    logger.info("Timing training steps and the trainer")
    model = step_model(settings)
    rows = measure_step(settings, model) + measure_sparse(settings) + measure_overhead(settings, model)
    logger.info("Timing the loading of batches")
    rows += measure_loading(settings, cite)
    logger.info("Timing epochs beside totalVI")
    rows += measure_epochs(cite, "totalVI", settings)
    logger.info("Timing epochs beside MultiVI")
    cells, genes, peaks = settings.peaks_shape
    multiome = simulate(cells, genes=genes, peaks=peaks, density=PEAKS_FILLED)
    prepare(multiome)
    rows += measure_epochs(multiome, "MultiVI", settings)
    logger.info("Measuring memory")
    rows += measure_memory(settings)
    logger.info("Timing the engine")  # last, because it changes how memory is allocated
    return measure_engine(settings) + rows + measure_gpu(settings)


def to_markdown(result: Mapping[str, Any]) -> str:
    """One table a section, and how it was measured."""
    parts = []
    for section, rows in groupby(result["rows"], key=lambda row: row["section"]):
        heads = ["case", "scmoe", "baseline", "result (quartiles)", "bar"]
        table = markdown_table([*heads, ""], [_cells(row) for row in rows], text=(0, 2, 5))
        parts.append(f"**{section[0].upper()}{section[1:]}**\n\n{table}")
    missed = sum(row["passed"] is False for row in result["rows"])
    machine, versions = result["machine"], result["versions"]
    parts.append(
        f"Medians of {result['rounds']} interleaved rounds (fewer where one lasts seconds), CPU time of one thread; "
        f"results are compared round by round. Bars missed: {missed}. "
        f"{machine['processor']}, {machine['cores']} cores; scmoe {versions['scmoe']}, torch {versions['torch']}; CITE "
        f"data: {result['data']}; {result['seconds']:.0f} s in total."
    )
    return "\n\n".join(parts) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    ours = "" if row["scmoe"] is None else f"{row['scmoe']:.3g} {row['unit']}"
    theirs = "" if row["baseline"] is None else f"{row['baseline']:.3g} {row['unit']}, {row['baseline_is']}"
    result = "" if row["result"] is None else f"{row['result']:.2f} {row['result_is']}"
    spread = "" if row["low"] is None else f" ({row['low']:.2f}–{row['high']:.2f})"
    bar = "" if row["bar"] is None else f"≤ {row['bar']:g}"
    verdict = {True: "met", False: "**missed**", None: row["note"]}[row["passed"]]
    return [row["case"], ours, theirs, f"{result}{spread}", bar, verdict]
