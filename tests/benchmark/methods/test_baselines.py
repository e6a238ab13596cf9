import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scmoe.benchmark._cells import subset
from scmoe.benchmark._inputs import Run
from scmoe.benchmark._scores import kmeans_scores
from scmoe.benchmark.methods import _scvi
from scmoe.benchmark.methods._annotate import CLASS_WEIGHTS, logreg
from scmoe.benchmark.methods._embed import fuse, scaled_kernel, spectral
from scmoe.benchmark.methods._predict import kernel_ridge, knn, mean, mlp, ridge, ridge_unscaled
from scmoe.benchmark.methods._registry import METHODS, method_of
from scmoe.benchmark.methods._scvi import modality_of_kind, multivi_embed, totalvi_embed, totalvi_predict
from scmoe.pp._prepare import prepare
from scmoe.studies.speed._data import simulate

PREDICTORS = (mean, ridge, ridge_unscaled, kernel_ridge, knn, mlp)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def slow_fusion(kernels, neighbors, steps):
    """The formulas of Wang et al. (2014), cell by cell, with symmetric normalization after each step."""

    def normalized(w):
        p = np.array(
            [[0.5 if i == j else w[i, j] / (2 * (w[i].sum() - w[i, i])) for j in range(len(w))] for i in range(len(w))]
        )
        return (p + p.T) / 2

    def local(w):
        s = np.zeros_like(w)
        for i in range(len(w)):
            near = np.argsort(w[i])[-neighbors:]
            s[i, near] = w[i, near] / w[i, near].sum()
        return s

    full = [normalized(w) for w in kernels]
    near = [local(p) for p in full]
    for _ in range(steps):
        full = [normalized(near[v] @ full[1 - v] @ near[v].T) for v in (0, 1)]
    return (full[0] + full[1]) / 2


def test_fusion_equals_slow_reference(rng):
    kernels = [scaled_kernel(rng.normal(size=(40, 3))) for _ in range(2)]
    np.testing.assert_allclose(fuse(kernels), slow_fusion(kernels, neighbors=20, steps=20), rtol=1e-8)


def test_kernel_of_one_pair_by_hand():
    points = np.array([[0.0], [1.0], [3.0]])  # mean distances to the others: 2, 1.5, 2.5
    width = 0.5 * (2 + 1.5 + 1) / 3
    assert scaled_kernel(points)[0, 1] == pytest.approx(np.exp(-((1 / width) ** 2) / 2))


def test_spectral_embedding_of_sparse_and_dense_graph_agree(rng):
    graph = rng.random((50, 50)) + 5 * np.eye(2).repeat(25, axis=0).repeat(25, axis=1)
    graph += graph.T
    dense, sparse = spectral(graph, 3), spectral(csr_matrix(graph), 3)
    np.testing.assert_allclose(np.abs(dense), np.abs(sparse), atol=1e-8)
    assert len(set(np.sign(dense[:25, 0]))) == 1 and np.sign(dense[0, 0]) != np.sign(dense[-1, 0])


@pytest.mark.parametrize("method", ["pca", "pca_unscaled", "pca_rna", "snf"])
def test_embedding_finds_the_types(paired, method):
    points = method_of(method).embed(paired, Run(task="embed", method=method, seed=0, case="", data="")).points
    assert len(points) == paired.n_obs
    assert kmeans_scores(points, paired.obs["cell_type"])["ari"] > 0.9


@pytest.mark.parametrize("method", PREDICTORS[1:])
def test_prediction_beats_the_mean(rng, method):
    x = rng.normal(size=(200, 10))
    y = 3 + x @ rng.normal(size=(10, 6))
    predicted = method(x[:150], y[:150], x[150:], 0)
    assert predicted.shape == (50, 6)
    of_mean = mean(x[:150], y[:150], x[150:], 0)
    assert np.square(predicted - y[150:]).mean() < 0.7 * np.square(of_mean - y[150:]).mean()


@pytest.mark.parametrize("method", PREDICTORS)
def test_prediction_of_one_feature_from_missing_values(rng, method):
    x, y = rng.normal(size=(60, 3)), rng.normal(size=(60, 1))
    x[::7, 0] = y[::9] = np.nan
    predicted = method(x[:40], y[:40], x[40:], 0)
    assert predicted.shape == (20, 1) and np.isfinite(predicted).all()


@pytest.mark.parametrize("method", list(CLASS_WEIGHTS))
def test_labels_of_test_cells_are_not_looked_at(paired, method):
    train, test = np.arange(80), np.arange(80, 120)
    labels = paired.obs["cell_type"].astype(str)
    probability = logreg(method, paired, train, test, labels, 0)
    changed = labels.copy()
    changed.iloc[test] = "other"
    assert probability.equals(logreg(method, paired, train, test, changed, 0))
    assert (probability.idxmax(axis=1) == labels.iloc[test]).mean() > 0.9


def test_every_simple_method_is_offered():
    embeddings = {name for name, method in METHODS.items() if method.does("embed")}
    predictors = {name for name, method in METHODS.items() if method.does("predict")}
    assert {"pca", "pca_unscaled", "snf", "wnn", "mofa"} <= embeddings
    assert {function.__name__ for function in PREDICTORS} <= predictors


def test_modality_is_found_by_kind(paired, single):
    assert [modality_of_kind(paired, kind) for kind in ("rna", "protein", "peaks")] == ["rna", "adt", None]
    assert modality_of_kind(single, "protein") is None


@pytest.mark.parametrize("n_cells", [100, 500, 3000, 1_000_000])
def test_multivi_has_steps_enough_on_few_cells_and_its_default_epochs_on_many(n_cells):
    epochs = _scvi.multivi_epochs(n_cells)
    assert epochs >= 500
    assert epochs * np.ceil(n_cells / 128) >= 20_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_models_of_scvi_tools_run(raw, monkeypatch):
    monkeypatch.setattr(_scvi, "MAX_EPOCHS", 1)
    monkeypatch.setattr(_scvi, "multivi_epochs", lambda n_cells: 1)
    cite, multiome = raw, simulate(100, genes=30, peaks=40, density=0.2)
    multiome.obs["batch"] = np.arange(100) % 2
    for mdata in (cite, multiome):
        prepare(mdata)
    for embed, mdata in ((totalvi_embed, cite), (multivi_embed, multiome)):
        query = subset(mdata, mdata.obs_names[[7, 3, 30]], list(mdata.mod))
        embedded, mapped = embed(mdata, "batch", 0, query)
        assert len(embedded) == mdata.n_obs
        np.testing.assert_allclose(mapped, embedded[[7, 3, 30]], atol=1e-4)
    train, test = subset(cite, cite.obs_names[:90], ["rna", "adt"]), subset(cite, cite.obs_names[90:], ["rna"])
    predicted = totalvi_predict(train, test, "rna", "adt", 0)
    assert predicted.shape == (30, cite["adt"].n_vars) and np.isfinite(predicted).all()
