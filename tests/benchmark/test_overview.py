import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scmoe.benchmark._overview import places_of, write_overview
from scmoe.benchmark._report import summarize
from scmoe.cli import app

PREDICT, MAP = {"task": "predict", "case": "rna → adt"}, {"task": "map", "case": "new cells"}


def comparison(folder: Path, data: str, scores: dict, place: dict, *, n_cells: int = 80, kinds: dict | None = None):
    """A finished comparison; scores of each method, one a seed."""
    size = {"n_train" if place is PREDICT else "n_reference": n_cells}
    cost = {"cpu_seconds": 1.0, "peak_memory_gib": 0.5}
    results = [
        place | {"source": "", "target": "", "method": method, "scores": dict(zip(names, values, strict=True)) | size}
        for method, (*names, rows) in scores.items()
        for values in rows
    ]
    table = summarize([result | {"cost": cost} for result in results])
    folder.mkdir()
    (folder / "table.json").write_text(
        json.dumps(table | {"settings": {"data": f"{data}.h5mu", "n_cells": 100, "kinds": kinds or {}}})
    )
    return folder


@pytest.fixture
def folders(tmp_path):
    return [
        comparison(tmp_path / "a", "cite", {"scmoe": ("r2", [[0.4], [0.6]]), "mean": ("r2", [[0.0]])}, PREDICT),
        comparison(tmp_path / "b", "cite", {"ridge": ("r2", [[0.3]]), "scmoe": ("r2", [[0.9]])}, PREDICT),
        comparison(tmp_path / "c", "cite", {"ridge": ("r2", [[0.7]]), "scmoe": ("r2", [[0.2]])}, PREDICT, n_cells=20),
    ]


def test_methods_stand_side_by_side_and_the_best_is_bold(folders, tmp_path):
    """The second comparison adds a method to the places of the first; other numbers of cells are other places."""
    text = write_overview(folders, tmp_path / "out", task="predict", scores=["r2"])
    assert text.splitlines() == [
        "| data | cells | scmoe | mean | ridge |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| cite | 80 | **0.500**\u00a0±\u00a00.141 | 0.000 | 0.300 |",
        "| cite | 20 | 0.200 | – | **0.700** |",
    ]
    assert (tmp_path / "out" / "overview.md").read_text() == text
    assert (tmp_path / "out" / "overview.png").stat().st_size


def test_scores_of_one_method_stand_side_by_side(tmp_path):
    scores = {"scmoe": ("transfer_accuracy", "hub_within", "low_score", [[0.5, 1.1, 0.04]])}
    folder = comparison(tmp_path / "a", "cite", scores, MAP, kinds={"adt": "rna"})
    names = ["transfer_accuracy", "hub_within", "low_score"]
    text = write_overview([folder], tmp_path / "out", task="map", scores=names, methods=["scmoe"])
    assert text.splitlines()[::2] == [
        "| data | kNN acc | hub ratio within | mapping score < 0.05 |",
        "| cite, adt as rna | 0.500 | 1.100 | 0.040 |",
    ]


def test_columns_and_places_without_a_value_are_left_out(tmp_path):
    """Only a mixture has the score of its linear part; other data were compared with another method."""
    scores = {"scmoe": ("r2", "r2_linear", [[0.5, 0.4]]), "ridge": ("r2", [[0.3]])}
    folders = [comparison(tmp_path / "a", "cite", scores, PREDICT)]
    folders += [comparison(tmp_path / "b", "other", {"mean": ("r2", [[0.1]])}, PREDICT)]
    asked = {"task": "predict", "scores": ["r2", "r2_linear"], "methods": ["scmoe", "ridge"]}
    text = write_overview(folders, tmp_path / "out", **asked)
    assert text.splitlines()[0] == "| data | scmoe, R² | ridge, R² | scmoe, R² linear alone |"
    assert len(text.splitlines()) == 3


def test_means_are_of_full_tables(folders, tmp_path):
    for methods, mean in (("scmoe,ridge", "| mean |  | 0.350 | 0.500 |"), ("scmoe,ridge,mean", "")):
        text = write_overview(folders, tmp_path / "out", task="predict", scores=["r2"], methods=methods.split(","))
        assert (text.splitlines()[4:] or [""])[0] == mean


def test_cases_are_named_where_they_differ(tmp_path):
    back = PREDICT | {"case": "adt → rna"}
    folders = [comparison(tmp_path / "a", "cite", {"ridge": ("r2", [[0.3]])}, PREDICT)]
    folders += [comparison(tmp_path / "b", "cite", {"ridge": ("r2", [[0.1]])}, back)]
    text = write_overview(folders, tmp_path / "out", task="predict", scores=["r2"])
    assert text.splitlines()[0] == "| data | case | ridge |"
    assert text.splitlines()[3] == "| cite | adt\u00a0→\u00a0rna | 0.100 |"


def test_other_tasks_are_left_out(folders):
    tables = [json.loads((folder / "table.json").read_text()) for folder in folders]
    assert places_of(tables, "map") == []


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"task": "predictt"}, "no task 'predictt'; choose from embed"),
        ({"scores": ["r3"]}, "score 'r3'; they have .*r2"),
        ({"methods": ["pca"]}, "method 'pca'; they have scmoe, mean, ridge"),
        ({"task": "map"}, "No comparison has the score 'r2'"),
    ],
)
def test_what_is_not_there_is_said(folders, tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        write_overview(folders, tmp_path / "out", **{"task": "predict", "scores": ["r2"]} | kwargs)
    assert not list(tmp_path.glob("out/*"))


def test_command_names_a_folder_without_a_comparison(tmp_path, folders):
    command = ["benchmark", "overview", "--task", "predict", "--scores", "r2", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, str(tmp_path / "none")])
    assert done.exit_code == 1 and "no finished comparison" in done.output
    done = CliRunner().invoke(app, [*command, *map(str, folders)])
    assert done.exit_code == 0 and "| cite | 20 |" in done.output
