"""No command ends in a traceback, whatever it is given; and what was computed is somewhere when it ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from typer.testing import CliRunner

import scmoe
from scmoe._errors import DEBUG
from scmoe.cli import app
from scmoe.io import _files
from scmoe.io._lock import sole_run
from scmoe.model import _folder

pytestmark = pytest.mark.slow  # as a whole: minutes

NETWORK_FREE = ("--epochs", "1", "--accelerator", "cpu")


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def world(fresh, trained, tmp_path_factory) -> Path:
    """A folder with data, a model, and what is neither."""
    folder = tmp_path_factory.mktemp("world")
    scmoe.datasets.write(fresh("raw"), folder / "data.h5mu")
    trained.save(folder / "model")
    whole = (folder / "data.h5mu").read_bytes()
    (folder / "cut.h5mu").write_bytes(whole[: len(whole) // 2])
    (folder / "other.h5mu").write_bytes(whole)
    (folder / "empty.h5mu").touch()
    (folder / "text.h5mu").write_text("no HDF5")
    (folder / "folder.h5mu").mkdir()
    (folder / "file").write_text("precious")
    shutil.copytree(folder / "model", folder / "edited")
    settings = folder / "edited" / "settings.json"
    settings.write_text(settings.read_text().replace('"seed": 0', '"seed": 1'))
    return folder


QUERY = {
    "map": [],
    "embed": [],
    "annotate": [],
    "impute": ["--source", "rna", "--target", "adt"],
    "denoise": ["--modality", "adt"],
}
BAD_FILES = {
    "none.h5mu": "none.h5mu",
    "cut.h5mu": "cut.h5mu",
    "empty.h5mu": "empty.h5mu",
    "text.h5mu": "text.h5mu",
    "folder.h5mu": "folder.h5mu",
    "file": "file",
}
BAD_MODELS = {
    "none": "no model folder",
    "file": "no model folder",
    "folder.h5mu": "not a model folder",
    "edited": "settings.json was changed",
}
BAD_OUTPUTS = {
    "file/out.h5mu": "a file is in the way",
    "folder.h5mu": "a folder has this name",
    "data.h5mu": "is the file that is read",
    "other.h5mu": "--overwrite",
    "out.csv": "must end in",
}
STUDIES = {
    "compare": ["{data}"],
    "speed": ["--data", "{data}", "--quick"],
    "genes": ["--data", "{data}", "--quick"],
    "experts": ["--data", "{data}", "--labels", "cell_type", "--quick"],
    "conflict": ["--data", "{data}", "--quick"],
    "replicate": ["--data", "{data}", "--labels", "cell_type", "--quick"],
    "shap": ["--data", "{data}", "--quick"],
    "novelty": ["--data", "{data}", "--quick"],
    "imbalance": ["--data", "{data}", "--quick"],
    "rare-experts": ["--data", "{data}", "--quick"],
}


def check(result, words: str) -> None:
    """One block, with these words, and nothing else."""
    assert result.exit_code in (1, 2), result.output
    blocks = re.split("^Error: ", result.stderr, flags=re.MULTILINE)
    assert len(blocks) == 2 and words in blocks[1], result.stderr
    assert "Traceback" not in result.output and "should not" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("file", BAD_FILES)
@pytest.mark.parametrize("command", ["train", "pretrain", *QUERY])
def test_a_bad_file(world, tmp_path, command, file):
    model = ["--model", world / "model", *QUERY[command]] if command in QUERY else NETWORK_FREE
    output = tmp_path / ("out.h5mu" if command in QUERY else "out")
    check(run(command, world / file, "-o", output, *model), BAD_FILES[file])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", BAD_MODELS)
@pytest.mark.parametrize("command", QUERY)
def test_a_bad_model(world, tmp_path, command, model):
    arguments = ["-o", tmp_path / "out.h5mu", "--model", world / model, *QUERY[command]]
    check(run(command, world / "data.h5mu", *arguments), BAD_MODELS[model])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", BAD_OUTPUTS)
@pytest.mark.parametrize("command", QUERY)
def test_a_bad_output(world, command, output):
    before = sorted(world.rglob("*"))
    arguments = ["-o", world / output, "--model", world / "model", *QUERY[command]]
    check(run(command, world / "data.h5mu", *arguments), BAD_OUTPUTS[output])
    assert sorted(world.rglob("*")) == before


@pytest.mark.parametrize("command", ["train", "pretrain", "demo", *STUDIES])
@pytest.mark.parametrize("output", ["file", "file/below"])
def test_an_output_that_is_a_file(world, command, output):
    where = ["benchmark", command] if command in STUDIES else [command]
    data = STUDIES.get(command, [] if command == "demo" else ["{data}"])
    arguments = [text.format(data=world / "data.h5mu") for text in data]
    check(run(*where, *arguments, "-o", world / output), "a file is in the way")
    assert (world / "file").read_text() == "precious"


@pytest.mark.parametrize("command", STUDIES)
@pytest.mark.parametrize("file", ["none.h5mu", "cut.h5mu", "folder.h5mu"])
def test_bad_data_of_a_benchmark(world, tmp_path, command, file):
    arguments = [text.format(data=world / file) for text in STUDIES[command]]
    check(run("benchmark", command, *arguments, "-o", tmp_path / "out"), file)


@pytest.mark.parametrize(
    ("command", "output"), [(["train", "{data}"], "run"), (["benchmark", "compare", "{data}"], "c")]
)
def test_two_runs_into_one_folder(world, tmp_path, command, output):
    with sole_run(tmp_path / output):
        arguments = [text.format(data=world / "data.h5mu") for text in command]
        check(run(*arguments, "-o", tmp_path / output), f"Another process (number {os.getpid()} on ")


@pytest.mark.parametrize("error", [AttributeError("no such thing"), KeyError("rna"), RuntimeError("oh dear")])
def test_a_fault_of_ours_says_so(world, tmp_path, monkeypatch, error):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("scmoe.datasets._read.read", fail)
    result = run("train", world / "data.h5mu", "-o", tmp_path / "out")
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert "failed in a way that it should not" in result.stderr and "Please report this" in result.stderr
    assert type(error).__name__ in result.stderr and f"{DEBUG}=1" in result.stderr
    monkeypatch.setenv(DEBUG, "1")
    assert run("train", world / "data.h5mu", "-o", tmp_path / "out").exception is error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "The memory is full."),
        (PermissionError(13, "Permission denied", "/data"), "Cannot use /data: Permission denied."),
    ],
)
def test_the_machine_is_to_blame(world, tmp_path, monkeypatch, error, words):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("scmoe.datasets._read.read", fail)
    check(run("train", world / "data.h5mu", "-o", tmp_path / "out"), words)


@pytest.fixture
def full(tmp_path, monkeypatch):
    """A function that lets a disk be full below some folders of the test."""
    save_file, check_writable = _folder.save_file, _files.check_writable

    def fill(*names: str) -> None:
        def save(tensors, path):
            if any((tmp_path / name) in Path(path).parents for name in names):
                raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
            save_file(tensors, path)

        def check(path):
            if any((tmp_path / name) == Path(path) for name in names if name.endswith("-1")):
                raise _files.WriteError(f"Cannot write {path}: Permission denied.")
            return check_writable(path)

        monkeypatch.setattr(_folder, "save_file", save)
        monkeypatch.setattr(_files, "check_writable", check)

    return fill


@pytest.mark.slow
@pytest.mark.parametrize("names", [("run",), ("run", "run-1")], ids=["beside", "temporary"])
def test_results_that_cannot_be_written_go_elsewhere(world, tmp_path, monkeypatch, full, names):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    full(*names)
    result = run("train", world / "data.h5mu", "-o", tmp_path / "run", *NETWORK_FREE)
    other = tmp_path / "run-1" if len(names) == 1 else next((tmp_path / "temporary").iterdir()) / "run"
    check(
        result,
        f"No space left on device. Check the free space and permissions, or choose another folder. The "
        f"results are in {other} instead.",
    )
    assert {path.name for path in other.iterdir()} == {"model", "result.h5mu", "figures"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"checkpoints", "run.toml"}
    mdata = scmoe.datasets.read(other / "result.h5mu")
    model = scmoe.model.SCMOE.load(other / "model", mdata)
    np.testing.assert_array_equal(model.get_latent_representation(), mdata.obsm["X_scmoe"])


def test_a_prediction_that_cannot_be_written_goes_elsewhere(world, tmp_path, monkeypatch):
    def fail(data, path):
        if path == tmp_path / "out.h5mu":
            raise _files.WriteError("Cannot write it: No space left on device.")
        write(data, path)

    write = scmoe.datasets.write
    monkeypatch.setattr("scmoe.datasets._write.write", fail)
    result = run("embed", world / "data.h5mu", "-o", tmp_path / "out.h5mu", "--model", world / "model")
    check(result, f"The results are in {tmp_path / 'out-1.h5mu'} instead.")
    assert "X_scmoe" in scmoe.datasets.read(tmp_path / "out-1.h5mu").obsm


def test_an_interrupted_training_is_not_started_anew_without_a_word(world, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_text("of hours")
    check(run("train", world / "data.h5mu", "-o", tmp_path / "run", *NETWORK_FREE), "Pass --resume to go on with it")
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_text() == "of hours"
    result = run("train", world / "data.h5mu", "-o", tmp_path / "run", *NETWORK_FREE, "--resume")
    check(result, "Remove it and train again without --resume, or choose another --output.")


INTERRUPTIBLE = """
import sys, time
from pathlib import Path
import typer
from scmoe._errors import reported_errors
from scmoe.io._files import atomic_path
app = typer.Typer()

@app.command()
def write(path: Path):
    with reported_errors("Run it again."), atomic_path(path) as file:
        file.write_text("half")
        print("writing", file=sys.stderr, flush=True)
        time.sleep(60)

app()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_interruptions_leave_nothing_half_written(tmp_path, name):
    command = [sys.executable, "-c", INTERRUPTIBLE, str(tmp_path / "a.txt")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "writing\n"
    process.send_signal(getattr(signal, name))
    _, message = process.communicate(timeout=20)
    assert process.returncode == 128 + getattr(signal, name)
    assert message == "\nInterrupted. Run it again.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_ends_without_a_traceback(world):
    code = "from scmoe.cli import app; app(['--help'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    message = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() in (0, 1) and "Traceback" not in message
