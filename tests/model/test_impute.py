"""Predicted features: what may be looked at, how the members are mixed, and how sure the model is."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scmoe.io._quiet import quiet_mudata
from scmoe.model import SCMOE


def only(mdata, *names):
    with quiet_mudata():
        query = MuData({name: mdata[name].copy() for name in names})
    query.obs["batch"] = mdata.obs["batch"]
    return query


def mean_correlation(truth, prediction):
    varies = truth.std(0) > 0
    return np.mean([np.corrcoef(truth[:, j], prediction[:, j])[0, 1] for j in np.flatnonzero(varies)])


def in_cell_order(mdata, name, layer):
    values = mdata[name].layers[layer] if layer else mdata[name].X
    values = values.toarray() if hasattr(values, "toarray") else values
    return values[mdata[name].obs_names.get_indexer(mdata.obs_names)]


@pytest.mark.parametrize("likelihood", ["gaussian", "nb", "poisson", "bernoulli"])
@pytest.mark.parametrize("tokenizer", ["program", "patch"])
def test_every_likelihood_predicts_held_out_cells(fresh, fit_model, likelihood, tokenizer):
    mdata = fresh("paired")
    setup = {"likelihoods": {"rna": likelihood, "adt": likelihood}}
    network = {"tokenizer": tokenizer, "n_hidden": 32, "decoder_hidden": 32}
    model = fit_model(mdata, setup=setup, network=network, max_epochs=15, plan_kwargs={"lr": 1e-2})
    held_out = model.validation_indices
    predicted = model.impute("adt", "rna", indices=held_out)
    truth = in_cell_order(mdata, "rna", None if likelihood == "gaussian" else "counts")[held_out]
    if likelihood == "bernoulli":
        truth = truth > 0
        assert (predicted >= 0).all() and (predicted <= 1).all()
    elif likelihood != "gaussian":
        assert (predicted > 0).all()
    assert mean_correlation(truth, predicted) > 0.2
    assert 0.7 < predicted.sum() / truth.sum() < 1.4


def test_imputation_never_looks_at_the_target(paired, trained):
    expected = trained.impute("rna", "adt", paired)
    paired["adt"].X = np.random.default_rng(0).normal(size=paired["adt"].shape).astype(np.float32)
    np.testing.assert_array_equal(trained.impute("rna", "adt", paired), expected)


def test_imputation_without_the_target_in_the_query(paired, trained):
    expected = trained.impute("rna", "adt", paired)
    np.testing.assert_array_equal(trained.impute("rna", "adt", only(paired, "rna")), expected)


def test_imputation_uses_its_source(paired, trained):
    expected = trained.impute("rna", "adt", paired)
    paired["rna"].X = paired["rna"].X[::-1]
    assert not np.allclose(trained.impute("rna", "adt", paired), expected)


def test_imputation_looks_at_its_sources_only(mosaic, trained_mosaic):
    expected = trained_mosaic.impute("rna", "adt", mosaic)
    mosaic["ephys"].X = mosaic["ephys"].X + 1
    np.testing.assert_array_equal(trained_mosaic.impute("rna", "adt", mosaic), expected)
    assert not np.allclose(trained_mosaic.impute(["rna", "ephys"], "adt", mosaic), expected, equal_nan=True)


def test_imputation_is_nan_exactly_without_source(mosaic, trained_mosaic):
    has = {name: mosaic.obs_names.isin(mosaic[name].obs_names) for name in mosaic.mod}
    for source in (["rna"], ["ephys"], ["rna", "ephys"]):
        predicted = trained_mosaic.impute(source, "adt", mosaic)
        sourced = np.any([has[name] for name in source], axis=0)
        assert np.isfinite(predicted[sourced]).all() and np.isnan(predicted[~sourced]).all()


@pytest.fixture
def mixed(monkeypatch):
    """A model whose weights are all 0.3."""

    def mix(model):
        weighed = {key: replace(mixture, weight=0.3) for key, mixture in model.readouts.mixtures.items()}
        monkeypatch.setattr(model, "readouts", replace(model.readouts, mixtures=weighed))
        return model

    return mix


@pytest.mark.parametrize(
    ("model", "data", "source", "target"),
    [
        ("held_out", "paired", "rna", "adt"),
        ("held_out", "paired", "adt", "rna"),
        ("trained_mosaic", "mosaic", "rna", "ephys"),
        ("trained_mosaic", "mosaic", ["ephys", "rna"], "adt"),
    ],
)
def test_the_mixture_is_the_weighted_mean_of_its_members(request, fresh, mixed, model, data, source, target):
    model, mdata = mixed(request.getfixturevalue(model)), fresh(data)
    assert model.mixture_weight(source, target) == 0.3
    mixture, linear, network = (model.impute(source, target, mdata, part=p) for p in ("mixture", "linear", "network"))
    assert not np.allclose(linear, network, equal_nan=True)
    np.testing.assert_allclose(mixture, 0.7 * linear + 0.3 * network, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", ["held_out", "trained_mosaic"])
def test_weights_are_shares(request, model):
    model = request.getfixturevalue(model)
    pairs = list(itertools.permutations(model.modalities, 2))
    assert all(0 <= model.mixture_weight(source, target) <= 1 for source, target in pairs)


def test_the_mixture_is_better_than_the_worse_of_its_members_on_cells_that_weighed_them(paired, held_out):
    cells, truth = held_out.validation_indices, in_cell_order(paired, "rna", None)
    scale = truth.std(0) + 1e-6
    error = {
        part: np.square((held_out.impute("adt", "rna", paired, cells, part=part) - truth[cells]) / scale).mean()
        for part in ("mixture", "linear", "network")
    }
    assert error["mixture"] <= max(error["linear"], error["network"])


def test_a_cell_that_lacks_a_source_is_predicted_from_the_others(mosaic, trained_mosaic):
    both = trained_mosaic.impute(["rna", "ephys"], "adt", mosaic, return_sd=True)
    has = {name: mosaic.obs_names.isin(mosaic[name].obs_names) for name in mosaic.mod}
    for mine, other in (("rna", "ephys"), ("ephys", "rna")):
        alone = trained_mosaic.impute(mine, "adt", mosaic, return_sd=True)
        cells = has[mine] & ~has[other]
        assert cells.sum() > 10
        for found, expected in zip(both, alone, strict=True):
            np.testing.assert_allclose(found[cells], expected[cells], rtol=1e-4, atol=1e-5)


def test_the_order_of_sources_does_not_matter(mosaic, trained_mosaic):
    found = trained_mosaic.impute(["ephys", "rna"], "adt", mosaic)
    np.testing.assert_array_equal(found, trained_mosaic.impute(["rna", "ephys"], "adt", mosaic))


@pytest.mark.parametrize("target", ["rna", "ephys"])
def test_each_value_has_a_standard_deviation(mosaic, counted, target):
    mean, sd = counted.impute("adt", target, mosaic, return_sd=True)
    assert sd.shape == mean.shape and sd.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(sd), np.isnan(mean))
    assert (sd[np.isfinite(sd)] > 0).all()
    np.testing.assert_array_equal(mean, counted.impute("adt", target, mosaic))


@pytest.mark.parametrize(("source", "target"), [("rna", "adt"), ("adt", "rna")])
def test_intervals_cover_values_of_new_cells(paired, held_out, source, target):
    cells = held_out.test_indices
    _, lower, upper = held_out.impute(source, target, paired, cells, return_interval=True)
    truth = in_cell_order(paired, target, None)[cells]
    assert 0.8 < ((lower <= truth) & (truth <= upper)).mean() < 0.99


def test_what_is_asked_for_comes_in_one_order(mosaic, counted):
    mean, sd, *ends = counted.impute("adt", "rna", mosaic, return_sd=True, return_interval=True)
    np.testing.assert_array_equal(counted.impute("adt", "rna", mosaic, return_interval=True), [mean, *ends])
    np.testing.assert_array_equal(counted.impute("adt", "rna", mosaic, return_sd=True), [mean, sd])
    for end in ends:
        assert end.shape == mean.shape and end.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(end), np.isnan(mean))
    seen = np.isfinite(mean)
    assert (ends[0][seen] >= 0).all() and (ends[0] <= ends[1])[seen].all()


def test_weights_without_a_linear_member_are_one_and_without_validation_cells_a_half(counted, paired, fit_model):
    assert counted.mixture_weight("adt", "rna") == 1
    assert counted.mixture_weight("rna", "adt") < 1
    assert fit_model(paired, max_epochs=1, train_size=1.0).mixture_weight("rna", "adt") == 0.5


QUESTIONS = {
    "unknown batch": ("held_out", {"transform_batch": "donor9"}, KeyError, "no batch 'donor9'; it has donor1, donor2"),
    "one unknown": ("held_out", {"transform_batch": ["donor1", "x"]}, KeyError, "no batch 'x'"),
    "no batch": ("held_out", {"transform_batch": []}, ValueError, "transform_batch must name at least one batch"),
    "no batches": ("counted", {"transform_batch": "donor1"}, KeyError, "no batch 'donor1'; it has none"),
    "unknown part": (
        "held_out",
        {"part": "ridge"},
        ValueError,
        "part must be one of 'mixture', 'network', 'linear'; found 'ridge'",
    ),
    "linear counts": (
        "counted",
        {"part": "linear"},
        ValueError,
        "no linear member for 'rna': it needs a likelihood of measured values",
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_without_an_answer_is_refused(request, fresh, name):
    model, arguments, error, match = QUESTIONS[name]
    with pytest.raises(error, match=match):
        request.getfixturevalue(model).impute("adt", "rna", fresh("mosaic"), **arguments)


def test_a_saved_model_says_the_same(paired, held_out, tmp_path):
    held_out.save(tmp_path / "model")
    loaded = SCMOE.load(tmp_path / "model", paired)
    for part in ("linear", "network"):
        np.testing.assert_array_equal(
            loaded.impute("rna", "adt", part=part), held_out.impute("rna", "adt", paired, part=part)
        )
    for found, expected in zip(
        loaded.impute("rna", "adt", return_sd=True, return_interval=True),
        held_out.impute("rna", "adt", paired, return_sd=True, return_interval=True),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(loaded.get_normalized("rna"), held_out.get_normalized("rna", paired))
    np.testing.assert_array_equal(loaded.get_mapping_score(), held_out.get_mapping_score(paired))
    np.testing.assert_array_equal(loaded.predict(soft=True), held_out.predict(paired, soft=True))
    labeled = loaded.get_latent_representation(labeled=True)
    np.testing.assert_array_equal(labeled, held_out.get_latent_representation(paired, labeled=True))
    assert loaded.mixture_weight("rna", "adt") == held_out.mixture_weight("rna", "adt")


@pytest.mark.parametrize(("wanted", "name"), [("return_sd", "Standard deviations"), ("return_interval", "Intervals")])
def test_uncertainties_are_those_of_the_mixture(held_out, paired, wanted, name):
    with pytest.raises(ValueError, match=f"{name} are those of part='mixture'"):
        held_out.impute("rna", "adt", paired, part="network", **{wanted: True})


def test_the_linear_member_does_not_take_a_batch_effect_in_the_source_for_biology():
    rng = np.random.default_rng(0)
    factors, batch = rng.normal(size=(300, 3)), rng.integers(2, size=300)
    maps = rng.normal(size=(2, 3, 20))
    source = factors @ maps[0] + 1.5 * batch[:, None] * maps[0][0] + 0.1 * rng.normal(size=(300, 20))
    target = factors @ maps[1] + 0.1 * rng.normal(size=(300, 20))
    cells = [f"c{i}" for i in range(300)]
    mdata = MuData(
        {
            name: AnnData(x.astype(np.float32), obs=pd.DataFrame(index=cells))
            for name, x in (("a", source), ("b", target))
        }
    )
    mdata.obs["batch"] = batch.astype(str)
    SCMOE.setup_mudata(mdata, batch_key="batch")
    model = SCMOE(mdata, n_hidden=8, n_heads=2, expert_hidden=8)
    model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False)
    own = model.impute("a", "b", part="linear")
    for name in ("0", "1"):
        other = model.impute("a", "b", part="linear", transform_batch=name)
        assert np.square(other - own).mean() < 0.1 * np.square(target - target.mean(0)).mean()
