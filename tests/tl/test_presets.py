"""The scMoE paper's settings."""

import numpy as np
import pytest

import scmoe
from scmoe.train._presets import PRESETS

FAST = {"max_epochs": 2, "train_kwargs": {"enable_progress_bar": False}}


@pytest.mark.parametrize(("name", "size"), [("dyngen", (4, 1, 16)), ("dbitseq", (8, 4, 8))])
def test_a_preset_has_the_sizes_of_the_paper(fresh, name, size):
    mdata = fresh("paired")
    model = scmoe.tl.train(mdata, preset=name, labels_key="cell_type", **FAST)
    config = model.config
    assert (config.n_tokens, config.n_heads, config.n_experts) == size
    assert (config.tokenizer, config.residual, config.gate) == ("patch", "paper", "topk_of_softmax")
    assert (config.n_hidden, config.expert_hidden, config.n_clusters, config.label_weight) == (64, 128, 3, 0)
    recorded = mdata.uns["scmoe"]["params"]["train"]
    assert recorded["batch_size"] == 64 and recorded["plan_kwargs"]["cross_weight"] == 2.0
    assert np.isfinite(model.impute("rna", "adt")).all()


def test_what_is_given_counts_more(fresh):
    model = scmoe.tl.train(fresh("paired"), preset="dyngen", n_clusters=2, n_experts=4, **FAST)
    assert (model.config.n_clusters, model.config.n_experts, len(model.history)) == (2, 4, 2)


def test_the_objective_of_a_preset_can_be_another(fresh):
    model = scmoe.tl.train(fresh("paired"), preset="dbitseq", objective="ce", labels_key="cell_type", **FAST)
    assert (model.config.n_clusters, model.config.label_weight) == (None, 1)


def test_an_objective_without_a_preset(fresh):
    mdata = fresh("paired")
    model = scmoe.tl.train(mdata, objective="ce", labels_key="cell_type", **FAST)
    assert model.config.label_weight == 1 and "scmoe_supervised_label" in mdata.obs
    model = scmoe.tl.train(mdata, objective="ddc", labels_key="cell_type", **FAST)
    assert model.config.n_clusters == 3 and "scmoe_supervised_label" not in mdata.obs
    assert model.config.tokenizer == "program"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "atacseq", "labels_key": "cell_type"}, "of rna and peaks; found rna .rna., adt .protein."),
        ({"preset": "patchseq", "labels_key": "cell_type"}, "of continuous; found"),
        ({"preset": "dyngen"}, "objective='ddc' needs a number of clusters"),
        ({"preset": "dyngen", "modalities": ["rna"], "n_clusters": 3}, "at least two modalities"),
        ({"preset": "scmoe"}, "preset must be"),
        ({"objective": "ce"}, "objective='ce' learns labels. Name their column"),
        ({"objective": "ce", "labels_key": "cell_type", "n_clusters": 3}, "Leave one of them out"),
        ({"objective": "ddc", "labels_key": "cell_type", "label_weight": 1}, "Leave one of them out"),
    ],
)
def test_refuses_what_does_not_fit(fresh, contents, written, arguments, message):
    mdata = fresh("paired")
    before = contents(mdata)
    with pytest.raises(ValueError, match=message):
        scmoe.tl.train(mdata, **arguments, **FAST)
    assert not {path for path in written(before, mdata) if "_scvi" not in path}


def test_sizes_are_written_once():
    assert all(
        preset.network_kwargs()["expert_hidden"] == 2 * preset.network["n_hidden"] for preset in PRESETS.values()
    )
