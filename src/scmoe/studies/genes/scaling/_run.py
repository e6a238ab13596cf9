"""`run_genes_scaling`: the loss of masked genes against parameters and cells."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from anndata import AnnData

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.io._files import check_writable
from scmoe.model.genes._pretraining import PRETRAIN_BATCH
from scmoe.model.genes._xtrimogene import XTRIMOGENE
from scmoe.studies._run import Task, processor, run_tasks, write_result
from scmoe.studies.genes._data import make_sources, sweep_split
from scmoe.studies.genes._masked import fit_references, mask, predict, scores
from scmoe.studies.genes._probe import CPU
from scmoe.studies.genes.scaling._report import scaling_figure, scaling_markdown
from scmoe.studies.scale._memory import measured

WIDTHS = (16, 32, 64)
"""Of the encoder; the decoder has half."""
QUICK_WIDTHS = (16, 32)
CELLS, QUICK_CELLS = (250, 1000, 4000), (100, 200, 400)
N_STEPS, QUICK_STEPS = 300, 30
N_GENES, N_TEST = 1000, 1000
LARGEST = "100m"
"""Preset that is built and stepped once."""


@dataclass(frozen=True, kw_only=True)
class ScalingTask(Task):
    """One pretraining."""

    source: str
    content: str
    width: int
    n_cells: int
    n_steps: int
    seed: int

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.source}-{self.width}-{self.n_cells}-seed{self.seed}"


@checks_arguments
def run_genes_scaling(
    output: str | Path,
    *,
    data: str | Path | None = None,
    labels: str | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    quick: bool = False,
) -> dict[str, Any]:
    """Pretrain networks of growing width on growing numbers of cells, and fit a law to the loss of unseen cells.

    All take the same number of steps, so that only size and cells differ; the test cells and what is masked of them are
    the same for all. Beside it stands ridge regression on principal components. Results are kept in `output`, and
    a run that was interrupted goes on. The published size is built and takes one step.

    Parameters
    ----------
    output
        Folder for ``scaling.json``, ``scaling.md`` and ``scaling.png``.
    data, labels
        A file and its column of labels; None: the bundled cells, which are 600.
    seeds
        Of cells, networks and masks.
    quick
        Two widths, at most 400 cells, 30 steps, one seed, and no large network: a minute.

    Returns
    -------
    The content of ``scaling.json``: ``results``, ``skipped``, ``largest``, ``machine`` and ``versions``.

    Raises
    ------
    scmoe.io._files.WriteError
        `output` cannot be written; nothing is computed then.

    Examples
    --------
    >>> table = scmoe.studies.run_genes_scaling("genes_scaling", quick=True)  # doctest: +SKIP
    """
    folder = check_writable(output)
    source = make_sources(data, labels)[0]
    n_test = min(N_TEST, source.adata.n_obs // 3)
    available = source.adata.n_obs - n_test
    cells = [n for n in (QUICK_CELLS if quick else CELLS) if n <= available]
    tasks = [
        ScalingTask(
            source=source.name,
            content=source.content,
            width=width,
            n_cells=n,
            n_steps=QUICK_STEPS if quick else N_STEPS,
            seed=seed,
        )
        for seed in (seeds[:1] if quick else seeds)
        for n in cells
        for width in (QUICK_WIDTHS if quick else WIDTHS)
    ]
    results, skipped = run_tasks(tasks, folder, partial(perform, adata=source.adata))
    result = {
        "results": results,
        "skipped": skipped,
        "largest": None if quick else one_step(source.adata),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "threads": 1},
        "versions": {"scmoe": __version__},
    }
    write_result(folder, "scaling", result, scaling_markdown(result))
    scaling_figure(results, folder / "scaling.png")
    return result


def perform(task: ScalingTask, adata: AnnData) -> Mapping[str, Any]:
    """Pretrain, and score masked genes of the test cells."""
    train, test = sweep_split(adata, task.n_cells, N_TEST, N_GENES, task.seed)
    masked = mask(test, task.seed)
    XTRIMOGENE.setup_anndata(train)
    model = XTRIMOGENE(train, seed=task.seed, encoder_width=task.width, decoder_width=task.width // 2)
    epochs = max(round(task.n_steps * PRETRAIN_BATCH / train.n_obs), 1)
    model.train(epochs, train_size=1.0, **CPU)
    ridge = fit_references(train, task.seed)["ridge on PCA of visible genes"]
    return {
        "n_parameters": sum(p.numel() for p in model.module.parameters()),
        "mse": scores(masked, predict(model, masked))["mse"],
        "ridge_mse": scores(masked, ridge(masked))["mse"],
    }


def one_step(adata: AnnData) -> dict[str, float]:
    """Parameters of the published size, and memory and time of a step of two cells."""
    few = adata[:16].copy()
    XTRIMOGENE.setup_anndata(few)
    phases: dict[str, dict[str, float]] = {}
    with measured(phases, "step"):
        model = XTRIMOGENE(few, preset=LARGEST)
        model.train(1, batch_size=2, max_steps=1, train_size=1.0, **CPU)
    return {"n_parameters": sum(p.numel() for p in model.module.parameters()), **phases["step"]}
