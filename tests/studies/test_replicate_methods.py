from dataclasses import replace

import numpy as np
import pytest
from mudata import MuData

from scmoe.pp._prepare import prepare
from scmoe.studies.replicate._data import LABEL, complete_cells
from scmoe.studies.replicate._forms import BASES, FORMS, ONE_TASK, REFERENCE, build, train_form
from scmoe.studies.replicate._methods import fit_folds, folds, transductive_points
from scmoe.studies.replicate._plan import EXPLAIN, FIT, Task
from scmoe.studies.replicate._scores import off_diagonal_mean
from scmoe.studies.replicate._studies import PART, conflict_rows, explained

SMALL = {"n_hidden": 16, "n_experts": 4, "n_tokens": 2, "expert_hidden": 16, "decoder_hidden": 16}


@pytest.fixture
def cells(paired) -> MuData:
    return complete_cells(paired, "cell_type", "own")


@pytest.fixture
def small_forms(monkeypatch) -> None:
    monkeypatch.setitem(FORMS, REFERENCE, BASES[REFERENCE].changed(network=SMALL, training={"lr": 5e-3}))
    monkeypatch.setitem(FORMS, "scmoe", BASES["scmoe"].changed(network={**SMALL, "n_heads": 2}))


def task(method: str, study: str = FIT, **settings) -> Task:
    place = {"source": "own", "path": "", "content": "", "modalities": ("rna", "adt"), "seed": 0}
    return Task(study=study, method=method, **place, **settings)


def test_folds_share_no_cell_and_cover_all(cells):
    five = task("pca", n_folds=5)
    parts = list(folds(cells.n_obs, five))
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(cells.n_obs))
    assert all(not np.intersect1d(train, test).size for train, test in parts)
    first = next(folds(cells.n_obs, replace(five, n_folds=1)))
    np.testing.assert_array_equal(first[1], parts[0][1])


def test_planted_groups_are_found(cells):
    (row,) = fit_folds(cells, task("pca"))["folds"]
    assert row["ari"] > 0.9
    assert (row["n_train"], row["n_test"]) == (96, 24)
    assert "honest" not in row


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_totalvi_embeds_all_cells(raw, monkeypatch):
    monkeypatch.setattr("scmoe.benchmark.methods._scvi.MAX_EPOCHS", 1)
    prepare(raw)
    points = transductive_points(raw, task("totalvi"))
    assert len(points) == raw.n_obs and points.ndim == 2


def test_linear_method_predicts_planted_groups_honestly(cells):
    (row,) = fit_folds(cells, task("ridge"))["folds"]
    assert off_diagonal_mean(row["honest"], upper=False) > 0.1
    assert "leaky" not in row
    assert "ari" not in row


def test_copied_target_is_predicted_from_states_that_saw_it_only(cells, small_forms):
    """The second modality knows nothing of the first: what is predicted of it was copied."""
    rng = np.random.default_rng(0)
    cells["adt"].X = (rng.normal(size=(cells.n_obs, 1)) + 0.1 * rng.normal(size=cells["adt"].shape)).astype(np.float32)
    (row,) = fit_folds(cells, task(REFERENCE))["folds"]
    assert row["leaky"][1][0] > 0.3
    assert row["honest"][1][0] < 0.05
    assert row["leaky"][0][0] is not None
    assert row["honest"][0][0] is None


def test_published_form_is_scored_by_its_head_and_by_kmeans(cells, small_forms):
    (row,) = fit_folds(cells, task(REFERENCE, max_epochs=2))["folds"]
    assert {"ari", "nmi", "accuracy", "kmeans_ari", "kmeans_nmi", "kmeans_accuracy"} <= row.keys()
    (row,) = fit_folds(cells, task("scmoe", max_epochs=2))["folds"]
    assert row["ari"] == row["kmeans_ari"]


def test_network_without_leak_finds_and_predicts_planted_groups(cells, monkeypatch):
    monkeypatch.setattr("scmoe.benchmark.methods._unitednet_network.N_STEPS", 300)
    (row,) = fit_folds(cells, task("unitednet"))["folds"]
    assert row["kmeans_ari"] > 0.5 and 0 <= row["accuracy"] <= 1
    assert off_diagonal_mean(row["honest"], upper=False) > 0.1
    assert "leaky" not in row


def test_forms_of_one_task_lack_the_other(cells, monkeypatch):
    for name, form in ONE_TASK.items():
        monkeypatch.setitem(FORMS, name, form.changed(network=SMALL))
    (row,) = fit_folds(cells, task("identification", max_epochs=2))["folds"]
    assert row.keys() >= {"kmeans_ari", "leaky"}
    (row,) = fit_folds(cells, task("prediction", max_epochs=2))["folds"]
    assert row["ari"] == row["kmeans_ari"]  # without a head, groups are those of k-means


def test_losses_of_one_task_are_left_out(cells):
    weights = {}
    for name in (REFERENCE, *ONE_TASK):
        form = FORMS[name].changed(network=SMALL)
        training = train_form(build(form, cells, 3, 0), form, 1)
        weights[name] = training["own_weight"], training["cross_weight"], training["cluster_weight"]
    assert weights == {REFERENCE: (2, 2, 0.01), "identification": (2, 0, 0.01), "prediction": (2, 2, 0)}


def test_schema_places_all_cells(cells):
    pytest.importorskip("schema.schema_qp")
    (row,) = fit_folds(cells, task("schema"))["folds"]
    assert row["ari"] > 0.9 and "honest" not in row


def test_gradients_are_measured_on_experts_and_dense_layers(cells, small_forms):
    rows = conflict_rows(cells, task(REFERENCE, "conflict", epochs=(1,)))["rows"]
    assert {row["model"] for row in rows} == {"experts", "dense, equal compute", "dense, equal parameters"}
    for name in ("target", "source"):
        cosines = [row["cosine"] for row in rows if row["definition"] == name]
        assert len(cosines) == 3
        assert np.isfinite(cosines).all()


def test_explained_cells_hold_what_is_drawn(cells, small_forms):
    mdata, result = explained(cells, task(REFERENCE, EXPLAIN, max_epochs=2))
    assert np.sum(result["confusion"]) == (mdata.obs[PART] == "test").sum() == 24
    assert result["accuracy"] == np.trace(np.array(result["confusion"])[:3, :3]) / 24
    assert sorted(result["groups"]) == sorted(mdata.obs[LABEL].cat.categories)
    assert {"expert_usage", "attention", "tcav"} <= mdata.uns["scmoe"].keys()
    assert mdata.obsm["X_umap"].shape == (120, 2)
