"""Counts of the simulated tissue."""

import numpy as np

from scmoe.datasets._spatial_features import DEPTH_SD, SHAPE, draw_counts


def test_counts_have_the_documented_mean_and_variance() -> None:
    log_rate = np.tile(np.log([1.0, 2.0, 5.0]), (200_000, 1))
    counts = draw_counts(log_rate, 40.0, np.random.default_rng(0))
    mean = 40 * np.array([1, 2, 5]) / 8
    depth = np.exp(DEPTH_SD**2) - 1
    variance = mean + mean**2 * ((1 + depth) * (1 + 1 / SHAPE) - 1)
    np.testing.assert_allclose(counts.mean(axis=0), mean, rtol=0.01)
    np.testing.assert_allclose(counts.var(axis=0), variance, rtol=0.03)


def test_large_rates_do_not_overflow() -> None:
    counts = draw_counts(np.array([[2000.0, 2000.0, -2000.0]]), 100.0, np.random.default_rng(0))
    assert np.isfinite(counts).all() and counts[0, 2] == 0
