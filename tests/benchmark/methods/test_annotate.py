from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

from scmoe.benchmark._cells import subset
from scmoe.benchmark._inputs import Facts, Fold, Run
from scmoe.benchmark._plan import reason_to_skip
from scmoe.benchmark._tasks import few_labels
from scmoe.benchmark.methods import (
    _actinn,
    _celltypist,
    _gene_pairs,
    _scbert,
    _scbert_network,
    _scmoe,
    _scvi,
    _unitednet_network,
)
from scmoe.benchmark.methods._expression import expression
from scmoe.benchmark.methods._registry import METHODS, method_of
from scmoe.io._quiet import quiet_mudata
from scmoe.pp._prepare import prepare
from scmoe.tokens._integer import IntegerTokenizer

CITE = Facts(kinds={"rna": "rna", "adt": "protein"}, n_cells=100, complete=True, n_labels=3, n_batches=2)
FAST = ("logreg", "logreg_balanced", "actinn", "gene_pairs", "scbert", "unitednet")
OPTIONAL = ("celltypist",)
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("scvi_logreg", "scanvi")]
ALL = (*FAST, *OPTIONAL, "scmoe_supervised", *SLOW)


@pytest.fixture(autouse=True)
def small(monkeypatch, tiny):
    monkeypatch.setattr(_actinn, "N_STEPS", 500)
    monkeypatch.setattr(_actinn, "LEARNING_RATE", 1e-3)
    monkeypatch.setattr(_unitednet_network, "N_STEPS", 60)
    monkeypatch.setattr(_gene_pairs, "N_TREES", 50)
    monkeypatch.setattr(_scbert, "N_GENES", 30)
    monkeypatch.setattr(_scbert_network, "N_PRETRAINING", 5)
    monkeypatch.setattr(_scbert_network, "N_STEPS", 80)
    monkeypatch.setattr(_scvi, "MAX_EPOCHS", 60)
    monkeypatch.setattr(_scvi, "SCANVI_STEPS", 20)
    settings = {**tiny, **_scmoe.SUPERVISION.network}
    monkeypatch.setitem(_scmoe.VARIANTS, "scmoe", _scmoe.Variant(network=dict(tiny), training={"lr": 5e-3}))
    monkeypatch.setattr(_scmoe, "SUPERVISION", _scmoe.Variant(network=settings, training={"lr": 5e-3}))


def fold_of(mdata: MuData) -> Fold:
    """Every third cell is to be labeled."""
    cells = np.arange(mdata.n_obs)
    train, test = cells[cells % 3 > 0], cells[cells % 3 == 0]
    labels = mdata.obs["cell_type"].astype(str).rename("cell_type")
    labels.iloc[test] = None
    return Fold(cells=mdata, train=train, test=test, labels=labels)


def few(fold: Fold, n: int) -> Fold:
    """The same with `n` labels of each type."""
    return replace(fold, labels=few_labels(fold.labels, n, seed=0).reindex(fold.labels.index).replace({np.nan: None}))


def run_of(method: str, **settings) -> Run:
    return Run(task="annotate", method=method, seed=0, case="folds", data="", labels="cell_type", **settings)


def annotated(method: str, mdata: MuData, fold: Fold | None = None) -> pd.DataFrame:
    record = method_of(method)
    if reason := reason_to_skip(run_of(method), CITE):
        pytest.skip(reason)
    assert record.annotate is not None
    return record.annotate(fold or fold_of(mdata), run_of(method))


@pytest.fixture
def counts(raw) -> MuData:
    prepare(raw)
    return raw


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ALL)
def test_types_are_found_in_any_order_of_the_modalities(counts, method):
    rng = np.random.default_rng(0)
    with quiet_mudata():
        mixed = MuData({name: counts[name][rng.permutation(counts.n_obs)].copy() for name in reversed(counts.mod)})
    mixed.obs, mixed.uns = counts.obs.loc[mixed.obs_names].copy(), counts.uns
    truth = mixed.obs["cell_type"].astype(str)
    probability = annotated(method, mixed)
    fold = fold_of(mixed)
    assert list(probability.index) == list(mixed.obs_names[fold.test])
    assert sorted(probability) == sorted(truth.unique())
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-4)
    assert (probability.idxmax(axis=1) == truth[probability.index]).mean() > 0.8


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", [*FAST, *OPTIONAL])
def test_same_seed_gives_the_same_labels_whatever_the_test_cells(counts, method):
    first = annotated(method, counts)
    changed = subset(counts, counts.obs_names, list(counts.mod))
    fold = fold_of(changed)
    for adata in changed.mod.values():
        rows = np.flatnonzero(adata.obs_names.isin(changed.obs_names[fold.test[1:]]))
        adata.X[rows] = adata.X[rows][::-1]
    second = annotated(method, changed)
    np.testing.assert_allclose(first.iloc[0], second.iloc[0], atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize("method", ["scmoe", *ALL])
def test_few_labels_are_enough_to_tell_types_apart(counts, method, n):
    truth, fold = counts.obs["cell_type"].astype(str), fold_of(counts)
    probability = annotated(method, counts, few(fold, n))
    assert list(probability.index) == list(counts.obs_names[fold.test]) and sorted(probability) == sorted(
        truth.unique()
    )
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-4)
    if n > 1:
        assert (probability.idxmax(axis=1) == truth[probability.index]).mean() > 0.6


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("method", "reads"),
    [
        ("logreg", True),
        ("unitednet", True),
        ("scbert", True),
        ("actinn", False),
        ("gene_pairs", False),
        ("celltypist", False),
    ],
)
def test_cells_without_a_label_are_read_by_methods_that_can(counts, method, reads):
    fold = few(fold_of(counts), 8)
    labeled = replace(fold, train=fold.labeled)
    first, second = (annotated(method, counts, each) for each in (fold, labeled))
    assert np.allclose(first, second[first.columns], atol=1e-6) != reads


@pytest.mark.parametrize("method", ["actinn", "gene_pairs", "celltypist", "scbert", "scanvi", "scvi_logreg"])
def test_methods_of_rna_say_what_they_need(method):
    assert "rna" in reason_to_skip(run_of(method, source="adt"), CITE).lower()
    absent = Facts(**CITE.__dict__ | {"complete": False})
    assert reason_to_skip(run_of(method), absent) == "needs every modality in every cell"


def test_network_of_all_modalities_needs_complete_cells():
    absent = Facts(**CITE.__dict__ | {"complete": False})
    assert reason_to_skip(run_of("unitednet"), absent) == "needs every modality in every cell"
    assert reason_to_skip(run_of("unitednet", source="adt"), absent) == ""


def test_celltypist_that_cannot_train_says_so(monkeypatch):
    monkeypatch.setattr(_celltypist, "version", {"celltypist": "1.7.1", "scikit-learn": "1.9.0"}.__getitem__)
    monkeypatch.setattr(_celltypist, "LogisticRegression", lambda C: None)
    reason = reason_to_skip(run_of("celltypist"), CITE)
    assert reason == 'celltypist 1.7.1 cannot train with scikit-learn 1.9.0; it needs "scikit-learn<1.8"'
    monkeypatch.setattr(_celltypist, "version", {"celltypist": "1.8.0", "scikit-learn": "1.9.0"}.__getitem__)
    assert _celltypist.reason_not_to_train() == ""


def slow_pair_score(values, member, first, second):
    """Cell by cell."""
    share = {True: [], False: []}
    for row, inside in zip(values, member, strict=True):
        share[bool(inside)].append(row[first] > row[second])
    return abs(np.mean(share[True]) - np.mean(share[False]))


def test_pairs_are_those_with_the_highest_scores(monkeypatch):
    monkeypatch.setattr(_gene_pairs, "N_GENES", 6)
    monkeypatch.setattr(_gene_pairs, "N_PAIRS", 4)
    rng = np.random.default_rng(0)
    values, member = rng.poisson(2.0, size=(60, 9)).astype(float), np.arange(60) % 3 == 0
    values[:, 8] = 0
    genes = sorted(range(8), key=lambda g: -abs(np.corrcoef(values[:, g], member)[0, 1]))[:6]
    scores = {(a, b): slow_pair_score(values, member, a, b) for i, a in enumerate(genes) for b in genes[i + 1 :]}
    best = sorted(scores.values(), reverse=True)[:4]
    pairs = _gene_pairs.top_pairs(values, member)
    np.testing.assert_allclose([slow_pair_score(values, member, *pair) for pair in pairs], best)


@pytest.mark.parametrize("n_cells", [100, 3000, 10**6])
def test_perceptron_has_steps_enough_on_few_cells_and_its_default_epochs_on_many(n_cells):
    epochs = _actinn.n_epochs(n_cells)
    assert epochs >= _actinn.N_EPOCHS
    assert epochs * np.ceil(n_cells / _actinn.BATCH_SIZE) >= _actinn.N_STEPS


def test_expression_that_was_not_measured_is_the_mean_of_training_cells(counts):
    fold = fold_of(counts)
    values = counts["rna"].X.toarray()
    values[:10, 0] = np.nan
    counts["rna"].X = values
    known = fold.train[fold.train >= 10]
    part = expression(fold)
    assert part.train.shape == (len(fold.train), counts["rna"].n_vars)
    np.testing.assert_allclose(part.test[fold.test < 10, 0], values[known, 0].mean(), rtol=1e-5)


def test_levels_are_those_of_the_integer_tokens():
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(0.5, size=(20, 30)).astype(np.float32))
    tokens = IntegerTokenizer().fit(counts).transform(counts)
    expected = np.zeros(counts.shape, int)
    expected[np.repeat(np.arange(20), tokens.lengths), tokens.gene] = tokens.value
    np.testing.assert_array_equal(_scbert.levels(np.log1p(1e4 * counts.toarray() / counts.sum(1).A)), expected)


def test_scbert_learns_masked_genes_before_labels(counts, monkeypatch):
    losses, masked_loss = [], _scbert_network.masked_loss

    def spy(network, level, generator):
        loss = masked_loss(network, level, generator)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(_scbert_network, "masked_loss", spy)
    monkeypatch.setattr(_scbert_network, "N_PRETRAINING", 60)
    _scbert.annotate(fold_of(counts), 0)
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])


def test_supervised_form_differs_from_the_default_in_the_weight_of_labels_alone():
    settings = METHODS["scmoe_supervised"].settings
    assert settings is not None
    assert settings["network"] == {"label_weight": 1.0} and not settings["training"]
    assert not METHODS["scmoe_supervised"].does("embed")
