import pytest

from scmoe.benchmark import _plan
from scmoe.benchmark._inputs import Facts, Run
from scmoe.benchmark._plan import plan, reason_to_skip

CITE = Facts(kinds={"rna": "rna", "adt": "protein"}, n_cells=100, complete=True, n_labels=3, n_batches=2)


@pytest.mark.parametrize(
    ("method", "facts", "reason"),
    [
        ("scmoe_bernoulli", {}, "raw counts of peaks"),
        ("scmoe_nb_rna", {}, ""),
        ("scmoe_genes", {"kinds": {"adt": "protein", "morph": "continuous"}}, "needs RNA"),
        ("scmoe_genes", {}, ""),
        ("midas", {"kinds": {"rna": "rna", "morph": "continuous"}}, "each of rna and protein"),
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
    text = reason_to_skip(run, Facts(**CITE.__dict__ | facts))
    assert reason in text and bool(text) == bool(reason)


def test_likelihood_of_a_modality_that_is_not_seen():
    run = Run(task="annotate", method="scmoe_nb_protein", seed=0, case="rna only", data="", source="rna")
    assert reason_to_skip(run, CITE) == "needs raw counts of protein"


@pytest.mark.parametrize(
    "change", [{"complete": False}, {"kinds": dict.fromkeys("abc", "rna")}, {"kinds": {"a": "rna"}}]
)
def test_mosaics_are_made_of_two_complete_modalities(change):
    facts = Facts(**CITE.__dict__ | change)
    arguments = {"methods": ["scmoe", "ridge"], "tasks": ["mosaic"], "seeds": [0], "quick": False}
    reasons = {reason_to_skip(run, facts) for run in plan(facts, "", None, None, **arguments)}
    assert reasons == {"needs two modalities, both in every cell"}


def test_missing_package_is_the_reason(monkeypatch):
    monkeypatch.setattr(_plan, "find_spec", lambda name: None)
    run = Run(task="embed", method="mofa", seed=0, case="all cells", data="")
    assert reason_to_skip(run, CITE) == "mofapy2 is not installed"


def test_totalvi_predicts_one_direction():
    pairs = {("rna", "adt"): "", ("adt", "rna"): "predicts protein from rna only"}
    for (source, target), reason in pairs.items():
        run = Run(task="predict", method="totalvi", seed=0, case="", data="", source=source, target=target)
        assert reason_to_skip(run, CITE) == reason
