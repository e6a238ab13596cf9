import numpy as np
import pytest
from scipy.stats import pearsonr, t

from scmoe.explain._correlation import FeatureChunk, correlate

N, D, K = 50, 4, 3


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(N, K))
    x = rng.normal(loc=5, size=(N, D)) + y[:, :1]
    observed = rng.random((N, D)) < 0.8
    return x, y, observed


def chunks(x, observed=None, size=7):
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        yield FeatureChunk("rna", np.arange(N)[rows], x[rows], None if observed is None else observed[rows])


def plain(x, y, observed=None):
    return correlate(chunks(x, observed), {"rna": y}, [np.zeros(N, dtype=int)])["rna"][0]


@pytest.mark.parametrize("missing", [False, True])
def test_against_scipy_feature_by_feature(data, missing):
    x, y, observed = data
    found = plain(x, y, observed if missing else None)
    for d in range(D):
        seen = observed[:, d] if missing else np.ones(N, dtype=bool)
        assert found.n_cells[d] == seen.sum()
        for k in range(K):
            expected = pearsonr(x[seen, d], y[seen, k])
            assert (found.r[d, k], found.p[d, k]) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("missing", [False, True])
def test_within_groups_against_removing_their_means(data, missing):
    x, y, observed = data
    observed = observed if missing else np.ones_like(observed)
    codes = np.arange(N) % 4 - 1
    found = correlate(chunks(x, observed if missing else None), {"rna": y}, [codes])["rna"][0]
    for d in range(D):
        seen = observed[:, d] & (codes >= 0)
        a, b = x[seen, d].copy(), y[seen].copy()
        for group in range(3):
            here = codes[seen] == group
            a[here] -= a[here].mean()
            b[here] -= b[here].mean(axis=0)
        for k in range(K):
            r = np.corrcoef(a, b[:, k])[0, 1]
            free = seen.sum() - 3 - 1
            assert found.r[d, k] == pytest.approx(r)
            assert found.p[d, k] == pytest.approx(2 * t.sf(abs(r) * np.sqrt(free / (1 - r**2)), free))


def test_what_does_not_vary_has_no_correlation(data):
    x, y, _ = data
    x[:, 1], y[:, 2] = 1 / 3, 0.1
    found = plain(x, y)
    assert not found.r[1].any() and not found.r[:, 2].any()
    assert (found.p[1] == 1).all() and (found.p[:, 2] == 1).all()
    assert found.r[0, 0] > 0.3


def test_too_few_cells_prove_nothing(data):
    x, y, _ = data
    chunk = FeatureChunk("rna", np.arange(2), x[:2], None)
    found = correlate([chunk], {"rna": y}, [np.zeros(N, dtype=int)])["rna"][0]
    np.testing.assert_allclose(np.abs(found.r), 1)
    assert (found.p == 1).all()


def test_chunks_do_not_matter(data):
    x, y, observed = data
    whole = correlate(chunks(x, observed, size=N), {"rna": y}, [np.zeros(N, dtype=int)])["rna"][0]
    np.testing.assert_allclose(plain(x, y, observed).r, whole.r)
