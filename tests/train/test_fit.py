"""One fit: the same result from the same seed, and what it must not look at."""

import logging
import random
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

import scmoe
from scmoe.train._fit import PATIENCE, default_batch_size, default_epochs


def differ(first, second):
    a, b = first.module.state_dict(), second.module.state_dict()
    return any(not torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("data", ["paired", "mosaic", "single"])
def test_same_seed_same_model(fresh, fit_model, data, assert_same):
    assert_same(fit_model(fresh(data), seed=3), fit_model(fresh(data), seed=3))


def test_another_seed_another_model(fresh, fit_model):
    assert differ(fit_model(fresh("paired"), seed=3), fit_model(fresh("paired"), seed=4))


def test_the_loss_falls(fresh, fit_model):
    history = fit_model(fresh("paired"), max_epochs=8).history
    assert history["validation_loss"].iloc[-1] < 0.9 * history["validation_loss"].iloc[0]


def test_history_has_one_row_an_epoch_and_the_parts_of_the_loss(trained):
    assert trained.history.index.tolist() == list(range(15))
    terms = {"train": {"loss", "own", "cross", "balance", "z", "graph"}, "validation": {"loss", "own", "cross"}}
    assert {f"{stage}_{term}" for stage in terms for term in terms[stage]} <= set(trained.history)
    assert np.isfinite(trained.history.to_numpy()).all()


def test_without_validation_cells_no_validation_loss(paired, fit_model):
    model = fit_model(paired, train_size=1.0)
    assert len(model.train_indices) == 120 and len(model.validation_indices) == 0
    assert not any(name.startswith("validation") for name in model.history)


def test_epochs_without_validation_have_no_validation_loss(paired, fit_model):
    history = fit_model(paired, max_epochs=4, check_val_every_n_epoch=2).history
    assert history["validation_loss"].isna().tolist() == [True, False, True, False]


def test_global_random_states_are_left_alone(paired, fit_model):
    torch.manual_seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    fit_model(paired)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]


def test_global_random_states_do_not_matter(fresh, fit_model, assert_same):
    first = fit_model(fresh("paired"))
    torch.manual_seed(1234)
    assert_same(first, fit_model(fresh("paired")))


def test_log_level_and_warning_filters_are_left_alone(paired, fit_model):
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level, list(warnings.filters)
    fit_model(paired)
    assert (logger.level, list(warnings.filters)) == before


def test_early_stopping_stops(paired, fit_model):
    model = fit_model(paired, max_epochs=40, early_stopping=True, plan_kwargs={"lr": 1e-30})
    assert len(model.history) == PATIENCE + 1


def test_an_unsupervised_run_sees_no_labels(fresh, fit_model, assert_same):
    permuted = fresh("paired")
    permuted.obs["cell_type"] = np.random.default_rng(0).permutation(permuted.obs["cell_type"])
    settings = {"early_stopping": True, "network": {"n_clusters": 3}}
    assert_same(fit_model(fresh("paired"), **settings), fit_model(permuted, **settings))


@pytest.mark.parametrize("data", ["paired", "mosaic"])
def test_labels_do_not_reach_the_network(fresh, fit_model, data, assert_same):
    plain, labeled = (fit_model(fresh(data), setup={"labels_key": key}) for key in (None, "cell_type"))
    assert_same(plain, labeled)
    for modality in (None, "rna"):
        joint = plain.get_latent_representation(modality=modality)
        np.testing.assert_array_equal(labeled.get_latent_representation(modality=modality), joint)


def test_validation_cells_do_not_influence_the_weights(fresh, fit_model):
    first = fit_model(fresh("paired"))
    changed = fresh("paired")
    for name in changed.mod:
        values = changed[name].X if name == "adt" else changed[name].X.toarray()
        values[changed[name].obs_names.isin(changed.obs_names[first.validation_indices])] += 2.5
        changed[name].X = values
    second = fit_model(changed)
    assert not differ(first, second)
    assert (first.history["validation_loss"] != second.history["validation_loss"]).all()


def test_a_loss_that_is_no_number_is_an_error(paired, fit_model):
    with pytest.raises(FloatingPointError, match=r"Lower the learning rate"):
        fit_model(paired, max_epochs=3, plan_kwargs={"lr": 1e38})


def test_user_callbacks_run(paired, fit_model):
    class Count(Callback):
        batches = 0

        def on_train_batch_end(self, *_) -> None:
            self.batches += 1

    count = Count()
    fit_model(paired, max_epochs=3, callbacks=[count])
    assert count.batches == 3 * 4  # 108 training cells in batches of at most 32


def test_mixed_precision(paired, fit_model):
    model = fit_model(paired, max_epochs=8, precision="bf16-mixed")
    assert model.history["validation_loss"].iloc[-1] < 0.9 * model.history["validation_loss"].iloc[0]
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}


def test_progress_is_shown_on_stderr(paired, fit_model, capfd):
    fit_model(paired, enable_progress_bar=True)
    out, err = capfd.readouterr()
    assert "2/2" in err and "validation_loss" in err and out == ""


def test_without_progress_setup_and_training_say_one_line_each(paired, fit_model, capfd):
    fit_model(paired)
    out, err = capfd.readouterr()
    cells, training = err.splitlines()
    assert out == "" and cells == "scmoe: 120 cells: 120 with rna and adt"
    assert training.startswith("scmoe: trained 2 epochs (8 steps) in ")


@pytest.mark.parametrize("train_size", [0.9, 1.0])
def test_training_does_not_warn(mosaic, fit_model, tmp_path, train_size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_model(mosaic, checkpoint_dir=tmp_path, train_size=train_size)
        fit_model(mosaic, checkpoint_dir=tmp_path, train_size=train_size)


@pytest.mark.parametrize(
    ("n_cells", "epochs"), [(10, 60), (540, 60), (3000, 24), (6400, 24), (12_800, 12), (10**6, 2), (1280, 30)]
)
def test_default_epochs(n_cells, epochs):
    assert default_epochs(n_cells, 128) == epochs


def test_large_data_are_taken_in_larger_batches():
    assert [default_batch_size(n) for n in (10, 19_999, 20_000, 10**6)] == [128, 128, 512, 512]


def test_epochs_are_chosen_by_size(paired, tiny):
    scmoe.model.SCMOE.setup_mudata(paired)
    model = scmoe.model.SCMOE(paired, **tiny)
    model.train(accelerator="cpu", batch_size=8, enable_progress_bar=False)
    assert len(model.history) == default_epochs(108, 8)
