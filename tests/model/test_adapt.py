"""A model for a batch that came after the training."""

import numpy as np
import pytest

import scmoe
from scmoe.benchmark._scores import knn_mixing
from scmoe.io._quiet import quiet_mudata
from scmoe.model import SCMOE


@pytest.fixture(scope="module")
def known(fresh, fit_model):
    """A model of two batches, with a covariate besides."""
    mdata = fresh("paired")
    mdata.obs["lane"] = np.where(np.arange(120) % 4 < 2, "a", "b")
    setup = {"batch_key": "batch", "labels_key": "cell_type", "categorical_covariate_keys": ["lane"]}
    return fit_model(mdata, setup=setup, max_epochs=6)


@pytest.fixture
def later(paired):
    """The same cells as they would have come from a third donor: each feature is shifted."""
    paired.obs["lane"] = np.where(np.arange(120) % 4 < 2, "a", "b")
    paired.obs["batch"] = "donor3"
    rng = np.random.default_rng(0)
    for name in paired.mod:
        values = paired[name].X.toarray() if name == "rna" else paired[name].X
        paired[name].X = (values + 0.6 * values.std(0) * rng.normal(size=values.shape[1])).astype(np.float32)
    return paired


def distance(model, query, reference):
    """Mean squared distance of cells to themselves in another batch, relative to the spread of the cells."""
    return (
        np.square(model.get_latent_representation(query) - reference).sum()
        / np.square(reference - reference.mean(0)).sum()
    )


def test_cells_of_the_new_batch_come_to_those_they_are_like(known, later):
    reference = known.get_latent_representation()
    assert distance(known.adapt(later), later, reference) < 0.6 * distance(known, later, reference)


def test_cells_of_known_batches_stay_where_they_are(known, later):
    adapted = known.adapt(later)
    for ask in ("get_latent_representation", "get_mapping_score"):
        found, expected = getattr(adapted, ask)(known.adata), getattr(known, ask)()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for part in ("mixture", "linear", "network"):
        found, expected = (m.impute("rna", "adt", known.adata, part=part) for m in (adapted, known))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_new_batch_is_decoded_as_the_mean_of_the_known_ones(known, later):
    adapted = known.adapt(later)
    found = adapted.get_normalized("adt", known.adata, transform_batch="donor3")
    assert np.isfinite(found).all()
    linear = [
        adapted.impute("rna", "adt", known.adata, part="linear", transform_batch=batch)
        for batch in ("donor1", "donor2", "donor3")
    ]
    np.testing.assert_allclose(linear[2], (linear[0] + linear[1]) / 2, rtol=1e-4, atol=1e-4)


def test_the_model_itself_is_left_alone(known, later, contents):
    before, query = {name: x.clone() for name, x in known.module.state_dict().items()}, contents(later)
    adapted = known.adapt(later)
    assert known.setup.batches == ["donor1", "donor2"] and adapted.setup.batches == ["donor1", "donor2", "donor3"]
    assert all((x == before[name]).all() for name, x in known.module.state_dict().items())
    assert contents(later) == query


def test_an_adapted_model_is_saved_and_adapted_again(known, later, tmp_path):
    adapted = known.adapt(later)
    adapted.save(tmp_path / "model")
    loaded = SCMOE.load(tmp_path / "model", later)
    np.testing.assert_array_equal(loaded.get_latent_representation(), adapted.get_latent_representation(later))
    later.obs["batch"] = "donor4"
    again = loaded.adapt(later)
    assert again.setup.batches == ["donor1", "donor2", "donor3", "donor4"]
    assert np.isfinite(again.impute("rna", "adt", later)).all()


def test_the_effect_of_other_covariates_is_not_taken_for_that_of_the_batch(fresh, fit_model, contents):
    """A batch without an effect, but of old cells: their age explains where they are, so the batch gets no shift."""
    mdata, rng = fresh("paired"), np.random.default_rng(0)
    age = rng.uniform(20, 80, size=120)

    def aged(mdata, age):
        for name in mdata.mod:
            values = mdata[name].X.toarray() if name == "rna" else mdata[name].X
            pattern = np.random.default_rng(1).normal(size=values.shape[1]) * values.std(0)
            order = mdata.obs_names.get_indexer(mdata[name].obs_names)
            mdata[name].X = (values + 0.6 * ((age[order] - 50) / 17)[:, None] * pattern).astype(np.float32)
        mdata.obs["age"] = age
        return mdata

    setup = {"batch_key": "batch", "continuous_covariate_keys": ["age"]}
    model = fit_model(aged(mdata, age), setup=setup, max_epochs=2)
    later = aged(fresh("paired"), rng.uniform(70, 90, size=120))
    later.obs["batch"] = "donor3"
    tokenizer = model.adapt(later).module.tokenizers[0]
    share = (
        np.linalg.norm(tokenizer.shifts[:, 2], axis=1).mean() / np.linalg.norm(tokenizer.shifts[:, 3], axis=1).mean()
    )
    assert share < 0.6


def test_several_new_batches_at_once(known, later):
    later.obs["batch"] = np.where(np.arange(120) % 2, "donor3", "donor0")
    adapted = known.adapt(later)
    assert adapted.setup.batches == ["donor1", "donor2", "donor0", "donor3"]
    assert knn_mixing(adapted.get_latent_representation(later), later.obs["batch"]) > 0.7


def test_a_modality_that_few_new_cells_have_is_left_as_it_is(known, later):
    with quiet_mudata():
        later.mod["adt"] = later["adt"][:10].copy()
        later.update()
    tokenizers = known.adapt(later).module.tokenizers
    assert not tokenizers[1].shifts[:, 2].any() and tokenizers[0].shifts[:, 2].any()


def test_a_model_of_one_batch_can_be_adapted(fresh, fit_model, later):
    mdata = fresh("paired")
    mdata.obs["batch"] = "donor1"
    model = fit_model(mdata, setup={"batch_key": "batch"}, max_epochs=4)
    reference = model.get_latent_representation()
    assert distance(model.adapt(later), later, reference) < 0.6 * distance(model, later, reference)


def test_a_query_can_be_mapped_with_an_adapted_model(known, later):
    score = known.get_mapping_score(later)
    used = scmoe.tl.map_query(later, known, adapt=True)
    assert used.setup.batches == ["donor1", "donor2", "donor3"]
    np.testing.assert_array_equal(later.obs["scmoe_mapping_score"], score)
    np.testing.assert_array_equal(later.obsm["X_scmoe"], used.get_latent_representation(later))
    assert list(later.uns["scmoe"]["query"]["new_batches"]) == ["donor3"]


def few(query):
    query.obs["batch"] = np.where(np.arange(120) < 5, "donor3", "donor1")


def none_new(query):
    query.obs["batch"] = "donor1"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (few, "The new batch 'donor3' has 5 cells; at least 20 are needed"),
        (none_new, "All batches of 'batch' are known to the model"),
    ],
)
def test_a_query_that_needs_no_adaptation_or_is_too_small_is_refused(known, later, change, match):
    change(later)
    with pytest.raises(ValueError, match=match):
        known.adapt(later)


def test_a_model_without_batches_is_refused(trained_mosaic, later):
    with pytest.raises(ValueError, match="Only a model trained with batch_key"):
        trained_mosaic.adapt(later)
