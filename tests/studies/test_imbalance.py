"""The study of unequal labels: its plan, what it does to cells, verdicts, and a small run."""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from scmoe.datasets._write import write
from scmoe.explain.concepts._adjust import holm
from scmoe.losses._class_balance import OPTIONS
from scmoe.studies._statistics import FAILS, HOLDS, OPEN, equivalence
from scmoe.studies.genes._data import LABEL
from scmoe.studies.imbalance import _study
from scmoe.studies.imbalance._annotator import folds_of, shared_by_donors
from scmoe.studies.imbalance._claims import MARGIN, claims
from scmoe.studies.imbalance._imputed import imputed
from scmoe.studies.imbalance._plan import (
    ANNOTATED,
    ANNOTATOR,
    AUGMENTED,
    DONORS,
    EVERYWHERE,
    IMPOSED,
    IMPUTED,
    LINEAR,
    NATURAL,
    NONE,
    OVER,
    QUICK,
    STUDY,
    TOKENIZERS,
    TREATMENTS,
    UNDER_MIN,
    UNDER_T,
    Size,
    Task,
    plan,
)
from scmoe.studies.imbalance._run import cases_of, content_of, run_imbalance
from scmoe.studies.imbalance._study import (
    label_scores,
    network_fit,
    possible_rhos,
    resampled,
    study_split,
    study_task,
)

SMALL = Size(n_genes=30, n_pretraining=2, n_steps=3, n_test=60, epochs=1, imputation_epochs=2)


def cells(sizes, n_genes=40, seed=0):
    """Counts in which each label has genes of its own; cells without a label besides."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(list(sizes), list(sizes.values())).astype(object)
    mean = {name: rng.gamma(0.5, 2.0, n_genes) + 0.05 for name in sizes}
    counts = rng.poisson(np.stack([mean[name] for name in labels])).astype(np.float32)
    obs = pd.DataFrame({LABEL: np.where(labels == "", None, labels)}, index=[f"c{i}" for i in range(len(labels))])
    return AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]))


def task(kind=STUDY, case=LINEAR, seed=0, size=SMALL):
    return Task(kind=kind, case=case, seed=seed, content="x", size=size)


def test_an_unfinished_run_has_something_of_everything():
    tasks = list(plan({STUDY: "x", ANNOTATOR: "y"}, (STUDY, ANNOTATOR), (NATURAL, DONORS), (0, 1), SMALL))
    assert [entry.seed for entry in tasks] == [0] * 7 + [1] * 7
    assert {entry.case for entry in tasks[:7]} == {*TOKENIZERS, NATURAL, DONORS}
    assert len({entry.key for entry in tasks}) == len({entry.name for entry in tasks}) == 14


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        (NONE, [40, 10, 4]),
        (OVER, [40, 40, 40]),
        *((made, [40, 40, 40]) for made in (*AUGMENTED, IMPUTED)),
        (UNDER_T, [18, 10, 4]),
        (UNDER_MIN, [4, 4, 4]),
        ("focal", [40, 10, 4]),
    ],
)
def test_treatments_give_labels_the_cells_that_they_should(treatment, expected):
    out = resampled(cells({"a": 40, "b": 10, "c": 4}), treatment, 0, SMALL)
    assert out.obs[LABEL].value_counts().reindex(["a", "b", "c"]).tolist() == expected


def test_imputed_cells_are_counts_at_the_depth_of_their_parents():
    adata = cells({"a": 60, "b": 20, "c": 5})
    out = imputed(adata, LABEL, n_epochs=100, seed=0)
    again = imputed(adata, LABEL, n_epochs=100, seed=0)
    new = out[adata.n_obs :]
    assert (again.X != out.X).nnz == 0 and (out[: adata.n_obs].X != adata.X).nnz == 0
    assert (new.X.data == np.round(new.X.data)).all() and new.X.data.min() > 0
    parents = adata[new.obs["copy_of"].to_list()]
    assert (new.obs[LABEL].to_numpy() == parents.obs[LABEL].to_numpy()).all()
    assert np.abs(new.X.toarray() - parents.X.toarray()).sum(1).min() > 0  # drawn, not copied
    depth, of_parents = (np.asarray(each.X.sum(1)).ravel() for each in (new, parents))
    assert abs(np.log(depth.mean() / of_parents.mean())) < 0.3
    share = {label: np.asarray(new[new.obs[LABEL] == label].X.mean(0)).ravel() for label in "bc"}
    real = {label: np.asarray(adata[adata.obs[LABEL] == label].X.mean(0)).ravel() for label in "bc"}
    for label, other in ("bc", "cb"):
        near, far = (np.corrcoef(share[label], real[each])[0, 1] for each in (label, other))
        assert near > far


def test_training_and_test_cells_of_the_study_are_different_and_genes_are_of_training_cells(monkeypatch):
    seen, select = [], _study.variable_genes
    monkeypatch.setattr(
        _study, "variable_genes", lambda adata_seen, n: seen.extend(adata_seen.obs_names) or select(adata_seen, n)
    )
    adata = cells({"a": 90, "b": 80, "c": 70, "d": 60, "e": 3, "": 30})
    train, test = study_split(adata, SMALL, 0)
    assert not set(train.obs_names) & set(test.obs_names) and seen == list(train.obs_names)
    assert list(train.var_names) == list(test.var_names) and train.n_vars == SMALL.n_genes
    assert set(train.obs[LABEL].dropna()) == set(test.obs[LABEL]) == set("abcd")  # e is too small to take any rank
    assert train.obs[LABEL].isna().sum() > 15  # cells without a label are pretrained on


def test_factors_that_would_leave_a_label_no_cell_are_left_out():
    labeled = cells({"a": 30, "b": 30, "c": 30, "d": 30})
    assert possible_rhos(labeled, (1.0, 10.0, 1000.0), 0)[0] == [1.0, 10.0]


def test_all_treatments_are_compared_at_one_factor_and_two_at_the_others():
    result = study_task(task(), cells({"a": 160, "b": 150, "c": 140, "d": 130}))
    rows = pd.DataFrame(result["rows"])
    assert list(rows.treatment[rows.main]) == list(TREATMENTS)
    assert set(rows.treatment[~rows.main]) == set(EVERYWHERE)
    plain = rows[rows.treatment == NONE]
    assert plain.accuracy.min() > 0.5 and plain.n_rarest.is_monotonic_decreasing


def test_networks_take_as_many_steps_whatever_the_number_of_cells(monkeypatch):
    from scmoe.model.genes import _fine_tuning

    steps, run = [], _fine_tuning.run
    monkeypatch.setattr(_fine_tuning, "run", lambda *a, **k: steps.append(done := run(*a, **k)) or done)
    adata = cells({"a": 90, "b": 40, "c": 20})
    fit = network_fit("continuous", adata, SMALL, 0)
    for treatment in (NONE, OVER, UNDER_MIN):
        fit(resampled(adata, treatment, 0), NONE)
    assert [done.n_steps for done in steps] == [SMALL.n_steps] * 3
    steps.clear()
    for option in ("deferred", "decoupled"):
        fit(adata, option)
    assert sum(done.n_steps for done in steps) == 2 * SMALL.n_steps and len(steps) == 4


def test_a_label_that_is_never_predicted_counts_as_zero():
    probability = pd.DataFrame([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], columns=["a", "b"])
    scores = label_scores(np.array(["a", "a", "b"]), probability, {"a": 20, "b": 2})
    assert scores["macro_f1"] == pytest.approx(0.4) and scores["tail_recall"] == 0


def test_the_tail_of_the_study_is_the_same_at_every_factor():
    # c is told half of the time, and is the last rank although all labels have as many cells
    truth = np.array(["a", "a", "b", "b", "c", "c"])
    probability = pd.DataFrame(np.eye(3)[[0, 0, 1, 1, 2, 0]], columns=list("abc"))
    frequency = pd.Series({"a": 2, "b": 1, "c": 0})
    scores = label_scores(truth, probability, {"a": 9, "b": 9, "c": 9}, frequency)
    assert scores["tail_recall"] == 0.5 and scores["n_rarest"] == 9


@pytest.mark.parametrize(
    ("interval", "expected"),
    [([-0.01, 0.015], HOLDS), ([0.021, 0.05], FAILS), ([-0.5, -0.03], FAILS), ([0.01, 0.03], OPEN), (None, OPEN)],
)
def test_no_difference_is_claimed_only_within_the_margin(interval, expected):
    assert equivalence(interval, MARGIN) == expected


def test_p_values_allow_for_their_number():
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])  # worked by hand
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]


def row(treatment, rho, main, value):
    return {"treatment": treatment, "rho": rho, "main": main, "macro_f1": value, "tail_f1": value}


def test_hypotheses_are_differences_in_the_claimed_direction():
    results = []
    for seed in range(3):
        noise = 0.001 * seed
        rows = [row(NONE, 1.0, False, 0.9), row(NONE, 50.0, True, 0.5 + noise), row(OVER, 50.0, True, 0.6)]
        rows += [row(UNDER_MIN, 50.0, True, 0.4), row(UNDER_T, 50.0, True, 0.505), row("inverse", 50.0, True, 0.605)]
        results += [{"kind": STUDY, "case": name, "seed": seed, "rows": rows} for name in TOKENIZERS]
    verdicts = {(r["claim"][:2], r["comparison"]): r["verdict"] for r in claims(results)}
    assert verdicts.pop(("H2", "linear")) == HOLDS
    assert set(verdicts.values()) == {HOLDS}
    assert {claim for claim, _ in verdicts} == {"H1", "H2", "H3", "H4", "H5"}


def test_donors_are_compared_over_the_labels_that_all_of_them_have(fresh):
    mdata = fresh("raw")
    mdata.obs["donor"] = np.where(np.arange(mdata.n_obs) % 2, "x", "y")
    types = mdata.obs["cell_type"].astype(str).to_numpy()
    mdata.obs["donor"] = np.where(types == "NK", "x", mdata.obs["donor"])
    mask, donors = shared_by_donors(mdata, "cell_type", "donor")
    shared = mdata[mask].copy()
    assert donors == ["x", "y"] and "NK" not in set(shared.obs["cell_type"].astype(str))
    codes = np.unique(shared.obs["cell_type"].astype(str), return_inverse=True)[1]
    for train, test in folds_of(task(ANNOTATOR, DONORS), shared, "cell_type", "donor", codes):
        assert set(shared.obs["donor"].iloc[train]).isdisjoint(shared.obs["donor"].iloc[test])


def test_imposed_imbalance_is_of_training_cells_alone(fresh, monkeypatch):
    mdata = fresh("raw")
    types = pd.Series(mdata.obs["cell_type"].astype(str))
    codes = np.unique(types, return_inverse=True)[1]
    monkeypatch.setattr("scmoe.studies.imbalance._annotator.MAIN_RHO", 4.0)
    folds = list(folds_of(task(ANNOTATOR, IMPOSED), mdata, "cell_type", None, codes))
    assert np.array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(mdata.n_obs))
    for train, test in folds:
        sizes = types.iloc[train].value_counts()
        assert not set(train) & set(test)
        assert sizes.max() / sizes.min() == pytest.approx(4, rel=0.2)


def test_cases_that_the_data_do_not_allow_are_named(fresh):
    cases, skipped = cases_of(fresh("raw"), "cell_type", None)
    assert NATURAL in cases and DONORS not in cases
    assert any("batch" in reason for reason in skipped)


def test_donors_that_cannot_be_compared_are_named(fresh):
    mdata = fresh("raw")
    mdata.obs["donor"] = "x"
    assert "two values of 'donor' must share two labels; found x" in cases_of(mdata, "cell_type", "donor")[1][-1]
    mdata.obs["donor"] = np.where(np.arange(mdata.n_obs) % 2, "x", "y")
    mdata.obs.loc[mdata.obs_names[:3], "donor"] = None
    cases, skipped = cases_of(mdata, "cell_type", "donor")
    assert DONORS in cases and skipped[-1].startswith("3 cells without a value of 'donor'")
    mask, donors = shared_by_donors(mdata, "cell_type", "donor")
    assert not mask[:3].any() and mask[3:].all() and donors == ["x", "y"]


def test_results_are_of_one_batch_column_and_all_modalities(fresh):
    mdata = fresh("raw")
    mdata.obs["donor"] = np.where(np.arange(mdata.n_obs) % 2, "x", "y")
    mdata.obs["sex"] = mdata.obs["donor"]
    hashes = {content_of(mdata, "cell_type", batch) for batch in (None, "donor", "sex")}
    last = list(mdata.mod.values())[-1]
    last.X = 2 * last.X
    assert len(hashes | {content_of(mdata, "cell_type", "donor")}) == 4


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_is_resumed_and_written(tmp_path, monkeypatch):
    from scmoe.datasets import bmmc_cite
    from scmoe.studies.imbalance import _run

    monkeypatch.setattr(
        _run, "QUICK", Size(n_genes=60, n_pretraining=3, n_steps=2, n_test=60, epochs=1, imputation_epochs=2)
    )
    monkeypatch.setattr(_run, "N_SEEDS_QUICK", 1)
    monkeypatch.setattr("scmoe.studies.imbalance._study.TREATMENTS", (*EVERYWHERE, UNDER_T, UNDER_MIN, "inverse"))
    mdata = bmmc_cite()
    mask = mdata.obs["cell_type"].isin(mdata.obs["cell_type"].value_counts().index[:6])
    write(mdata[mask.to_numpy()].copy(), tmp_path / "few.h5mu")
    given = {"data": tmp_path / "few.h5mu", "batch": "batch", "quick": True}
    table = run_imbalance(tmp_path / "out", **given)
    assert {result["case"] for result in table["results"]} >= {*TOKENIZERS, NATURAL, DONORS}
    methods = [r["method"] for r in next(r for r in table["results"] if r["case"] == NATURAL)["rows"]]
    assert methods[: len(ANNOTATED)] == list(ANNOTATED) and set(ANNOTATED) < set(OPTIONS)
    assert json.loads((tmp_path / "out/imbalance.json").read_text()) == table
    text = (tmp_path / "out/imbalance.md").read_text()
    assert "H1: F1 of rare labels falls" in text and "nan" not in text
    assert {file.name for file in (tmp_path / "out/figures").glob("*.png")} >= {"imbalance_factors.png"}
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "out/runs").iterdir()}
    assert run_imbalance(tmp_path / "out", **given) == table
    assert times == {file: file.stat().st_mtime_ns for file in (tmp_path / "out/runs").iterdir()}


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"parts": ["tail"]}, "no part 'tail'"),
        ({"seeds": []}, "at least one part and one seed"),
        ({"seeds": [1, 1]}, "each seed once"),
        ({"seeds": [0, -1]}, r"seeds\[1\] must be a whole number from 0 to .*; found -1"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, given, match):
    with pytest.raises(ValueError, match=match):
        run_imbalance(tmp_path, **given)


def test_a_missing_column_and_too_few_labels_are_named(tmp_path):
    with pytest.raises(KeyError, match="'tissue' is not a column"):
        run_imbalance(tmp_path, labels="tissue")
    with pytest.raises(ValueError, match="needs 4 labels; found a, b"):
        study_task(task(size=QUICK), cells({"a": 30, "b": 30}))
