"""Models whose network learns labels."""

import numpy as np
import pytest

import scmoe
from scmoe.io._quiet import quiet_mudata

LABELS = {"labels_key": "cell_type"}


@pytest.fixture(scope="module")
def supervised(fresh, fit_model):
    return fit_model(fresh("paired"), setup=LABELS, network={"label_weight": 1.0}, max_epochs=8)


def test_the_head_tells_types_apart(paired, supervised):
    probability = supervised.predict_supervised(paired, soft=True)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    held_out = supervised.validation_indices
    truth = paired.obs["cell_type"].astype(str).to_numpy()[held_out]
    assert (supervised.predict_supervised(paired, held_out) == truth).mean() > 0.9
    assert "train_label" in supervised.history and "validation_label" not in supervised.history


def test_labels_of_validation_and_test_cells_do_not_shape_the_network(fresh, fit_model):
    def weights(change: bool) -> dict:
        mdata = fresh("paired")
        part = np.resize(["train", "train", "train", "validation", "test"], mdata.n_obs)
        mdata.obs["part"] = part
        if change:
            types = mdata.obs["cell_type"].astype(str).to_numpy()
            types[part != "train"] = np.random.default_rng(0).permutation(types[part != "train"])
            mdata.obs["cell_type"] = types
        return fit_model(
            mdata, setup=LABELS, network={"label_weight": 1.0}, max_epochs=3, split_key="part"
        ).module.state_dict()

    as_they_are, changed = weights(False), weights(True)
    for name, tensor in as_they_are.items():
        np.testing.assert_array_equal(tensor, changed[name], err_msg=name)


def test_labels_of_training_cells_do(fresh, fit_model):
    plain, learned = (
        fit_model(fresh("paired"), setup=LABELS, network={"label_weight": w}, max_epochs=3) for w in (0.0, 1.0)
    )
    assert not any(name.startswith("label_head") for name in plain.module.state_dict())
    assert (plain.module.graph_head[1].weight != learned.module.graph_head[1].weight).any()


def test_what_is_read_off_the_network_is_judged_by_cells_that_it_has_not_seen(paired, supervised):
    n_labeled = paired.obs["cell_type"].notna().to_numpy()[supervised.validation_indices].sum()
    for subset, annotator in supervised.readouts.annotators.items():
        assert len(annotator.truth) == len(supervised.readouts.novelties[subset].held_out) <= n_labeled
        assert len(annotator.coefficients) == 2  # components and programs: the joint state has seen labels


def test_saved_and_loaded_it_says_the_same(paired, supervised, tmp_path):
    supervised.save(tmp_path / "model")
    back = scmoe.model.SCMOE.load(tmp_path / "model")
    first, second = (model.predict_supervised(paired, soft=True) for model in (supervised, back))
    np.testing.assert_array_equal(first, second)


def test_labels_that_no_training_cell_has_are_never_predicted(fresh, fit_model):
    mdata = fresh("paired")
    is_b = (mdata.obs["cell_type"] == "B").to_numpy()
    mdata.obs["part"] = np.where(is_b, "validation", np.resize(["train", "train", "validation"], mdata.n_obs))
    model = fit_model(mdata, setup=LABELS, network={"label_weight": 1.0}, max_epochs=3, split_key="part")
    probability = model.predict_supervised(soft=True)
    assert not probability["B"].any() and np.isfinite(probability.to_numpy()).all()


def test_few_labels(fresh, fit_model):
    mdata = fresh("paired")
    first = mdata.obs.groupby("cell_type", observed=True).cumcount() < 5
    truth = mdata.obs["cell_type"].astype(str)
    mdata.obs["some"] = truth.where(first, "Unknown")
    model = fit_model(mdata, setup={"labels_key": "some"}, network={"label_weight": 1.0}, max_epochs=8)
    assert (model.predict_supervised() == truth).mean() > 0.9


def test_train_annotate_and_map_query_write_it_under_a_name_that_says_so(fresh):
    mdata = fresh("paired")
    fit = {"max_epochs": 3, "train_kwargs": {"enable_progress_bar": False}}
    model = scmoe.tl.train(mdata, **LABELS, label_weight=1.0, **fit)
    key = "scmoe_supervised_label"
    np.testing.assert_array_equal(mdata.obs[key], model.predict_supervised())
    np.testing.assert_allclose(mdata.obs[f"{key}_confidence"], model.predict_supervised(soft=True).max(axis=1))
    with quiet_mudata():
        query = mdata[:40].copy()
    scmoe.tl.map_query(query, model)
    np.testing.assert_array_equal(query.obs[key], mdata.obs[key][:40])
    scmoe.tl.annotate(query, model)
    np.testing.assert_array_equal(query.obs[key], mdata.obs[key][:40])
    plain = scmoe.tl.train(mdata, **LABELS, **fit)
    assert key not in mdata.obs
    with pytest.raises(ValueError, match="No label has shaped this network.*label_weight=1"):
        plain.predict_supervised()


def test_refuses_a_weight_of_labels_that_are_not_there(fresh):
    mdata = fresh("paired")
    scmoe.model.SCMOE.setup_mudata(mdata)
    with pytest.raises(ValueError, match=r"label_weight=1 needs labels\. Name their column: labels_key="):
        scmoe.model.SCMOE(mdata, label_weight=1)


@pytest.mark.parametrize("option", ["sampler", "deferred", "ldam", "prototype"])
def test_refuses_a_balance_that_is_no_matter_of_the_loss(fresh, fit_model, option):
    with pytest.raises(ValueError, match=f"With a label_weight, class_balance must be one of none.*{option}"):
        fit_model(fresh("paired"), setup=LABELS, network={"label_weight": 1.0}, max_epochs=1, class_balance=option)


def test_refuses_labels_of_one_type(fresh, fit_model):
    mdata = fresh("paired")
    mdata.obs["one"] = "T"
    with pytest.raises(ValueError, match="two"):
        fit_model(mdata, setup={"labels_key": "one"}, network={"label_weight": 1.0}, max_epochs=1)
