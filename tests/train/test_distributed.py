"""Two processes train what one trains."""

import errno
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from typer.testing import CliRunner

import scmoe
from scmoe.cli._main import app
from scmoe.data._datamodule import MosaicDataModule
from scmoe.datasets._write import write
from scmoe.train._config import TrainConfig
from scmoe.train._fit import run
from scmoe.train._once import once
from scmoe.train._plan import TrainingPlan

pytestmark = [
    pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores"),
]
TWO = {"accelerator": "cpu", "devices": 2, "strategy": "ddp_fork"}
STILL = {"plan_kwargs": {"lr": 1e-30}}
"""Training that changes nothing: what differs then is how losses are put together."""


class Kill(Callback):
    """Ends one process in the middle of the third epoch, as a machine that loses power."""

    def on_train_batch_end(self, trainer, *_) -> None:
        if trainer.current_epoch == 2 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def digest(model: Any) -> str:
    """Of all weights and statistics."""
    arrays = [tensor.cpu().numpy().tobytes() for _, tensor in sorted(model.module.state_dict().items())]
    return hashlib.sha256(b"".join(arrays)).hexdigest()


def squares(network: nn.Linear, batch: Any, _: object) -> dict[str, torch.Tensor]:
    """A mean over cells."""
    x = batch.values[0]
    return {"loss": (network(x)[:, 0] - x[:, 0] * x[:, 1]).square().mean()}


def test_the_gradient_is_the_mean_over_all_cells_whoever_has_them(fresh, tiny):
    mdata = fresh("single")
    scmoe.model.SCMOE.setup_mudata(mdata)
    dataset = scmoe.model.SCMOE(mdata, **tiny)._dataset(None)
    results = []
    for settings in ({"accelerator": "cpu"}, TWO):
        torch.manual_seed(0)
        network = nn.Linear(60, 1)
        network.config = TrainConfig()
        # Batches of 17 cells, in shares of 9 and 8; 5 validation batches for two processes.
        data = MosaicDataModule(dataset, np.arange(85), np.arange(85, 118), batch_size=17, seed=0)
        plan = TrainingPlan(network, squares, TrainConfig(lr=0.1), 0)
        result = run(plan, data, width=16, max_epochs=3, enable_progress_bar=False, **settings)
        results.append((network, result))
    (one, first), (two, second) = results
    torch.testing.assert_close(two.weight, one.weight, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second.history, first.history, rtol=1e-5)
    assert second.n_steps == first.n_steps == 15


@pytest.mark.parametrize("data", ["single", "mosaic"])
def test_validation_losses_are_those_of_one_process(fresh, fit_model, data):
    settings = {"train_size": 0.45, "batch_size": 15, **STILL}  # 5 validation batches for two processes
    one, two = (fit_model(fresh(data), **settings, **devices) for devices in ({}, TWO))
    losses = [name for name in one.history if name.startswith("validation")]
    np.testing.assert_allclose(two.history[losses], one.history[losses], rtol=1e-5)
    assert two.history.columns.equals(one.history.columns)
    assert two.diagnostics["n_steps"] == one.diagnostics["n_steps"] == 8


def test_shares_without_a_modality(fresh, fit_model):
    model = fit_model(fresh("mosaic"), train_size=0.5, batch_size=4, **TWO)
    assert model.diagnostics["n_steps"] == 30 and model.diagnostics["n_skipped_steps"] == 0


def test_without_a_graph(fresh, fit_model):
    model = fit_model(fresh("paired"), plan_kwargs={"graph_weight": 0.0}, **TWO)
    assert model.diagnostics["n_skipped_steps"] == 0 and "train_graph" not in model.history


def test_gene_models_are_pretrained_alike(genes, fit_genes):
    one, two = (fit_genes(genes, train_size=0.5, batch_size=7, **STILL, **devices) for devices in ({}, TWO))
    losses = [name for name in one.history if name.startswith("validation")]
    np.testing.assert_allclose(two.history[losses], one.history[losses], rtol=1e-5)


def test_early_stopping(fresh, fit_model):
    model = fit_model(fresh("single"), max_epochs=20, early_stopping=True, train_size=0.5, **STILL, **TWO)
    assert len(model.history) == 11


def test_when_a_process_is_killed_training_ends_and_is_resumed(fresh, fit_model, tmp_path, assert_same, caplog):
    settings = {"max_epochs": 4, "checkpoint_dir": tmp_path}
    with pytest.raises(
        RuntimeError, match=r"process of this training has ended.*resume=True to go on from .*last\.ckpt"
    ):
        fit_model(fresh("paired"), callbacks=[Kill()], **settings, **TWO)
    checkpoint = (tmp_path / "last.ckpt").read_bytes()
    whole = fit_model(fresh("paired"), max_epochs=4, **TWO)
    assert_same(fit_model(fresh("paired"), resume=True, **settings, **TWO), whole)
    assert not any("was made with" in message for message in caplog.messages)

    (tmp_path / "last.ckpt").write_bytes(checkpoint)
    alone = fit_model(fresh("paired"), resume=True, **settings)
    assert any("processes 2; now there is" in message for message in caplog.messages)
    assert alone.history.iloc[:2].equals(whole.history.iloc[:2]) and len(alone.history) == 4
    assert alone.diagnostics["n_steps"] == 16


def test_a_full_disk_stops_no_process(fresh, fit_model, tmp_path, monkeypatch, assert_same):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("scmoe.train._checkpoint.atomic_path", full)
    model = fit_model(fresh("single"), checkpoint_dir=tmp_path, **TWO)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert_same(model, fit_model(fresh("single"), **TWO))


def test_errors_of_another_process_are_raised_here(fresh, tiny):
    mdata = fresh("paired")
    scmoe.model.SCMOE.setup_mudata(mdata)
    model = scmoe.model.SCMOE(mdata, **tiny)
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items() if "weight" in name}
    with pytest.raises(FloatingPointError, match="Lower the learning rate") as caught:
        model.train(6, plan_kwargs={"lr": 1e10}, enable_progress_bar=False, batch_size=32, **TWO)
    assert str(caught.value).startswith("Loss or gradient") and "\n" not in str(caught.value)
    after = model.module.state_dict()
    assert not model.is_trained_ and all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"batch_size": 1}, "make batches of 1, fewer than the 2 processes. Raise batch_size or lower devices"),
        ({"devices": 0}, "devices=0"),
        ({"devices": -1}, "devices=-1"),
        ({"devices": "two"}, "devices='two'"),
        ({"devices": [0, 5]}, "devices=.0, 5."),
        ({"devices": 10_000}, "asks for 10000 processes"),
        ({"strategy": "dpp"}, "strategy='dpp'"),
        ({"strategy": "fsdp"}, "strategy='fsdp'"),
    ],
)
def test_what_cannot_be_done_is_refused(fresh, fit_model, settings, match):
    with pytest.raises(ValueError, match=match):
        fit_model(fresh("single"), **{**TWO, **settings})


def test_a_notebook_is_told_of_its_strategy(fresh, fit_model, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.trainer.connectors.accelerator_connector._IS_INTERACTIVE", True)
    with pytest.raises(ValueError, match="not compatible with an interactive environment"):
        fit_model(fresh("single"), **{**TWO, "strategy": "ddp"})
    fit_model(fresh("single"), max_epochs=1, **{**TWO, "strategy": "auto"})


@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_process_computes_all_have(monkeypatch, rank):
    sent: list[Any] = []

    def broadcast(message: list[Any]) -> None:
        message[:] = sent[0] if rank else message
        sent.append(message)

    monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", broadcast)
    sent[:] = [[5, None]] if rank else []
    assert once(lambda: 1 / rank if rank else 5, is_joint=True) == 5
    sent[:] = [[None, ZeroDivisionError("of the first")]] if rank else []
    with pytest.raises(ZeroDivisionError):
        once(lambda: "computed here" if rank else 1 / 0, is_joint=True)


SCRIPT = """
import sys, scmoe
from test_distributed import digest

mdata = scmoe.datasets.read(sys.argv[1])
network = {network!r}
model = scmoe.tl.train(mdata, train_kwargs={train!r}, max_epochs=2, **network)
model.save(sys.argv[2] + "/model")
scmoe.datasets.write(mdata, sys.argv[2] + "/result.h5mu")
print("rank", digest(model), mdata.obsm["X_scmoe"].sum())
"""


@pytest.mark.slow
def test_a_script_runs_in_each_process_and_writes_once(fresh, fit_model, tiny, tmp_path):
    write(fresh("paired"), tmp_path / "data.h5mu")
    train = {"batch_size": 32, "enable_progress_bar": False, **TWO, "strategy": "ddp"}
    (tmp_path / "script.py").write_text(SCRIPT.format(network=tiny, train=train))
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "data.h5mu"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stderr
    ranks = [line for line in done.stdout.splitlines() if line.startswith("rank")]
    assert len(ranks) == 2 and ranks[0] == ranks[1]
    assert done.stderr.count("trained 2 epochs") == 1
    forked = digest(fit_model(fresh("paired"), **TWO))
    assert forked in ranks[0] and forked == digest(scmoe.model.SCMOE.load(tmp_path / "model"))
    assert "X_scmoe" in scmoe.datasets.read(tmp_path / "result.h5mu").obsm


@pytest.mark.slow
def test_the_command_trains_in_processes_of_its_own(fresh, tmp_path):
    write(fresh("raw"), tmp_path / "data.h5mu")
    arguments = ["train", str(tmp_path / "data.h5mu"), "-o", str(tmp_path / "out"), "--epochs", "2"]
    result = CliRunner().invoke(app, [*arguments, "--accelerator", "cpu", "--devices", "2"])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["figures", "model", "result.h5mu", "run.toml"]
    model = scmoe.model.SCMOE.load(tmp_path / "out" / "model")
    assert len(model.history) == 2 and model.diagnostics["n_steps"] == 2
