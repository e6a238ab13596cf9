from collections import Counter
from dataclasses import replace

import pytest

from scmoe.studies.replicate._data import Source
from scmoe.studies.replicate._forms import ABLATIONS, BASES, DENSE, FORMS, OURS, REFERENCE
from scmoe.studies.replicate._plan import (
    CONFLICT,
    EXPLAIN,
    FIT,
    FULL,
    GRN_SETS,
    METHODS,
    QUICK,
    plan,
    reason_to_skip,
    sets_of,
)

KINDS = {"dna": "peaks", "pre": "rna", "rna": "rna", "protein": "protein"}


def source(name: str, kinds: dict[str, str], *seeds: int) -> Source:
    path = f"{name}{seeds[0]}.h5mu"
    return Source(name=name, path=path, seeds=seeds, content=path, kinds=kinds, n_cells=500, n_left_out=0, n_labels=4)


SOURCES = [*(source("grn", KINDS, seed) for seed in range(5)), source("own", {"a": "rna", "b": "protein"}, 0)]


def test_every_method_is_run_on_every_set_with_every_seed():
    tasks = [task for task in plan(SOURCES, FULL) if task.study == FIT]
    counts = Counter((task.method, task.source) for task in tasks)
    for method in METHODS:
        n_seeds = 3 if method.startswith("totalvi") else 5
        assert counts[method, "grn"] == len(GRN_SETS) * n_seeds
        assert counts[method, "own"] == 1
    assert all(task.n_folds == 5 for task in tasks if task.method in (OURS, REFERENCE))


def test_changes_are_run_with_every_seed_and_dense_layers_on_two_sets():
    counts = Counter(task.method for task in plan(SOURCES, FULL))
    for base, variants in ABLATIONS.items():
        for method in variants:
            assert counts[method] == (10 if method.removeprefix(f"{base}: ") in DENSE else 5)


@pytest.mark.parametrize("study, n", [(CONFLICT, 10), (EXPLAIN, 2)])
def test_studies_are_run_for_both_forms(study, n):
    tasks = [task for task in plan(SOURCES, FULL) if task.study == study]
    assert len(tasks) == n
    assert {task.method for task in tasks} == {OURS, REFERENCE}


def test_quick_plan_has_the_same_methods_and_less_of_them():
    full, quick = (list(plan(SOURCES[:2], size)) for size in (FULL, QUICK))
    assert {task.method for task in full} - {task.method for task in quick} == {"totalvi_r2"}
    assert sum(task.n_folds for task in quick) < sum(task.n_folds for task in full) / 2
    assert all(task.max_epochs == 20 for task in quick if task.method in BASES and task.study != CONFLICT)


def test_tasks_have_names_and_keys_of_their_own():
    tasks = list(plan(SOURCES, FULL))
    assert len({task.name for task in tasks}) == len({task.key for task in tasks}) == len(tasks)


def test_key_depends_on_data_and_settings_not_on_the_place(monkeypatch):
    task = next(plan(SOURCES, FULL))
    assert replace(task, path="elsewhere").key == task.key
    assert replace(task, content="other").key != task.key
    assert replace(task, n_folds=1).key != task.key
    before = task.key
    monkeypatch.setitem(FORMS, task.method, FORMS[task.method].changed(network={"top_k": 1}))
    assert task.key != before


def test_sets_of_other_data_are_all_pairs_and_all():
    assert sets_of(source("own", dict.fromkeys("abc", "rna"), 0)) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
        ("a", "b", "c"),
    ]


def test_what_cannot_be_run_has_a_reason(monkeypatch):
    tasks = [task for task in plan(SOURCES[:1], FULL) if task.study == FIT]
    reasons = {(task.method, task.modalities): reason_to_skip(task, KINDS) for task in tasks}
    assert reasons["totalvi", ("rna", "protein")] == ""
    assert "one modality each of rna and protein" in reasons["totalvi", ("pre", "rna")]
    monkeypatch.setattr("scmoe.studies.replicate._plan.find_spec", lambda name: None if name == "mofapy2" else 1)
    assert {reason_to_skip(task, KINDS) for task in tasks if task.method == "mofa"} == {"mofapy2 is not installed"}
