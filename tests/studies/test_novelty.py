"""Types left out one after another, on small data."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from scmoe.benchmark.methods._scmoe import VARIANTS, Variant
from scmoe.cli._main import app
from scmoe.studies.imbalance._novelty import HEADS, novelty_markdown, run_novelty


@pytest.fixture
def file(raw, tiny, tmp_path, monkeypatch):
    from scmoe.datasets._write import write

    monkeypatch.setitem(VARIANTS, "scmoe", Variant(network=tiny, training={"lr": 1e-2}))
    raw.obs["cell_type"] = raw.obs["cell_type"].astype(str)
    raw.obs.iloc[:3, raw.obs.columns.get_loc("cell_type")] = "Unknown"
    write(raw, tmp_path / "data.h5mu")
    return tmp_path / "data.h5mu"


def test_left_out_types_are_found_and_the_command_writes_the_table(file, tmp_path, raw):
    done = CliRunner().invoke(
        app, ["benchmark", "novelty", "--quick", "--data", str(file), "-o", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    rows = pd.DataFrame(json.loads((tmp_path / "out" / "novelty.json").read_text())["rows"])
    sizes = raw.obs["cell_type"].value_counts().drop("Unknown")
    assert rows["type"].tolist() == sizes.index[:2].tolist() and rows["n_cells"].tolist() == sizes.iloc[:2].tolist()
    assert (rows["auroc_unknown"] > 0.95).all() and (rows["auroc_mapping"] > 0.9).all()
    assert (rows["new_low"] > 0.5).all()
    assert (tmp_path / "out" / "novelty.md").read_text() in done.stdout


def test_the_table_has_means_over_seeds_and_the_worst_type():
    values = {name: [30, 30, 50] if name == "n_cells" else [0.8, 0.9, 0.5] for name in HEADS}
    table = pd.DataFrame({"type": ["B", "B", "T"], **values})
    lines = novelty_markdown(table).splitlines()
    assert lines[2].startswith("| B | 30 | 0.850 | 0.850") and lines[-1].startswith("| lowest |  | 0.500")
    assert lines[-2].startswith("| mean |  | 0.675")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"labels": "none"}, KeyError, "'none' is not a column of mdata.obs"),
        ({"batch": "none"}, KeyError, "'none' is not a column"),
        ({"labels": "batch"}, ValueError, "needs three types"),
    ],
)
def test_refuses(file, tmp_path, options, error, match):
    with pytest.raises(error, match=match):
        run_novelty(tmp_path / "out", data=file, **options)
