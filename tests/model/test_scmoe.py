"""The model class: what it writes, what it answers, and what it must not look at."""

import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData

from scmoe._io import quiet_mudata
from scmoe.model import SCMOE


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


def test_setup_writes_only_its_identifiers(paired, contents, written):
    before = contents(paired)
    SCMOE.setup_mudata(paired, batch_key="batch", labels_key="cell_type")
    assert written(before, paired) == {"uns/_scvi_uuid", "uns/_scvi_manager_uuid"}


def test_training_and_questions_leave_the_data_alone(mosaic, fit_model, contents, written):
    before = contents(mosaic)
    model = fit_model(mosaic, network={"n_clusters": 3})
    model.get_latent_representation()
    model.impute(["rna", "ephys"], "adt")
    model.predict_clusters()
    model.get_attention()
    model.get_router_activations()
    assert written(before, mosaic) == {"uns/_scvi_uuid", "uns/_scvi_manager_uuid"}


def test_a_query_stays_unchanged(paired, trained, contents):
    before = contents(paired)
    trained.get_latent_representation(paired)
    trained.impute("adt", "rna", paired)
    trained.predict(paired, soft=True)
    assert contents(paired) == before


def test_repr_tells_what_it_is(trained, paired, tiny):
    text = repr(trained)
    assert "trained for 15 epochs" in text and "rna (60, gaussian), adt (12, gaussian)" in text
    assert "4 experts (top 2, shared router)" in text and "batches: 2; labels: 3; clusters: none" in text
    SCMOE.setup_mudata(paired)
    assert "not trained" in repr(SCMOE(paired, **tiny))


def test_making_a_model_leaves_the_global_random_state_alone(paired, tiny):
    SCMOE.setup_mudata(paired)
    state = torch.get_rng_state()
    SCMOE(paired, **tiny)
    assert torch.equal(torch.get_rng_state(), state)


def test_embedding_separates_the_planted_types(paired, fit_model):
    joint = fit_model(paired, max_epochs=10).get_latent_representation()
    types = paired.obs["cell_type"].cat.codes.to_numpy()
    centers = np.stack([joint[types == t].mean(0) for t in range(3)])
    distance = np.square(joint[:, None] - centers).sum(2)
    assert (distance.argmin(1) == types).mean() > 0.95


def test_labels_are_learned(trained, paired):
    held_out = trained.validation_indices
    truth = paired.obs["cell_type"].to_numpy()
    assert (trained.predict(paired, indices=held_out) == truth[held_out]).mean() > 0.9
    soft = trained.predict(paired, soft=True)
    assert list(soft.columns) == ["B", "NK", "T"] and list(soft.index) == list(paired.obs_names)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)


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


def test_one_modality_is_enough(single, fit_model):
    model = fit_model(single)
    assert model.get_latent_representation().shape == (120, 16)
    np.testing.assert_allclose(model.get_attention(), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.get_latent_representation(), model.get_latent_representation(modality="rna"))


@pytest.mark.parametrize("router", ["shared", "per_modality"])
@pytest.mark.parametrize("residual", ["prenorm", "paper", "reference"])
@pytest.mark.parametrize("gate", ["softmax_after_topk", "topk_of_softmax"])
def test_every_form_of_the_network_works_on_mosaic_data(mosaic, fit_model, router, residual, gate):
    network = {"router": router, "residual": residual, "gate": gate, "n_layers": 2}
    model = fit_model(mosaic, network=network)
    assert np.isfinite(model.get_latent_representation()).all()
    assert np.isfinite(model.history.to_numpy()).all()


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
    assert not np.allclose(predictions["donor1"], predictions["donor2"])
    low = np.minimum(predictions["donor1"], predictions["donor2"])
    high = np.maximum(predictions["donor1"], predictions["donor2"])
    inside = (predictions["donor9"] >= low - 0.05) & (predictions["donor9"] <= high + 0.05)
    assert inside.mean() > 0.95


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_router_activations_are_shares(mosaic, trained_mosaic, kind):
    activations = trained_mosaic.get_router_activations(mosaic, kind=kind)
    assert list(activations) == ["rna", "adt", "ephys"]
    for name, shares in activations.items():
        assert shares.shape == (120, 1, 4) and shares.dtype == np.float32
        here = mosaic.obs_names.isin(mosaic[name].obs_names)
        np.testing.assert_allclose(shares[here].sum(-1), 1, rtol=1e-5)
        assert np.isnan(shares[~here]).all()


def test_attention_is_a_share_of_the_modalities_present(mosaic, trained_mosaic):
    attention = trained_mosaic.get_attention(mosaic)
    present = np.stack([mosaic.obs_names.isin(mosaic[name].obs_names) for name in mosaic.mod], axis=1)
    assert attention.shape == (120, 1, 3, 3)
    np.testing.assert_allclose(attention[:, 0][present].sum(-1), 1, rtol=1e-5)
    assert np.isnan(attention[:, 0][~present]).all()
    absent_keys = np.broadcast_to(~present[:, None, :], (120, 3, 3)) & present[:, :, None]
    assert (attention[:, 0][absent_keys] == 0).all()


def test_two_models_of_one_mudata_do_not_disturb_each_other(paired, fit_model):
    first = fit_model(paired)
    expected = first.get_latent_representation()
    second = fit_model(paired, setup={"modalities": ["adt"]}, seed=1)
    assert (first.modalities, second.modalities) == (["rna", "adt"], ["adt"])
    np.testing.assert_array_equal(first.get_latent_representation(), expected)
