"""`class_balance` of both models: what it changes, what it leaves alone, what it refuses."""

import numpy as np
import pytest
import torch

import scmoe
from scmoe.losses._class_balance import DEFAULT_BALANCE, OPTIONS, SCALE, prior_offsets
from scmoe.model import SCMOE, XTRIMOGENE

FAST = {"max_epochs": 2, "batch_size": 16, "accelerator": "cpu", "enable_progress_bar": False}


@pytest.fixture
def skewed(genes):
    """Many cells of "B", some of "NK", four of "T"."""
    labels = genes.obs["cell_type"].astype(str).to_numpy()
    labels[np.flatnonzero(labels == "T")[4:]] = "Unknown"
    genes.obs["skewed"] = labels
    return genes


def test_the_network_does_not_see_how_labels_are_balanced(fresh, fit_model):
    setup = {"labels_key": "cell_type"}
    plain, other = (fit_model(fresh("paired"), setup=setup, class_balance=o) for o in ("none", "sampler"))
    for name, tensor in plain.module.state_dict().items():
        assert torch.equal(tensor, other.module.state_dict()[name]), name
    found = [model.predict(soft=True).to_numpy() for model in (plain, other)]
    assert not np.array_equal(*found)


def test_the_choice_is_kept_with_the_model_and_its_results(paired, tl_train, tmp_path):
    model = tl_train(paired, labels_key="cell_type", class_balance="sqrt")
    assert paired.uns["scmoe"]["params"]["class_balance"] == "sqrt"
    model.save(tmp_path / "model")
    assert SCMOE.load(tmp_path / "model").class_balance_ == "sqrt"


@pytest.mark.parametrize("option", OPTIONS)
def test_a_gene_model_learns_rare_labels_with_every_option(pretrained, skewed, option):
    tuned = pretrained.fine_tune("skewed", skewed, class_balance=option, **FAST)
    known = (skewed.obs["skewed"] != "Unknown").to_numpy()
    right = tuned.predict(skewed)[known] == skewed.obs["skewed"][known]
    assert right.mean() > 0.85 and tuned.class_balance_ == option
    assert list(tuned.history.index) == [0, 1]


def test_post_hoc_lowers_the_plain_logits_by_the_log_frequencies(pretrained, skewed):
    plain, adjusted = (pretrained.fine_tune("skewed", skewed, class_balance=o, **FAST) for o in ("none", "post_hoc"))
    found = [np.log(model.predict(skewed, soft=True).to_numpy()) for model in (plain, adjusted)]
    counts = skewed.obs["skewed"].value_counts()[["B", "NK", "T"]].to_numpy()
    difference = found[0] - found[1] - prior_offsets(counts)
    np.testing.assert_allclose(
        difference, np.broadcast_to(difference.mean(1, keepdims=True), difference.shape), atol=1e-4
    )


def test_decoupled_moves_the_head_alone_in_the_end(pretrained, skewed):
    """The encoder is that of a plain training which ends after four fifths of the epochs."""
    settings = {**FAST, "max_epochs": 5}
    decoupled = pretrained.fine_tune("skewed", skewed, class_balance="decoupled", **settings)
    plain = pretrained.fine_tune("skewed", skewed, class_balance="none", **{**settings, "max_epochs": 4})
    for name, tensor in plain.module.state_dict().items():
        torch.testing.assert_close(decoupled.module.state_dict()[name], tensor, msg=name)
    assert not torch.equal(decoupled.classifier.head.weight, plain.classifier.head.weight)


def test_cosine_logits_survive_saving(pretrained, skewed, tmp_path):
    tuned = pretrained.fine_tune("skewed", skewed, class_balance="ldam", **FAST)
    tuned.save(tmp_path / "model")
    loaded = XTRIMOGENE.load(tmp_path / "model", skewed)
    assert loaded.class_balance_ == "ldam" and loaded.classifier.cosine_scale == SCALE
    np.testing.assert_allclose(loaded.predict(soft=True), tuned.predict(skewed, soft=True), atol=1e-5)


def test_a_label_of_one_cell_is_learned(pretrained, skewed):
    cells = np.flatnonzero(skewed.obs["skewed"].isin(["B", "NK"]))
    alone = np.flatnonzero(skewed.obs["skewed"] == "T")[:1]
    tuned = pretrained.fine_tune("skewed", skewed, np.concatenate([cells, alone]), **FAST)
    assert tuned.labels == ["B", "NK", "T"]
    assert tuned.predict(skewed, alone) == ["T"]


def copies(mdata):
    mdata.obs["copy_of"] = np.where(np.arange(mdata.n_obs) == 3, mdata.obs_names[4], mdata.obs_names)
    return mdata


def test_copies_are_not_balanced_a_second_time(paired, fit_model, pretrained, skewed):
    setup, settings = {"labels_key": "cell_type"}, {"train_size": 1.0}
    match = "1 of the .* training cells are copied or made, such as 'cell3'.*Pass class_balance='none'"
    with pytest.raises(ValueError, match=match):
        fit_model(copies(paired), setup=setup, **settings)
    with pytest.raises(ValueError, match=match):
        pretrained.fine_tune("skewed", copies(skewed), np.arange(20), **FAST)
    assert fit_model(paired, setup=setup, class_balance="none", **settings).is_trained_
    assert fit_model(paired, **settings).is_trained_  # nothing is balanced without labels


def test_an_unknown_option_is_refused_before_anything_is_done(paired, pretrained, genes):
    SCMOE.setup_mudata(paired, labels_key="cell_type")
    with pytest.raises(ValueError, match="class_balance must be one of 'none', 'inverse', .*; found 'smote'"):
        SCMOE(paired).train(class_balance="smote")
    with pytest.raises(ValueError, match="found 'smote'"):
        pretrained.fine_tune("cell_type", genes, class_balance="smote", **FAST)


def test_copies_that_would_judge_their_originals_are_refused(pretrained, skewed):
    more = scmoe.pp.oversample(skewed, "cell_type")
    with pytest.raises(ValueError, match=r"are in different parts.*validation_size=0"):
        pretrained.fine_tune("cell_type", more, class_balance="none", validation_size=0.3, **FAST)
    XTRIMOGENE.setup_anndata(more)
    with pytest.raises(ValueError, match="are in different parts"):
        XTRIMOGENE(more).train(1, train_size=0.7)
    assert pretrained.fine_tune("cell_type", more, class_balance="none", **FAST).labels == ["B", "NK", "T"]


def test_steps_are_counted_over_both_parts(pretrained, skewed):
    tuned = pretrained.fine_tune("skewed", skewed, class_balance="deferred", **{**FAST, "max_epochs": 9}, max_steps=5)
    plain = pretrained.fine_tune("skewed", skewed, class_balance="none", **{**FAST, "max_epochs": 9}, max_steps=4)
    assert len(tuned.history) == len(plain.history) + 1  # 4 steps, an epoch here, and then one
    with pytest.raises(ValueError, match="needs two steps, the last of them balanced; found 1"):
        pretrained.fine_tune("skewed", skewed, class_balance="decoupled", **FAST, max_steps=1)


def test_tl_train_and_model_train_share_the_default():
    import inspect

    for function in (scmoe.tl.train, SCMOE.train, XTRIMOGENE.fine_tune):
        assert inspect.signature(function).parameters["class_balance"].default == DEFAULT_BALANCE
