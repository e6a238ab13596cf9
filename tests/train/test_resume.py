"""Training that was interrupted goes on as if nothing had happened."""

import errno
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

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
        ({"max_epochs": 1}, "max_epochs=2; this one has max_epochs=1. The learning rate follows"),
        ({"max_epochs": 3}, "max_epochs=2; this one has max_epochs=3. The learning rate follows"),
        ({"max_steps": 3}, "max_steps=-1; this one has max_steps=3"),
        ({"precision": "bf16-mixed"}, "precision=32-true; this one has precision=bf16-mixed"),
        ({"batch_size": 16}, "batch_size=32; this one has batch_size=16"),
        ({"accumulate_grad_batches": 2}, "accumulate_grad_batches=1; this one has accumulate_grad_batches=2"),
        ({"limit_train_batches": 1}, "limit_train_batches=1.0; this one has limit_train_batches=1."),
        ({"early_stopping": True}, "early_stopping=False; this one has early_stopping=True"),
        ({"setup": {"batch_key": "batch"}}, "of a training on other data"),
        ({"setup": {"likelihoods": {"adt": "nb"}}}, "of a training on other data"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(checkpoint, fresh, fit_model, tmp_path, settings, match):
    (tmp_path / "last.ckpt").write_bytes(checkpoint)
    with pytest.raises(ValueError, match=rf"last\.ckpt is .*{match}"):
        fit_model(fresh("paired"), checkpoint_dir=tmp_path, resume=True, **settings)


def altered(path: Path, **changes: object) -> None:
    torch.save(torch.load(path, weights_only=True) | changes, path)


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("was_run"),))


UNREADABLE = "last.ckpt is damaged, cut short or no checkpoint of scmoe. Remove it and train again without"
SPOILED = {
    "empty": (lambda path, whole: path.write_bytes(b""), UNREADABLE),
    "half": (lambda path, whole: path.write_bytes(whole[: len(whole) // 2]), UNREADABLE),
    "cut": (lambda path, whole: path.write_bytes(whole[: int(0.999 * len(whole))]), UNREADABLE),
    "flipped bit": (
        lambda path, whole: path.write_bytes(whole.replace((bits := whole[len(whole) // 2 :][:64]), bits[::-1], 1)),
        UNREADABLE,
    ),
    "text": (lambda path, whole: path.write_text("epoch 1"), UNREADABLE),
    "pickle": (lambda path, whole: path.write_bytes(pickle.dumps({"history": []})), UNREADABLE),
    "pickle that runs code": (lambda path, whole: torch.save({"settings": Malicious()}, path), UNREADABLE),
    "archive": (lambda path, whole: zipfile.ZipFile(path, "w").close(), UNREADABLE),
    "archive of text": (lambda path, whole: zipfile.ZipFile(path, "w").writestr("a", "b"), UNREADABLE),
    "weights": (lambda path, whole: torch.save({"weights": torch.zeros(2)}, path), "is no checkpoint of this version"),
    "of Lightning": (
        lambda path, whole: torch.save({"state_dict": {}, "epoch": 3, "loops": {}, "callbacks": {}}, path),
        "is no checkpoint of this version",
    ),
    "list": (lambda path, whole: torch.save([1, 2], path), "is no checkpoint of this version"),
    "other version": (lambda path, whole: altered(path, settings={"seed": 0}), "another version of scmoe, which did"),
    "other network": (lambda path, whole: altered(path, state_dict={"w": torch.zeros(2)}), "is of another network"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_what_cannot_be_gone_on_from_is_named(checkpoint, tmp_path, case, fresh, fit_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spoil, match = SPOILED[case]
    (tmp_path / "last.ckpt").write_bytes(checkpoint)
    spoil(tmp_path / "last.ckpt", checkpoint)
    with pytest.raises(ValueError, match=match):
        fit_model(fresh("paired"), checkpoint_dir=tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.fixture(scope="module")
def checkpoint(fresh, fit_model, tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("checkpoint")
    fit_model(fresh("paired"), checkpoint_dir=folder)
    return (folder / "last.ckpt").read_bytes()


def test_other_libraries_are_said_to_round_otherwise(checkpoint, tmp_path, fresh, fit_model, assert_same, caplog):
    (tmp_path / "last.ckpt").write_bytes(checkpoint)
    altered(tmp_path / "last.ckpt", environment={"torch": "1.0", "device": "cpu", "threads": 1})
    resumed = fit_model(fresh("paired"), checkpoint_dir=tmp_path, resume=True)
    assert any("was made with torch 1.0, device cpu" in message for message in caplog.messages)
    assert_same(resumed, fit_model(fresh("paired")))


def test_an_earlier_state_is_not_replaced_without_a_word(checkpoint, tmp_path, fresh, fit_model, caplog):
    (tmp_path / "last.ckpt").write_bytes(checkpoint)
    fit_model(fresh("paired"), checkpoint_dir=tmp_path)
    assert any("earlier training, which is replaced" in message for message in caplog.messages)


def test_a_disk_that_fills_up_does_not_end_the_training(fresh, fit_model, tmp_path, monkeypatch, assert_same, caplog):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_bytes = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: full() if len(data) > 1000 else write_bytes(path, data))
    trained = fit_model(fresh("paired"), checkpoint_dir=tmp_path)
    warnings = [message for message in caplog.messages if "No space left on device" in message]
    assert len(warnings) == 1 and "last.ckpt" in warnings[0] and "The training goes on" in warnings[0]
    assert list(tmp_path.iterdir()) == []
    assert_same(trained, fit_model(fresh("paired")))


def test_two_trainings_into_one_folder_exclude_each_other(fresh, fit_model, tmp_path):
    class Second(Callback):
        def on_train_epoch_start(self, trainer, pl_module) -> None:
            with pytest.raises(WriteError, match=rf"Another process \(number {os.getpid()} on .*Wait until it has"):
                fit_model(fresh("paired"), checkpoint_dir=tmp_path)

    fit_model(fresh("paired"), max_epochs=1, checkpoint_dir=tmp_path, callbacks=[Second()])
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_folder_in_place_of_the_checkpoint(paired, fit_model, tmp_path):
    (tmp_path / "last.ckpt").mkdir()
    with pytest.raises(WriteError, match=r"last\.ckpt: a folder has this name"):
        fit_model(paired, checkpoint_dir=tmp_path)


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
def test_a_checkpoint_of_other_data_is_refused(checkpoint, fresh, fit_model, tmp_path, changed):
    (tmp_path / "last.ckpt").write_bytes(checkpoint)
    with pytest.raises(ValueError, match="of a training on other data"):
        fit_model(changed(fresh("paired")), checkpoint_dir=tmp_path, resume=True)


def test_ctrl_c_is_a_keyboard_interrupt_that_tells_how_to_go_on(paired, fit_model, tmp_path):
    with pytest.raises(KeyboardInterrupt, match=r"resume=True to go on from .*last\.ckpt"):
        fit_model(paired, max_epochs=4, checkpoint_dir=tmp_path, callbacks=[Stop(KeyboardInterrupt())])


def test_checkpoint_folder_that_is_a_file(paired, fit_model, tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(WriteError, match="a file is in the way"):
        fit_model(paired, checkpoint_dir=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"
