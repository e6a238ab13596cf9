import json
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

import scmoe.studies.replicate._data as replicate_data
import scmoe.studies.replicate._run as replicate_run
from scmoe.cli import app
from scmoe.datasets._write import write
from scmoe.studies._run import TaskFailed, Worker
from scmoe.studies.replicate._plan import FIT
from scmoe.studies.replicate._run import run_replicate

FOLD = {"ari": 0.5, "nmi": 0.6, "accuracy": 0.7, "n_used": 3.0, "n_train": 8, "n_test": 2}
MATRICES = {"honest": [[None, 0.1], [0.2, None]], "leaky": [[0.9, 0.3], [0.4, 0.9]], "n_dropped": [1, 0]}


@pytest.fixture
def file(raw, tmp_path) -> Path:
    write(raw, tmp_path / "own.h5mu")
    return tmp_path / "own.h5mu"


@pytest.fixture
def short(monkeypatch) -> None:
    """Only what the user's file is asked for, and a small simulation."""
    simulate = replicate_data.simulate_grn
    monkeypatch.setattr(replicate_data, "simulate_grn", lambda seed: simulate(n_cells=60, n_features=30, seed=seed))
    plan = replicate_run.plan
    methods = ("pca", "ridge", "scmoe")
    monkeypatch.setattr(
        replicate_run,
        "plan",
        lambda *args: [task for task in plan(*args) if task.source == "own" and task.method in methods],
    )


@pytest.fixture
def performed(monkeypatch, short) -> list[str]:
    names: list[str] = []

    def fake(self, task, cells):
        names.append(task.name)
        return {"folds": [FOLD | MATRICES], "cost": {}}

    monkeypatch.setattr(Worker, "perform", fake)
    return names


def replicate(file: Path) -> dict:
    return run_replicate(file.parent / "out", data=[file], labels=["cell_type"], seeds=[0], quick=True)


def test_finished_results_are_kept(file, performed):
    first = replicate(file)
    assert len(performed) == 3
    assert replicate(file) == first
    assert len(performed) == 3
    next((file.parent / "out" / "runs").glob("*pca*")).write_text('{"key"')
    replicate(file)
    assert performed[3:] == ["fit-own-rna+adt-pca-seed0"]


def test_changed_data_are_run_again(file, performed, raw):
    replicate(file)
    raw["rna"].X = raw["rna"].X * 2
    write(raw, file)
    replicate(file)
    assert len(performed) == 6


def test_report_has_all_tables_and_figures(file, performed):
    table = replicate(file)
    out = file.parent / "out"
    text = (out / "replicate.md").read_text(encoding="utf-8")
    assert "| scmoe (our default) | 0.50 |" in text
    assert "| scmoe (our default), leaky: target, from | rna | adt |" in text
    assert {path.stem for path in (out / "tables").glob("*.md")} >= {
        "verdicts",
        "groups_own",
        "r2_own",
        "ablation",
        "setting",
    }
    assert (out / "figures" / "fig1a_modalities.png").exists()
    assert json.loads((out / "replicate.json").read_text(encoding="utf-8")) == json.loads(json.dumps(table))


def test_failure_is_a_reason_and_not_the_end(file, performed, monkeypatch):
    fake = Worker.perform

    def failing(self, task, cells):
        if task.method == "pca":
            raise TaskFailed("failed: no memory")
        return fake(self, task, cells)

    monkeypatch.setattr(Worker, "perform", failing)
    table = replicate(file)
    assert [row["reason"] for row in table["skipped"]] == ["failed: no memory"]
    assert len(table["results"]) == 2
    assert "Skipped: PCA + k-means on own, rna + adt, seed 0: failed: no memory." in (
        file.parent / "out" / "tables" / "setting.md"
    ).read_text(encoding="utf-8")


def test_worker_does_tasks_and_survives_one_that_fails(file, short, monkeypatch):
    plan = replicate_run.plan
    broken = {"n_folds": 1, "modalities": ("rna", "none")}

    def with_broken(*args):
        pca, ridge = (task for task in plan(*args) if task.method in ("pca", "ridge"))
        return [type(pca)(**{**asdict(pca), **broken}), pca, ridge]

    monkeypatch.setattr(replicate_run, "plan", with_broken)
    monkeypatch.setattr(replicate_run, "reason_to_skip", lambda *_: "")
    table = replicate(file)
    assert [row["reason"] for row in table["skipped"]] == ["failed: KeyError: 'none'"]
    assert [row["method"] for row in table["results"]] == ["pca", "ridge"]
    assert table["results"][0]["study"] == FIT
    assert table["results"][0]["folds"][0]["ari"] > 0.9


@pytest.mark.parametrize("seeds, match", [([], "at least one"), ([1, 1], "Seed 1 is given twice")])
def test_impossible_seeds_are_refused(seeds, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        run_replicate(tmp_path, seeds=seeds)


def test_command_reports_a_wrong_column(file):
    arguments = [
        "benchmark",
        "replicate",
        "--quick",
        "--data",
        str(file),
        "--labels",
        "typo",
        "-o",
        str(file.parent / "o"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code != 0
    assert "'typo' is not a column" in done.output
