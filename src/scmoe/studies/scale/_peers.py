"""The same data with scanpy and totalVI."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import scanpy as sc
import scvi

from scmoe.datasets._read import read
from scmoe.studies.scale._memory import anonymous_memory, measured
from scmoe.studies.scale._scores import label_score
from scmoe.studies.speed._epochs import quiet
from scmoe.tl._neighbors import N_NEIGHBORS, search_of

BATCH_SIZE = 512
MODALITIES = {"rna_layer": "rna", "protein_layer": "adt"}


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


def analyze_with_totalvi(task: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """One epoch of totalVI."""
    phases: dict[str, dict[str, float]] = {}
    start = anonymous_memory()
    with measured(phases, "read"):
        mdata = read(path)
    scvi.settings.seed = task["seed"]
    scvi.model.TOTALVI.setup_mudata(mdata, rna_layer=None, protein_layer=None, modalities=MODALITIES)
    model = scvi.model.TOTALVI(mdata)
    with quiet(), measured(phases, "train"):
        model.train(
            1,
            batch_size=BATCH_SIZE,
            accelerator="cpu",
            train_size=1.0,
            early_stopping=False,
            reduce_lr_on_plateau=False,
            enable_progress_bar=False,
        )
    return {"phases": phases, "start": start, "scores": {"epochs": 1}}
