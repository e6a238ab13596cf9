"""Labels from a pretrained gene model."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from scmoe.model import XTRIMOGENE
from scmoe.model.genes._encoding import select_cells
from scmoe.model.genes._inference import pool_cells
from scmoe.readout._axes import Axes

FAST = {"max_epochs": 1, "batch_size": 16, "accelerator": "cpu", "enable_progress_bar": False}


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.module.state_dict().items()}


def changed(before, after) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.fixture(scope="module")
def tuned(pretrained):
    return pretrained.fine_tune("cell_type", **{**FAST, "max_epochs": 3})


def test_labels_are_learned(tuned, genes):
    accuracy = (tuned.predict() == genes.obs["cell_type"]).mean()
    assert accuracy > 0.95 and tuned.labels == ["B", "NK", "T"]
    assert tuned.history["train_loss"].iloc[-1] < 0.2


def test_probabilities_are_of_all_labels(tuned, genes):
    found = tuned.predict(genes, [4, 1, 9], soft=True)
    assert list(found.index) == ["cell4", "cell1", "cell9"] and list(found) == ["B", "NK", "T"]
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert (found.idxmax(1).to_numpy() == tuned.predict(genes, [4, 1, 9])).all()
    alone = tuned.predict(genes, [1], soft=True)
    np.testing.assert_allclose(alone.to_numpy()[0], found.to_numpy()[1], atol=1e-5)
    assert tuned.predict(genes, []).shape == (0,) and tuned.predict(genes, [], soft=True).shape == (0, 3)


def test_the_labels_of_a_query_are_not_looked_at(tuned, genes):
    expected = tuned.predict(genes)
    del genes.obs["cell_type"]
    assert (tuned.predict(genes) == expected).all()


def test_the_pretrained_model_stays_as_it_is(pretrained, genes):
    before, latent = weights(pretrained), pretrained.get_latent_representation(genes)
    history = pretrained.history
    tuned = pretrained.fine_tune("cell_type", **FAST)
    assert changed(before, weights(tuned)) and not changed(before, weights(pretrained))
    np.testing.assert_array_equal(pretrained.get_latent_representation(genes), latent)
    assert pretrained.history is history and pretrained.labels == [] and pretrained.classifier is None
    assert all(p.requires_grad for p in pretrained.module.parameters())


@pytest.mark.parametrize("trainable", ["head", "last", "all"])
def test_only_what_is_trainable_changes(fit_genes, genes, trainable):
    model = fit_genes(genes, network={"encoder_layers": 2}, plan_kwargs={"lr": 1e-2})
    before = weights(model)
    tuned = model.fine_tune("cell_type", trainable=trainable, **FAST)
    found = {name.removeprefix("encoder.") for name in changed(before, weights(tuned))}
    roots = {".".join(name.split(".")[: 2 if name.startswith("blocks") else 1]) for name in found}
    last = {"norm", "blocks.1"}
    assert roots == {"head": set(), "last": last, "all": {*last, "blocks.0", "gene", "value"}}[trainable]


def test_the_start_is_a_logistic_regression(pretrained, genes):
    tuned = pretrained.fine_tune("cell_type", trainable="head", class_balance="none", plan_kwargs={"lr": 1e-12}, **FAST)
    cells = select_cells(pretrained, genes, None)
    pooled = pool_cells(pretrained, cells, "joint")
    classifier = tuned.classifier
    white = (pooled - classifier.mean.numpy()) @ classifier.whiten.numpy()
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-3)
    assert (white.std(0) < 1.01).all() and white.std(0)[0] == pytest.approx(1, abs=0.01)
    expected = LogisticRegression(max_iter=1000).fit(white, genes.obs["cell_type"]).predict_proba(white)
    np.testing.assert_allclose(tuned.predict(genes, soft=True), expected, atol=0.02)


def test_two_labels_start_at_a_logistic_regression_too(pretrained, genes):
    genes.obs["is_b"] = np.where(genes.obs["cell_type"] == "B", "yes", "no")
    tuned = pretrained.fine_tune(
        "is_b", genes, trainable="head", class_balance="none", plan_kwargs={"lr": 1e-12}, **FAST
    )
    classifier, pooled = tuned.classifier, pool_cells(pretrained, select_cells(pretrained, genes, None), "joint")
    white = (pooled - classifier.mean.numpy()) @ classifier.whiten.numpy()
    # Two slopes bear half the penalty of the one that stands for both.
    expected = LogisticRegression(C=2, max_iter=1000).fit(white, genes.obs["is_b"]).predict_proba(white)
    np.testing.assert_allclose(tuned.predict(genes, soft=True), expected, atol=0.02)
    assert tuned.labels == ["no", "yes"]


def test_unlabeled_cells_are_left_out(pretrained, genes):
    tuned = pretrained.fine_tune("few", genes, trainable="head", **FAST)
    assert tuned.labels == ["B", "NK", "T"]
    labeled = np.flatnonzero(genes.obs["few"] != "Unknown")
    same = pretrained.fine_tune("few", genes, labeled, trainable="head", **FAST)
    np.testing.assert_allclose(tuned.predict(genes, soft=True), same.predict(genes, soft=True), atol=1e-4)
    genes.obs["missing"] = genes.obs["few"].where(genes.obs["few"] != "Unknown")
    again = pretrained.fine_tune("missing", genes, trainable="head", **FAST)
    np.testing.assert_array_equal(tuned.predict(genes, soft=True), again.predict(genes, soft=True))
    renamed = genes.obs["few"].replace("Unknown", "to do")
    genes.obs["other"] = renamed
    assert pretrained.fine_tune("other", genes, unlabeled_category="to do", **FAST).labels == ["B", "NK", "T"]


def test_cells_that_are_not_chosen_have_no_influence(pretrained, genes):
    first = pretrained.fine_tune("cell_type", genes, np.arange(40), **FAST).predict(genes, soft=True)
    changed = genes.copy()
    counts = changed.X.toarray()
    counts[40:] = counts[40:][::-1] * 2
    changed.X, changed.obs["cell_type"] = counts, [*genes.obs["cell_type"][:40], *["B"] * 24]
    second = pretrained.fine_tune("cell_type", changed, np.arange(40), **FAST).predict(genes, soft=True)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_labels_that_are_numbers(pretrained, genes):
    genes.obs["number"] = np.arange(64) % 2 + 1
    assert pretrained.fine_tune("number", genes, **FAST).labels == ["1", "2"]


def test_same_seed_same_classifier(pretrained, genes):
    first, again, other = (
        pretrained.fine_tune("cell_type", genes, seed=seed, validation_size=0.2, **FAST).predict(genes, soft=True)
        for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert not np.array_equal(first, other)


def test_validation_cells_are_watched(pretrained, genes):
    tuned = pretrained.fine_tune("cell_type", genes, validation_size=0.25, **FAST)
    assert set(tuned.history) == {"train_loss", "validation_loss"}


def test_depth_tokens_are_read_as_in_predict(pretrained_depth, genes):
    tuned = pretrained_depth.fine_tune("cell_type", genes, trainable="head", **{**FAST, "max_epochs": 3})
    assert (tuned.predict(genes) == genes.obs["cell_type"]).mean() > 0.8


@pytest.mark.parametrize("network", [{}, {"tokenizer": "rank", "n_experts": 2}], ids=str)
def test_round_trip_is_exact(fit_genes, genes, tmp_path, network):
    tuned = fit_genes(genes, network=network).fine_tune("cell_type", **FAST)
    tuned.save(tmp_path / "model")
    loaded = XTRIMOGENE.load(tmp_path / "model", genes)
    pd.testing.assert_frame_equal(loaded.predict(soft=True), tuned.predict(soft=True), check_exact=True)
    np.testing.assert_array_equal(loaded.get_latent_representation(), tuned.get_latent_representation())
    assert repr(loaded) == repr(tuned) and "labels: 3" in repr(loaded)
    assert isinstance(loaded.axes["joint"], Axes)


def test_another_fine_tuning_starts_from_the_tuned_encoder(tuned, genes):
    again = tuned.fine_tune("few", genes, trainable="head", **FAST)
    assert not changed(weights(tuned), weights(again)) and tuned.labels == ["B", "NK", "T"]


def test_pretraining_goes_on_with_all_weights_and_forgets_the_labels(fit_genes, genes):
    tuned = fit_genes(genes).fine_tune("cell_type", trainable="head", **FAST)
    before = weights(tuned)
    tuned.train(**FAST, plan_kwargs={"lr": 1e-2})
    kept = {name for name in before if name not in changed(before, weights(tuned))}
    assert all(name.endswith(("features", "noise", "clean")) for name in kept), kept
    with pytest.raises(ValueError, match="not learned labels"):
        tuned.predict()


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"labels_key": "donor"}, KeyError, "'donor' is not a column of adata.obs; found cell_type, few"),
        ({"labels_key": "one"}, ValueError, r"adata.obs\['one'\] must hold at least two labels; found \['A'\]"),
        ({"labels_key": "none"}, ValueError, "at least two labels; found none"),
        ({"trainable": "some"}, ValueError, "trainable must be one of 'head', 'last', 'all'; found 'some'"),
        ({"validation_size": 1.0}, ValueError, "validation_size must be a number of at least 0 and below 1; found 1.0"),
        (
            {"labels_key": "rare", "validation_size": 0.95},
            ValueError,
            "All cells with the label '.*' would be validation",
        ),
        ({"max_epochs": 0}, ValueError, "max_epochs must be a whole number"),
        ({"lr": 0.1}, TypeError, r"no argument 'lr'\. Pass plan_kwargs="),
        ({"plan_kwargs": {"mask_zero": 0.1}}, TypeError, "FineTuneConfig has no argument 'mask_zero'"),
    ],
)
def test_what_cannot_be_learned(pretrained, genes, arguments, error, match):
    genes.obs["one"], genes.obs["none"] = "A", "Unknown"
    genes.obs["rare"] = [f"type {i // 2}" for i in range(64)]
    with pytest.raises(error, match=match):
        pretrained.fine_tune(**{"labels_key": "cell_type", "adata": genes, **FAST, **arguments})


def test_an_untrained_model_learns_no_labels(genes, tiny_genes):
    with pytest.raises(RuntimeError, match="not trained yet"):
        tiny_genes(genes).fine_tune("cell_type", **FAST)
