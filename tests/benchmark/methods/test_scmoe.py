import numpy as np
import pytest

from scmoe.benchmark._cells import subset
from scmoe.benchmark._inputs import Run
from scmoe.benchmark.methods import _scmoe
from scmoe.benchmark.methods._scmoe import GROUPS, VARIANTS, Variant, fit, predict
from scmoe.model._config import NetworkConfig
from scmoe.train._config import TrainConfig


def protein_to_rna(method):
    return Run(task="predict", method=method, seed=0, case="adt → rna", data="", source="adt", target="rna")


@pytest.fixture
def tiny_variant(tiny, monkeypatch):
    """Adds a variant "tiny" with the settings passed; each of its models trains for one epoch."""
    from scmoe.model._scmoe import SCMOE

    train = SCMOE.train
    monkeypatch.setattr(SCMOE, "train", lambda model, **kwargs: train(model, max_epochs=1, **kwargs))

    def add(**settings):
        monkeypatch.setitem(_scmoe.VARIANTS, "tiny", Variant(network=tiny, **settings))

    return add


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_settings_that_differ_from_the_defaults(name):
    variant = VARIANTS[name]
    changed = NetworkConfig(**variant.network), TrainConfig(**variant.training), variant.likelihoods
    assert (changed == (NetworkConfig(), TrainConfig(), {})) == (name == "scmoe")


def test_dense_variant_computes_as_much_for_each_token():
    default, dense = (NetworkConfig(**VARIANTS[name].network) for name in ("scmoe", "scmoe_dense"))
    assert default.top_k * default.expert_hidden == dense.top_k * dense.expert_hidden


def test_groups_hold_every_variant_and_the_default():
    assert {name for names in GROUPS.values() for name in names} == set(VARIANTS)
    assert all(names[0] == "scmoe" for names in GROUPS.values())


def test_variant_reaches_setup_and_network(paired, tiny_variant):
    tiny_variant(likelihoods={"protein": "nb", "peaks": "bernoulli"})
    model = fit("tiny", paired, 0)
    assert model.setup.likelihoods == {"rna": "gaussian", "adt": "nb"}
    assert model.config.n_hidden == 16


@pytest.mark.parametrize("likelihoods", [{}, {"rna": "nb"}, {"rna": "bernoulli"}])
def test_prediction_is_in_the_units_of_the_target(paired, tiny_variant, likelihoods):
    tiny_variant(likelihoods=likelihoods)
    train, test = subset(paired, paired.obs_names[:90], ["rna", "adt"]), subset(paired, paired.obs_names[90:], ["adt"])
    prediction = predict(train, test, protein_to_rna("tiny"))
    truth = paired["rna"][test.obs_names].X.toarray()
    assert prediction.values.shape == truth.shape
    np.testing.assert_allclose(prediction.values.mean(), truth.mean(), rtol=0.2)
    assert set(prediction.parts or ()) == (set() if likelihoods else {"network", "linear"})


def test_prediction_from_patches_is_the_network_alone(paired, tiny, tiny_variant, monkeypatch):
    tiny_variant()
    monkeypatch.setitem(_scmoe.VARIANTS, "patch", Variant(network=tiny | {"tokenizer": "patch"}))
    prediction = predict(paired, subset(paired, paired.obs_names[:20], ["adt"]), protein_to_rna("patch"))
    assert prediction.parts is None and prediction.weight is None
    assert prediction.uncertainty is not None and prediction.values.shape == (20, paired["rna"].n_vars)
    assert all(part.shape == prediction.values.shape for part in prediction.uncertainty)
