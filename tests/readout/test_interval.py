"""Intervals that cover what they promise, of values that nothing was learned from."""

import numpy as np
import pytest

from scmoe.readout._interval import INTERVAL, MIN_HELD_OUT, SURE, Interval, conformal_factor, fit_interval
from scmoe.readout._variance import Variance

D = 4
SHARES = np.linspace(0.08, 0.6, D)
"""Of values above zero."""


def dense(n, seed, heavy=False):
    """Values that are never zero, with errors that grow with the predicted value."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(1, 5, size=(n, D))
    noise = rng.standard_t(3, size=(n, D)) / 3**0.5 if heavy else rng.normal(size=(n, D))
    return mean, 10 + mean + np.sqrt(np.linspace(0.1, 1, D) * mean) * noise


def sparse(n, seed):
    """Zeros, and values above zero that are skewed; predicted are exact expectations of both."""
    rng = np.random.default_rng(seed)
    share = np.clip(SHARES * rng.gamma(1, size=(n, 1)), 0, 0.98)
    above = 1 + share
    return share * above, np.where(rng.random(share.shape) < share, above * rng.gamma(4, 0.25, size=share.shape), 0)


def fitted(simulate, n_train=400, n_held_out=400, missing=0.0, **options):
    """Predictions of training cells are too good."""
    (mean, truth), (new_mean, new_truth) = simulate(n_train, 1, **options), simulate(n_held_out, 2, **options)
    shift = 10 if simulate is dense else 0
    mean, truth = np.vstack([mean, new_mean]), np.vstack([truth, new_truth])
    truth[np.random.default_rng(3).random(truth.shape) < missing] = np.nan
    return fit_interval(mean + shift, truth, np.arange(len(mean)) >= n_train)


def inside(interval, mean, truth):
    lower, upper = interval.bounds(mean)
    return (lower <= truth) & (truth <= upper)


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_ninety_percent_of_new_values_are_inside(heavy, missing):
    interval, (mean, truth) = fitted(dense, missing=missing, heavy=heavy), dense(4000, 4, heavy)
    assert not interval.has_zeros.any()
    np.testing.assert_allclose(inside(interval, mean + 10, truth).mean(0), INTERVAL, atol=0.05)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_ninety_percent_of_new_values_above_zero_are_inside(missing):
    interval, (mean, truth) = fitted(sparse, 2000, 2000, missing), sparse(20_000, 4)
    found = inside(interval, mean, truth)
    for j in range(D):
        assert found[truth[:, j] > 0, j].mean() == pytest.approx(INTERVAL, abs=0.05)
    assert (found.mean(0) > INTERVAL - 0.03).all()


def test_where_zero_is_left_out_nearly_all_values_are_above_zero():
    interval, (mean, truth) = fitted(sparse, 2000, 2000), sparse(20_000, 4)
    without = ~interval.reaches_zero(mean)
    lower, _ = interval.bounds(mean)
    assert (lower[~without] == 0).all() and without.any() and (~without).any()
    assert (truth[without] > 0).mean() > 0.8
    share = mean / interval.above_zero(mean)
    np.testing.assert_array_equal(without, share >= SURE)


def test_the_share_of_values_above_zero_is_what_the_predicted_value_says():
    interval, (mean, truth) = fitted(sparse, 2000, 2000), sparse(50_000, 4)
    share = mean / interval.above_zero(mean)
    for low in np.arange(0.1, 0.9, 0.2):
        cells = (share >= low) & (share < low + 0.2)
        assert (truth[cells] > 0).mean() == pytest.approx(share[cells].mean(), abs=0.05)


@pytest.mark.parametrize("lowest", [-1.0, 0.1])
def test_a_feature_with_values_below_zero_or_without_zeros_is_one_kind_of_values(lowest):
    mean, truth = sparse(200, 1)
    truth[0] = lowest
    truth[1:] = np.maximum(truth[1:], max(lowest, 0))
    assert not fit_interval(mean, truth, np.arange(200) >= 100).has_zeros.any()


def test_the_slow_way():
    interval = Interval(
        has_zeros=np.array([True, False]),
        center=np.array([0.5, 0]),
        start=np.array([2.0, 0]),
        gain=np.array([1.0, 1]),
        variance=Variance(center=np.zeros(2), level=np.array([1.0, 4]), slope=np.zeros(2)),
    )
    lower, upper = interval.bounds(np.array([[0.1, 0.1], [1.4, 1.4], [9.0, -9.0]]))
    # Above zero are expected 1.6, 2.9 and 10.5, so one is above zero with the probability .06, .48 and .86.
    np.testing.assert_allclose(lower, [[0, -1.9], [0, -0.6], [9.5, -11]])
    np.testing.assert_allclose(upper, [[2.6, 2.1], [3.9, 3.4], [11.5, -7]])


def test_few_held_out_cells_share_one_factor():
    (mean, truth), held_out = dense(500, 1), np.arange(500) >= 500 - MIN_HELD_OUT + 1
    interval = fit_interval(mean + 10, truth, held_out)
    square = [np.square((truth - mean - 10)[:, j]).mean() for j in range(D)]
    np.testing.assert_allclose(interval.variance.level / square, interval.variance.level[0] / square[0], rtol=1e-4)


@pytest.mark.parametrize("n", [20, 100, 333])
def test_the_factor_is_the_conformal_quantile(n):
    ratio = np.abs(np.random.default_rng(0).normal(size=(n, D)))
    ratio[: n // 4, 1] = np.nan
    found = conformal_factor(ratio)
    for j in range(D):
        seen = np.sort(ratio[np.isfinite(ratio[:, j]), j])
        if len(seen) < MIN_HELD_OUT:
            continue
        covered = (seen <= found[j] + 1e-9).mean()
        assert INTERVAL - 1 / len(seen) <= covered <= INTERVAL + 2.5 / len(seen)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("simulate", [dense, sparse])
@pytest.mark.parametrize("gone", ["nothing", "one feature", "held-out cells"])
def test_ends_are_finite_and_in_order(simulate, gone):
    mean, truth = simulate(100, 1)
    held_out = np.arange(100) >= 70
    truth[{"nothing": np.s_[:0], "one feature": np.s_[:, 2], "held-out cells": held_out}[gone]] = np.nan
    lower, upper = fit_interval(mean, truth, held_out).bounds(mean)
    assert np.isfinite(lower).all() and np.isfinite(upper).all() and (lower <= upper).all()


def test_a_feature_that_is_always_zero():
    mean, truth = np.full((100, 1), 0.01), np.zeros((100, 1))
    lower, upper = fit_interval(mean, truth, np.arange(100) >= 70).bounds(mean)
    assert (-0.1 < lower).all() and (lower < 1e-6).all() and (upper >= 0).all() and (upper < 0.1).all()
