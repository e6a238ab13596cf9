"""The phases of an analysis of large data; run as a module, the worker of the study."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scmoe.datasets._read import read
from scmoe.datasets._write import write
from scmoe.model._scmoe import SCMOE
from scmoe.pp._prepare import prepare
from scmoe.studies._run import serve
from scmoe.studies.scale._data import simulate_cells
from scmoe.studies.scale._memory import MIB, anonymous_memory, measured
from scmoe.studies.scale._peers import PEERS
from scmoe.studies.scale._scores import scores_of
from scmoe.studies.speed._epochs import EpochClock
from scmoe.tl._cluster import cluster
from scmoe.tl._embed import embed
from scmoe.tl._impute import impute

DATA, RESULT = "data.h5mu", "result.h5mu"
N_TEST = 2000
"""Cells, of few a tenth, that no model is trained on: their labels are told by their neighbors among the others."""


def simulate(task: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Write simulated cells; returns the size of the genes' counts as CSR, in MiB."""
    sizes = task["n_cells"], task["n_genes"], 0 if task["n_peaks"] else task["n_proteins"]
    mdata = simulate_cells(*sizes, task["seed"], n_peaks=task["n_peaks"])
    split = np.where(np.random.default_rng(task["seed"]).random(mdata.n_obs) < 0.1, "validation", "train")
    split[:: max(mdata.n_obs // N_TEST, 10)] = "test"
    mdata.obs["part"] = split
    write(mdata, folder / DATA)
    rna = mdata["rna"].X
    return {"csr": (rna.data.nbytes + rna.indices.nbytes + rna.indptr.nbytes) / MIB}


def analyze(task: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Read, prepare, train, embed, cluster, predict proteins, write; seconds and memory of each, and scores.

    Without proteins nothing is predicted.
    """
    phases: dict[str, dict[str, float]] = {}
    start = anonymous_memory()
    with measured(phases, "read"):
        mdata = read(folder / DATA, on_disk=task["engine"] == "disk")
    with measured(phases, "prepare"):
        prepare(mdata, batch_key="batch", n_top_features=None if task["all_features"] else "auto")
    with measured(phases, "train"):
        SCMOE.setup_mudata(mdata, batch_key="batch")
        model, clock = SCMOE(mdata, seed=task["seed"]), EpochClock()
        model.train(
            task["max_epochs"], split_key="part", accelerator="cpu", callbacks=[clock], enable_progress_bar=False
        )
    steps: dict[str, Callable[[], None]] = {"embed": lambda: embed(mdata, model), "cluster": lambda: cluster(mdata)}
    if "adt" in mdata.mod:
        steps["impute proteins"] = lambda: impute(mdata, model, source="rna", target="adt")
    steps["write"] = lambda: write(mdata, folder / RESULT)
    for name, step in steps.items():
        with measured(phases, name):
            step()
    return {"phases": phases, "start": start, "epoch": clock.mean, "scores": scores_of(mdata, model)}


def perform(message: Mapping[str, Any]) -> dict[str, Any]:
    """One task of the study."""
    task, folder = message["task"], Path(message["folder"])
    if message["what"] == "simulate":
        return simulate(task, folder)
    return PEERS[task["engine"]](task, folder / DATA) if task["engine"] in PEERS else analyze(task, folder)


if __name__ == "__main__":
    serve(perform)
