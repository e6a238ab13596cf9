"""`run_synergy`: whether the expression of cell lines says which drugs are synergistic, beside saying nothing."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.io._files import check_writable
from scmoe.model.genes._xtrimogene import XTRIMOGENE
from scmoe.studies._run import check_distinct, pick_seeds, run_tasks, write_result, write_tables
from scmoe.studies.synergy._data import Screen, read_screen
from scmoe.studies.synergy._lines import Encoder, line_vectors
from scmoe.studies.synergy._molecules import check_rdkit
from scmoe.studies.synergy._report import claims, synergy_markdown, synergy_sections
from scmoe.studies.synergy._tasks import FULL, LEFT_OUT, MODELS, QUICK, EmbeddingTask, Size, folds, perform, plan

SEEDS = (0, 1, 2)
N_PASSES, N_PASSES_QUICK = 100, 10
"""Of pretraining over the cell lines at hand."""


@checks_arguments
def run_synergy(
    output: str | Path,
    *,
    data: str | Path,
    model: str | Path | None = None,
    predictors: Sequence[str] | None = None,
    seeds: Sequence[int] = SEEDS,
    quick: bool = False,
) -> dict[str, Any]:
    """Predict which drugs are synergistic from their structures and from vectors of cell lines.

    Cell lines are our embedding, principal components of their expression, random numbers of the same width, or
    nothing; drugs are fingerprints for boosted trees, and graphs of atoms for a network after DeepDDS. Pairs, drugs or
    cell lines are left out, in five folds. :doc:`/pretraining` says what it shows. Every result is a JSON file in
    ``output/runs``, kept when the function is called again, unless data, settings, model or version have changed.

    Parameters
    ----------
    output
        Folder for ``synergy.json``, ``synergy.md``, ``tables`` and ``runs``.
    data
        Folder with the tables of the DeepDDS study: ``new_labels_0_10.csv``, a row for each combination with the
        columns "drug1" and "drug2" (SMILES), "cell" and "label" (0 or 1), and ``new_cell_features_954.csv``, a row
        for each cell line with its name in the first column and a column for each gene. They do not come with scmoe.
    model
        Folder of a pretrained `scmoe.model.XTRIMOGENE` that knows these genes, or what ``scmoe pretrain`` wrote. None:
        a model is pretrained on the expression at hand, which is that of few cell lines.
    predictors
        Of "boosted trees" and "graph network"; default both.
    seeds
        Of folds, random numbers, pretraining and models.
    quick
        The first seed, two folds, fewer trees, epochs and passes.

    Returns
    -------
    The content of ``synergy.json``: ``results`` (one a task, with AUROC and AUPR of each fold), ``verdicts`` (claims
    with their difference of AUROC, its 95 % interval over folds and what that says), ``skipped`` and ``settings``.

    Raises
    ------
    ImportError
        RDKit is not installed.
    FileNotFoundError
        A table is missing.
    ValueError
        The tables cannot be used (the message names rows), there are fewer than five pairs, drugs or cell lines, the
        model does not know the genes, a seed is given twice, or a predictor is unknown.

    Examples
    --------
    >>> import scmoe
    >>> table = scmoe.studies.run_synergy("synergy", data="deepdds", quick=True)  # doctest: +SKIP
    """
    check_rdkit()
    check_distinct(seeds)
    seeds, size = pick_seeds(seeds, quick=quick), QUICK if quick else FULL
    names = list(MODELS if predictors is None else predictors)
    if not names or set(names) - set(MODELS):
        raise ValueError(f"predictors must be of {', '.join(MODELS)}; found {', '.join(names) or 'none'}.")
    screen = read_screen(data)
    for left_out in LEFT_OUT:
        folds(screen, left_out, seeds[0])  # raises if there are too few
    folder, content = check_writable(output), screen.content
    encoder = Encoder(_model_folder(model), N_PASSES_QUICK if quick else N_PASSES)

    def embed(seed: int) -> NDArray[np.float64]:
        task = EmbeddingTask(seed=seed, encoder=encoder.id, content=content)
        made, _ = run_tasks([task], folder, lambda _: {"embedding": encoder.embed(screen.expression, seed).tolist()})
        return np.array(made[0]["embedding"])

    vectors = line_vectors(screen.expression, embed)
    tasks = list(plan(content, encoder.id, seeds, names, size))
    results, skipped = run_tasks(tasks, folder, lambda task: perform(task, screen, vectors))
    settings = _settings(screen, encoder, size) | {"seeds": seeds, "quick": quick, "scmoe": __version__}
    table = {"verdicts": claims(results), "settings": settings, "skipped": skipped, "results": results}
    sections = synergy_sections(table)
    write_result(folder, "synergy", table, synergy_markdown(sections))
    write_tables(folder, sections)
    return table


def _model_folder(model: str | Path | None) -> Path | None:
    """The folder of a model that can be loaded, or the one in a folder that ``scmoe pretrain`` wrote."""
    if model is None:
        return None
    path = Path(model).expanduser()
    folder = path / "model" if (path / "model").is_dir() else path
    XTRIMOGENE.load(folder)  # raises if it is none
    return folder


def _settings(screen: Screen, encoder: Encoder, size: Size) -> dict[str, Any]:
    n_lines, n_genes = screen.expression.shape
    own = f"the expression of these {n_lines} cell lines alone, without labels, in {encoder.n_passes} passes"
    return {
        "n_combinations": len(screen.labels),
        "n_drugs": len(screen.drugs),
        "n_lines": n_lines,
        "n_genes": n_genes,
        "share": float(screen.labels.mean()),
        "encoder": own if encoder.folder is None else "other data (a model folder of the user)",
        "size": asdict(size),
    }
