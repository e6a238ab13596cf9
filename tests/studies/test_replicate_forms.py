import pytest
import torch

from scmoe.nn._config import NetworkConfig
from scmoe.studies.replicate._forms import (
    BASES,
    FORMS,
    ONE_TASK,
    OURS,
    PAPER,
    REFERENCE,
    Form,
    FusedNetwork,
    build,
    train_form,
)
from scmoe.train._config import TrainConfig


@pytest.mark.parametrize("name", FORMS)
def test_settings_of_every_form_exist(name):
    variant = FORMS[name].variant
    NetworkConfig(**variant.network)
    TrainConfig(**variant.training)


def test_every_change_changes_one_thing():
    for name, form in FORMS.items():
        base = BASES[REFERENCE if name in ONE_TASK else name.split(":")[0]]
        if name not in BASES:
            assert form != base
            assert (form.epochs, form.published) == (base.epochs, base.published)


def test_dense_layers_have_equal_compute_or_parameters():
    form = Form().changed(network={"n_experts": 16, "top_k": 2, "expert_hidden": 10})
    assert form.dense(equal="compute").variant.network == {"n_experts": 1, "top_k": 1, "expert_hidden": 20}
    assert form.dense(equal="parameters").variant.network == {"n_experts": 1, "top_k": 1, "expert_hidden": 160}


@pytest.fixture
def small() -> Form:
    network = {"n_hidden": 16, "n_experts": 4, "n_tokens": 2, "expert_hidden": 16, "decoder_hidden": 16}
    return BASES[REFERENCE].changed(network=network, training={"lr": 5e-3})


@torch.no_grad()
def test_published_form_sees_all_modalities_whatever_the_groups(paired, small):
    for form, same in ((small, True), (Form(variant=small.variant), False)):
        model = build(form, paired, 3, 0)
        dataset = model._dataset(None)
        batch = dataset[torch.arange(8).numpy()]
        z = model.module.standardize(batch.values, batch.observed)
        apart = torch.arange(2).expand(8, -1)
        fused, split = (model.module.encode(z, batch.presence, batch.covariates, g).states for g in (None, apart))
        assert torch.equal(fused, split) == same


def test_training_a_published_form_keeps_its_network_and_all_cells(paired, small):
    model = build(small, paired, 3, 0)
    used = train_form(model, small, 2)
    assert isinstance(model.module, FusedNetwork)
    assert len(model.train_indices_) == paired.n_obs
    assert len(model.history_) == 2
    assert (used["own_weight"], used["cross_weight"]) == (2.0, 2.0)
    assert model.config.n_clusters == 3


def test_forms_differ_where_paper_and_code_do():
    paper, reference = (BASES[name].variant.network for name in (PAPER, REFERENCE))
    assert {name for name in paper if paper[name] != reference[name]} == {"n_tokens", "residual", "gate"}
    assert BASES[OURS] == Form()
