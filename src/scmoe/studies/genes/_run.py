"""`run_genes`: the claims of the xTrimoGene paper on data that anyone has, resumable."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.io._files import check_writable
from scmoe.studies._run import FIGURES, check_distinct, run_tasks, write_result, write_tables
from scmoe.studies.genes._claims import claims
from scmoe.studies.genes._data import make_sources
from scmoe.studies.genes._figures import figures
from scmoe.studies.genes._plan import FULL, QUICK, STUDIES, plan
from scmoe.studies.genes._report import genes_markdown, tables
from scmoe.studies.genes._tasks import perform

SEEDS = (0, 1, 2)


@checks_arguments
def run_genes(
    output: str | Path,
    *,
    data: str | Path | None = None,
    labels: str | None = None,
    studies: Sequence[str] | None = None,
    seeds: Sequence[int] = SEEDS,
    quick: bool = False,
) -> dict[str, Any]:
    """Study what `scmoe.model.XTRIMOGENE` learns by masked-gene pretraining, beside baselines.

    :doc:`/pretraining` says what each study is. Every result is a JSON file in ``output/runs``, kept when the command
    is given again, unless data, settings, model or version have changed.

    Parameters
    ----------
    output
        Folder for ``genes.json``, ``genes.md``, ``tables``, ``figures`` and ``runs``.
    data
        A file with the modality "rna" as raw counts; default `scmoe.datasets.bmmc_cite`, on which annotation is always
        studied.
    labels
        The column of ``mdata.obs`` of `data` with cell types; missing and "Unknown" are left out of what needs labels.
    studies
        Of "pretraining", "annotation", "values", "masking", "sparsity", "tokenizers", "experts" and "perturbation";
        default all.
    seeds
        Of splits, masks and networks.
    quick
        The first seed, with fewer cells, genes and steps.

    Returns
    -------
    The content of ``genes.json``: ``results`` (one a task), ``verdicts`` (claims with measured difference, 95 %
    interval over seeds and what that says) and ``settings``.

    Raises
    ------
    KeyError
        A column that the data do not have.
    ValueError
        An unknown study, no seed or one given twice, or data that cannot be used.
    WriteError
        If `output` cannot be written.

    Examples
    --------
    >>> table = scmoe.studies.run_genes("genes", quick=True)  # doctest: +SKIP
    """
    names, seeds = list(STUDIES if studies is None else studies), list(seeds)[: 1 if quick else None]
    if unknown := [name for name in names if name not in STUDIES]:
        raise ValueError(f"There is no study {unknown[0]!r}; choose from {', '.join(STUDIES)}.")
    if not seeds or not names:
        raise ValueError("seeds and studies must name at least one each; found none.")
    check_distinct(seeds)
    folder, size = check_writable(output), QUICK if quick else FULL
    sources = make_sources(data, labels)
    by_name = {source.name: source for source in sources}
    results, _ = run_tasks(list(plan(sources, names, seeds, size)), folder, lambda task: perform(task, by_name))
    settings = {
        "studies": names,
        "seeds": seeds,
        "quick": quick,
        "size": asdict(size),
        "sources": [source.described() for source in sources],
        "scmoe": __version__,
    }
    table = {"verdicts": claims(results), "settings": settings, "results": results}
    sections = tables(table)
    write_result(folder, "genes", table, genes_markdown(sections))
    write_tables(folder, sections)
    figures(table, folder / FIGURES)
    return table
