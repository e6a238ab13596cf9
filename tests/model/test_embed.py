"""What a trained model answers, and what it must not look at."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from mudata import MuData

from scmoe.io._quiet import quiet_mudata
from scmoe.metrics import hub_ratio
from scmoe.model._features import program_scores
from scmoe.model._fitted import query


def permuted(mdata, names):
    """The same data with the features of some modalities in another order."""
    for name in names:
        order = np.random.default_rng(1).permutation(mdata[name].n_vars)
        mdata.mod[name] = mdata[name][:, order].copy()
    with quiet_mudata():
        mdata.update()
    return mdata


@pytest.fixture(scope="module")
def plain(fresh, fit_model):
    """A model of "paired" without labels and batches, and with cells that nothing was learned from."""
    return fit_model(fresh("paired"), max_epochs=8, train_size=0.7, validation_size=0.1)


@pytest.fixture(scope="module")
def patched(fresh, fit_model):
    """A model of "mosaic" that has no programs."""
    return fit_model(fresh("mosaic"), setup={"labels_key": "cell_type"}, network={"tokenizer": "patch"})


def in_cell_order(mdata, name):
    values = mdata[name].X
    values = values.toarray() if hasattr(values, "toarray") else values
    return values[mdata[name].obs_names.get_indexer(mdata.obs_names)]


def only(mdata, *names):
    with quiet_mudata():
        query = MuData({name: mdata[name].copy() for name in names})
    query.obs["batch"] = mdata.obs["batch"]
    return query


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


def test_states_are_nan_exactly_without_the_modality(mosaic, trained_mosaic):
    assert np.isfinite(trained_mosaic.get_latent_representation(mosaic)).all()
    for name in mosaic.mod:
        missing = ~mosaic.obs_names.isin(mosaic[name].obs_names)
        state = trained_mosaic.get_latent_representation(mosaic, modality=name)
        np.testing.assert_array_equal(np.isnan(state), np.broadcast_to(missing[:, None], state.shape))


def test_with_patch_tokens_the_embedding_is_the_mean_of_the_states(mosaic, patched):
    states = [patched.get_latent_representation(mosaic, modality=name) for name in mosaic.mod]
    joint = patched.get_latent_representation(mosaic)
    np.testing.assert_allclose(joint, np.nanmean(states, axis=0), rtol=1e-4, atol=1e-5)


def test_the_embedding_is_half_states_and_half_programs(paired, plain):
    fitted, blocks = np.union1d(plain.train_indices, plain.validation_indices), []
    weights = np.array([plain.readouts.information[v,].weight for v in (0, 1)])
    weights /= weights.sum()
    states = [plain.get_latent_representation(modality=name) for name in paired.mod]
    blocks.append(weights[0] * states[0] + weights[1] * states[1])
    for v, name in enumerate(paired.mod):
        standardizer, tokenizer = plain.module.standardizers[v], plain.module.tokenizers[v]
        z = (in_cell_order(paired, name) - standardizer.mean.numpy()) / standardizer.std.numpy()
        n = plain.readouts.information[v,].n_components
        blocks.append(z @ tokenizer.fixed_loadings.numpy()[:, :n] / tokenizer.unit.numpy())
    scaled = [
        np.sqrt(share / block[fitted].var(0).sum()) * (block - block[fitted].mean(0))
        for block, share in zip(blocks, (0.5, *(weights / 2)), strict=True)
    ]
    joined = np.hstack(scaled)
    expected = joined @ np.linalg.svd(joined[fitted], full_matrices=False)[2][:16].T
    found = plain.get_latent_representation()
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)


def test_what_training_made_of_the_loadings_does_not_reach_the_embedding(paired, plain):
    before = plain.get_latent_representation(), plain.impute("rna", "adt", part="network")
    loadings = plain.module.tokenizers[0].loadings
    kept = loadings.detach().clone()
    try:
        with torch.no_grad():
            loadings += 1
        np.testing.assert_array_equal(plain.get_latent_representation(), before[0])
        assert not np.allclose(plain.impute("rna", "adt", part="network"), before[1])
    finally:
        with torch.no_grad():
            loadings.copy_(kept)


def test_models_of_before_embed_with_the_loadings_that_training_made(paired, plain, monkeypatch):
    """They do not say which components reproduce."""
    readouts = replace(plain.readouts, information={})
    monkeypatch.setattr(plain, "readouts", readouts)
    fitted, dataset, cells = query(plain, None, None)
    [chunk] = fitted.encode(dataset, cells, loadings="trained")
    states, programs = chunk.encoded.states.detach(), [program_scores(fitted.network, chunk, v) for v in (0, 1)]
    inputs = np.hstack([*states.unbind(1), *(scores.detach() for scores in programs)])
    np.testing.assert_allclose(
        plain.get_latent_representation(), readouts.embeddings[0, 1].predict(inputs), rtol=1e-4, atol=1e-5
    )


def test_the_linear_part_of_the_embedding_is_programs_alone(mosaic, trained_mosaic):
    found = trained_mosaic.get_latent_representation(mosaic, part="linear")
    blocks = np.split(found, 3, axis=1)
    for name, block in zip(mosaic.mod, blocks, strict=True):
        here = mosaic.obs_names.isin(mosaic[name].obs_names)
        assert block[here].any(1).all() and not block[~here].any()
        assert block[here].var(0).sum() == pytest.approx(1, rel=0.2)


def test_the_network_part_of_the_embedding_is_the_mean_of_the_states(mosaic, trained_mosaic):
    states = [trained_mosaic.get_latent_representation(mosaic, modality=name) for name in mosaic.mod]
    found = trained_mosaic.get_latent_representation(mosaic, part="network")
    np.testing.assert_allclose(found, np.nanmean(states, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("arguments", "width"), [({}, 16), ({"labeled": True}, 19), ({"modality": "rna"}, 16)])
def test_no_cells_asked_for_no_rows(paired, trained, arguments, width):
    assert trained.get_latent_representation(paired, indices=[], **arguments).shape == (0, width)


def test_a_cell_that_lacks_a_modality_is_where_it_would_be_with_it(paired, plain):
    """Of new cells: most of what the embedding says of them is what it would say if all modalities were there."""
    new = plain.test_indices
    full = plain.get_latent_representation(paired)
    for name in paired.mod:
        query = only(paired, name)
        found = plain.get_latent_representation(query)[query.obs_names.get_indexer(paired.obs_names)]
        assert np.square(found - full)[new].sum() < 0.35 * np.square(full - full.mean(0))[new].sum()


def test_missing_values_are_what_the_others_let_expect(mosaic, trained_mosaic):
    expected = trained_mosaic.get_latent_representation(mosaic)
    values, standardizer = mosaic["ephys"].X, trained_mosaic.module.standardizers[2]
    x = torch.from_numpy(values).float()
    filled = standardizer.inverse(standardizer(x.nan_to_num(), ~x.isnan())).numpy()
    mosaic["ephys"].X = np.where(np.isnan(values), filled, values)
    np.testing.assert_allclose(trained_mosaic.get_latent_representation(mosaic), expected, rtol=1e-3, atol=1e-4)


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


def test_labels_stand_beside_the_embedding(paired, trained):
    joint, both = (trained.get_latent_representation(paired, labeled=labeled) for labeled in (False, True))
    assert both.shape == (120, 16 + 3) and both.dtype == np.float32
    np.testing.assert_array_equal(both[:, :16], joint)
    probability = trained.predict(paired, soft=True).to_numpy()
    np.testing.assert_allclose(both[:, 16:], trained.readouts.label_scale * probability, rtol=1e-5, atol=1e-7)


def test_labels_and_embedding_have_the_same_variance_in_the_training_cells(trained):
    both = trained.get_latent_representation(labeled=True)
    assert both[:, :16].var(0).sum() == pytest.approx(both[:, 16:].var(0).sum(), rel=1e-3)


@pytest.mark.parametrize(
    ("model", "arguments", "match"),
    [
        ("trained", {"modality": "rna"}, "labeled and part are for the joint embedding; found modality='rna'"),
        ("trained_mosaic", {}, "trained without labels"),
        ("trained", {"part": "ridge"}, "part must be one of 'mixture', 'network', 'linear'; found 'ridge'"),
    ],
)
def test_what_cannot_be_labeled_is_refused(request, model, arguments, match):
    with pytest.raises(ValueError, match=match):
        request.getfixturevalue(model).get_latent_representation(labeled=True, **arguments)


def test_probabilities_are_calibrated_sums(mosaic, patched):
    soft = patched.predict(mosaic, soft=True)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(soft.idxmax(axis=1), patched.predict(mosaic))


@pytest.mark.parametrize("name", ["rna", "adt"])
def test_labels_from_one_modality(paired, trained, name):
    query = only(paired, name)
    truth = paired.obs["cell_type"].astype(str)[query.obs_names]
    assert (trained.predict(query) == truth).mean() > 0.9


def test_mapping_scores_are_shares_of_cells(mosaic, trained_mosaic):
    found = trained_mosaic.get_mapping_score(mosaic)
    assert found.shape == (120,) and found.dtype == np.float32
    assert (found > 0).all() and (found <= 1).all()


def test_noise_is_unfamiliar(paired, plain):
    new, rng = plain.test_indices, np.random.default_rng(0)
    expected = plain.get_mapping_score(paired)
    for name in paired.mod:
        values = paired[name].X.toarray() if name == "rna" else paired[name].X
        paired[name].X = rng.permuted(values, axis=1)
    found = plain.get_mapping_score(paired)
    assert np.median(found[new]) < 0.5 * np.median(expected[new])
    assert found.max() <= 1 and found.min() > 0


def test_a_score_of_several_modalities_is_that_of_the_worst_corrected_for_their_number(paired, plain):
    both = plain.get_mapping_score(paired)
    single = {}
    for name in paired.mod:
        query = only(paired, name)
        single[name] = plain.get_mapping_score(query)[query.obs_names.get_indexer(paired.obs_names)]
    smallest = np.minimum(single["rna"], single["adt"])
    np.testing.assert_allclose(both, 1 - (1 - smallest) ** 2, rtol=1e-5)


def test_without_programs_there_is_no_mapping_score(mosaic, patched):
    with pytest.raises(ValueError, match="needs program tokens; this model was made with tokenizer='patch'"):
        patched.get_mapping_score(mosaic)


def test_without_programs_all_else_works(mosaic, patched):
    assert np.isfinite(patched.get_latent_representation(mosaic)).all()
    mean, sd = patched.impute(["rna", "ephys"], "adt", mosaic, return_sd=True)
    sourced = mosaic.obs_names.isin([*mosaic["rna"].obs_names, *mosaic["ephys"].obs_names])
    assert np.isfinite(mean[sourced]).all() and (sd[sourced] > 0).all()
    assert patched.mixture_weight("rna", "adt") == 1
    assert set(patched.predict(mosaic)) <= {"B", "NK", "T"}


def test_one_component_is_enough(paired, fit_model):
    model = fit_model(paired, network={"n_programs": 1}, max_epochs=2)
    found = model.get_latent_representation()
    assert np.isfinite(found).all() and found.std(0).max() > 0
    assert [information.n_components for information in model.readouts.information.values()] == [1, 1]


def test_a_cell_is_embedded_alone_as_among_others(paired, plain):
    together = plain.get_latent_representation(paired)
    alone = plain.get_latent_representation(paired[[7]].copy())
    np.testing.assert_allclose(alone, together[[7]], rtol=1e-4, atol=1e-5)


def test_new_cells_of_noisy_data_are_no_hubs(fit_model):
    """Four types, of which a feature says little, and many more components than types."""
    rng, n = np.random.default_rng(0), 240
    kind, parts = rng.integers(4, size=n), {}
    for name, width, shift in (("a", 300, 0.6), ("b", 200, 0.3)):
        x = rng.normal(size=(n, width)) + shift * rng.normal(size=(4, width))[kind]
        names = pd.DataFrame(index=[f"{name}{i}" for i in range(width)])
        parts[name] = AnnData(x.astype(np.float32), obs=pd.DataFrame(index=[f"cell{i}" for i in range(n)]), var=names)
    mdata = MuData(parts)
    model = fit_model(mdata, network={"n_programs": 40}, max_epochs=8, train_size=0.6, validation_size=0.1)
    assert [information.n_components for information in model.readouts.information.values()] == [3, 3]
    cells = np.concatenate([model.train_indices, model.test_indices])
    is_new = np.isin(cells, model.test_indices)
    assert max(hub_ratio(model.get_latent_representation(indices=cells), is_new)) < 1.5
    programs = model.get_latent_representation(indices=cells, part="linear")
    assert min(hub_ratio(programs, is_new)) > 2
