import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import scmoe.benchmark._compare_plan as compare_plan
import scmoe.benchmark._compare_run as compare_run
from scmoe._io import write_h5mu
from scmoe.benchmark._compare_figures import rank_table
from scmoe.benchmark._compare_plan import Facts, Run, plan, reason_to_skip
from scmoe.benchmark._compare_report import best_methods, compare_markdown, summarize
from scmoe.benchmark._compare_run import run_compare
from scmoe.cli import app

CITE = Facts(kinds={"rna": "rna", "adt": "protein"}, n_cells=100, complete=True, n_labels=3, n_batches=2)


@pytest.fixture
def file(raw, tmp_path) -> Path:
    write_h5mu(raw, tmp_path / "data.h5mu")
    return tmp_path / "data.h5mu"


@pytest.fixture
def performed(monkeypatch) -> list[str]:
    """Names of the runs that were performed; each has the same scores."""
    names: list[str] = []

    def fake(run: Run) -> dict:
        names.append(run.name)
        cost = {"cpu_seconds": 1.0, "wall_seconds": 1.0, "peak_memory_gib": 0.5, "loaded_memory_gib": 0.4}
        counts = {"n_train": 8.0, "n_test": 2.0, "n_features": 3.0, "n_dropped": 1.0, "unseen": 0.0}
        return {"scores": {"pearson": 0.5 + run.seed, "knn_accuracy": 0.7, "macro_f1": 0.6, **counts}, "cost": cost}

    monkeypatch.setattr(compare_run, "_run", fake)
    return names


def compare(file, **kwargs):
    return run_compare(file, file.parent / "out", labels="cell_type", batch="batch", **kwargs)


def test_finished_runs_are_kept(file, performed):
    first = compare(file, methods=["pca", "ridge"], seeds=[0, 1])
    assert len(performed) == 2 + 2 * 2
    assert compare(file, methods=["pca", "ridge"], seeds=[0, 1]) == first
    assert len(performed) == 6
    compare(file, methods=["pca", "ridge"], seeds=[0, 1, 2])
    assert len(performed) == 9


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
    assert len(performed) == len(set(performed)) == 6


def test_damaged_result_is_made_again(file, performed):
    compare(file, methods=["pca"], seeds=[0])
    (file.parent / "out" / "runs" / "embed-all-cells-pca-seed0.json").write_text('{"key"')
    compare(file, methods=["pca"], seeds=[0])
    assert len(performed) == 2


def test_changed_data_are_run_again(file, performed, raw):
    compare(file, methods=["pca"], seeds=[0])
    raw["rna"].X = raw["rna"].X * 2
    write_h5mu(raw, file)
    compare(file, methods=["pca"], seeds=[0])
    assert len(performed) == 2


@pytest.mark.parametrize("change", [{"labels": "other"}, {"seed": 1}, {"case": "other"}])
def test_key_depends_on_settings(change):
    settings = {"task": "embed", "method": "pca", "seed": 0, "case": "all cells", "data": "here", "labels": "cell_type"}
    key = Run(**settings).key("hash")
    assert Run(**settings | {"data": "there"}).key("hash") == key
    assert Run(**settings | change).key("hash") != key != Run(**settings).key("other hash")


def test_key_depends_on_the_code_of_the_model(monkeypatch):
    runs = [Run(task="embed", method=method, seed=0, case="all cells", data="") for method in ("scmoe", "pca")]
    before = [run.key("") for run in runs]
    monkeypatch.setattr(compare_plan, "model_code", lambda: "changed")
    assert [run.key("") == key for run, key in zip(runs, before, strict=True)] == [False, True]


@pytest.mark.parametrize(
    ("method", "facts", "reason"),
    [
        ("snf", {"complete": False}, "every modality in every cell"),
        ("snf", {"n_cells": 10**6}, "more than"),
        ("snf", {"kinds": {"rna": "rna"}}, "two modalities"),
        ("multivi", {}, "raw counts of one modality each of rna and peaks"),
        ("totalvi", {"kinds": {"rna": "rna", "adt": "protein", "atac": "peaks"}}, "is for rna and protein only"),
        ("pca", {"n_labels": 0, "n_batches": 0}, "no labels and no batches"),
        ("pca", {}, ""),
    ],
)
def test_unsuited_methods_are_skipped_with_the_reason(method, facts, reason):
    run = Run(task="embed", method=method, seed=0, case="all cells", data="")
    found = reason_to_skip(run, Facts(**CITE.__dict__ | facts))
    assert reason in found and bool(found) == bool(reason)


def test_missing_package_is_the_reason(monkeypatch):
    monkeypatch.setattr(compare_plan, "find_spec", lambda name: None)
    run = Run(task="embed", method="mofa", seed=0, case="all cells", data="")
    assert reason_to_skip(run, CITE) == "mofapy2 is not installed"


def test_totalvi_predicts_one_direction():
    pairs = {("rna", "adt"): "", ("adt", "rna"): "predicts protein from rna only"}
    for (source, target), reason in pairs.items():
        run = Run(task="predict", method="totalvi", seed=0, case="", data="", source=source, target=target)
        assert reason_to_skip(run, CITE) == reason


def test_quick_is_one_seed_without_heavy_methods(file, performed):
    table = compare(file, quick=True)
    assert table["settings"]["seeds"] == [0] and not table["skipped"]
    assert not {row["method"] for row in table["rows"]} & set(compare_plan.HEAVY)


def test_plan_has_every_ordered_pair():
    facts = Facts(kinds=dict.fromkeys("abc", "continuous"), n_cells=9, complete=True, n_labels=0, n_batches=0)
    arguments = {"methods": ["mean"], "tasks": ["predict"], "seeds": [0], "quick": False}
    pairs = {(run.source, run.target) for run in plan(facts, "", None, None, **arguments)}
    assert len(pairs) == 6


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"methods": ["pcaa"]}, ValueError, "no method 'pcaa'.*pca_rna"),
        ({"tasks": ["predictt"]}, ValueError, "no task 'predictt'; choose from embed"),
        ({"labels": "type"}, KeyError, "labels='type' is not a column.*cell_type"),
        ({"batch": "donor"}, KeyError, "batch='donor' is not a column"),
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


def results(method, values, score="pearson"):
    cost = {"cpu_seconds": 2.0, "peak_memory_gib": 0.5}
    counts = {"n_train": 8, "n_test": 2, "n_features": 3, "n_dropped": 1}
    place = {"task": "predict", "case": "rna → adt", "method": method}
    return [place | {"seed": i, "scores": {score: v, **counts}, "cost": cost} for i, v in enumerate(values)]


def test_table_shows_mean_deviation_best_and_reasons():
    skipped = {
        "task": "predict",
        "case": "rna → adt",
        "method": "totalvi",
        "seed": 0,
        "skipped": "scvi is not installed",
    }
    table = summarize([*results("scmoe", [0.5, 0.7]), *results("mean", [0.1, 0.1]), skipped])
    settings = {"data": "d.h5mu", "n_cells": 10, "n_labels": 0, "n_batches": 0, "scmoe": "1", "seeds": [0, 1]}
    text = compare_markdown(table | {"settings": settings | {"modalities": {"rna": "rna"}}})
    assert "| scmoe | **0.600**\u00a0±\u00a00.141 | 2.0 | 0.50 |" in text
    assert "| mean | 0.100\u00a0±\u00a00.000 | 2.0 | 0.50 |" in text
    assert "- totalvi (Predict, rna → adt): skipped: scvi is not installed" in text
    assert "3 features that vary in both (1 dropped)" in text


@pytest.mark.parametrize(("score", "best"), [("pearson", "a"), ("nrmse", "b")])
def test_best_may_be_the_lowest(score, best):
    rows = summarize([*results("a", [0.9], score), *results("b", [0.2], score), *results("c", [float("nan")], score)])[
        "rows"
    ]
    assert best_methods(rows, score) == {best}
    assert rank_table(rows).iloc[:, 0].dropna().to_dict() == {best: 0.0, {"a": "b", "b": "a"}[best]: 1.0}


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
        "pca,mean,logreg",
        "--seeds",
        "0",
    ]
    done = CliRunner().invoke(app, [*command, "--tasks", "embed,predict,annotate", "-o", str(out)])
    assert done.exit_code == 0, done.output
    table = json.loads((out / "table.json").read_text())
    assert [(row["task"], row["method"]) for row in table["rows"]] == [
        ("embed", "pca"),
        ("predict", "mean"),
        ("predict", "mean"),
        ("annotate", "logreg"),
    ]
    assert compare_markdown(table) == (out / "table.md").read_text()
    figures = {"annotate-folds", "embed-all-cells", "predict-adt-to-rna", "predict-rna-to-adt", "ranks"}
    assert {path.stem for path in (out / "figures").iterdir()} == figures


def test_bad_seeds_are_explained(file):
    done = CliRunner().invoke(app, ["benchmark", "compare", str(file), "--seeds", "0,x"])
    assert done.exit_code == 1 and "--seeds must be whole numbers" in done.output
