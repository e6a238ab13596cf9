"""What loggers get, and that none of their faults costs a training."""

import re
from typing import Any

import pytest
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, Logger


class Recorder(Logger):
    """Keep what it is given; fail in one of its methods."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault, self.metrics, self.settings, self.status = fault, {}, {}, ""

    def _at(self, method: str) -> None:
        if method == self.fault:
            raise ConnectionError("the server is away\nfor long")

    @property
    def name(self) -> str:
        self._at("name")
        return "recorder"

    @property
    def version(self) -> int:
        return 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._at("log_metrics")
        for name, value in metrics.items():
            self.metrics.setdefault(name, []).append(value)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._at("log_hyperparams")
        self.settings = dict(params)

    def save(self) -> None:
        self._at("save")

    def finalize(self, status: str) -> None:
        self._at("finalize")
        self.status = status


def test_losses_loads_and_settings_are_logged_and_change_nothing(fresh, fit_model, assert_same):
    recorder = Recorder()
    model = fit_model(fresh("paired"), logger=recorder, callbacks=[LearningRateMonitor("epoch")], seed=3)
    assert_same(model, fit_model(fresh("paired"), seed=3))
    history = model.history
    for name in ("train_loss", "validation_loss", "train_graph"):
        assert recorder.metrics[name] == pytest.approx(history[name].tolist())
    loads = {name: values for name, values in recorder.metrics.items() if name.startswith("expert_load/")}
    blocks = model.config.n_layers
    assert set(loads) == {f"expert_load/{b}/{e}" for b in range(blocks) for e in range(model.config.n_experts)}
    assert [sum(values) for values in zip(*loads.values(), strict=True)] == pytest.approx([blocks, blocks])
    assert recorder.settings["seed"] == 3 and recorder.settings["n_experts"] == model.config.n_experts
    assert {"lr", "max_epochs", "scmoe"} <= set(recorder.settings)
    assert recorder.status == "success" and any(name.startswith("lr-") for name in recorder.metrics)


@pytest.mark.parametrize("fault", ["name", "log_metrics", "log_hyperparams", "save", "finalize"])
def test_a_fault_of_a_logger_costs_no_training(fresh, fit_model, assert_same, capsys, fault):
    working = Recorder()
    model = fit_model(fresh("paired"), logger=[Recorder(fault), working])
    assert_same(model, fit_model(fresh("paired")))
    assert len(working.metrics["train_loss"]) == 2
    warnings = [line for line in capsys.readouterr().err.splitlines() if "Recorder failed" in line]
    assert len(warnings) <= 1 and (warnings or fault == "name")  # which Lightning asks for only where it writes
    assert all("(ConnectionError: the server is away). The training goes on" in warning for warning in warnings)


def test_gene_models_are_logged_too(genes, fit_genes):
    recorder = Recorder()
    fit_genes(genes, logger=recorder)
    assert len(recorder.metrics["train_loss"]) == 2 and "encoder_layers" in recorder.settings


@pytest.mark.parametrize("logger", ["wandb", ["csv"], [1]])
def test_what_is_no_logger_is_refused_before_the_training(fresh, fit_model, logger):
    with pytest.raises(ValueError, match=re.escape("logger must be a logger of Lightning, such as")):
        fit_model(fresh("paired"), logger=logger)


def test_processes_write_one_log(fresh, fit_model, tmp_path):
    options = {"devices": 2, "accelerator": "cpu", "strategy": "ddp_fork"}
    fit_model(fresh("paired"), logger=CSVLogger(tmp_path, "csv"), **options)
    (metrics,) = tmp_path.rglob("metrics.csv")
    assert metrics.read_text().splitlines()[0].count("expert_load") > 0
    assert len(metrics.read_text().splitlines()) == 1 + 2 * 2  # validation and training losses of two epochs
