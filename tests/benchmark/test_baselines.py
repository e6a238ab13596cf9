import anndata as ad
import numpy as np
import pytest
from mudata import MuData
from scipy.sparse import csr_matrix
from sklearn.linear_model import RidgeCV

from scmoe.benchmark import pca_embedding, ridge_on_pca
from scmoe.benchmark._baselines import ALPHAS
from scmoe.io._quiet import quiet_mudata


@pytest.fixture
def mdata() -> MuData:
    """Cells 0-49 have both modalities, 50-59 RNA only."""
    rng = np.random.default_rng(0)
    state = rng.normal(size=(60, 3))
    rna = ad.AnnData(csr_matrix(state @ rng.normal(size=(3, 20)) + 0.1 * rng.normal(size=(60, 20))))
    adt = ad.AnnData(100 * state[:50] @ rng.normal(size=(3, 6)) + rng.normal(size=(50, 6)))
    rna.obs_names = [f"c{i}" for i in range(60)]
    adt.obs_names = rna.obs_names[:50]
    with quiet_mudata():
        return MuData({"rna": rna, "adt": adt})


def test_modalities_weigh_the_same(mdata):
    train = np.arange(40)
    embedding = pca_embedding(mdata, train, n_components=4)
    assert embedding.shape == (60, 8)
    variance = embedding[train].var(axis=0, ddof=1)
    np.testing.assert_allclose([variance[:4].sum(), variance[4:].sum()], 1, rtol=1e-5)


def test_cells_outside_training_do_not_change_the_fit(mdata):
    train = np.arange(40)
    before = pca_embedding(mdata, train, n_components=3)
    mdata["adt"].X[45:] += 1000
    np.testing.assert_array_equal(pca_embedding(mdata, train, n_components=3)[:45], before[:45])


def test_missing_modality_is_zero(mdata):
    embedding = pca_embedding(mdata, np.arange(60), n_components=3)
    assert (embedding[50:, 3:] == 0).all()
    assert (embedding[50:, :3] != 0).all()


def test_missing_entry_counts_as_the_mean(mdata):
    mdata["adt"].X[3, 2] = np.nan
    assert np.isfinite(pca_embedding(mdata, np.arange(60))).all()


def test_modality_without_training_cells(mdata):
    with pytest.raises(ValueError, match="'adt' has 0 training cells"):
        pca_embedding(mdata, np.arange(50, 60))


def test_ridge_recovers_a_linear_relation(mdata):
    source, target = mdata["rna"].X.toarray()[:50], mdata["adt"].X
    predicted = ridge_on_pca(source[:40], target[:40], source[40:], n_components=5)
    assert np.corrcoef(predicted.ravel(), target[40:].ravel())[0, 1] > 0.98


def test_ridge_against_plain_steps(mdata):
    source, target = mdata["rna"].X.toarray()[:50], mdata["adt"].X
    center, scale = source[:40].mean(axis=0), source[:40].std(axis=0)
    train, test = (source[:40] - center) / scale, (source[40:] - center) / scale
    _, singular, rotation = np.linalg.svd(train - train.mean(axis=0), full_matrices=False)
    size = np.sqrt((singular[:5] ** 2).sum() / 39)
    scores = [x @ rotation[:5].T / size for x in (train, test)]
    ridge = RidgeCV(alphas=ALPHAS).fit(scores[0], (target[:40] - target[:40].mean(axis=0)) / target[:40].std(axis=0))
    expected = ridge.predict(scores[1]) * target[:40].std(axis=0) + target[:40].mean(axis=0)
    np.testing.assert_allclose(ridge_on_pca(source[:40], target[:40], source[40:], 5), expected, rtol=1e-4)


def test_test_cells_do_not_change_each_other(mdata):
    source, target = mdata["rna"].X.toarray()[:50], mdata["adt"].X
    together = ridge_on_pca(source[:40], target[:40], source[40:])
    np.testing.assert_allclose(together[:1], ridge_on_pca(source[:40], target[:40], source[40:41]), rtol=1e-5)


def test_features_keep_their_spread_without_z_scores(mdata):
    mdata["rna"].X = mdata["rna"].X.toarray()
    mdata["rna"].X[:, 0] *= 1000
    train = np.arange(60)
    component = pca_embedding(mdata, train, 1, modalities=["rna"], standardize=False)[:, 0]
    assert abs(np.corrcoef(component, mdata["rna"].X[:, 0])[0, 1]) == pytest.approx(1, abs=1e-4)
