"""Training on an atlas: in one process and in two, interrupted and not, and what is refused before it."""

import importlib.util
import multiprocessing
import os

import numpy as np
import pytest
from lightning.pytorch import Callback

import scmoe
from scmoe.data.atlas import _order
from scmoe.datasets._write import write
from scmoe.datasets.atlas import _windows
from scmoe.io._quiet import quiet_mudata

needs_annbatch = pytest.mark.skipif(
    importlib.util.find_spec("annbatch") is None, reason="annbatch is not installed: pip install 'scmoe[atlas]'"
)
needs_two = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods() or (os.cpu_count() or 1) < 2, reason="needs fork, two cores"
)
TWO = {"accelerator": "cpu", "devices": 2, "strategy": "ddp_fork"}
NUMBER = "number"


class Record(Callback):
    """Writes which cells this process trains on in each epoch, by a number that is a covariate."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def on_train_epoch_start(self, *_) -> None:
        self.numbers = []

    def on_train_batch_start(self, trainer, plan, batch, i) -> None:
        self.numbers += batch.covariates[:, -1].tolist()

    def on_train_epoch_end(self, trainer, *_) -> None:
        np.save(self.folder / f"{trainer.current_epoch}-{trainer.global_rank}.npy", self.numbers)


@pytest.fixture
def atlas(mosaic, tmp_path, monkeypatch):
    """Folder of two stores, of windows of 40 cells."""
    monkeypatch.setattr(_order, "WINDOW", 40)
    mosaic.obs[NUMBER] = np.arange(mosaic.n_obs, dtype=float)
    folder = tmp_path / "atlas"
    folder.mkdir()
    for i in range(2):
        with quiet_mudata():
            write(mosaic[mosaic.obs_names[i::2]].copy(), folder / f"s{i}.zarr")
    return folder


@pytest.fixture
def sample(atlas):
    sample = scmoe.datasets.sample_atlas(atlas, n_cells=64)
    scmoe.pp.prepare(sample)
    return sample


@needs_annbatch
@needs_two
def test_two_processes_see_each_cell_once_an_epoch(atlas, sample, fit_model, tmp_path):
    model = fit_model(
        sample,
        setup={"continuous_covariate_keys": [NUMBER]},
        atlas=atlas,
        batch_size=24,
        plan_kwargs={"graph_weight": 0.0},  # no neighbors, which come again
        callbacks=[Record(tmp_path)],
        **TWO,
    )
    held_out = sample.obs[NUMBER].to_numpy()[model.validation_indices]
    assert len(held_out) and model.diagnostics["n_steps"] == 2 * 5
    orders = []
    for epoch in range(2):
        first, second = (np.load(tmp_path / f"{epoch}-{rank}.npy") for rank in range(2))
        assert abs(len(first) - len(second)) <= 1
        orders.append(np.concatenate([first, second]))
        expected = np.setdiff1d(np.arange(120), held_out)
        np.testing.assert_array_equal(np.sort(orders[-1]), expected)
    assert not np.array_equal(*orders)


@needs_annbatch
def test_a_resumed_training_repeats_what_it_would_have_done(atlas, sample, fit_model, tmp_path, assert_same):
    whole = fit_model(sample, atlas=atlas, max_epochs=3, checkpoint_dir=tmp_path / "a")

    class Stop(Callback):
        def on_train_epoch_start(self, trainer, *_) -> None:
            if trainer.current_epoch == 2:
                raise RuntimeError("stop")

    settings = {"atlas": atlas, "max_epochs": 3, "checkpoint_dir": tmp_path / "b"}
    with pytest.raises(RuntimeError, match="stop"):
        fit_model(sample, callbacks=[Stop()], **settings)
    assert_same(fit_model(sample, resume=True, **settings), whole)


@needs_annbatch
def test_the_network_learns_from_cells_that_the_sample_has_not(atlas, sample, fit_model):
    alone, with_atlas = fit_model(sample), fit_model(sample, atlas=atlas)
    assert with_atlas.diagnostics["n_steps"] == 2 * 4 > alone.diagnostics["n_steps"]
    assert with_atlas.get_latent_representation(sample).shape == alone.get_latent_representation(sample).shape


@needs_annbatch
def test_rows_of_another_order_end_the_training(atlas, sample, fit_model, monkeypatch):
    original = _windows.read_windows

    def mispaired(atlas, windows):
        rows = atlas.rows["adt"]
        rows[rows >= 0] = rows[rows >= 0][::-1]
        return original(atlas, windows)

    monkeypatch.setattr("scmoe.data.atlas._batches.read_windows", mispaired)
    with pytest.raises(ValueError, match="row of 'adt' is of the cell .*different cells would be paired"):
        fit_model(sample, atlas=atlas)


@needs_annbatch
def test_validation_cells_are_needed(atlas, sample, fit_model):
    with pytest.raises(ValueError, match="atlas= needs validation cells"):
        fit_model(sample, atlas=atlas, train_size=1.0)


def test_without_annbatch_the_extra_is_named(paired, fit_model, tmp_path, monkeypatch):
    monkeypatch.setattr(_windows, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'scmoe\[atlas\]'"):
        fit_model(paired, atlas=tmp_path)
