import pytest

from scmoe.benchmark import _plan
from scmoe.benchmark._inputs import Facts, Run
from scmoe.benchmark._plan import plan, result_key, select_methods
from scmoe.benchmark.methods._scmoe import ALWAYS, GROUPS, VARIANTS

CITE = Facts(kinds={"rna": "rna", "adt": "protein"}, n_cells=100, complete=True, n_labels=3, n_batches=2)


@pytest.mark.parametrize(
    "change", [{"labels": "other"}, {"seed": 1}, {"case": "other"}, {"n_cells": 20}, {"kinds": {"adt": "rna"}}]
)
def test_key_depends_on_settings(change):
    settings = {"task": "embed", "method": "pca", "seed": 0, "case": "all cells", "data": "here", "labels": "cell_type"}
    key = result_key(Run(**settings), "hash")
    assert result_key(Run(**settings | {"data": "there"}), "hash") == key
    assert result_key(Run(**settings | change), "hash") != key != result_key(Run(**settings), "other hash")


def test_key_depends_on_the_code_of_the_model(monkeypatch):
    runs = [Run(task="embed", method=method, seed=0, case="all cells", data="") for method in ("scmoe", "pca")]
    before = [result_key(run, "") for run in runs]
    monkeypatch.setattr(_plan, "model_code", lambda: "changed")
    assert [result_key(run, "") == key for run, key in zip(runs, before, strict=True)] == [False, True]


@pytest.mark.parametrize(("n_cells", "n_seeds"), [(5000, 3), (5001, 1)])
def test_methods_that_take_minutes_have_one_seed_on_many_cells(n_cells, n_seeds):
    facts = Facts(**CITE.__dict__ | {"n_cells": n_cells})
    arguments = {"methods": ["mofa", "pca"], "tasks": ["embed"], "seeds": [2, 0, 1], "quick": False}
    runs = list(plan(facts, "", None, None, **arguments))
    assert [run.seed for run in runs if run.method == "mofa"] == [2, 0, 1][:n_seeds]
    assert [run.seed for run in runs if run.method == "pca"] == [2, 0, 1]


def test_groups_add_variants():
    by_default = {method.name for method in select_methods("predict", CITE.kinds, None)}
    assert by_default & set(VARIANTS) == set(ALWAYS)
    for name, group in GROUPS.items():
        methods = select_methods("predict", CITE.kinds, [name, "ridge"])
        assert [method.name for method in methods] == [*group, "ridge"]


def test_rna_is_first_in_a_mosaic():
    facts = Facts(**CITE.__dict__ | {"kinds": {"adt": "protein", "gex": "rna"}})
    arguments = {"methods": ["ridge", "pca_gex"], "tasks": ["mosaic"], "seeds": [0], "quick": False}
    runs = [(run.method, run.case, run.source, run.target) for run in plan(facts, "", None, None, **arguments)]
    assert runs == [(method, "gex and adt", "gex", "adt") for method in ("ridge", "pca_gex")]


def test_annotation_has_a_case_for_each_modality():
    arguments = {"methods": ["logreg"], "tasks": ["annotate"], "seeds": [0], "quick": False}
    cases = {run.case: run.source for run in plan(CITE, "", None, None, **arguments)}
    assert cases == {"folds": "", "batches": "", "rna only": "rna", "adt only": "adt"}


def test_plan_has_every_ordered_pair():
    facts = Facts(kinds=dict.fromkeys("abc", "continuous"), n_cells=9, complete=True, n_labels=0, n_batches=0)
    arguments = {"methods": ["mean"], "tasks": ["predict"], "seeds": [0], "quick": False}
    pairs = {(run.source, run.target) for run in plan(facts, "", None, None, **arguments)}
    assert len(pairs) == 6
