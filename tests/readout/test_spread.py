"""Standard deviations that are what predictions are off by, and the intervals of models without any of their own."""

import numpy as np
import pytest

from scmoe.readout._spread import WIDTH, Spread, fit_spread
from scmoe.readout._variance import LOWEST, Variance, fit_variance

D = 4


def simulate(n, seed):
    """Errors grow with the predicted value, differently in each feature."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(1, 5, size=(n, D))
    return mean, mean + np.sqrt(np.linspace(0.1, 1, D) * mean) * rng.normal(size=(n, D))


def fitted(n_train=400, n_held_out=400, missing=0.0):
    """Predictions of training cells are too good."""
    (mean, truth), (new_mean, new_truth) = simulate(n_train, 1), simulate(n_held_out, 2)
    mean, truth = np.vstack([mean, new_mean]), np.vstack([mean + 0.3 * (truth - mean), new_truth])
    truth[np.random.default_rng(3).random(truth.shape) < missing] = np.nan
    return fit_spread(mean, truth, np.arange(len(mean)) >= n_train)


def ratio(spread, low=1.0, high=5.0):
    """Root mean square of the standard deviations over that of the errors, of new cells."""
    mean, truth = simulate(4000, 4)
    seen = (mean >= low) & (mean <= high)
    square, sd = np.square(truth - mean), spread.predict(mean)
    return np.sqrt([(np.square(sd[seen[:, j], j])).mean() / square[seen[:, j], j].mean() for j in range(D)])


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_standard_deviations_are_the_root_mean_square_errors_of_new_values(missing):
    np.testing.assert_allclose(ratio(fitted(missing=missing)), 1, atol=0.12)


def test_large_values_have_large_standard_deviations_and_small_ones_small():
    spread = fitted(4000, 4000)
    for low, high in ((1, 2), (4, 5)):
        np.testing.assert_allclose(ratio(spread, low, high), 1, atol=0.12)
    sd = spread.predict(np.array([[1.5] * D, [4.5] * D]))
    np.testing.assert_allclose(sd[1] / sd[0], 3**0.5, rtol=0.2)


def test_a_few_held_out_cells_draw_on_all_features():
    rng = np.random.default_rng(0)
    mean = np.zeros((600, 300))
    truth = rng.normal(size=mean.shape) * np.where(np.arange(600) < 597, 1, 2)[:, None]
    factor = fit_spread(mean, truth, np.arange(600) >= 597).factor
    # Alone, a feature of three cells would have a relative deviation of about 1 / √6.
    assert factor.std() < 0.1 * factor.mean() and factor.mean() == pytest.approx(2, rel=0.05)


def test_without_held_out_cells_the_errors_are_taken_as_they_are():
    mean, truth = simulate(4000, 1)
    spread = fit_spread(mean, truth, np.zeros(len(mean), bool))
    assert (spread.factor == 1).all()
    np.testing.assert_allclose(ratio(spread), 1, atol=0.05)


def test_errors_are_regressed_on_the_predicted_values():
    mean, truth = simulate(100, 1)
    truth[::3, 0] = np.nan
    found = fit_variance(mean, np.nan_to_num(truth - mean), np.isfinite(truth))
    for j in range(D):
        seen = np.isfinite(truth[:, j])
        x, squared = mean[seen, j], np.square(truth[seen, j] - mean[seen, j])
        slope, start = np.polyfit(x, squared, 1)
        assert found.slope[j] == pytest.approx(slope, rel=1e-4)
        assert found.level[j] == pytest.approx(start + slope * x.mean(), rel=1e-4)
        assert found.center[j] == pytest.approx(x.mean(), rel=1e-4)


def test_no_variance_is_below_a_tenth_of_the_mean():
    variance = Variance(center=np.zeros(1), level=np.full(1, 4.0), slope=np.ones(1))
    np.testing.assert_allclose(variance.predict(np.array([[0.0], [5.0], [-100.0]]))[:, 0], [4, 9, 4 * LOWEST])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("gone", ["one feature", "held-out cells", "everything"])
def test_missing_values_leave_finite_standard_deviations(gone):
    mean, truth = simulate(100, 1)
    held_out = np.arange(100) >= 70
    truth[{"one feature": np.s_[:, 2], "held-out cells": held_out, "everything": np.s_[:]}[gone]] = np.nan
    sd = fit_spread(mean, truth, held_out).predict(mean)
    assert np.isfinite(sd).all() and (sd > 0).all()


def test_exact_predictions_have_a_small_standard_deviation():
    mean, _ = simulate(100, 1)
    sd = fit_spread(mean, mean, np.arange(100) >= 70).predict(mean)
    assert (sd > 0).all() and sd.max() < 1e-4


def test_arrays_hold_all_there_is():
    spread, (mean, _) = fitted(), simulate(10, 5)
    back = Spread.from_arrays(spread.to_arrays())
    np.testing.assert_array_equal(back.predict(mean), spread.predict(mean))
    np.testing.assert_array_equal(back.bounds(mean), spread.bounds(mean))
    assert {array.dtype for array in spread.to_arrays().values()} == {np.dtype(np.float32), np.dtype(bool)}


def test_models_saved_without_intervals_have_those_of_their_standard_deviations():
    own = ("center", "level", "slope", "factor")
    arrays, (mean, _) = fitted().to_arrays(), simulate(10, 5)
    old = Spread.from_arrays({name: arrays[name] for name in own})
    assert old.interval is None and set(old.to_arrays()) == set(own)
    sd = arrays["factor"] * np.sqrt(
        np.maximum(arrays["level"] + arrays["slope"] * (mean - arrays["center"]), 0.1 * arrays["level"])
    )
    np.testing.assert_array_equal(old.predict(mean), sd)
    np.testing.assert_array_equal(old.bounds(mean), [mean - WIDTH * sd, mean + WIDTH * sd])
