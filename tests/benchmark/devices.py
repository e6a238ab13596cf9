"""Two processes beside one at the same total batch size: validation loss, and time of an epoch.

Run on an idle machine with two cores or more: ``python tests/benchmark/devices.py``. Losses are of default trainings on
the bundled data, or those of a file that is named, one line a seed. Times are of simulated data, the median of the
epochs after the first in the first process: by the clock, and of its CPU, which does not count waiting for other
programs or for the other process.
"""

import logging
import sys
import time
from typing import Any

import numpy as np
from lightning.pytorch import Callback

import scmoe
from scmoe.studies.speed._data import simulate

N_CELLS, N_GENES, N_PROTEINS, BATCH_SIZE = 5_000, 4_000, 140, 512
N_EPOCHS = 4


class Clock(Callback):
    """Time at the end of each epoch; its state comes back from the process that trained."""

    def __init__(self) -> None:
        self.ends: list[list[float]] = []

    def on_train_epoch_end(self, *_: object) -> None:
        self.ends.append([time.perf_counter(), time.process_time()])

    def state_dict(self) -> dict[str, Any]:
        return {"ends": self.ends}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.ends = state_dict["ends"]


def train(mdata: Any, seed: int, devices: int, **settings: Any) -> Any:
    scmoe.model.SCMOE.setup_mudata(mdata)
    model = scmoe.model.SCMOE(mdata, seed=seed)
    processes = {"accelerator": "cpu", "devices": devices, "strategy": "ddp_fork"}
    model.train(**settings, **processes, enable_progress_bar=False)
    return model


def compare_losses(mdata: Any, n_seeds: int) -> None:
    scmoe.pp.prepare(mdata)
    print("| seed | one process | two processes | ratio |\n|---|---|---|---|")
    for seed in range(n_seeds):
        one, two = (train(mdata, seed, devices).diagnostics["final_loss"] for devices in (1, 2))
        print(f"| {seed} | {one:.3f} | {two:.3f} | {two / one:.3f} |", flush=True)


def compare_times(n_runs: int) -> None:
    mdata = simulate(N_CELLS, genes=N_GENES, proteins=N_PROTEINS)
    scmoe.pp.prepare(mdata)
    print("| run | s an epoch: one | two | ratio | CPU s of the first process: one | two | ratio |")
    print("|" + "---|" * 7)
    for run in range(n_runs):
        times = []
        for devices in (1, 2):
            clock = Clock()
            train(mdata, run, devices, max_epochs=N_EPOCHS, batch_size=BATCH_SIZE, callbacks=[clock])
            times.append(np.median(np.diff(clock.ends, axis=0), axis=0))
        (wall, cpu), (walls, cpus) = times
        row = f"| {run} | {wall:.2f} | {walls:.2f} | {walls / wall:.2f} | {cpu:.2f} | {cpus:.2f} | {cpus / cpu:.2f} |"
        print(row, flush=True)


if __name__ == "__main__":
    logging.getLogger("scmoe").setLevel(logging.WARNING)
    compare_losses(scmoe.datasets.read(sys.argv[1]) if len(sys.argv) > 1 else scmoe.datasets.bmmc_cite(), n_seeds=3)
    compare_times(n_runs=3)
