"""The model class: what it learns and what it leaves alone."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from mudata import MuData

import scmoe
from scmoe.io._quiet import quiet_mudata
from scmoe.model import SCMOE


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


def test_one_modality_is_enough(single, fit_model):
    model = fit_model(single)
    assert model.get_latent_representation().shape == (120, 16)
    np.testing.assert_allclose(model.get_attention(), 1, rtol=1e-5)
    joint = model.get_latent_representation(part="network")
    np.testing.assert_array_equal(joint, model.get_latent_representation(modality="rna"))
    fitted = np.union1d(model.train_indices, model.validation_indices)
    np.testing.assert_allclose(np.cov(model.get_latent_representation(indices=fitted).T).trace(), 1, rtol=0.02)


@pytest.mark.parametrize("router", ["shared", "per_modality"])
@pytest.mark.parametrize("residual", ["prenorm", "paper", "reference"])
@pytest.mark.parametrize("gate", ["softmax_after_topk", "topk_of_softmax"])
def test_every_form_of_the_network_works_on_mosaic_data(mosaic, fit_model, router, residual, gate):
    network = {"router": router, "residual": residual, "gate": gate, "n_layers": 2}
    model = fit_model(mosaic, network=network)
    assert np.isfinite(model.get_latent_representation()).all()
    assert np.isfinite(model.history.to_numpy()).all()


def test_two_models_of_one_mudata_do_not_disturb_each_other(paired, fit_model):
    first = fit_model(paired)
    expected = first.get_latent_representation()
    second = fit_model(paired, setup={"modalities": ["adt"]}, seed=1)
    assert (first.modalities, second.modalities) == (["rna", "adt"], ["adt"])
    np.testing.assert_array_equal(first.get_latent_representation(), expected)


def test_labels_are_learned(trained, paired):
    held_out = trained.validation_indices
    truth = paired.obs["cell_type"].to_numpy()
    assert (trained.predict(paired, indices=held_out) == truth[held_out]).mean() > 0.9
    soft = trained.predict(paired, soft=True)
    assert list(soft.columns) == ["B", "NK", "T"] and list(soft.index) == list(paired.obs_names)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)


def test_embedding_separates_the_planted_types(paired, fit_model):
    joint = fit_model(paired, max_epochs=10).get_latent_representation()
    types = paired.obs["cell_type"].cat.codes.to_numpy()
    centers = np.stack([joint[types == t].mean(0) for t in range(3)])
    distance = np.square(joint[:, None] - centers).sum(2)
    assert (distance.argmin(1) == types).mean() > 0.95


class Failing(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise OSError("the disk is gone")


def test_a_failed_training_leaves_the_model_as_it_was(paired, tiny):
    SCMOE.setup_mudata(paired)
    model = SCMOE(paired, **tiny)
    with pytest.raises(OSError, match="the disk is gone"):
        model.train(3, callbacks=[Failing()], enable_progress_bar=False)
    assert not model.is_trained
    model.train(2, enable_progress_bar=False)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    said = model.impute("rna", "adt", return_sd=True)
    with pytest.raises(OSError, match="the disk is gone"):
        model.train(3, callbacks=[Failing()], enable_progress_bar=False)
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    np.testing.assert_array_equal(model.impute("rna", "adt", return_sd=True), said)


def test_failing_readouts_leave_the_model_as_it_was(paired, fit_model, monkeypatch):
    model = fit_model(paired)
    before = model.impute("rna", "adt", return_sd=True), model.history, model.diagnostics

    def fail(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("scmoe.model._fit_readouts.fit_spread", fail)
    with pytest.raises(KeyboardInterrupt):
        model.train(3, enable_progress_bar=False)
    np.testing.assert_array_equal(model.impute("rna", "adt", return_sd=True), before[0])
    assert model.history is before[1] and model.diagnostics is before[2]


def test_a_second_training_keeps_the_split(paired, fit_model):
    model = fit_model(paired, train_size=0.8)
    split, mean = model.train_indices, model.module.standardizers[0].mean.clone()
    model.train(1, train_size=0.5, enable_progress_bar=False)
    assert (model.train_indices == split).all() and len(model.test_indices) == 0
    assert torch.equal(model.module.standardizers[0].mean, mean)


def test_three_cells_are_too_few(paired, tiny):
    with quiet_mudata():
        few = paired[:3].copy()
    SCMOE.setup_mudata(few)
    with pytest.raises(ValueError, match="at least 4 cells; found 3 of 3"):
        SCMOE(few, **tiny).train(1, train_size=1.0, enable_progress_bar=False)


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_that_files_cannot_hold(paired, trained, name):
    with pytest.raises(ValueError, match="key_added must be a name without '/'"):
        scmoe.tl.embed(paired, trained, key_added=name)


FOUR = ("genes", "others", "adt", "ephys")


@pytest.fixture(scope="module")
def four(fresh, fit_model):
    """A model of four modalities, of which a cell has at least one."""
    mdata = fresh("mosaic")
    with quiet_mudata():
        parts = {"genes": mdata["rna"][:, :30].copy(), "others": mdata["rna"][:50, 30:].copy()}
        parted = MuData({**parts, "adt": mdata["adt"].copy(), "ephys": mdata["ephys"].copy()})
    parted.obs["cell_type"] = mdata.obs["cell_type"].loc[parted.obs_names]
    return fit_model(parted, setup={"labels_key": "cell_type"}, max_epochs=4)


def test_four_modalities(four):
    for target in FOUR:
        sources = [name for name in FOUR if name != target]
        for k in (1, 2, 3):  # pairs have no readout of their own
            mean, sd = four.impute(sources[:k], target, return_sd=True)
            sourced = four.adata.obs_names.isin(np.concatenate([four.adata[m].obs_names for m in sources[:k]]))
            assert np.isfinite(mean[sourced]).all() and (sd[sourced] > 0).all()
            assert 0 <= four.mixture_weight(sources[:k], target) <= 1
    assert np.isfinite(four.get_latent_representation(labeled=True)).all()
    assert (four.predict() == four.adata.obs["cell_type"]).mean() > 0.8
    score = four.get_mapping_score()
    assert (score > 0).all() and (score <= 1).all()


def test_a_set_of_modalities_without_a_readout_uses_that_of_a_part(four):
    linear = four.impute(["adt", "ephys"], "genes", part="linear")
    alone = four.impute("adt", "genes", part="linear")
    here = four.adata.obs_names.isin(four.adata["adt"].obs_names)
    np.testing.assert_allclose(linear[here], alone[here], rtol=1e-4, atol=1e-5)
