"""What all studies share: stored results, rows of verdicts, tables, and statistics over seeds."""

import json
from dataclasses import dataclass, replace

import pytest

from scmoe.studies._report import difference_cell, markdown_table, mean_cell, plus_minus, verdict_row
from scmoe.studies._run import Task, TaskFailed, check_distinct, pick_seeds, run_tasks
from scmoe.studies._statistics import FAILS, HOLDS, OPEN, differences, mean_over, paired_p, verdict


@dataclass(frozen=True, kw_only=True)
class Square(Task):
    """A task that is done in no time."""

    number: int
    content: str = "data"
    path: str = "here"

    @property
    def name(self) -> str:
        return f"square-{self.number}"


@pytest.fixture
def calls() -> list[int]:
    return []


@pytest.fixture
def square(calls):
    def perform(task):
        calls.append(task.number)
        if task.number < 0:
            raise TaskFailed("failed: negative")
        return {"value": task.number**2, "pair": (1, 2)}

    return perform


def test_stored_results_are_read_and_new_ones_look_the_same(tmp_path, square, calls):
    tasks = [Square(number=2), Square(number=3)]
    first, _ = run_tasks(tasks, tmp_path, square)
    assert first == [{"number": n, "value": n**2, "pair": [1, 2]} for n in (2, 3)]
    assert run_tasks([replace(task, path="elsewhere") for task in tasks], tmp_path, square)[0] == first
    assert calls == [2, 3]
    run_tasks([replace(tasks[0], content="other")], tmp_path, square)
    assert calls == [2, 3, 2]


def test_a_result_whose_files_are_gone_is_made_again(tmp_path, square, calls):
    run_tasks([Square(number=2)], tmp_path, square)
    run_tasks([Square(number=2)], tmp_path, square, is_complete=lambda task: False)
    assert calls == [2, 2]


def test_tasks_that_fail_or_cannot_be_done_have_a_reason(tmp_path, square, calls):
    tasks = [Square(number=-1), Square(number=0), Square(number=2)]
    results, skipped = run_tasks(tasks, tmp_path, square, reason_to_skip=lambda task: "" if task.number else "zero")
    assert [row["value"] for row in results] == [4]
    assert skipped == [{"number": -1, "reason": "failed: negative"}, {"number": 0, "reason": "zero"}]
    assert calls == [-1, 2]
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["square-2.json"]


def test_a_damaged_result_is_made_again(tmp_path, square, calls):
    run_tasks([Square(number=2)], tmp_path, square)
    (tmp_path / "runs" / "square-2.json").write_text('{"key"')
    run_tasks([Square(number=2)], tmp_path, square)
    assert calls == [2, 2]
    assert json.loads((tmp_path / "runs" / "square-2.json").read_text())["key"] == Square(number=2).key


def test_seeds():
    assert pick_seeds((3, 4, 5), quick=False) == [3, 4, 5]
    assert pick_seeds((3, 4, 5), quick=True, n_quick=2) == [3, 4]
    with pytest.raises(ValueError, match="at least one; found none"):
        pick_seeds((), quick=True)
    with pytest.raises(ValueError, match="Seed 4 is given twice"):
        check_distinct([4, 3, 4])


def test_seeds_are_paired():
    first, second = {2: 0.5, 0: 1.0, 1: 3.0}, {1: 1.0, 2: 0.25, 7: 9.0}
    assert differences(first, second) == [2.0, 0.25]
    assert mean_over([first, second]) == {1: 2.0, 2: 0.375}
    assert mean_over([]) == {}


@pytest.mark.parametrize(
    ("interval", "expected"), [([0.1, 0.2], HOLDS), ([-0.2, -0.1], FAILS), ([-0.1, 0.1], OPEN), (None, OPEN)]
)
def test_a_verdict_is_where_the_interval_lies(interval, expected):
    assert verdict(interval) == expected


def test_rows_of_verdicts():
    row = verdict_row({"claim": "more is better"}, [0.1, 0.11, 0.12], test=True)
    assert (row["n_seeds"], row["verdict"], row["p"]) == (3, HOLDS, 0.25)  # of 8 signs, two are as extreme
    assert difference_cell(row) == "+0.110 [+0.085, +0.135]"
    assert verdict_row({}, [0.1, 0.11, 0.12], margin=0.2)["verdict"] == HOLDS
    assert verdict_row({}, [0.1])["interval"] is None
    assert paired_p([0.0, 0.0]) == 1.0


def test_tables():
    assert markdown_table(["a", "b", "c"], [["x", "1", "y"]], text=(0, 2)) == (
        "| a | b | c |\n|---|---:|---|\n| x | 1 | y |"
    )
    assert mean_cell([]) == "–" and mean_cell([0.5], 2, sign=True) == "+0.50"
    assert plus_minus(1.0, float("nan"), 1) == "1.0" and plus_minus(1.0, 0.25, 2) == "1.00\u00a0±\u00a00.25"
