"""What a training keeps of where its cells lie in the embedding."""

import logging
from dataclasses import replace

import numpy as np
import pytest

import scmoe
from scmoe.metrics import hub_ratio
from scmoe.model import SCMOE, _hubs


def test_diagnostics_are_of_the_embedding_that_is_written(trained):
    train, validation = trained.train_indices, trained.validation_indices
    points = trained.get_latent_representation(indices=np.concatenate([train, validation]))
    expected = hub_ratio(points, np.arange(len(points)) >= len(train), seed=trained.seed)
    assert (trained.diagnostics["hub_within"], trained.diagnostics["hub_outside"]) == pytest.approx(expected)
    np.testing.assert_allclose(trained.readouts.reference, points[: len(train)], atol=1e-5)


def test_many_cells_are_thinned_alike(paired, fit_model, monkeypatch):
    monkeypatch.setattr(_hubs, "N_CELLS", 60)
    model = fit_model(paired, train_size=0.8, max_epochs=1)
    assert len(model.readouts.reference) == 48
    cells = model.train_indices[np.linspace(0, 95, 48).astype(int)]
    np.testing.assert_allclose(model.readouts.reference, model.get_latent_representation(indices=cells), atol=1e-5)


def test_without_validation_cells_nothing_is_known(paired, fit_model):
    found = fit_model(paired, train_size=1.0, max_epochs=1).diagnostics
    assert np.isnan(found["hub_within"]) and np.isnan(found["hub_outside"])


def test_hubs_are_said(paired, fit_model, monkeypatch):
    rng = np.random.default_rng(0)
    places = rng.normal(size=(200, 16)), 0.5 * rng.normal(size=(40, 16))
    monkeypatch.setattr("scmoe.model._training.sample_embedding", lambda *args: places)
    found = fit_model(paired, max_epochs=1).diagnostics
    assert found["hub_outside"] > 1.5 and "are hubs of the embedding" in found["verdict"][-1]


def test_a_query_of_hubs_is_warned_of(paired, trained, caplog, monkeypatch):
    points = trained.get_latent_representation(paired)
    around = points.mean(0) + 9 * points.std() * np.random.default_rng(0).normal(size=(400, 16))
    monkeypatch.setattr(trained, "readouts", replace(trained.readouts, reference=around))
    monkeypatch.setattr("scmoe.tl._map_query.logger.propagate", True)
    with caplog.at_level(logging.WARNING, logger="scmoe"):
        scmoe.tl.map_query(paired, trained)
    assert "times as often as by chance neighbors of training cells" in caplog.records[-1].message
    assert paired.uns["scmoe"]["query"]["hub_outside"] > 1.5


def test_a_query_of_one_cell_has_one_ratio(paired, trained):
    query = paired[:1].copy()
    scmoe.tl.map_query(query, trained)
    assert "hub_within" not in query.uns["scmoe"]["query"] and query.uns["scmoe"]["query"]["hub_outside"] >= 0


def test_places_are_saved_and_models_of_earlier_versions_have_none(paired, trained, tmp_path):
    trained.save(tmp_path / "model")
    model = SCMOE.load(tmp_path / "model")
    np.testing.assert_array_equal(model.readouts.reference, trained.readouts.reference)
    model.readouts = replace(model.readouts, reference=np.zeros((0, 0), np.float32))
    model.save(tmp_path / "old")
    scmoe.tl.map_query(paired, SCMOE.load(tmp_path / "old"))
    assert set(paired.uns["scmoe"]["query"]) == {"features", "absent_modalities", "new_batches"}
