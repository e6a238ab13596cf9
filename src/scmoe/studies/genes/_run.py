"""`run_genes`: the claims of the xTrimoGene paper on data that anyone has, resumable."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.benchmark._kept import kept_result, write_text
from scmoe.io._files import check_writable
from scmoe.studies._run import single_thread
from scmoe.studies.genes._data import Source, make_sources
from scmoe.studies.genes._figures import save_genes_figures
from scmoe.studies.genes._plan import FULL, QUICK, STUDIES, Task, plan
from scmoe.studies.genes._report import genes_markdown, genes_sections
from scmoe.studies.genes._tasks import perform
from scmoe.studies.genes._verdicts import find_verdicts

RUNS, TABLES, FIGURES = "runs", "tables", "figures"
SEEDS = (0, 1, 2)


def run_genes(
    output: str | Path,
    *,
    data: str | Path | None = None,
    labels: str | None = None,
    studies: Sequence[str] | None = None,
    seeds: Sequence[int] = SEEDS,
    quick: bool = False,
) -> dict[str, Any]:
    """Study what `scmoe.model.XTRIMOGENE` learns by masked-gene pretraining, beside baselines; :doc:`/pretraining` says what each study is.

    Every result is a JSON file in ``output/runs``, kept when the command is given again, unless data, settings, model or version
    have changed.

    Parameters
    ----------
    output
        Folder for ``genes.json``, ``genes.md``, ``tables``, ``figures`` and ``runs``.
    data
        A file with the modality "rna" as raw counts; default `scmoe.datasets.bmmc_cite`, on which annotation is always studied.
    labels
        The column of ``mdata.obs`` of `data` with cell types; missing and "Unknown" are left out of what needs labels.
    studies
        Of "pretraining", "annotation", "values", "masking", "sparsity", "tokenizers", "experts" and "perturbation"; default all.
    seeds
        Of splits, masks and networks.
    quick
        The first seed, with fewer cells, genes and steps.

    Returns
    -------
    The content of ``genes.json``: ``results`` (one a task), ``verdicts`` (claims with measured difference, 95 % interval over seeds
    and what that says) and ``settings``.

    Raises
    ------
    KeyError
        A column that the data do not have.
    ValueError
        An unknown study, no seed or one given twice, or data that cannot be used.
    WriteError
        If `output` cannot be written.
    """
    chosen, seeds = list(STUDIES if studies is None else studies), list(seeds)[: 1 if quick else None]
    if unknown := [name for name in chosen if name not in STUDIES]:
        raise ValueError(f"There is no study {unknown[0]!r}; choose from {', '.join(STUDIES)}.")
    if not seeds or not chosen:
        raise ValueError("seeds and studies must name at least one each; found none.")
    if repeated := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise ValueError(f"Seed {repeated[0]} is given twice; name each once.")
    folder, size = check_writable(output), QUICK if quick else FULL
    sources = make_sources(data, labels)
    tasks = list(plan(sources, chosen, seeds, size))
    results = [_result(task, sources, folder, f"[{i}/{len(tasks)}] {task.name}") for i, task in enumerate(tasks, 1)]
    settings = {
        "studies": chosen,
        "seeds": seeds,
        "quick": quick,
        "size": asdict(size),
        "sources": [source.described() for source in sources],
        "scmoe": __version__,
    }
    table = {"verdicts": find_verdicts(results), "settings": settings, "results": results}
    write_text(folder / "genes.json", json.dumps(table, indent=1) + "\n")
    sections = genes_sections(table)
    check_writable(folder / TABLES)
    for name, text in sections.items():
        write_text(folder / TABLES / f"{name}.md", text)
    write_text(folder / "genes.md", genes_markdown(sections))
    save_genes_figures(table, folder / FIGURES)
    return table


def _result(task: Task, sources: Sequence[Source], folder: Path, title: str) -> dict[str, Any]:
    """The result of an earlier start or a new one."""
    file = check_writable(folder / RUNS) / f"{task.name}.json"
    about = {name: getattr(task, name) for name in ("kind", "source", "variant", "seed")}
    found = kept_result(file, task.key)
    if found is not None:
        logger.info("%s: kept", title)
        return about | found
    start = time.perf_counter()
    with single_thread():  # other libraries raise torch's number of threads
        found = perform(task, {source.name: source for source in sources})
    write_text(file, json.dumps({"key": task.key} | found) + "\n")
    logger.info("%s: done in %.0f s", title, time.perf_counter() - start)
    return about | json.loads(json.dumps(found))
