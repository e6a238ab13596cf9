"""Targets of explanations are what the model says elsewhere, in a form that can be differentiated."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scmoe.model._fitted import query
from scmoe.model.explain._targets import log_odds
from scmoe.readout._annotator import fit_annotator


def values_of(model, target, mdata):
    fitted, dataset, cells = query(model, mdata, None)
    with torch.no_grad():
        return np.concatenate(
            [
                target.values(c).numpy()
                for c in fitted.encode(dataset, cells, 50, only=target.shown, loadings=target.loadings)
            ]
        )


@pytest.fixture(scope="module")
def labeled_mosaic(fresh, fit_model):
    return fit_model(fresh("mosaic"), setup={"labels_key": "cell_type"}, max_epochs=5)


def test_a_label_is_the_log_odds_of_its_probability_whatever_cells_lack(mosaic, labeled_mosaic):
    probability = labeled_mosaic.predict(mosaic, soft=True)
    for label in probability:
        found = values_of(labeled_mosaic, labeled_mosaic.label_target(label), mosaic)
        np.testing.assert_allclose(1 / (1 + np.exp(-found)), probability[label], atol=1e-5)


@given(st.integers(0, 10_000), st.floats(0.1, 100))
def test_log_odds_are_those_of_the_annotator(seed, spread):
    rng = np.random.default_rng(seed)
    codes = np.repeat([0, 2, 3], 8)  # label 1 is in no cell
    views = [rng.normal(size=(24, 3)) + spread * codes[:, None] / 10, rng.normal(size=(24, 2))]
    annotator = fit_annotator(views, codes, 4, seed=0)
    tensors = [torch.from_numpy(view) for view in views]
    found = log_odds(annotator, tensors).numpy()
    p = annotator.predict(views).astype(float)
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), p, atol=1e-5)
    assert np.isneginf(found[:, 1]).all()


def test_gradients_are_finite_where_a_label_is_certain():
    codes = np.repeat([0, 1, 2], 8)
    view = 100.0 * np.eye(3)[codes]
    annotator = fit_annotator([view], codes, 3, seed=0)
    x = torch.from_numpy(1000 * view).float().requires_grad_()
    (gradient,) = torch.autograd.grad(log_odds(annotator, [x]).sum(), x)
    assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0


def test_a_group_is_what_the_embedding_tells_apart(paired, trained):
    groups = paired.obs["cell_type"].astype(object).rename("cluster")
    groups.iloc[:5] = None
    targets = trained.group_targets(groups, paired)
    assert list(targets) == ["B", "NK", "T"]
    for name, target in targets.items():
        values = values_of(trained, target, paired)[5:]
        own = (groups == name).to_numpy()[5:]
        assert target.agreement > 0.9 and np.median(values[own]) > 0 > np.median(values[~own])


def test_groups_of_noise_are_not_told_apart(paired, trained):
    noise = pd.Series(np.random.default_rng(0).permutation(np.resize(["a", "b", "c"], 120)))
    targets = trained.group_targets(noise, paired)
    assert all(target.agreement < 0.9 for target in targets.values())


def test_a_feature_is_its_imputed_value(mosaic, trained_mosaic):
    expected = trained_mosaic.impute(["rna", "ephys"], "adt", mosaic)
    j = trained_mosaic.feature_names["adt"].index("protein3")
    target = trained_mosaic.feature_target(["rna", "ephys"], "adt", "protein3")
    found = values_of(trained_mosaic, target, mosaic)
    known = np.isfinite(expected[:, j])
    np.testing.assert_allclose(found[known], expected[known, j], atol=1e-4)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda m: m.label_target("NKT"), ValueError, "no label 'NKT'; did you mean 'NK'"),
        (lambda m: m.feature_target("rna", "adt", "protein33"), ValueError, "no feature 'protein33'; did you mean"),
        (lambda m: m.feature_target("adt", "adt", "protein3"), ValueError, "other than itself"),
        (lambda m: m.group_targets(pd.Series(["a"] * 3)), ValueError, r"found \(3,\) for 120 cells"),
        (
            lambda m: m.group_targets(pd.Series(["a"] * 115 + ["b"] * 5)),
            ValueError,
            "at least two with 10 cells; found 1",
        ),
    ],
)
def test_bad_targets(trained, ask, error, message):
    with pytest.raises(error, match=message):
        ask(trained)


def test_a_model_without_labels_has_no_label_to_explain(trained_mosaic):
    with pytest.raises(ValueError, match="without labels"):
        trained_mosaic.label_target("B")
