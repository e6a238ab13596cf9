"""A gene model as a folder: the same model again, or an error that says what is wrong."""

import json
import pickle

import numpy as np
import pytest
import torch
from pandas.testing import assert_frame_equal
from safetensors.torch import load_file, save_file

import scmoe.model._folder as saving
from scmoe.io._files import WriteError
from scmoe.model import SCMOE, XTRIMOGENE
from scmoe.tokens._vocabulary import Vocabulary

POOLINGS = ("joint", "weighted", "mean", "max")
KINDS = ("continuous", "rank", "bins", "integer")


@pytest.mark.parametrize(
    "network",
    [
        *({"tokenizer": kind} for kind in KINDS),
        *({"value_embedding": kind} for kind in ("linear", "round", "up", "equal")),
        {"target": "class", "n_experts": 2},
    ],
    ids=str,
)
def test_every_form_trains_and_comes_back(genes, fit_genes, tmp_path, network):
    model = fit_genes(genes, max_epochs=1, network=network)
    model.save(tmp_path / "model")
    loaded = XTRIMOGENE.load(tmp_path / "model", genes)
    for pooling in POOLINGS:
        np.testing.assert_array_equal(
            *(each.get_latent_representation(pooling=pooling) for each in (loaded, model)), strict=True
        )
    assert_frame_equal(loaded.impute(), model.impute())
    assert np.isfinite(model.impute().to_numpy()).all()


def test_round_trip_is_exact(pretrained_depth, genes, tmp_path):
    model = pretrained_depth
    model.save(tmp_path / "model")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == ["settings.json", "weights.safetensors"]
    loaded = XTRIMOGENE.load(tmp_path / "model", genes)
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], tensor), name
    np.testing.assert_array_equal(loaded.get_gene_context(genes, [1]), model.get_gene_context(genes, [1]))
    np.testing.assert_array_equal(*(each.get_latent_representation(genes, pooling="depth") for each in (loaded, model)))
    np.testing.assert_array_equal(loaded.validation_indices_, model.validation_indices_)
    assert_frame_equal(loaded.history, model.history, check_exact=True)
    assert (loaded.config, loaded.setup, loaded.seed) == (model.config, model.setup, model.seed)
    assert repr(loaded) == repr(model)
    loaded.save(tmp_path / "copy")
    for name in ("weights.safetensors", "settings.json"):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_the_vocabulary_with_its_aliases_is_saved(genes, fit_genes, tmp_path):
    vocabulary = Vocabulary(tuple(genes.var_names), {"ENSG00000000001": "gene1"})
    fit_genes(genes, setup={"vocabulary": vocabulary}, max_epochs=1).save(tmp_path / "model")
    loaded = XTRIMOGENE.load(tmp_path / "model")
    assert loaded.impute(["ENSG00000000001"], genes).shape == (64, 1)


def test_loading_runs_no_pickle_and_changes_no_data(pretrained, genes, tmp_path, monkeypatch, contents):
    pretrained.save(tmp_path / "model")
    before = contents(genes)

    def refuse(*_args, **_kwargs):
        raise AssertionError("pickle was used")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    XTRIMOGENE.load(tmp_path / "model", genes)
    assert contents(genes) == before


def change_settings(folder, **changes):
    settings = json.loads((folder / "settings.json").read_text()) | changes
    settings = {key: value for key, value in settings.items() if value is not None}
    settings[saving.CHECKSUM] = saving._settings_digest(settings)
    (folder / "settings.json").write_text(json.dumps(settings))


def edit(folder):
    text = (folder / "settings.json").read_text()
    (folder / "settings.json").write_text(text.replace('"gene1"', '"gene1x"'))


def spoil_weight(folder):
    state = load_file(folder / "weights.safetensors")
    state["gene"][3, 2] = float("nan")
    save_file(state, folder / "weights.safetensors")
    change_settings(folder, weights_sha256=saving._digest(folder / "weights.safetensors"))


def cut(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])


def without(folder, name):
    state = load_file(folder / "weights.safetensors")
    state.pop(next(key for key in state if key.endswith(name)))
    save_file(state, folder / "weights.safetensors")
    change_settings(folder, weights_sha256=saving._digest(folder / "weights.safetensors"))


DAMAGES = {
    "cut weights": (lambda folder: cut(folder, "weights.safetensors"), "is damaged, cut short or of another model"),
    "an edited gene": (edit, "settings.json was changed after the model was saved"),
    "NaN": (spoil_weight, "holds NaN or infinite weights, in 'gene'"),
    "cut settings": (lambda folder: cut(folder, "settings.json"), "settings.json is damaged"),
    "no weights": (lambda folder: (folder / "weights.safetensors").unlink(), "is not a model folder"),
    "a tensor less": (lambda folder: without(folder, "masked"), "do not belong to its settings"),
    "an axis less": (lambda folder: without(folder, "joint/mean"), "do not belong to its settings"),
    "no setup": (lambda folder: change_settings(folder, setup=None), "is damaged and cannot be used"),
    "unknown setting": (lambda folder: change_settings(folder, config={"depth": 3}), "is damaged and cannot be used"),
    "another class": (lambda folder: change_settings(folder, model="SCMOE"), "holds a SCMOE model, not XTRIMOGENE"),
    "newer": (lambda folder: change_settings(folder, format=99), "Update scmoe"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused(pretrained, tmp_path, damage):
    pretrained.save(tmp_path / "model")
    spoil, match = DAMAGES[damage]
    spoil(tmp_path / "model")
    with pytest.raises(ValueError, match=match):
        XTRIMOGENE.load(tmp_path / "model")


def test_a_folder_of_this_class_is_no_scmoe_model(pretrained, tmp_path):
    pretrained.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"holds a XTRIMOGENE model, not SCMOE. Load it with scmoe.model.XTRIMOGENE"):
        SCMOE.load(tmp_path / "model")


def test_a_folder_is_not_overwritten_by_accident(pretrained, tmp_path):
    pretrained.save(tmp_path / "model")
    with pytest.raises(WriteError):
        pretrained.save(tmp_path / "model")
    pretrained.save(tmp_path / "model", overwrite=True)


def test_without_data_each_question_brings_its_own(pretrained, genes, tmp_path):
    pretrained.save(tmp_path / "model")
    loaded = XTRIMOGENE.load(tmp_path / "model")
    assert loaded.impute(["gene1"], genes).shape == (64, 1)
    with pytest.raises(ValueError, match="loaded without data. Pass the AnnData"):
        loaded.get_latent_representation()


def test_a_loaded_model_is_trained_further(pretrained, genes, tmp_path):
    pretrained.save(tmp_path / "model")
    loaded = XTRIMOGENE.load(tmp_path / "model", genes)
    loaded.train(1, batch_size=16, accelerator="cpu", enable_progress_bar=False, plan_kwargs={"lr": 1e-4})
    assert loaded.history["validation_loss"].iloc[0] < pretrained.history["validation_loss"].iloc[0]
