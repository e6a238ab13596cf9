"""Ridge regression beside a network, and the weight that mixes them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmoe.readout._linear import (
    PENALTIES,
    PSEUDO_CELLS,
    UNDECIDED,
    Linear,
    Mixture,
    explained_squares,
    fit_linear,
    fit_mixture,
    fit_projection,
    mixing_weight,
)

N, P, Q = 80, 5, 3
N_MANY = 260


def data(n=N, seed=0, noise=0.3, n_outputs=Q):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, P)).astype(np.float32)
    y = 2 + x @ np.random.default_rng(9).normal(size=(P, n_outputs)) + noise * rng.normal(size=(n, n_outputs))
    return x, y.astype(np.float32)


def slow_ridge(x, y, penalty):
    centered, mean = x - x.mean(0), y.mean(0)
    slope = np.linalg.solve(centered.T @ centered + penalty * np.eye(x.shape[1]), centered.T @ (y - mean))
    return slope, mean - x.mean(0) @ slope


@pytest.mark.parametrize("n_outputs", [1, Q])
def test_the_penalty_is_that_of_the_best_leave_one_out(n_outputs):
    x, y = data(noise=2.0, n_outputs=n_outputs)
    x, y = x.astype(float), y.astype(float)
    errors = []
    for penalty in PENALTIES:
        left_out = [slow_ridge(np.delete(x, i, 0), np.delete(y, i, 0), penalty) for i in range(N)]
        errors.append(sum(np.square(x[i] @ slope + start - y[i]).sum() for i, (slope, start) in enumerate(left_out)))
    slope, start = slow_ridge(x, y, PENALTIES[np.argmin(errors)])
    found = fit_linear(x, y)
    np.testing.assert_allclose(found.coefficients, slope, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.intercept, start, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("n", [2, 4, N])
@pytest.mark.parametrize("n_outputs", [1, Q])
def test_a_prediction_is_the_map(n, n_outputs):
    found, (x, _) = fit_linear(*data(n, n_outputs=n_outputs)), data(seed=1)
    assert found.coefficients.shape == (P, n_outputs) and found.intercept.shape == (n_outputs,)
    assert found.coefficients.dtype == found.intercept.dtype == np.float32
    expected = [[sum(row[:, None] * found.coefficients)[q] + found.intercept[q] for q in range(n_outputs)] for row in x]
    np.testing.assert_allclose(found.predict(x), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=30)
@given(n=st.integers(1, 12), share=st.sampled_from([-0.5, 0.0, 0.3, 1.0, 2.0]))
def test_the_weight_has_the_least_error_of_the_cells_and_of_five_that_speak_for_the_linear_member(n, share):
    rng = np.random.default_rng(n)
    linear, network = rng.normal(size=(2, n, Q))
    y = (1 - share) * linear + share * network + 0.5 * rng.normal(size=(n, Q))
    weights = np.linspace(0, 1, 201)
    of_a_cell = [[np.square(y[i] - (1 - w) * linear[i] - w * network[i]).sum() for w in weights] for i in range(n)]
    of_a_pseudo_cell = np.mean([np.square(np.outer(weights, linear[i] - network[i])).sum(1) for i in range(n)], axis=0)
    errors = np.sum(of_a_cell, axis=0) + 5 * of_a_pseudo_cell
    assert mixing_weight(y, linear, network) == pytest.approx(weights[np.argmin(errors)], abs=3e-3)


def test_many_cells_outweigh_the_pseudo_cells():
    linear, network = np.random.default_rng(0).normal(size=(2, 5000, Q))
    assert mixing_weight(0.6 * linear + 0.4 * network, linear, network) == pytest.approx(0.4, abs=1e-3)


def test_members_that_agree_give_some_weight_and_no_error():
    y = np.ones((N, Q))
    assert 0 <= mixing_weight(y, y + 1, y + 1) <= 1


def test_what_is_explained_is_the_fall_of_the_squared_error_of_a_cell():
    y, predicted = np.random.default_rng(0).normal(size=(2, N, Q))
    expected = np.mean([sum(y[i] ** 2) - sum((y[i] - predicted[i]) ** 2) for i in range(N)])
    assert explained_squares(y, predicted) == pytest.approx(expected)
    assert explained_squares(y, np.zeros_like(y)) == 0


def held_out_after(n_train):
    return np.arange(N) >= n_train


@pytest.mark.parametrize(("error", "low", "high"), [(0.0, 0.95, 1.0), (100.0, 0.0, 0.01)])
def test_the_better_member_gets_the_weight(error, low, high):
    x, y = data(N_MANY, noise=1.0)
    network = y + error * np.random.default_rng(1).normal(size=y.shape)
    assert low <= fit_mixture(x, y, network, np.arange(N_MANY) >= 60).weight <= high


def test_held_out_cells_weigh_a_member_that_has_not_learned_from_them():
    x, y = data(noise=1.0)
    network, held_out = 0.5 * y, held_out_after(60)
    found, linear = fit_mixture(x, y, network, held_out), fit_linear(x[:60], y[:60]).predict(x[60:])
    assert found.weight == mixing_weight(y[60:], linear, network[60:])
    mixed = (1 - found.weight) * linear + found.weight * network[60:]
    np.testing.assert_allclose(found.combine(linear, network[60:]), mixed)
    assert found.explained == pytest.approx(explained_squares(y[60:], mixed))


@pytest.mark.parametrize("n_held_out", [1, 6, 60])
def test_of_noise_the_mixture_says_no_worse_than_the_mean(n_held_out):
    gains = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(2, 60 + n_held_out + 100, Q)).astype(np.float32)
        network = 0.5 * rng.normal(size=y.shape).astype(np.float32)  # alone it loses a quarter of the variance
        known = np.arange(len(x)) < 60 + n_held_out
        found = fit_mixture(x[known], y[known], network[known], (np.arange(len(x)) >= 60)[known])
        predicted = found.combine(found.linear.predict(x[~known]), network[~known])
        mean = np.broadcast_to(y[:60].mean(0), predicted.shape)
        gains.append(explained_squares(y[~known], predicted) - explained_squares(y[~known], mean))
    assert np.mean(gains) > -0.02 * Q  # of a variance of Q


def test_what_the_network_says_of_its_training_cells_has_no_weight():
    x, y = data()
    network, held_out = y + 1, held_out_after(60)
    changed = np.where(held_out[:, None], network, 0)
    assert fit_mixture(x, y, network, held_out).weight == fit_mixture(x, y, changed, held_out).weight


def test_the_linear_member_learns_from_no_held_out_cell():
    x, y = data()
    found, expected = fit_mixture(x, y, y, held_out_after(60)).linear, fit_linear(x[:60], y[:60])
    np.testing.assert_array_equal(found.coefficients, expected.coefficients)
    np.testing.assert_array_equal(found.intercept, expected.intercept)


@pytest.mark.parametrize("held_out", [held_out_after(N), held_out_after(0), held_out_after(1)])
def test_without_a_cell_to_tell_the_members_count_the_same(held_out):
    x, y = data()
    found = fit_mixture(x, y, y + 50, held_out)
    assert found.weight == UNDECIDED and np.isnan(found.explained)


@pytest.mark.parametrize("n_held_out", [1, 3, 9])
def test_a_few_cells_cannot_give_the_network_all_the_weight(n_held_out):
    x, y = data()
    weight = fit_mixture(x, y, y, held_out_after(N - n_held_out)).weight
    assert weight == pytest.approx(n_held_out / (n_held_out + PSEUDO_CELLS), rel=1e-5)


def blocks(n=N):
    rng = np.random.default_rng(0)
    return [50 * rng.normal(size=(n, 4)) + 3, 0.01 * rng.normal(size=(n, 6))]


@pytest.mark.parametrize("width", [3, 10])
def test_a_projection_keeps_the_leading_directions_of_the_scaled_blocks(width):
    first, second = (b - b.mean(0) for b in blocks())
    joined = np.hstack([first * (0.7 / first.var(0).sum()) ** 0.5, second * (0.3 / second.var(0).sum()) ** 0.5])
    left, singular, _ = np.linalg.svd(joined, full_matrices=False)
    expected = left[:, :width] * singular[:width]
    found = fit_projection(blocks(), [0.7, 0.3], width).predict(np.hstack(blocks()))
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)
    np.testing.assert_allclose(np.cov(found.T, bias=True).diagonal(), (singular**2 / N)[:width], rtol=1e-3)


@pytest.mark.parametrize(("n", "rank"), [(N, 10), (3, 2)])
def test_components_beyond_the_rank_are_zero(n, rank):
    found = fit_projection(blocks(n), [0.5, 0.5], 12)
    components = found.predict(np.hstack(blocks(n)))
    assert components.shape == (n, 12) and (components.std(0) > 1e-3).sum() == rank
    assert not found.coefficients[:, max(rank, n) :].any()


def test_a_block_without_variance_counts_for_nothing():
    first, second = blocks()
    found = fit_projection([first, np.ones_like(second)], [0.5, 0.5], 4)
    alone = fit_projection([first], [0.5], 4)
    np.testing.assert_allclose(
        np.abs(found.predict(np.hstack([first, np.ones_like(second)]))), np.abs(alone.predict(first)), atol=1e-3
    )


def test_arrays_hold_all_there_is():
    x, y = data()
    mixture = fit_mixture(x, y, y, held_out_after(60))
    back = Mixture.from_arrays(mixture.to_arrays())
    assert (back.weight, back.explained) == (mixture.weight, mixture.explained)
    np.testing.assert_array_equal(back.linear.predict(x), mixture.linear.predict(x))
    np.testing.assert_array_equal(Linear.from_arrays(mixture.linear.to_arrays()).predict(x), mixture.linear.predict(x))


def test_a_mixture_of_a_former_version_has_its_weight():
    x, y = data()
    arrays = fit_mixture(x, y, y, held_out_after(60)).to_arrays()
    former = Mixture.from_arrays({name: arrays[name] for name in ("coefficients", "intercept", "weight")})
    assert former.weight == arrays["weight"] and np.isnan(former.explained)
