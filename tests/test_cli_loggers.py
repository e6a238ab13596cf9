"""`--logger`: each logger whose package is installed writes beside the results."""

import importlib
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import scmoe
from scmoe.cli import _loggers, app


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def file(tmp_path_factory, fresh) -> Path:
    path = tmp_path_factory.mktemp("loggers") / "cells.h5mu"
    scmoe.datasets.write(fresh("paired"), path)
    return path


WRITTEN = {"csv": "csv/version_0/metrics.csv", "tensorboard": "tensorboard/version_0/events*"}
WRITTEN |= {"wandb": "wandb/offline-run-*/run-*.wandb", "mlflow": "mlflow.db"}


@pytest.mark.parametrize("name", WRITTEN)
def test_loggers_write_beside_the_results(name, file, tmp_path, monkeypatch):
    if name != "csv":
        pytest.importorskip(name, reason=f"{name} is not installed")
    for variable in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    done = run("train", file, "-o", "out", "--epochs", 2, "--logger", name)
    assert done.exit_code == 0 and "failed" not in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (written,) = (tmp_path / "out" / "logs").glob(WRITTEN[name])
    if name == "csv":
        table = pd.read_csv(written)
        assert table["validation_loss"].notna().sum() == 2 and table["expert_load/0/0"].notna().sum() == 2
    if name == "tensorboard":
        events = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
        scalars = events.EventAccumulator(str(written.parent)).Reload().Tags()["scalars"]
        assert {"validation_loss", "expert_load/0/0"} <= set(scalars)
    if name == "mlflow":
        client = importlib.import_module("mlflow").MlflowClient(f"sqlite:///{written}")
        (record,) = client.search_runs([client.get_experiment_by_name("scmoe").experiment_id])
        assert {"validation_loss", "expert_load/0/0"} <= set(record.data.metrics) and "lr" in record.data.params


def test_a_logger_without_its_package_is_refused_before_the_data_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr(_loggers, "find_spec", lambda _: None)
    done = run("train", "none.h5mu", "-o", tmp_path / "out", "--logger", "wandb")
    assert done.exit_code == 1 and "pip install wandb" in done.stderr and not (tmp_path / "out").exists()


def test_an_unknown_logger_is_wrong_usage(tmp_path):
    done = run("train", "none.h5mu", "-o", tmp_path / "out", "--logger", "comet")
    assert done.exit_code == 2 and "tensorboard" in done.stderr
