"""`scmoe markers`: the table of `scmoe.tl.markers` in a file."""

import pandas as pd
import pytest
from mudata import MuData
from typer.testing import CliRunner

import scmoe
from scmoe.cli import app


@pytest.fixture
def file(paired: MuData, tmp_path):
    paired.write(tmp_path / "data.h5mu")
    return tmp_path / "data.h5mu"


def run(*arguments: object):
    return CliRunner().invoke(app, ["markers", *map(str, arguments)])


def test_table_is_that_of_the_verb(file, paired: MuData, tmp_path) -> None:
    output = tmp_path / "markers.csv"
    done = run(file, "--groupby", "cell_type", "--batch", "batch", "--modality", "adt", "-o", output)
    assert done.exit_code == 0, done.output
    scmoe.tl.markers(paired, groupby="cell_type", batch_key="batch", modality="adt")
    expected = paired.uns["scmoe"]["markers"].reset_index(drop=True)
    text = {"modality": str, "group": str, "feature": str}
    pd.testing.assert_frame_equal(pd.read_csv(output), expected.astype(text), check_dtype=False)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--groupby", "type"], "not a column"),
        (["--groupby", "cell_type", "--modality", "atac"], "atac"),
        (["--groupby", "cell_type", "--reference", "monocyte"], "monocyte"),
    ],
)
def test_errors_are_one_line(file, tmp_path, arguments: list[str], text: str) -> None:
    done = run(file, *arguments, "-o", tmp_path / "markers.csv")
    assert done.exit_code == 1 and text in done.output and "Traceback" not in done.output
    assert not (tmp_path / "markers.csv").exists()


def test_a_table_that_is_there_stays(file, tmp_path) -> None:
    output = tmp_path / "markers.csv"
    output.write_text("mine")
    assert "--overwrite" in run(file, "--groupby", "cell_type", "-o", output).output
    assert output.read_text() == "mine"
    assert run(file, "--groupby", "cell_type", "-o", output, "--overwrite").exit_code == 0
    assert ".csv" in run(file, "--groupby", "cell_type", "-o", tmp_path / "markers.txt").output
