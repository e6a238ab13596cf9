"""`scmoe train` is killed at random moments, and goes on or starts anew as if nothing had happened.

``python tests/faults/kill.py -n 50 --seed 0`` prints a row for each moment and ends with 1 if one of them left
something behind or changed the result. The signals are SIGKILL, SIGTERM, SIGINT and SIGHUP in turn. Runs are copies of
a process that has loaded the libraries; with ``--spawn`` they are new ones, and the moments are of loading too. Seconds
are those of the processor, so that a busy machine does not shift them.
"""

import argparse
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from mudata import MuData
from safetensors.numpy import load_file

import scmoe
from scmoe.cli import app
from scmoe.io._quiet import quiet_mudata

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
N_CELLS, EPOCHS = 60, 8
STARTUP, COPYING = 1.0, 0.05
"""Seconds before the command, in which Python starts or a copy is set up: an interruption is Python's to report."""
PASSING = {"train_seconds", "settings_sha256"}
"""Settings of a model that differ between two runs."""


class Moment(NamedTuple):
    """What happened at a kill."""

    signal: str
    second: float
    state: str
    """What there was then."""
    exit_code: int
    again: str
    """How it was started again."""
    faults: list[str]


def write_data(path: Path) -> None:
    """A few cells of two kinds."""
    rng = np.random.default_rng(0)
    kind = np.arange(N_CELLS) % 2

    def counts(n: int, prefix: str) -> ad.AnnData:
        rate = np.where((np.arange(n) % 2) == kind[:, None], 6.0, 1.0)
        names = [pd.DataFrame(index=[f"{p}{i}" for i in range(m)]) for p, m in (("c", N_CELLS), (prefix, n))]
        return ad.AnnData(rng.poisson(rate).astype(np.float32), obs=names[0], var=names[1])

    with quiet_mudata():
        scmoe.datasets.write(MuData({"rna": counts(30, "g"), "adt": counts(8, "p")}), path)


class Run:
    """A process with `scmoe train`.

    Parameters
    ----------
    folder
        For its results (``run``), temporary files (``tmp``) and messages (``log``); the data are beside it.
    spawn
        Whether it is a new one, not a copy of this.
    *options
        Of the command.
    """

    def __init__(self, folder: Path, spawn: bool, *options: str) -> None:
        self.log = folder / "log"
        arguments = ["train", folder.parent / "data.h5mu", "-o", folder / "run", "--epochs", EPOCHS, *options]
        command = [*map(str, arguments), "--accelerator", "cpu"]
        self.process = os.fork()
        if self.process:
            return
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"], tempfile.tempdir = str(folder / "tmp"), None
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells ignore in the background
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(log, number)
        if spawn:
            os.execv(sys.executable, [sys.executable, "-c", "from scmoe.cli import app; app()", *command])
        try:
            app(command)
        except SystemExit as error:
            os._exit(error.code)
        except BaseException:  # noqa: BLE001, this copy of the process must not go on with the table
            traceback.print_exc()
        os._exit(1)

    def wait(self, seconds: float = float("inf")) -> int | None:
        """The exit code, a signal's as a negative number; None once it has computed for so long."""
        while self.computed() < seconds:
            process, status, usage = os.wait4(self.process, os.WNOHANG)
            if process:
                self.seconds = usage.ru_utime + usage.ru_stime
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        return None

    def computed(self) -> float:
        """Seconds of the processor so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def message(self) -> str:
        """What it said last."""
        return (self.log.read_text().strip().splitlines() or ["nothing"])[-1]


def state_of(output: Path) -> str:
    """What a run has written so far."""
    for name, state in (("figures", "figures"), ("result.h5mu", "result"), ("model", "model")):
        if (output / name).exists():
            return state
    if (output / "checkpoints" / "last.ckpt").exists():
        return "training"
    return "first epoch" if (output / "checkpoints").exists() else "before"


def leftovers(*folders: Path) -> list[str]:
    return [f"left {path.name}" for folder in folders for path in folder.rglob("*") if path.name.startswith(".scmoe")]


def differences(output: Path, expected: Path) -> list[str]:
    """In what a folder differs from that of a run without interruption."""
    names = [{str(path.relative_to(each)) for path in each.rglob("*")} for each in (output, expected)]
    if names[0] != names[1]:
        return [f"files {sorted(names[0] ^ names[1])}"]
    faults = []
    weights, own = (load_file(each / "model" / "weights.safetensors") for each in (expected, output))
    if weights.keys() != own.keys() or not all(np.array_equal(weights[k], own[k], equal_nan=True) for k in weights):
        faults.append("weights")
    texts = [json.loads((each / "model" / "settings.json").read_text()) for each in (expected, output)]
    faults += [f"setting {key}" for key in texts[0].keys() - PASSING if texts[0][key] != texts[1].get(key)]
    tables = [scmoe.datasets.read(each / "result.h5mu") for each in (expected, output)]
    for key in ("X_scmoe", "X_umap"):
        if not np.array_equal(*(each.obsm[key] for each in tables)):
            faults.append(key)
    scmoe.model.SCMOE.load(output / "model", tables[1])
    return faults


def kill_and_go_on(folder: Path, second: float, number: signal.Signals, spawn: bool) -> Moment:
    """Kill a run at a moment, and start it again."""
    folder.mkdir()
    output, faults, again = folder / "run", [], "no need"
    run = Run(folder, spawn)
    code = run.wait(second)
    state = state_of(output) if code is None else "all"
    if code is None:
        os.kill(run.process, number)
        code = run.wait()
    if number != signal.SIGKILL:
        faults += leftovers(folder)
        # A signal that meets a destructor cannot end the process; Python says so, and its words are no fault of ours.
        told = re.sub("^Exception ignored in.*\nTraceback", "", run.log.read_text(), flags=re.MULTILINE)
        if re.search("^Traceback", told, re.MULTILINE) and second > (STARTUP if spawn else COPYING):
            faults.append(f"traceback: {run.message()}")
        if code == 0 and state != "all":
            again = "no need: went on"  # Python cannot raise in a destructor
    has_state = (output / "checkpoints" / "last.ckpt").exists()
    if code and (has_state or not (output / "figures").exists()):  # else all was written when it was killed
        again = "--resume" if has_state else "as before"
        run = Run(folder, spawn, *(["--resume"] if has_state else []))
        if run.wait() != 0:
            faults.append(f"did not go on: {run.message()}")
    faults = faults or differences(output, folder.parent / "straight" / "run")
    return Moment(number.name, second, state, code, again, faults + leftovers(folder))


def main(n: int, seed: int, spawn: bool) -> int:
    """Print the table."""
    os.environ["NUMBA_THREADING_LAYER"] = "workqueue"  # OpenMP ends copies of a process
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "data.h5mu")
        if not spawn:  # once here, so that the copies have loaded and compiled all
            warm = ["train", folder / "data.h5mu", "-o", folder / "warm", "--epochs", 1, "--accelerator", "cpu"]
            app(list(map(str, warm)), standalone_mode=False)
        (folder / "straight").mkdir()
        run = Run(folder / "straight", spawn)
        assert run.wait() == 0, run.log.read_text()
        print(f"A run takes {run.seconds:.1f} s.\n\n| signal | second | there was | exit code | again | faults |")
        print("|---|---|---|---|---|---|", flush=True)
        n_faulty = 0
        for i in range(n):
            moment = kill_and_go_on(folder / str(i), rng.uniform(0, run.seconds), SIGNALS[i % len(SIGNALS)], spawn)
            cells = (moment[0], f"{moment.second:.2f}", *moment[2:5], "; ".join(moment.faults) or "none")
            print("|", " | ".join(map(str, cells)), "|", flush=True)
            n_faulty += bool(moment.faults)
    print(f"\n{n - n_faulty} of {n} went on cleanly.")
    return int(n_faulty > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=50, help="Moments.")
    parser.add_argument("--seed", type=int, default=0, help="Of the moments.")
    parser.add_argument("--spawn", action="store_true", help="Start Python anew for each run.")
    arguments = parser.parse_args()
    sys.exit(main(arguments.n, arguments.seed, arguments.spawn))
