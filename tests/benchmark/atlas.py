"""What reading from an atlas costs: neighbors among the cells of a window instead of all, and time of an epoch.

``python tests/benchmark/atlas.py bundled`` trains on the bundled 600 cells, ``... simulated`` on 30,000, with windows
of several sizes. The sample is all cells, so that nothing else differs from the usual training. Cells lie in stores by
batch, and in each by type: the hardest order. ``... times`` compares epochs from memory, from the disk cache and from
an atlas. Needs ``scmoe[atlas]``. One thread: OMP_NUM_THREADS=1.
"""

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback
from mudata import MuData
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import scmoe
from scmoe.data.atlas import _order
from scmoe.model import _training
from scmoe.studies.scale._data import simulate_cells
from scmoe.studies.scale._scores import label_score

ALL, NONE = "all cells", "no graph"
N_EPOCHS = 4


class Clock(Callback):
    """Time at the end of each epoch."""

    def __init__(self) -> None:
        self.ends: list[list[float]] = []

    def on_train_epoch_end(self, *_: object) -> None:
        self.ends.append([time.perf_counter(), time.process_time()])


def write_stores(mdata: MuData, folder: Path) -> None:
    """One a batch, each in the order of the types."""
    for i, batch in enumerate(mdata.obs["batch"].unique()):
        cells = np.flatnonzero(mdata.obs["batch"] == batch)
        cells = cells[np.argsort(mdata.obs["cell_type"].astype(str).to_numpy()[cells], kind="stable")]
        scmoe.datasets.write(mdata[cells].copy(), folder / f"batch{i}.zarr")


def train(mdata: MuData, seed: int, max_epochs: int | None, **settings: Any) -> Any:
    scmoe.model.SCMOE.setup_mudata(mdata, batch_key="batch")
    model = scmoe.model.SCMOE(mdata, seed=seed)
    model.train(max_epochs, accelerator="cpu", enable_progress_bar=False, **settings)
    return model


def compare_partners(mdata: MuData, windows: list[int], block: int, seeds: range, max_epochs: int | None) -> None:
    """Labels of held-out cells from their neighbors, agreement of clusters with types, and the validation loss."""
    print(f"\n{mdata.n_obs} cells\n")
    print("| neighbors among | seed | labels (15-NN) | clusters (ARI) | validation loss |\n|---|---|---|---|---|")
    for seed in seeds:
        draw = np.random.default_rng(seed).random(mdata.n_obs)
        mdata.obs["part"] = np.select([draw < 0.1, draw < 0.3], ["validation", "test"], "train")
        with tempfile.TemporaryDirectory() as folder:
            write_stores(mdata, Path(folder))
            sample = scmoe.datasets.sample_atlas(folder, n_cells=mdata.n_obs)
            scmoe.pp.prepare(sample, batch_key="batch")
            for arm in (ALL, NONE, *windows):
                _order.WINDOW, _training.BLOCK = arm if isinstance(arm, int) else 0, block
                settings = {"atlas": folder} if isinstance(arm, int) else {}
                plan = {"graph_weight": 0.0} if arm == NONE else {}
                model = train(sample, seed, max_epochs, split_key="part", plan_kwargs=plan, **settings)
                scmoe.tl.embed(sample, model)
                embedding, kind = sample.obsm["X_scmoe"], sample.obs["cell_type"]
                cluster = KMeans(kind.nunique(), n_init=10, random_state=0).fit_predict(embedding)
                loss = model.history["validation_loss"].min()
                figures = (label_score(sample, embedding), adjusted_rand_score(kind, cluster), loss)
                print(f"| {arm} | {seed} | " + " | ".join(f"{x:.3f}" for x in figures) + " |", flush=True)


def compare_times(n_cells: int, n_genes: int) -> None:
    """Seconds of an epoch, the median of those after the first; batches of 512."""
    mdata = simulate_cells(n_cells, n_genes, 140, 0)
    with tempfile.TemporaryDirectory() as folder:
        write_stores(mdata, Path(folder))
        scmoe.datasets.write(mdata, f"{folder}/all.h5mu")
        atlas = {"atlas": folder}
        print(f"\n{n_cells} cells x {n_genes} genes\n")
        print("| data | run | s an epoch, by the clock | CPU s |\n|---|---|---|---|")
        for run in range(2):
            for name in ("memory", "disk", "atlas"):
                if name == "atlas":
                    data = scmoe.datasets.sample_atlas(folder, n_cells=n_cells)
                else:
                    data = scmoe.datasets.read(f"{folder}/all.h5mu", on_disk=name == "disk")
                scmoe.pp.prepare(data, batch_key="batch", n_top_features=None)
                clock = Clock()
                train(data, run, N_EPOCHS, batch_size=512, callbacks=[clock], **(atlas if name == "atlas" else {}))
                wall, cpu = np.median(np.diff(clock.ends, axis=0), axis=0)
                print(f"| {name} | {run} | {wall:.1f} | {cpu:.1f} |", flush=True)


if __name__ == "__main__":
    logging.getLogger("scmoe").setLevel(logging.WARNING)
    if sys.argv[1] == "times":
        compare_times(10_000, 4_000)
    elif sys.argv[1] == "bundled":
        compare_partners(scmoe.datasets.bmmc_cite(), [256, 128], 8, range(3), None)
    else:
        compare_partners(simulate_cells(30_000, 500, 60, 0), [4096, 1024], 256, range(2), 8)
