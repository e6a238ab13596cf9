"""The main job on the bundled data, from counts to figures, beside linear baselines."""

import json
from pathlib import Path
from time import perf_counter
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import Keys
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.benchmark._kept import write_text
from scmoe.benchmark._timing import peak_memory_gib
from scmoe.benchmark.demo._overview import save_overview
from scmoe.benchmark.demo._scores import compare_clusters, compare_imputation, to_markdown
from scmoe.datasets._bundled import bmmc_cite
from scmoe.datasets._write import write
from scmoe.io._files import check_writable
from scmoe.io._place import Place
from scmoe.model._scmoe import SCMOE
from scmoe.pl._figures import save_figures
from scmoe.pl._imputed import imputed
from scmoe.pp._prepare import prepare
from scmoe.tl._attention import attention
from scmoe.tl._expert_usage import expert_usage
from scmoe.tl._impute import impute
from scmoe.tl._train import train
from scmoe.tl._umap import umap

RESULT, MODEL, FIGURES, COMPARISON = "result.h5mu", "model", "figures", ("comparison.json", "comparison.md")
"""What is written."""
SOURCE, TARGET, LABELS, LINEAGES, BATCH = "rna", "adt", "cell_type", "lineage", "batch"
SPLIT = {"train_size": 0.72, "validation_size": 0.08}
"""The other fifth of the cells is for the scores."""
PROTEINS = ["CD3", "CD4", "CD8", "CD14", "CD16", "CD19", "CD38", "CD56"]
"""Proteins every immunologist knows, chosen before looking at any score."""
OVERVIEW_PROTEINS = ["CD3", "CD8", "CD19", "CD56"]
"""One for each of the large lineages of lymphocytes."""


@checks_arguments
def run_demo(output: str | Path, seed: int = 0, max_epochs: int | None = None) -> dict[str, Any]:
    """Train on the bundled bone-marrow data and compare the result with PCA and ridge regression.

    A fifth of the cells is held out of training; labels are used for scores and figures only.

    Parameters
    ----------
    output
        Folder for ``result.h5mu``, ``model/``, ``figures/``, ``comparison.json`` and ``comparison.md``.
    seed
        Seed of the model and of the choice of held-out cells.
    max_epochs
        Epochs of training; default the model's own choice.

    Returns
    -------
    The content of ``comparison.json``.

    Raises
    ------
    WriteError
        If `output` cannot be written; nothing is trained then.

    Examples
    --------
    >>> scmoe.benchmark.run_demo("demo")["imputation"]["scmoe"]  # doctest: +SKIP
    """
    folder, start = check_writable(output), perf_counter()
    places = {name: Place(folder / name) for name in (RESULT, MODEL, FIGURES, *COMPARISON)}
    mdata = bmmc_cite()
    prepare(mdata)
    model = train(
        mdata, batch_key=BATCH, max_epochs=max_epochs, seed=seed, train_kwargs={**SPLIT, "devices": 1}
    )  # 600 cells
    train_seconds = perf_counter() - start
    held_out = np.zeros(mdata.n_obs, dtype=bool)
    held_out[model.test_indices] = True
    _explain(mdata, model, seed)
    result: dict[str, Any] = {
        "seed": seed,
        "n_cells": mdata.n_obs,
        "n_labels": int(mdata.obs[LABELS].nunique()),
        "kmeans": compare_clusters(mdata, Keys().embedding, LABELS),
        "imputation": compare_imputation(
            mdata, mdata.obsm[Keys().imputed(TARGET, [SOURCE])], held_out, source=SOURCE, target=TARGET
        ),
    }
    logger.info("Writing the results to %s", folder)
    model.save(places[MODEL].now(), overwrite=True)
    write(mdata, places[RESULT].now())
    _figures(mdata, places[FIGURES].now(), held_out)
    result["seconds"] = {"train": train_seconds, "total": perf_counter() - start}
    result["peak_memory_gib"] = peak_memory_gib()
    for name, text in zip(COMPARISON, (json.dumps(result, indent=2) + "\n", to_markdown(result)), strict=True):
        write_text(places[name].now(), text)
    return result


def _explain(mdata: MuData, model: SCMOE, seed: int) -> None:
    """Everything the package says about a trained model."""
    logger.info("Predicting %s from %s, and explaining the model", TARGET, SOURCE)
    impute(mdata, model, source=SOURCE, target=TARGET)
    expert_usage(mdata, model, groupby=LABELS)
    attention(mdata, model, groupby=LABELS)
    umap(mdata, seed=seed)


def _figures(mdata: MuData, folder: Path, held_out: NDArray[np.bool_]) -> None:
    save_figures(mdata, folder, color=[Keys().cluster, LABELS, LINEAGES])
    features = [name for name in PROTEINS if name in mdata.mod[TARGET].var_names]
    file = folder / "imputed.png"
    imputed(mdata, source=SOURCE, target=TARGET, features=features, cells=held_out, save=file)
    plt.close()
    save_overview(
        mdata,
        folder / "overview.png",
        labels=LABELS,
        lineages=LINEAGES,
        source=SOURCE,
        target=TARGET,
        features=OVERVIEW_PROTEINS,
        cells=held_out,
    )
