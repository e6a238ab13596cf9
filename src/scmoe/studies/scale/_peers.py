"""The same data with scanpy, totalVI and MultiVI."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import scanpy as sc
import scvi

from scmoe.datasets._read import read
from scmoe.model.graph._neighbors import N_NEIGHBORS, search_of
from scmoe.studies.scale._memory import anonymous_memory, measured
from scmoe.studies.scale._scores import label_score
from scmoe.studies.speed._epochs import EpochClock, quiet
from scmoe.train._fit import default_batch_size

EPOCH = "an epoch"
"""Phase of a model that is trained no further."""


def analyze_with_scanpy(task: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Normalize the genes, 50 principal components, neighbors and Leiden clusters."""
    phases: dict[str, dict[str, float]] = {}
    start = anonymous_memory()
    with measured(phases, "read"):
        mdata = read(path)
    rna = mdata["rna"]
    with measured(phases, "prepare"):
        sc.pp.normalize_total(rna, target_sum=1e4)
        sc.pp.log1p(rna)
    with measured(phases, "components"):
        sc.pp.pca(rna, n_comps=50, random_state=task["seed"])
    with warnings.catch_warnings(), measured(phases, "cluster"):
        warnings.simplefilter("ignore")
        # The same search as ours: scanpy 1.11's own fails from 8192 cells on, with pynndescent 0.7.
        search = search_of(rna.n_obs, N_NEIGHBORS, task["seed"])
        sc.pp.neighbors(rna, n_neighbors=N_NEIGHBORS, random_state=task["seed"], transformer=search)
        sc.tl.leiden(rna, flavor="igraph", n_iterations=2, directed=False, random_state=task["seed"])
    return {"phases": phases, "start": start, "scores": {"knn": label_score(mdata, rna.obsm["X_pca"])}}


def train_totalvi(task: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """One epoch of totalVI."""
    modalities = {"rna_layer": "rna", "protein_layer": "adt"}
    return _train(task, path, scvi.model.TOTALVI, modalities, reduce_lr_on_plateau=False)  # no cells for validation


def train_multivi(task: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """One epoch of MultiVI."""
    return _train(task, path, scvi.model.MULTIVI, {"rna_layer": "rna", "atac_layer": "atac"})


def _train(
    task: Mapping[str, Any], path: Path, model_class: Any, modalities: dict[str, str], **settings: bool
) -> dict[str, Any]:
    """An epoch of the training cells in batches of the size that `SCMOE.train` chooses; they are in one order."""
    phases: dict[str, dict[str, float]] = {}
    start = anonymous_memory()
    with measured(phases, "read"):
        cells = read(path)
        mdata = cells[(cells.obs["part"] == "train").to_numpy()].copy()
    scvi.settings.seed = task["seed"]
    model_class.setup_mudata(mdata, modalities=modalities)
    model, clock = model_class(mdata), EpochClock()
    with quiet(), measured(phases, EPOCH):
        model.train(
            1,
            batch_size=default_batch_size(mdata.n_obs),
            accelerator="cpu",
            train_size=1.0,
            early_stopping=False,
            callbacks=[clock],
            enable_progress_bar=False,
            **settings,
        )
    return {"phases": phases, "start": start, "epoch": clock.mean, "scores": {"epochs": 1}}


PEERS = {"scanpy": analyze_with_scanpy, "totalvi": train_totalvi, "multivi": train_multivi}
