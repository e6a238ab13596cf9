import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import scmoe.benchmark._run as compare_run
from scmoe.benchmark._inputs import Run
from scmoe.benchmark._report import compare_markdown
from scmoe.benchmark._run import run_compare
from scmoe.benchmark.methods._registry import METHODS
from scmoe.cli import app
from scmoe.datasets._write import write


@pytest.fixture
def file(raw, tmp_path) -> Path:
    write(raw, tmp_path / "data.h5mu")
    return tmp_path / "data.h5mu"


@pytest.fixture
def performed(monkeypatch) -> list[str]:
    """Names of the runs that were performed; each has the same scores."""
    names: list[str] = []

    def fake(run: Run) -> dict:
        names.append(run.name)
        cost = {"cpu_seconds": 1.0, "wall_seconds": 1.0, "peak_memory_gib": 0.5, "loaded_memory_gib": 0.4}
        counts = {"n_train": 8.0, "n_test": 2.0, "n_features": 3.0, "n_dropped": 1.0, "unseen": 0.0}
        counts |= {"n_reference": 8.0, "n_query": 2.0, "n_first_only": 4.0, "n_second_only": 2.0, "n_paired": 4.0}
        return {
            "scores": {
                "pearson": 0.5 + run.seed,
                "knn_accuracy": 0.7,
                "transfer_accuracy": 0.7,
                "macro_f1": 0.6,
                **counts,
            },
            "cost": cost,
        }

    monkeypatch.setattr(compare_run, "_run", fake)
    return names


def compare(file, **kwargs):
    return run_compare(file, file.parent / "out", labels="cell_type", batch="batch", **kwargs)


def test_finished_runs_are_kept(file, performed):
    first = compare(file, methods=["pca", "ridge"], seeds=[0, 1])
    assert len(performed) == 2 + 2 + 2 * 2 + 2
    assert compare(file, methods=["pca", "ridge"], seeds=[0, 1]) == first
    assert len(performed) == 10
    compare(file, methods=["pca", "ridge"], seeds=[0, 1, 2])
    assert len(performed) == 15


def test_interrupted_comparison_is_resumed(file, performed, monkeypatch):
    fake = compare_run._run

    def interrupted(run):
        if len(performed) == 2:
            raise KeyboardInterrupt
        return fake(run)

    monkeypatch.setattr(compare_run, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare(file, methods=["mean"])
    monkeypatch.setattr(compare_run, "_run", fake)
    compare(file, methods=["mean"])
    assert len(performed) == len(set(performed)) == 9


def test_damaged_result_is_made_again(file, performed):
    compare(file, methods=["pca"], seeds=[0])
    (file.parent / "out" / "runs" / "embed-all-cells-pca-seed0.json").write_text('{"key"')
    compare(file, methods=["pca"], seeds=[0])
    assert len(performed) == 3


def test_changed_data_are_run_again(file, performed, raw):
    compare(file, methods=["pca"], seeds=[0])
    raw["rna"].X = raw["rna"].X * 2
    write(raw, file)
    compare(file, methods=["pca"], seeds=[0])
    assert len(performed) == 4


def test_quick_is_one_seed_without_heavy_methods(file, performed):
    table = compare(file, quick=True)
    unasked = ("schema", "celltypist", "gene_pairs")  # not installed everywhere, or in need of RNA
    skipped = [row for row in table["skipped"] if row["method"] not in unasked]
    assert table["settings"]["seeds"] == [0] and {row["task"] for row in skipped} == {"map"}
    assert not {row["method"] for row in table["rows"]} & {method.name for method in METHODS.values() if method.slow}


def test_number_of_cells_is_for_tasks_that_hold_cells_out(file, performed):
    table = compare(file, methods=["pca", "ridge"], seeds=[0], n_cells=20)
    assert {row["task"] for row in table["rows"]} == {"map", "predict"}
    assert {row["task"] for row in table["skipped"]} == {"embed", "mosaic"}
    assert "map and predict" in table["skipped"][0]["reason"]


def test_number_of_labels_is_for_annotation_and_said_in_the_table(file, performed):
    table = compare(file, methods=["logreg", "ridge"], seeds=[0], labels_per_type=5)
    assert {row["task"] for row in table["rows"]} == {"annotate"} and table["settings"]["labels_per_type"] == 5
    assert {row["reason"] for row in table["skipped"]} == {"a number of labels a type is for annotate"}
    assert "Of each label 5 training cells keep it" in (file.parent / "out" / "table.md").read_text()
    n_runs = len(performed)
    compare(file, methods=["logreg"], seeds=[0], tasks=["annotate"], labels_per_type=1)
    assert len(performed) > n_runs


def test_kinds_are_what_they_are_said_to_be(file, monkeypatch):
    seen = []

    def fake(run):
        seen.append(run.kinds)
        return {"skipped": "spied"}

    monkeypatch.setattr(compare_run, "_run", fake)
    settings = compare(file, methods=["pca"], seeds=[0], kinds={"adt": "rna"})["settings"]
    assert settings["modalities"] == {"rna": "rna", "adt": "rna"} and settings["kinds"] == {"adt": "rna"}
    assert seen == [{"adt": "rna"}] * 2


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"methods": ["pcaa"]}, ValueError, "no method 'pcaa'.*pca_rna"),
        ({"tasks": ["predictt"]}, ValueError, "no task 'predictt'; choose from embed"),
        ({"labels": "type"}, KeyError, "labels='type' is not a column.*cell_type"),
        ({"batch": "donor"}, KeyError, "batch='donor' is not a column"),
        ({"kinds": {"adt": "proteins"}}, ValueError, "proteins"),
        ({"n_cells": 0}, ValueError, "n_cells"),
        ({"labels_per_type": 0}, ValueError, "labels_per_type"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_run(file, performed, kwargs, error, message):
    with pytest.raises(error, match=message):
        run_compare(file, file.parent / "out", **kwargs)
    assert not performed


def test_failure_is_reported_and_tried_again(file, monkeypatch):
    monkeypatch.setattr(compare_run.sys, "executable", "false")
    for _ in range(2):
        table = compare(file, methods=["pca"], seeds=[0])
        assert table["skipped"][0]["reason"] == "failed: exit code 1" and not table["rows"]
    assert not list((file.parent / "out").glob("runs/*"))


@pytest.mark.slow
def test_command_leaves_tables_and_figures(file):
    out = file.parent / "out"
    command = [
        "benchmark",
        "compare",
        str(file),
        "--labels",
        "cell_type",
        "--methods",
        "pca,mean",
        "--seeds",
        "0",
    ]
    done = CliRunner().invoke(app, [*command, "-o", str(out)])
    assert done.exit_code == 0, done.output
    table = json.loads((out / "table.json").read_text())
    assert [(row["task"], row["method"]) for row in table["rows"]] == [
        ("embed", "pca"),
        ("map", "pca"),
        ("predict", "mean"),
        ("predict", "mean"),
        ("mosaic", "mean"),
    ]
    assert compare_markdown(table) == (out / "table.md").read_text()
    figures = {
        "embed-all-cells",
        "map-new-cells",
        "predict-adt-to-rna",
        "predict-rna-to-adt",
        "mosaic-rna-and-adt",
        "ranks",
    }
    assert {path.stem for path in (out / "figures").iterdir()} == figures


def test_bad_seeds_are_explained(file):
    done = CliRunner().invoke(app, ["benchmark", "compare", str(file), "--seeds", "0,x"])
    assert done.exit_code == 1 and "--seeds must be whole numbers" in done.output


@pytest.mark.parametrize(
    ("code", "messages", "reason"),
    [
        (1, "Warning: slow\nValueError: needs counts\n", "ValueError: needs counts"),
        (1, "", "exit code 1"),
        (-9, "Warning: slow\n", "it was killed, as systems do when memory is full"),
        (-11, "Warning: slow\n", "it was ended by SIGSEGV"),
    ],
)
def test_a_method_that_ends_says_why(code: int, messages: str, reason: str) -> None:
    assert compare_run._reason(code, messages) == reason
