import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from scmoe._matrix import dense
from scmoe.benchmark._cells import stack, subset
from scmoe.benchmark._inputs import Facts, Run
from scmoe.benchmark._new_cells import split_new, transfer_scores
from scmoe.benchmark._outputs import QueryMapping
from scmoe.benchmark._plan import plan, reason_to_skip
from scmoe.benchmark._tasks import perform
from scmoe.benchmark.methods._method import Method
from scmoe.benchmark.methods._registry import METHODS, method_of
from scmoe.data._setup import prepared_kinds
from scmoe.metrics._hubs import hub_ratio
from scmoe.pp._prepare import prepare


def a_run(method, **kwargs):
    settings = {"task": "map", "method": method, "seed": 0, "case": "new cells", "data": "", "labels": "cell_type"}
    return Run(**settings | kwargs)


def test_each_part_is_prepared_without_the_other(raw):
    reference, query = split_new(raw, a_run("pca", seed=3))
    assert (reference.n_obs, query.n_obs) == (96, 24)
    assert not set(reference.obs_names) & set(query.obs_names)
    alone = subset(raw, query.obs_names, ["rna", "adt"])
    prepare(alone)
    for name in ("rna", "adt"):
        np.testing.assert_array_equal(dense(query[name].X), dense(alone[name].X))


def test_new_cells_differ_by_seed(raw):
    first, again, other = (split_new(raw, a_run("pca", seed=seed))[1].obs_names for seed in (0, 0, 1))
    assert first.equals(again) and set(first) != set(other)


def test_fewer_cells_to_fit_on_leave_new_cells_as_they_are(raw):
    few, all_cells = (split_new(raw, a_run("pca", n_cells=n)) for n in (20, None))
    assert few[0].n_obs == 20 and set(few[0].obs_names) < set(all_cells[0].obs_names)
    assert few[1].obs_names.equals(all_cells[1].obs_names)


def test_parts_are_prepared_as_the_run_says(raw):
    parts = split_new(raw, a_run("pca", kinds={"adt": "rna"}))
    assert [prepared_kinds(part, ["rna", "adt"]) for part in parts] == [{"rna": "rna", "adt": "rna"}] * 2


def test_scores_equal_those_by_hand(raw, monkeypatch):
    rng = np.random.default_rng(0)
    made = {}

    def spy(reference, query, run):
        made.update(reference=reference, query=query)
        made["mapped"] = QueryMapping(
            reference=rng.normal(size=(96, 3)), query=rng.normal(size=(24, 3)), score=np.linspace(0, 0.23, 24)
        )
        return made["mapped"]

    monkeypatch.setitem(METHODS, "scmoe", Method(name="scmoe", map_query=spy))
    scores = perform(raw, a_run("scmoe"))["scores"]
    old, new = made["mapped"].reference, made["mapped"].query
    known = raw.obs.loc[made["reference"].obs_names, "cell_type"].to_numpy()
    right = []
    for point, label in zip(new, raw.obs.loc[made["query"].obs_names, "cell_type"], strict=True):
        near = known[np.argsort(np.linalg.norm(old - point, axis=1))[:15]]
        names, votes = np.unique(near.astype(str), return_counts=True)
        right.append(names[votes.argmax()] == label)
    assert scores["transfer_accuracy"] == pytest.approx(np.mean(right))
    expected = hub_ratio(np.vstack([old, new]), np.arange(120) >= 96)
    assert (scores["hub_within"], scores["hub_outside"]) == expected
    assert (scores["n_reference"], scores["n_query"]) == (96, 24)
    assert scores["low_score"] == 5 / 24  # 0 to .04


def test_a_label_that_the_reference_lacks_counts_as_wrong():
    points = np.arange(20.0)[:, None]
    mapped = QueryMapping(reference=points, query=points[[0, 1, 19]])
    known, truth = pd.Series(["a"] * 18 + [None] * 2), pd.Series(["a", "new", None])
    assert transfer_scores(mapped, known, truth)["transfer_accuracy"] == 0.5


def slow_components(reference, query, standardize):
    """Query and reference in the components of the reference, of unit total variance there."""
    x, y = dense(reference), dense(query)
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1) if standardize else 1
    x, y = (x - x.mean(axis=0)) / scale, (y - x.mean(axis=0)) / scale
    rotation = np.linalg.svd(x, full_matrices=False)[2][:50].T
    total = (x @ rotation).var(axis=0, ddof=1).sum()
    return y @ rotation / np.sqrt(total), x @ rotation / np.sqrt(total)


@pytest.mark.parametrize("method", ["pca", "pca_unscaled", "pca_rna"])
def test_new_cells_are_projected_to_components_of_the_reference(raw, method):
    reference, query = split_new(raw, a_run(method))
    mapped = method_of(method).map_query(reference, query, a_run(method))
    alone = method_of(method).embed(reference, a_run(method)).points
    np.testing.assert_allclose(mapped.reference, alone, atol=1e-5)
    names = ["rna"] if method == "pca_rna" else ["rna", "adt"]
    points = [slow_components(reference[name].X, query[name].X, method != "pca_unscaled") for name in names]
    new, old = map(np.hstack, zip(*points, strict=True))
    np.testing.assert_allclose(cdist(mapped.query, mapped.reference), cdist(new, old), atol=1e-3)


def test_without_labels_there_are_hub_ratios(raw):
    scores = perform(raw, a_run("pca", labels=None))["scores"]
    assert set(scores) == {"n_reference", "n_query", "hub_within", "hub_outside"}


def test_types_of_new_cells_are_found(raw):
    assert perform(raw, a_run("pca"))["scores"]["transfer_accuracy"] > 0.9


def test_stack_takes_the_features_of_the_first(paired):
    first, second = paired[:100].copy(), paired[100:].copy()
    second.mod["adt"] = second["adt"][:, ::-1].copy()
    both = stack(first, second)
    assert both.obs_names.equals(paired.obs_names)
    np.testing.assert_array_equal(both["adt"][paired.obs_names].X, paired["adt"][paired.obs_names].X)


def test_methods_that_cannot_are_listed_with_the_reason():
    cite = Facts(kinds={"rna": "rna", "adt": "protein"}, n_cells=100, complete=True, n_labels=3, n_batches=2)
    arguments = {"methods": ["scmoe", "scmoe_states", "pca_rna", "snf"], "tasks": ["map"], "seeds": [0], "quick": False}
    reasons = {run.method: reason_to_skip(run, cite) for run in plan(cite, "", None, None, **arguments)}
    able = dict.fromkeys(["scmoe", "scmoe_states", "pca_rna"], "")
    assert reasons == able | {"snf": "embeds only the cells that it is fitted on"}
