"""Whether a training went well: each number against a slow reference, and no alarm without a cause."""

import copy
import logging
import math

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback

import scmoe
import scmoe.nn._router
import scmoe.train._diagnostics
from scmoe.data._datamodule import MosaicDataModule
from scmoe.model._fitted import query
from scmoe.nn._router import Routing
from scmoe.train._diagnostics import (
    diagnose,
    embedding_drift,
    encode_cells,
    expert_loads,
    report,
    sample_cells,
    with_predictions,
)

N_EXPERTS = 4


@pytest.fixture
def encoded(trained):
    return encode_cells(trained.module, trained._dataset(None)[np.arange(40)])


@pytest.fixture
def messages(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("scmoe"), "propagate", True)
    return caplog


def routed(expert):
    logits = torch.zeros(len(expert), N_EXPERTS)
    return Routing(torch.ones(expert.shape), expert, logits, logits, None)


def history(loss, stage="validation"):
    return pd.DataFrame({"train_loss": loss, f"{stage}_loss": loss})


def falling(n_epochs):
    return 5 + 3 * np.exp(-np.arange(n_epochs) / 5)


def test_loads_are_counted_block_by_block():
    blocks = [torch.randint(0, high, (30, 2), generator=torch.Generator().manual_seed(high)) for high in (2, 4)]
    expected = [[(expert == e).sum() / 60 for e in range(N_EXPERTS)] for expert in blocks]
    np.testing.assert_allclose(expert_loads([routed(expert) for expert in blocks]), expected)


def test_drift_is_relative_to_the_spread():
    rng = np.random.default_rng(0)
    after = rng.normal(size=(50, 6))
    before = after + rng.normal(size=(50, 6))
    moved = np.mean([np.sum((a - b) ** 2) for a, b in zip(after, before, strict=True)])
    spread = np.mean([np.sum((a - after.mean(0)) ** 2) for a in after])
    found = embedding_drift(torch.from_numpy(before), torch.from_numpy(after))
    assert found == pytest.approx(math.sqrt(moved / spread))


def test_drift_of_one_cell_is_unknown():
    assert math.isnan(embedding_drift(torch.zeros(1, 3), torch.ones(1, 3)))


@pytest.mark.parametrize(
    ("table", "kwargs", "match"),
    [
        (history(falling(3)), {}, "validation loss was still falling after 3 epochs: raise max_epochs"),
        (history(falling(3), "train"), {}, "training loss was still falling after 3 epochs"),
        (history(falling(1)), {}, "One epoch cannot show"),
        (history([8, 6, 5, 5, 5, 6]), {}, "rose again from its lowest, but not clearly for so few cells"),
        (history([8, 6, 5, 5, 5, 6]), {"kept": 2}, "rose again from its lowest, in epoch 3, whose weights were kept"),
        (history(falling(60)), {"n_skipped": 3}, "3 of 240 steps were skipped"),
    ],
)
def test_what_is_wrong_is_said(encoded, messages, table, kwargs, match):
    found = diagnose(
        table, encoded, encoded.joint, **{"kept": len(table) - 1, "n_steps": 240, "n_skipped": 0, **kwargs}
    )
    assert len(found["verdict"]) == 1 and match in found["verdict"][0]
    report(found, seconds=8.2)
    (record,) = messages.records
    assert record.levelname == "WARNING" and match in record.message


def test_nothing_is_said_of_a_training_that_went_well(encoded, messages):
    found = diagnose(history(falling(60)), encoded, encoded.joint, kept=59, n_steps=240, n_skipped=0)
    assert found["verdict"] == [] and found["posterior_drift"] == 0
    report(found, seconds=8.2)
    (record,) = messages.records
    assert record.levelname == "INFO"
    assert record.message == "trained 60 epochs (240 steps) in 8 s: validation loss 5.00, no dead experts, converged"


def test_the_final_loss_is_that_of_the_weights_that_are_kept(encoded):
    losses = history([8, 6, np.nan, 5, 7, 9])
    found = [diagnose(losses, encoded, None, kept=kept, n_steps=1, n_skipped=0) for kept in (5, 3, 2)]
    assert [each["final_loss"] for each in found] == [9, 5, 6] and [each["kept_epoch"] for each in found] == [6, 4, 3]


def test_predictions_that_explain_nothing_are_named():
    found = with_predictions({"verdict": ["x"]}, {"a from b": 0.3, "b from a": 0.001, "c from a": -1, "d": math.nan})
    assert found["unpredicted"] == ["b from a", "c from a"]
    assert found["verdict"][0] == "x" and "predictions of b from a, c from a are no better than" in found["verdict"][1]
    assert with_predictions({"verdict": []}, {"a from b": 0.3}) == {"unpredicted": [], "verdict": []}


@pytest.mark.parametrize("noise", ["adt", None])
def test_a_modality_of_noise_is_said_to_be_unpredicted(fresh, fit_model, noise):
    mdata = fresh("paired")
    if noise:
        mdata[noise].X = np.random.default_rng(0).normal(size=mdata[noise].shape).astype(np.float32)
    found = fit_model(mdata, max_epochs=15).diagnostics["unpredicted"]
    assert found == (["adt from rna", "rna from adt"] if noise else [])


def test_a_forced_router_has_dead_experts(paired, fit_model, monkeypatch):
    def first_two(noisy, top_k, gate):
        return noisy[:, :top_k].softmax(-1), torch.arange(top_k).expand(len(noisy), top_k)

    monkeypatch.setattr(scmoe.nn._router, "route", first_two)
    found = fit_model(paired, network={"n_experts": 5, "top_k": 2, "n_layers": 2}).diagnostics
    assert found["dead_experts"] == [3, 3]
    assert found["expert_load_entropy"] == pytest.approx([math.log(2) / math.log(5)] * 2)
    assert "Block 2 hardly uses 3 of its experts: raise balance_weight or lower n_experts." in found["verdict"]


def test_an_even_router_has_entropy_one(encoded):
    even = encoded._replace(routing=(routed(torch.arange(8)[:, None] % N_EXPERTS),))
    found = diagnose(history(falling(60)), even, None, kept=59, n_steps=1, n_skipped=0)
    assert found["expert_load_entropy"] == pytest.approx([1.0]) and found["dead_experts"] == [0]
    assert math.isnan(found["posterior_drift"])


@pytest.mark.parametrize("data", ["paired", "mosaic", "single"])
def test_a_default_training_of_clean_data_went_well(fresh, fit_model, data):
    found = fit_model(fresh(data), max_epochs=None).diagnostics
    assert found["verdict"] == [] and found["posterior_drift"] < 0.05


def test_three_epochs_are_too_few(paired, fit_model):
    assert "still falling" in fit_model(paired, max_epochs=3).diagnostics["verdict"][0]


@pytest.mark.parametrize(("n_epochs", "mark"), [(1, 0), (5, 4), (12, 10)])
def test_drift_is_that_since_nine_tenths_of_the_epochs(paired, fit_model, n_epochs, mark):
    averages = []

    class Keep(Callback):
        def on_train_epoch_start(self, trainer, plan) -> None:
            averages.append(copy.deepcopy(plan.average.state_dict()))

    @torch.no_grad()
    def joint() -> torch.Tensor:
        fitted, dataset, cells = query(model, None, model.validation_indices)
        return torch.cat([chunk.encoded.joint for chunk in fitted.encode(dataset, cells, loadings="trained")])

    model = fit_model(paired, max_epochs=n_epochs, callbacks=[Keep()])
    after = joint()
    model.module.load_state_dict(averages[mark])
    before = joint()
    assert model.diagnostics["posterior_drift"] == pytest.approx(embedding_drift(before, after), rel=1e-4)


@pytest.mark.parametrize(("n_cells", "n_sampled"), [(3, 3), (120, 100)])
def test_the_sample_is_bounded_and_even(trained, monkeypatch, n_cells, n_sampled):
    monkeypatch.setattr(scmoe.train._diagnostics, "N_SAMPLED", 100)
    cells, none = np.arange(n_cells), np.array([], dtype=int)
    data = MosaicDataModule(trained._dataset(None), none, cells, batch_size=32, seed=0)
    batch = sample_cells(data)
    assert len(np.unique(batch.values[0], axis=0)) == len(batch.presence.mask) == n_sampled
    swapped = MosaicDataModule(data.dataset, cells, none, batch_size=32, seed=0)
    assert torch.equal(sample_cells(swapped).values[0], batch.values[0])


def test_diagnostics_are_saved_with_the_model(trained, tmp_path):
    assert trained.diagnostics["n_epochs"] == 15
    trained.save(tmp_path / "model")
    assert scmoe.model.SCMOE.load(tmp_path / "model").diagnostics == trained.diagnostics
