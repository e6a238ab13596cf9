"""Who speaks and writes."""

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from anndata import AnnData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scmoe._errors import reported_errors
from scmoe._log import is_first, log_format, logger
from scmoe.datasets._write import write


@pytest.mark.parametrize("number", ["RANK", "LOCAL_RANK", "NODE_RANK"])
def test_of_several_processes_the_first_speaks_and_writes(monkeypatch, tmp_path, capsys, number):
    adata = AnnData(np.ones((2, 2), np.float32))
    monkeypatch.setenv(number, "0")
    assert is_first()
    monkeypatch.setenv(number, "10")
    assert not is_first()
    logger.warning("a choice")
    logger.error("a fault")
    assert capsys.readouterr().err == "scmoe: a fault\n"
    write(adata, tmp_path / "data.h5ad")
    assert list(tmp_path.iterdir()) == []


def test_processes_that_have_met_know_better(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 4)
    assert not is_first()


@pytest.fixture
def json_log(monkeypatch):
    with log_format("json"):
        yield


def read(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_stays_within_its_line(json_log, capsys, name):
    logger.info("%s", name, extra={"fields": {name: name}})
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record["message"] == name and record["fields"] == {name: name} and record["level"] == "info"


def test_fields_are_what_json_can_hold(json_log, capsys):
    fields = {"loss": float("nan"), "rates": (0.5, float("inf")), 1: None, "array": np.float32(2), "path": Path("a")}
    logger.info("losses", extra={"fields": fields})
    (record,) = read(capsys.readouterr().err)
    assert record["fields"] == {"loss": None, "rates": [0.5, None], "1": None, "array": "2.0", "path": "a"}


def test_warnings_prints_and_other_libraries_are_lines_too(json_log, capsys):
    warnings.warn("of a library\nin two lines", stacklevel=1)
    logging.getLogger("another").error("a fault")
    with pytest.raises(typer.Exit), reported_errors():
        print("printed", end="")
        print(" text\nand more")
        raise ValueError("of no use")
    messages = [record["message"] for record in read(capsys.readouterr().err)]
    assert "of a library\nin two lines" in messages[0]
    assert messages[1:] == ["a fault", "printed text", "and more", "of no use"]


def test_of_two_processes_one_speaks_and_errors_say_whose_they_are(json_log, capsys, monkeypatch):
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        logger.info("a choice")
        logger.error("a fault")
    records = read(capsys.readouterr().err)
    assert [(each["process"], each["message"]) for each in records] == [(0, "a choice"), (0, "a fault"), (1, "a fault")]
