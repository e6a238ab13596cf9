import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from scmoe.studies.experts._regimes import simulate_regimes


def r2(x, y):
    half = len(x) // 2
    return LinearRegression().fit(x[:half], y[:half]).score(x[half:], y[half:])


def test_each_regime_has_its_own_map():
    mdata = simulate_regimes(4000, 0)
    x, y = mdata["first"].X, mdata["second"].layers["clean"]
    regime = mdata.obs["regime"].to_numpy()
    within = np.mean([r2(x[regime == name], y[regime == name]) for name in np.unique(regime)])
    assert within > 0.5 > 0.2 > r2(x, y)


def test_first_modality_reveals_the_regime():
    mdata = simulate_regimes(1000, 0)
    centers = mdata.obs["regime"].to_numpy()
    means = np.stack([mdata["first"].X[centers == name].mean(axis=0) for name in np.unique(centers)])
    nearest = np.linalg.norm(mdata["first"].X[:, None] - means, axis=2).argmin(axis=1)
    assert (np.unique(centers)[nearest] == centers).mean() > 0.95


def test_simulation_depends_on_the_seed_alone():
    same, other = simulate_regimes(50, 1), simulate_regimes(50, 2)
    np.testing.assert_array_equal(simulate_regimes(50, 1)["second"].X, same["second"].X)
    assert not np.allclose(same["second"].X, other["second"].X)


@pytest.mark.parametrize(("n_regimes", "n_modalities"), [(1, 2), (32, 3), (8, 4)])
def test_numbers_of_regimes_and_modalities(n_regimes, n_modalities):
    mdata = simulate_regimes(600, 0, n_regimes, n_modalities)
    assert mdata.obs["regime"].nunique() == n_regimes
    assert list(mdata.mod) == ["first", "second", "third", "fourth"][:n_modalities]
    for name in list(mdata.mod)[1:]:
        noise = mdata[name].X - mdata[name].layers["clean"]
        assert noise.std() == pytest.approx(0.5, abs=0.02)
        np.testing.assert_allclose(mdata[name].layers["clean"].std(axis=0), 1, rtol=1e-4)
