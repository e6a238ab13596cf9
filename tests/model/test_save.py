"""A model as a folder: the same model again, or an error that says what is wrong."""

import errno
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from pandas.testing import assert_frame_equal
from safetensors.torch import load_file, save_file

import scmoe.model._folder as saving
from scmoe.io._files import WriteError
from scmoe.model import SCMOE


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    trained.save(tmp_path / "model")
    return tmp_path / "model"


def change_settings(folder, *, edited=False, **changes):
    """As another writer would have left them, with a checksum that holds; or as an editor leaves them."""
    settings = json.loads((folder / "settings.json").read_text()) | changes
    settings = {key: value for key, value in settings.items() if value is not None}
    if not edited:
        settings[saving.CHECKSUM] = saving._settings_digest(settings)
    (folder / "settings.json").write_text(json.dumps(settings))


def test_round_trip_is_exact(trained, folder, paired):
    loaded = SCMOE.load(folder, paired)
    for name, tensor in trained.module.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], tensor), name
    np.testing.assert_array_equal(loaded.get_latent_representation(), trained.get_latent_representation(paired))
    np.testing.assert_array_equal(loaded.impute("rna", "adt"), trained.impute("rna", "adt", paired))
    np.testing.assert_array_equal(loaded.train_indices, trained.train_indices)
    np.testing.assert_array_equal(loaded.validation_indices, trained.validation_indices)
    assert_frame_equal(loaded.history, trained.history, check_exact=True)
    assert (loaded.config, loaded.setup, loaded.seed) == (trained.config, trained.setup, trained.seed)
    assert repr(loaded) == repr(trained)


def test_a_saved_copy_of_a_loaded_model_is_the_same(folder, tmp_path):
    SCMOE.load(folder).save(tmp_path / "copy")
    for name in ("weights.safetensors", "settings.json"):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()


def test_every_form_of_the_network_comes_back(mosaic, fit_model, tmp_path):
    setup = {"likelihoods": {"rna": "nb"}, "modalities": ["ephys", "rna", "adt"]}
    network = {"tokenizer": "patch", "n_clusters": 3, "n_layers": 2, "router": "per_modality"}
    model = fit_model(mosaic, setup=setup, network=network, train_size=1.0)
    model.save(tmp_path / "model")
    loaded = SCMOE.load(tmp_path / "model", mosaic)
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())
    np.testing.assert_array_equal(loaded.predict_clusters(), model.predict_clusters())


def test_without_data_each_question_brings_its_own(folder, paired):
    loaded = SCMOE.load(folder)
    assert loaded.get_latent_representation(paired).shape == (120, 16)
    with pytest.raises(ValueError, match="loaded without data. Pass the MuData"):
        loaded.get_latent_representation()


def test_loading_leaves_the_data_alone(folder, paired, contents):
    before = contents(paired)
    SCMOE.load(folder, paired)
    assert contents(paired) == before


def test_loading_runs_no_pickle(folder, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("pickle was used")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    SCMOE.load(folder)
    assert sorted(file.name for file in folder.iterdir()) == ["settings.json", "weights.safetensors"]


def test_home_folder_is_found_again(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    trained.save("~/model")
    assert repr(SCMOE.load("~/model")) == repr(trained)


def test_an_untrained_model_is_not_saved(paired, tiny, tmp_path):
    SCMOE.setup_mudata(paired)
    with pytest.raises(ValueError, match="not trained yet"):
        SCMOE(paired, **tiny).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def cut(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])


def flip_a_bit(folder):
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "weights.safetensors").write_bytes(content)


def garbage_with_its_checksum(folder):
    (folder / "weights.safetensors").write_bytes(b"garbage")
    change_settings(folder, weights_sha256=saving._digest(folder / "weights.safetensors"))


def edit_text(folder, old, new):
    text = (folder / "settings.json").read_text()
    assert old in text
    (folder / "settings.json").write_text(text.replace(old, new))


def as_folder(path):
    path.unlink()
    path.mkdir()


def spoil_weight(folder, value):
    state = load_file(folder / "weights.safetensors")
    state["decoders.0.norm.weight"][0] = value
    save_file(state, folder / "weights.safetensors")
    change_settings(folder, weights_sha256=saving._digest(folder / "weights.safetensors"))


def without(folder, name):
    state = load_file(folder / "weights.safetensors")
    state.pop(name)
    save_file(state, folder / "weights.safetensors")
    change_settings(folder, weights_sha256=saving._digest(folder / "weights.safetensors"))


DAMAGE = {
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), r"weights\.safetensors is missing"),
    "no settings": (lambda f: (f / "settings.json").unlink(), r"settings\.json is missing"),
    "short weights": (lambda f: cut(f, "weights.safetensors"), "is damaged, cut short or of another model"),
    "short settings": (lambda f: cut(f, "settings.json"), r"settings\.json is damaged"),
    "empty settings": (lambda f: (f / "settings.json").write_text(""), "is damaged"),
    "binary settings": (lambda f: (f / "settings.json").write_bytes(b"\xff\xfe\x00"), "is damaged"),
    "settings that are a list": (lambda f: (f / "settings.json").write_text("[]"), "is damaged"),
    "an edited seed": (lambda f: change_settings(f, edited=True, seed=5), "settings.json was changed after the model"),
    "an edited label": (lambda f: edit_text(f, '"NK"', '"Nk"'), "settings.json was changed after the model was saved"),
    "an edited history": (lambda f: edit_text(f, '"epoch": [', '"epoch": [7, '), "its checksum is not the one saved"),
    "weights that are a folder": (lambda f: as_folder(f / "weights.safetensors"), r"weights\.safetensors is a folder"),
    "settings that are a folder": (lambda f: as_folder(f / "settings.json"), r"settings\.json is a folder"),
    "endless nesting": (lambda f: (f / "settings.json").write_text("[" * 10**5), r"settings\.json is damaged"),
    "NaN": (lambda f: spoil_weight(f, float("nan")), "holds NaN or infinite weights, in 'decoders"),
    "infinity": (lambda f: spoil_weight(f, float("inf")), "holds NaN or infinite weights, in 'decoders"),
    "a setup of another form": (lambda f: change_settings(f, setup={"modalities": 3}), "is damaged and cannot be used"),
    "a history of uneven columns": (
        lambda f: change_settings(f, history={"epoch": [0], "train_loss": []}),
        "is damaged and cannot be used",
    ),
    "settings without setup": (lambda f: change_settings(f, setup=None), r"settings\.json is damaged"),
    "settings without checksum": (lambda f: change_settings(f, weights_sha256=None), r"settings\.json is damaged"),
    "settings without seed": (lambda f: change_settings(f, seed=None), r"settings\.json is damaged"),
    "a flipped bit": (flip_a_bit, "its checksum is not the one saved"),
    "garbage": (garbage_with_its_checksum, "is damaged and cannot be read"),
    "weights of another model": (lambda f: without(f, "decoders.0.norm.weight"), "do not belong to its settings"),
    "no readouts": (lambda f: without(f, "readout/label_scale"), "do not belong to its settings"),
    "a readout without a part": (
        lambda f: without(f, "readout/spreads/0→1/slope"),
        "do not belong to its settings",
    ),
    "another kind of model": (lambda f: change_settings(f, model="XTRIMOGENE"), r"scmoe\.model\.XTRIMOGENE\.load"),
    "an older format": (lambda f: change_settings(f, format=2), "before the format of model folders changed. Train"),
    "a newer format": (lambda f: change_settings(f, format=99), "in a newer format .* Update scmoe"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_refused(folder, damage):
    spoil, match = DAMAGE[damage]
    spoil(folder)
    with pytest.raises(ValueError, match=match):
        SCMOE.load(folder)


def test_no_folder(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a model folder"):
        SCMOE.load(tmp_path / "nowhere")


def test_data_that_do_not_fit_are_refused(folder, paired):
    paired.mod["adt"] = paired["adt"][:, :1].copy()
    with pytest.raises(ValueError, match=r"mdata\['adt'\] has 1 of the model's 12 features"):
        SCMOE.load(folder, paired)


def test_an_existing_model_is_replaced_only_when_told(trained, folder):
    before = (folder / "settings.json").read_bytes()
    with pytest.raises(WriteError, match="exists already.*overwrite=True"):
        trained.save(folder)
    (folder / "settings.json").write_text("old")
    trained.save(folder, overwrite=True)
    assert (folder / "settings.json").read_bytes() == before


def test_foreign_files_are_never_replaced(trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(WriteError, match=r"would be lost: thesis\.txt"):
        trained.save(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_file_in_the_way(trained, tmp_path):
    (tmp_path / "model").write_text("precious")
    for path in (tmp_path / "model", tmp_path / "model" / "inside"):
        with pytest.raises(ValueError, match="a file"):
            trained.save(path, overwrite=True)
    assert (tmp_path / "model").read_text() == "precious"


@pytest.mark.parametrize("step", ["weights", "settings"])
def test_a_full_disk_leaves_nothing_behind(trained, tmp_path, monkeypatch, step):
    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((saving, "save_file") if step == "weights" else (Path, "write_text")), fail)
    with pytest.raises(WriteError, match="No space left on device. Check the free space"):
        trained.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_older_model(trained, folder, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(WriteError):
        patch.setattr(saving, "save_file", fail)
        trained.save(folder, overwrite=True)
    assert repr(SCMOE.load(folder)) == repr(trained)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_folder_of_an_earlier_writer_is_read(trained, folder):
    settings = json.loads((folder / "settings.json").read_text())
    del settings[saving.CHECKSUM]
    (folder / "settings.json").write_text(json.dumps(settings))
    assert repr(SCMOE.load(folder)) == repr(trained)


def test_the_layout_of_the_settings_does_not_matter(trained, folder):
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(settings, indent=4, sort_keys=True))
    assert repr(SCMOE.load(folder)) == repr(trained)


def test_weights_of_another_training_are_refused(folder, fit_model, fresh):
    other = fit_model(fresh("paired"), setup={"labels_key": "cell_type", "batch_key": "batch"}, max_epochs=1, seed=1)
    other.save(folder.parent / "other")
    (folder / "weights.safetensors").write_bytes((folder.parent / "other" / "weights.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged, cut short or of another model"):
        SCMOE.load(folder)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_the_umask(trained, tmp_path, mask):
    before = os.umask(mask)
    try:
        for _ in range(2):  # new, and in place of the older one
            trained.save(tmp_path / "model", overwrite=True)
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
            files = dict.fromkeys(("settings.json", "weights.safetensors"), 0o666 & ~mask)
            assert modes == {"model": 0o777 & ~mask, **files}
    finally:
        os.umask(before)


def test_how_saved_data_were_set_up_is_read_from_a_whole_folder_only(folder, tmp_path):
    with pytest.raises(ValueError, match="is not a model folder"):
        SCMOE.view_setup_args(tmp_path)
    (folder / "settings.json").write_text("")
    with pytest.raises(ValueError, match="is damaged"):
        SCMOE.view_setup_args(folder)


@pytest.mark.parametrize("network", [{"router_input": "cell"}, {"router_start": "clusters", "n_layers": 2}])
def test_settings_of_experts_come_back(fresh, fit_model, tmp_path, network):
    model = fit_model(fresh("mosaic"), network=network)
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model", model.adata)
    assert again.config == model.config
    for name, use in model.get_router_activations().items():
        np.testing.assert_array_equal(again.get_router_activations()[name], use)


def test_settings_of_models_saved_before_experts_had_more(fresh, fit_model, tmp_path):
    model = fit_model(fresh("paired"))
    model.save(tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "settings.json").read_text())
    for name in ("router_input", "router_start"):
        del settings["config"][name]
    settings[saving.CHECKSUM] = saving._settings_digest(settings)
    (tmp_path / "model" / "settings.json").write_text(json.dumps(settings))
    assert type(model).load(tmp_path / "model").config == model.config
