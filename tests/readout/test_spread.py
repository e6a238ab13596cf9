"""Intervals that cover what they promise, of values that nothing was learned from."""

import numpy as np
import pytest

from scmoe.readout._spread import INTERVAL, LOWEST, MIN_HELD_OUT, WIDTH, Spread, conformal_factor, fit_spread

D = 4


def simulate(n, seed, heavy=False):
    """Errors grow with the predicted value, differently in each feature; predictions of training cells are too good."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(1, 5, size=(n, D))
    noise = rng.standard_t(3, size=(n, D)) / 3**0.5 if heavy else rng.normal(size=(n, D))
    return mean, mean + np.sqrt(np.linspace(0.1, 1, D) * mean) * noise


def fitted(n_train=400, n_held_out=400, heavy=False, missing=0.0):
    (mean, truth), (new_mean, new_truth) = simulate(n_train, 1, heavy), simulate(n_held_out, 2, heavy)
    mean, truth = np.vstack([mean, new_mean]), np.vstack([mean + 0.3 * (truth - mean), new_truth])
    truth[np.random.default_rng(3).random(truth.shape) < missing] = np.nan
    return fit_spread(mean, truth, np.arange(len(mean)) >= n_train)


def coverage(spread, heavy=False, low=1.0, high=5.0):
    mean, truth = simulate(4000, 4, heavy)
    inside = np.abs(truth - mean) <= WIDTH * spread.predict(mean)
    return np.array([inside[(mean[:, j] >= low) & (mean[:, j] <= high), j].mean() for j in range(D)])


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_ninety_percent_of_new_values_are_inside(heavy, missing):
    np.testing.assert_allclose(coverage(fitted(heavy=heavy, missing=missing), heavy), INTERVAL, atol=0.05)


def test_large_values_have_wide_intervals_and_small_ones_narrow_ones():
    spread = fitted(4000, 4000)
    for low, high in ((1, 2), (4, 5)):
        np.testing.assert_allclose(coverage(spread, low=low, high=high), INTERVAL, atol=0.08)
    sd = spread.predict(np.array([[1.5] * D, [4.5] * D]))
    np.testing.assert_allclose(sd[1] / sd[0], 3**0.5, rtol=0.2)


def test_few_held_out_cells_share_one_factor():
    spread = fitted(n_held_out=MIN_HELD_OUT - 1)
    assert len(np.unique(spread.factor)) == 1
    np.testing.assert_allclose(coverage(spread), INTERVAL, atol=0.1)


def test_without_held_out_cells_the_errors_are_taken_as_they_are():
    mean, truth = simulate(4000, 1)
    spread = fit_spread(mean, truth, np.zeros(len(mean), bool))
    assert (spread.factor == 1).all()
    np.testing.assert_allclose(coverage(spread), INTERVAL, atol=0.02)


def test_errors_are_regressed_on_the_predicted_values():
    mean, truth = simulate(100, 1)
    truth[::3, 0] = np.nan
    spread = fit_spread(mean, truth, np.zeros(100, bool))
    for j in range(D):
        seen = np.isfinite(truth[:, j])
        x, squared = mean[seen, j], np.square(truth[seen, j] - mean[seen, j])
        slope, start = np.polyfit(x, squared, 1)
        assert spread.slope[j] == pytest.approx(slope, rel=1e-4)
        assert spread.level[j] == pytest.approx(start + slope * x.mean(), rel=1e-4)
        assert spread.center[j] == pytest.approx(x.mean(), rel=1e-4)


def test_no_variance_is_below_a_tenth_of_the_mean():
    spread = Spread(center=np.zeros(1), level=np.full(1, 4.0), slope=np.ones(1), factor=np.full(1, 2.0))
    np.testing.assert_allclose(
        spread.predict(np.array([[0.0], [5.0], [-100.0]]))[:, 0], [4, 6, 2 * (4 * LOWEST) ** 0.5]
    )


@pytest.mark.parametrize("n", [20, 100, 333])
def test_the_factor_is_the_conformal_quantile(n):
    ratio = np.abs(np.random.default_rng(0).normal(size=(n, D)))
    ratio[: n // 4, 1] = np.nan
    found = conformal_factor(ratio)
    for j in range(D):
        seen = np.sort(ratio[np.isfinite(ratio[:, j]), j])
        if len(seen) < MIN_HELD_OUT:
            continue
        covered = (seen <= WIDTH * found[j] + 1e-9).mean()
        assert INTERVAL - 1 / len(seen) <= covered <= INTERVAL + 2.5 / len(seen)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("gone", ["one feature", "held-out cells", "everything"])
def test_missing_values_leave_finite_intervals(gone):
    mean, truth = simulate(100, 1)
    held_out = np.arange(100) >= 70
    truth[{"one feature": np.s_[:, 2], "held-out cells": held_out, "everything": np.s_[:]}[gone]] = np.nan
    sd = fit_spread(mean, truth, held_out).predict(mean)
    assert np.isfinite(sd).all() and (sd > 0).all()


def test_exact_predictions_have_a_narrow_interval():
    mean, _ = simulate(100, 1)
    sd = fit_spread(mean, mean, np.arange(100) >= 70).predict(mean)
    assert (sd > 0).all() and sd.max() < 1e-4


def test_arrays_hold_all_there_is():
    spread, (mean, _) = fitted(), simulate(10, 5)
    np.testing.assert_array_equal(Spread.from_arrays(spread.to_arrays()).predict(mean), spread.predict(mean))
    assert all(array.dtype == np.float32 for array in spread.to_arrays().values())
