"""Options from a file, the file that a command leaves of its own, and the log as JSON."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import scmoe
from scmoe.cli import app
from scmoe.cli._config import RUN

ODD = 'T "helper" [bold]\n\x7fβ'
"""A name with quotes, markup, a line break, a control character and a letter that is not of ASCII."""


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fresh) -> Path:
    folder = tmp_path_factory.mktemp("config")
    mdata = fresh("paired")
    mdata.obs[ODD] = mdata.obs["batch"].to_numpy()
    scmoe.datasets.write(mdata, folder / "cells.h5mu")
    return folder


@pytest.fixture(scope="module")
def trained(folder) -> Path:
    done = run("train", folder / "cells.h5mu", "-o", folder / "first", "--batch", ODD, "--epochs", 1)
    assert done.exit_code == 0, done.stderr
    return folder / "first"


def test_the_file_of_a_run_holds_its_options(trained):
    options = tomllib.loads((trained / RUN).read_text("utf-8"))
    assert options["command"] == "train" and options["batch-key"] == ODD
    assert options["max-epochs"] == 1 and options["seed"] == 0 and options["format"] == "h5mu"
    assert not {"overwrite", "resume", "config", "log-format"} & set(options)


def test_it_runs_again_with_equal_results(trained, folder):
    refused = run("train", "--config", trained / RUN)
    assert refused.exit_code == 1 and "--overwrite" in refused.stderr
    done = run("train", "--config", trained / RUN, "-o", folder / "second")
    assert done.exit_code == 0, done.stderr
    weights = [(each / "model" / "weights.safetensors").read_bytes() for each in (trained, folder / "second")]
    assert weights[0] == weights[1]


def test_relative_paths_are_those_of_the_file_and_move_with_it(folder, tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    shutil.copy(folder / "cells.h5mu", tmp_path / "one")
    monkeypatch.chdir(tmp_path / "one")
    assert run("train", "cells.h5mu", "-o", "out", "--epochs", 1).exit_code == 0
    options = tomllib.loads(Path("out", RUN).read_text("utf-8"))
    assert (options["file"], options["output"]) == (str(Path("..", "cells.h5mu")), ".")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").rename(tmp_path / "two")
    done = run("train", "--config", "two/out/run.toml", "--overwrite", "--epochs", 2)
    assert done.exit_code == 0, done.stderr
    assert tomllib.loads((tmp_path / "two/out" / RUN).read_text("utf-8"))["max-epochs"] == 2


def test_a_file_of_the_user_stays(folder, tmp_path):
    mine = (
        f'# mine\nfile = "{folder / "cells.h5mu"}"\noutput = "."\nepochs = 1\nbatch_key = "batch"\nkind = ["rna=rna"]\n'
    )
    (tmp_path / RUN).write_text(mine, "utf-8")
    done = run("train", "--config", tmp_path / RUN)
    assert done.exit_code == 0 and "stays as it is" in done.stderr, done.stderr
    assert (tmp_path / RUN).read_text("utf-8") == mine
    assert tomllib.loads((tmp_path / "run-2.toml").read_text("utf-8"))["kind"] == ["rna=rna"]


BAD = {
    "an unknown key": ('bach-key = "donor"', "Did you mean 'batch-key'?"),
    "a key that is like none": ("zzz = 1", "'scmoe train -h' lists them"),
    "text for a number": ('max-epochs = "ten"', "max-epochs must be a whole number; found 'ten'"),
    "a fraction of an epoch": ("max-epochs = 2.5", "must be a whole number; found 2.5"),
    "a truth for a number": ("seed = true", "seed must be a whole number; found True"),
    "a number for a truth": ("predict = 1", "predict must be true or false; found 1"),
    "a number for a name": ("batch-key = 3", "batch-key must be text; found 3"),
    "text for a list": ('kind = "rna=rna"', "kind must be a list, each entry text"),
    "a list for text": ('batch-key = ["a"]', "batch-key must be text"),
    "a table": ("[train]\nseed = 1", "no option 'train'"),
    "a key twice, under two names": ('batch = "a"\nbatch_key = "a"', "is there twice"),
    "no TOML": ("seed 1", "is no TOML file"),
    "another command's": ('command = "pretrain"', "is of 'scmoe pretrain'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_one_sentence(case, tmp_path):
    text, words = BAD[case]
    (tmp_path / "bad.toml").write_text(text)
    done = run("train", "none.h5mu", "-o", tmp_path / "out", "--config", tmp_path / "bad.toml")
    assert done.exit_code == 1 and words in done.stderr and "bad.toml" in done.stderr
    assert "Traceback" not in done.output and not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_what_is_no_file_of_text(content, tmp_path):
    if content is not None:
        (tmp_path / "bad.toml").write_bytes(content)
    done = run("train", "--config", tmp_path / "bad.toml")
    assert done.exit_code == 1 and done.stderr.startswith("Error: --config")


@pytest.mark.parametrize("text", ['accelerator = "abacus"', "seed = -1"])
def test_values_out_of_range_are_wrong_usage(text, tmp_path):
    (tmp_path / "bad.toml").write_text(f'file = "none.h5mu"\noutput = "out"\n{text}')
    done = run("train", "--config", tmp_path / "bad.toml")
    assert done.exit_code == 2 and f"--{text.split()[0]}" in done.stderr


def test_other_commands_read_files_too(trained, folder, tmp_path):
    text = f'file = "{folder / "cells.h5mu"}"\nmodel = "{trained}"\noutput = "mapped.h5mu"\n'
    (tmp_path / "map.toml").write_text(text, "utf-8")
    done = run("map", "--config", tmp_path / "map.toml")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "mapped.h5mu").exists()


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_of_the_log_is_an_object(folder):
    options = ["--epochs", 2, "--batch", ODD, "--log-format", "json"]
    done = run("train", folder / "cells.h5mu", "-o", folder / "json", *options)
    assert done.exit_code == 0 and done.stdout.startswith("Written to ")
    log = lines(done.stderr)
    assert all(set(line) == {"time", "level", "logger", "process", "message", "fields"} for line in log)
    epochs = [line["fields"] for line in log if line["message"].startswith("epoch ")]
    assert [epoch["epoch"] for epoch in epochs] == [0, 1] and "validation_loss" in epochs[0]
    assert log[-1]["fields"]["n_epochs"] == 2


def test_errors_are_objects_with_the_exit_code(folder, tmp_path):
    done = run("train", folder / "cells.h5mu", "-o", tmp_path / "x", "--batch", 'a\n"b"[red]', "--log-format", "json")
    (error,) = [line for line in lines(done.stderr) if line["level"] == "error"]
    assert done.exit_code == error["fields"]["exit_code"] == 1 and 'a\\n"b"[red]' in error["message"]


def test_the_format_ends_with_the_command(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("SCMOE_LOG_FORMAT", raising=False)
    assert run("train", "none.h5mu", "-o", tmp_path, "--log-format", "json").stderr.startswith("{")
    assert run("train", "none.h5mu", "-o", tmp_path).stderr.startswith("Error: ")
    monkeypatch.setenv("SCMOE_LOG_FORMAT", "json")
    assert run("train", "none.h5mu", "-o", tmp_path).stderr.startswith("{")
