"""What is said of a model folder, and what is refused."""

import json
import os
import sys

import pytest
from typer.testing import CliRunner

from scmoe.cli import app
from scmoe.model import SCMOE
from scmoe.model.hub._card import describe, how_to_use
from scmoe.model.hub._info import model_info


def info_of(model, folder):
    model.save(folder)
    return model_info(folder)


def command(*arguments):
    return CliRunner().invoke(app, ["model", "info", *map(str, arguments)])


def test_it_says_what_the_model_is(trained, tmp_path):
    info = info_of(trained, tmp_path / "model")
    assert info["modalities"]["rna"]["n_features"] == 60 and info["modalities"]["adt"]["kind"] == "protein"
    assert info["batches"] == {"key": "batch", "names": ["donor1", "donor2"]}
    annotator = trained.readouts.annotators[0, 1]
    assert info["scores"]["accuracy"] == pytest.approx((annotator.truth == annotator.predicted).mean(), abs=1e-3)
    assert sum(info["labels"]["n_cells"].values()) == info["scores"]["n_cells"] == len(annotator.truth)
    assert sum(info["training"]["cells"].values()) == 120
    assert info["parameters"] >= sum(p.numel() for p in trained.module.parameters())
    json.dumps(info, allow_nan=False)


def test_models_without_labels_and_gene_models_have_less_to_say(trained_mosaic, pretrained, tmp_path):
    mosaic = info_of(trained_mosaic, tmp_path / "mosaic")
    assert mosaic["scores"] == {} and "**Labels**: none" in describe(mosaic)
    assert "scmoe embed cells.h5 --model place" in how_to_use(mosaic, "place", "load()")
    genes = info_of(pretrained, tmp_path / "genes")
    assert genes["modalities"]["rna"]["n_features"] == 40 and "XTRIMOGENE" in describe(genes)
    assert "get_latent_representation" in how_to_use(genes, "place", "load()")


def test_the_command_prints_it_and_json(trained, tmp_path):
    (tmp_path / "results").mkdir()
    trained.save(tmp_path / "results" / "model")
    for place in (tmp_path / "results", tmp_path / "results" / "model"):  # of `scmoe train`, or the model's own
        text = command(place).stdout
        assert "**Labels** (`cell_type`): 3. Of " in text and "| NK |" in text
        assert f'scmoe.model.SCMOE.load("{tmp_path / "results" / "model"}")' in text
    assert json.loads(command(tmp_path / "results", "--json").stdout)["labels"]["names"] == ["B", "NK", "T"]


def test_without_the_library_of_the_hub_it_is_named(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for use in (lambda: SCMOE.from_hub("lab/marrow"), lambda: trained.push_to_hub("lab/marrow", license="mit")):
        with pytest.raises(ImportError, match=r"pip install 'scmoe\[hub\]'\. Folders of models"):
            use()
    text = " ".join(command("results/model").stderr.split())
    assert "There is no folder results/model, so it was looked for on the hub. Models of the hub need" in text


def test_what_is_no_model_is_said(tmp_path):
    assert "There is no model" in command(tmp_path / "nothing").stderr
    (tmp_path / "file").touch()
    assert "is a file, and no model folder" in command(tmp_path / "file").stderr
    (tmp_path / "empty").mkdir()
    result = command(tmp_path / "empty")
    assert result.exit_code == 1 and "is not a model folder: expected settings.json" in result.stderr


@pytest.mark.parametrize("name", ["model.pkl", "setup.py", "pytorch_model.bin", "X.CKPT"])
def test_a_folder_with_code_is_refused(trained, tmp_path, name):
    trained.save(tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("Notes are fine.")
    assert SCMOE.load(tmp_path / "model").seed == trained.seed
    (tmp_path / "model" / name).write_bytes(b"import os")
    for use in (lambda: SCMOE.load(tmp_path / "model"), lambda: model_info(tmp_path / "model")):
        with pytest.raises(ValueError, match=f"holds '{name}', which is code"):
            use()


@pytest.mark.parametrize("name", ["settings.json", "weights.safetensors"])
def test_links_that_leave_the_folder_are_refused(trained, tmp_path, name):
    trained.save(tmp_path / "model")
    os.rename(tmp_path / "model" / name, tmp_path / name)
    (tmp_path / "model" / name).symlink_to(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name} is a link that leads out of the model's folder"):
        SCMOE.load(tmp_path / "model")


def test_a_link_within_and_a_link_to_the_folder_are_fine(trained, tmp_path):
    trained.save(tmp_path / "model")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    os.rename(tmp_path / "model" / "settings.json", tmp_path / "model" / "settings-1.json")
    (tmp_path / "model" / "settings.json").symlink_to("settings-1.json")
    assert SCMOE.load(tmp_path / "link").seed == trained.seed
