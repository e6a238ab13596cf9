"""Training that was interrupted goes on as if nothing had happened."""

import subprocess
import sys

import pytest
import torch
from lightning.pytorch import Callback
from mudata import MuData

from scmoe.datasets._write import write
from scmoe.io._files import WriteError


class Stop(Callback):
    """Raises in the middle of an epoch."""

    def __init__(self, error: BaseException, epoch: int = 2) -> None:
        self.error, self.epoch = error, epoch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise self.error


def doubled(mdata: MuData) -> MuData:
    """Other values of a modality, in place."""
    first = next(iter(mdata.mod.values()))
    first.X = 2 * first.X
    return mdata


@pytest.mark.parametrize("data", ["paired", "mosaic"])
def test_resumed_after_an_error_in_mid_epoch_as_if_never_stopped(fresh, fit_model, tmp_path, data, assert_same):
    settings = {"max_epochs": 4, "checkpoint_dir": tmp_path}
    with pytest.raises(RuntimeError, match="power cut"):
        fit_model(fresh(data), callbacks=[Stop(RuntimeError("power cut"))], **settings)
    resumed = fit_model(fresh(data), resume=True, **settings)
    assert_same(resumed, fit_model(fresh(data), max_epochs=4))


def test_a_killed_process_is_resumed_as_if_never_stopped(fresh, fit_model, tmp_path, tiny, assert_same):
    write(fresh("paired"), tmp_path / "data.h5mu")
    script = f"""
import os, scmoe
from lightning.pytorch import Callback

class Kill(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 2 and batch_idx == 1:
            os._exit(9)

mdata = scmoe.datasets.read({str(tmp_path / "data.h5mu")!r})
scmoe.model.SCMOE.setup_mudata(mdata)
model = scmoe.model.SCMOE(mdata, **{tiny!r})
model.train(4, accelerator="cpu", batch_size=32, checkpoint_dir={str(tmp_path)!r}, callbacks=[Kill()])
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, capture_output=True).returncode == 9
    resumed = fit_model(fresh("paired"), max_epochs=4, checkpoint_dir=tmp_path, resume=True)
    assert_same(resumed, fit_model(fresh("paired"), max_epochs=4))


def test_early_stopping_goes_on_counting_after_an_interruption(fresh, fit_model, tmp_path, assert_same):
    settings = {"max_epochs": 20, "early_stopping": True, "plan_kwargs": {"lr": 1e-30}, "train_size": 0.5}
    with pytest.raises(RuntimeError, match="power cut"):
        fit_model(fresh("single"), checkpoint_dir=tmp_path, callbacks=[Stop(RuntimeError("power cut"), 5)], **settings)
    resumed = fit_model(fresh("single"), checkpoint_dir=tmp_path, resume=True, **settings)
    assert_same(resumed, fit_model(fresh("single"), **settings))


def test_resuming_a_finished_run_changes_nothing(fresh, fit_model, tmp_path, assert_same):
    finished = fit_model(fresh("paired"), checkpoint_dir=tmp_path)
    assert_same(fit_model(fresh("paired"), checkpoint_dir=tmp_path, resume=True), finished)


def test_resuming_without_a_checkpoint_starts(fresh, fit_model, tmp_path, assert_same):
    assert_same(fit_model(fresh("paired"), checkpoint_dir=tmp_path / "new", resume=True), fit_model(fresh("paired")))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"seed": 5}, "of a run with seed=0; this one has seed=5"),
        ({"network": {"n_hidden": 32}}, "n_hidden=16; this one has n_hidden=32"),
        ({"plan_kwargs": {"lr": 1e-4}}, "lr=0.003; this one has lr=0.0001. Resume with the same settings"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(fresh, fit_model, tmp_path, settings, match):
    fit_model(fresh("paired"), checkpoint_dir=tmp_path, plan_kwargs={"lr": 3e-3})
    with pytest.raises(ValueError, match=match):
        fit_model(fresh("paired"), checkpoint_dir=tmp_path, resume=True, **{"plan_kwargs": {"lr": 3e-3}, **settings})


@pytest.mark.parametrize("kept", [0, 0.5, 0.999], ids=["empty", "half", "cut"])
def test_a_checkpoint_that_is_cut_short_is_named(fresh, fit_model, tmp_path, kept):
    fit_model(fresh("paired"), checkpoint_dir=tmp_path)
    whole = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / "last.ckpt").write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged or cut short. Remove it"):
        fit_model(fresh("paired"), checkpoint_dir=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (lambda path: path.write_bytes(b"garbage"), "is damaged or cut short"),
        (lambda path: torch.save({"weights": torch.zeros(2)}, path), "is no checkpoint of scmoe"),
    ],
)
def test_what_is_no_checkpoint_is_named(paired, fit_model, tmp_path, write, match):
    write(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=match):
        fit_model(paired, checkpoint_dir=tmp_path, resume=True)


@pytest.mark.parametrize(
    "changed",
    [
        lambda mdata: mdata[::-1].copy(),
        lambda mdata: mdata[:-4].copy(),
        lambda mdata: MuData({name: each[:, ::-1].copy() for name, each in mdata.mod.items()}),
        doubled,
    ],
    ids=["order of cells", "fewer cells", "order of features", "values"],
)
def test_a_checkpoint_of_other_data_is_refused(fresh, fit_model, tmp_path, changed):
    fit_model(fresh("paired"), checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match="of a training on other data"):
        fit_model(changed(fresh("paired")), checkpoint_dir=tmp_path, resume=True)


def test_fewer_epochs_than_a_checkpoint_has_are_refused(fresh, fit_model, tmp_path):
    fit_model(fresh("paired"), max_epochs=3, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match="has done 3 epochs already; max_epochs is 2"):
        fit_model(fresh("paired"), max_epochs=2, checkpoint_dir=tmp_path, resume=True)


def test_ctrl_c_is_a_keyboard_interrupt_that_tells_how_to_go_on(paired, fit_model, tmp_path):
    with pytest.raises(KeyboardInterrupt, match=r"resume=True to go on from .*last\.ckpt"):
        fit_model(paired, max_epochs=4, checkpoint_dir=tmp_path, callbacks=[Stop(KeyboardInterrupt())])


def test_checkpoint_folder_that_is_a_file(paired, fit_model, tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(WriteError, match="a file is in the way"):
        fit_model(paired, checkpoint_dir=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"
