"""What a trained model answers, and what it must not look at."""

import itertools

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from scmoe._io import quiet_mudata


def permuted(mdata, names):
    """The same data with the features of some modalities in another order."""
    for name in names:
        order = np.random.default_rng(1).permutation(mdata[name].n_vars)
        mdata.mod[name] = mdata[name][:, order].copy()
    with quiet_mudata():
        mdata.update()
    return mdata


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


def test_a_query_stays_unchanged(paired, trained, contents):
    before = contents(paired)
    trained.get_latent_representation(paired)
    trained.impute("adt", "rna", paired)
    trained.predict(paired, soft=True)
    assert contents(paired) == before


def test_labels_of_a_query_are_not_looked_at(trained, paired, contents):
    expected = trained.predict(paired, soft=True)
    paired.obs["cell_type"] = "T"
    pd.testing.assert_frame_equal(trained.predict(paired, soft=True), expected)
    paired.obs["cell_type"] = np.nan
    pd.testing.assert_frame_equal(trained.predict(paired, soft=True), expected)


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


def test_states_are_nan_exactly_without_the_modality(mosaic, trained_mosaic):
    assert np.isfinite(trained_mosaic.get_latent_representation(mosaic)).all()
    for name in mosaic.mod:
        missing = ~mosaic.obs_names.isin(mosaic[name].obs_names)
        state = trained_mosaic.get_latent_representation(mosaic, modality=name)
        np.testing.assert_array_equal(np.isnan(state), np.broadcast_to(missing[:, None], state.shape))


def test_joint_state_is_the_mean_of_those_present(mosaic, trained_mosaic):
    states = [trained_mosaic.get_latent_representation(mosaic, modality=name) for name in mosaic.mod]
    joint = trained_mosaic.get_latent_representation(mosaic)
    np.testing.assert_allclose(joint, np.nanmean(states, axis=0), rtol=1e-4, atol=1e-5)


def test_missing_values_count_for_nothing(mosaic, trained_mosaic):
    expected = trained_mosaic.get_latent_representation(mosaic)
    values = mosaic["ephys"].X
    mean = trained_mosaic.module.standardizers[2].mean.numpy()
    mosaic["ephys"].X = np.where(np.isnan(values), mean, values)
    np.testing.assert_allclose(trained_mosaic.get_latent_representation(mosaic), expected, rtol=1e-4, atol=1e-5)


def test_permuted_features_give_the_same_result(paired, trained):
    expected = trained.get_latent_representation(paired), trained.impute("rna", "adt", paired)
    query = permuted(paired, ["rna", "adt"])
    np.testing.assert_array_equal(trained.get_latent_representation(query), expected[0])
    np.testing.assert_array_equal(trained.impute("rna", "adt", query), expected[1])


def test_modalities_in_another_order_give_the_same_result(paired, trained):
    expected = trained.get_latent_representation(paired)
    query = only(paired, "adt", "rna")  # and so the cells, in the order of their first modality
    found = trained.get_latent_representation(query)[query.obs_names.get_indexer(paired.obs_names)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 50])
def test_batches_of_cells_do_not_matter(mosaic, trained_mosaic, batch_size):
    expected = trained_mosaic.get_latent_representation(mosaic)
    found = trained_mosaic.get_latent_representation(mosaic, batch_size=batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("indices", [[5, 3, 100], np.arange(120) % 7 == 0, [-1]], ids=["positions", "mask", "negative"])
def test_indices_choose_cells(mosaic, trained_mosaic, indices):
    everyone = trained_mosaic.impute("ephys", "rna", mosaic)
    found = trained_mosaic.impute("ephys", "rna", mosaic, indices=indices)
    np.testing.assert_allclose(found, everyone[np.asarray(indices)], rtol=1e-4, atol=1e-5)


def test_an_unknown_batch_is_decoded_as_the_mean_of_the_batches(paired, trained):
    predictions = {}
    for batch in ("donor1", "donor2", "donor9"):
        paired.obs["batch"] = batch
        predictions[batch] = trained.impute("rna", "adt", paired)
    assert not any(np.allclose(predictions[a], predictions[b]) for a, b in itertools.combinations(predictions, 2))
    low = np.minimum(predictions["donor1"], predictions["donor2"])
    high = np.maximum(predictions["donor1"], predictions["donor2"])
    inside = (predictions["donor9"] >= low - 0.05) & (predictions["donor9"] <= high + 0.05)
    assert inside.mean() > 0.95
