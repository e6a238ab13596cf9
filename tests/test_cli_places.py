"""Where commands write: nothing there is lost, and what would fail at the end is said at the beginning."""

import shutil
from importlib import import_module
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from typer.testing import CliRunner

import scmoe
import scmoe.tl._pretrain
import scmoe.tl._train
from scmoe.cli import app
from scmoe.datasets._write import write
from scmoe.io import _place
from scmoe.io._place import Place
from scmoe.io._quiet import quiet_mudata

N_CELLS = 40
QUICK = ["--epochs", 1, "--accelerator", "cpu"]


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("places")


@pytest.fixture(scope="module")
def data(folder) -> Path:
    rng, cells = np.random.default_rng(0), [f"c{i}" for i in range(N_CELLS)]
    mods = {
        name: ad.AnnData(
            rng.poisson(3, (N_CELLS, n)).astype("f4"),
            obs=pd.DataFrame(index=cells),
            var=pd.DataFrame(index=[f"{name}{i}" for i in range(n)]),
        )
        for name, n in (("rna", 20), ("adt", 6))
    }
    with quiet_mudata():
        mdata = MuData(mods)
    mdata.obs["kind"] = np.resize(["a", "b"], N_CELLS)
    mdata.obs["decimal"] = np.linspace(0, 1, N_CELLS)
    mdata.obs["everyone"] = np.resize(["all cells", "b"], N_CELLS)
    write(mdata, folder / "data.h5mu")
    return folder / "data.h5mu"


@pytest.fixture(scope="module")
def trained(data, folder) -> Path:
    result = run("train", data, "-o", folder / "run", "--labels-key", "kind", *QUICK)
    assert result.exit_code == 0, result.stderr
    return folder / "run"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def occupied_meanwhile(monkeypatch, module, verb: str, *files: Path) -> None:
    """Let somebody else write files while a verb runs."""
    own = getattr(module, verb)

    def slow(*args, **kwargs):
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("of somebody else")
        return own(*args, **kwargs)

    monkeypatch.setattr(module, verb, slow)


def test_what_appears_during_a_training_stays(data, tmp_path, monkeypatch):
    files = [tmp_path / name for name in ("result.h5mu", "model/weights.safetensors", "figures/history.png")]
    occupied_meanwhile(monkeypatch, scmoe.tl._train, "train", *files)
    result = run("train", data, "-o", tmp_path, *QUICK, "--overwrite")
    assert result.exit_code == 0, result.stderr
    assert all(file.read_text() == "of somebody else" for file in files)
    assert result.stdout == f"Written to {tmp_path}: result-2.h5mu, model-2/, figures-2/\n"
    for name in ("result-2.h5mu", "model-2", "figures-2"):
        assert str(tmp_path / name) in result.stderr
    mdata = scmoe.datasets.read(tmp_path / "result-2.h5mu")
    assert scmoe.model.SCMOE.load(tmp_path / "model-2", mdata).is_trained
    assert (tmp_path / "figures-2" / "history.png").stat().st_size


def test_what_appears_during_a_pretraining_stays(data, tmp_path, monkeypatch):
    files = [tmp_path / "result.h5ad", tmp_path / "model" / "notes.txt"]
    occupied_meanwhile(monkeypatch, scmoe.tl._pretrain, "pretrain", *files)
    result = run("pretrain", data, "-o", tmp_path, *QUICK)
    assert result.exit_code == 0, result.stderr
    assert all(file.read_text() == "of somebody else" for file in files)
    assert result.stdout == f"Written to {tmp_path}: result-2.h5ad, model-2/\n"


@pytest.mark.parametrize(
    ("command", "module", "options"),
    [
        ("map", "_map_query", []),
        ("embed", "_embed", []),
        ("annotate", "_annotate", []),
        ("impute", "_impute", ["--source", "rna", "--target", "adt"]),
        ("denoise", "_denoise", ["--modality", "rna"]),
    ],
)
def test_what_appears_during_a_query_stays(trained, data, tmp_path, monkeypatch, command, module, options):
    output = tmp_path / "out.h5mu"
    verb = "map_query" if command == "map" else command
    occupied_meanwhile(monkeypatch, import_module(f"scmoe.tl.{module}"), verb, output)
    result = run(command, data, "--model", trained, "-o", output, *options)
    assert result.exit_code == 0, result.stderr
    assert output.read_text() == "of somebody else"
    assert result.stdout == f"Written to {tmp_path / 'out-2.h5mu'}\n" and (tmp_path / "out-2.h5mu").is_file()


@pytest.mark.parametrize("name", ["result.h5mu", "model/weights.safetensors", "figures/umap_kind.png"])
@pytest.mark.parametrize("command", ["train", "demo"])
def test_what_is_there_is_not_replaced_without_being_asked(data, tmp_path, command, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    arguments = ["train", data, *QUICK] if command == "train" else ["demo", "--epochs", 1]
    result = run(*arguments, "-o", tmp_path)
    assert result.exit_code == 1 and "--overwrite" in result.stderr and "Training" not in result.stderr
    assert tree(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("command", ["train", "pretrain", "embed"])
def test_the_file_that_is_read_is_not_the_output(trained, data, tmp_path, command):
    name = "result.h5ad" if command == "pretrain" else "result.h5mu"
    file = tmp_path / name
    write(scmoe.datasets.read(data)["rna"] if command == "pretrain" else scmoe.datasets.read(data), file)
    before = tree(tmp_path)
    target = ["--model", trained, "-o", file] if command == "embed" else ["-o", tmp_path]
    result = run(command, file, *target, "--overwrite")
    assert result.exit_code == 1 and "is the file that is read, and would be replaced" in result.stderr
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["train", "pretrain", "embed"])
def test_too_little_space_is_said_first(trained, data, tmp_path, monkeypatch, command):
    usage = type(shutil.disk_usage(tmp_path))(10**9, 10**9 - 10, 10)
    monkeypatch.setattr(_place.shutil, "disk_usage", lambda folder: usage)
    target = ["--model", trained, "-o", tmp_path / "new.h5mu"] if command == "embed" else ["-o", tmp_path]
    result = run(command, data, *target)
    assert result.exit_code == 1 and "Free some space, or choose another folder" in result.stderr
    assert "Training" not in result.stderr and tree(tmp_path) == {}


@pytest.mark.parametrize(("column", "words"), [("decimal", "found decimal numbers"), ("everyone", "'all cells'")])
def test_labels_that_tables_cannot_hold_are_refused_first(data, tmp_path, column, words):
    result = run("train", data, "-o", tmp_path, "--labels-key", column, *QUICK)
    assert result.exit_code == 1 and words in result.stderr and "--labels-key" in result.stderr
    assert "trained" not in result.stderr


def test_a_place_that_was_left_is_free(tmp_path):
    (tmp_path / "old").write_text("1")
    place = Place(tmp_path / "old")
    assert place.now() == tmp_path / "old"
    (tmp_path / "old").unlink()
    assert place.now() == tmp_path / "old"
    (tmp_path / "old").write_text("22")
    (tmp_path / "old-2").mkdir()
    assert place.now() == tmp_path / "old-3"
