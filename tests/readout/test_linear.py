"""Ridge regression beside a network, and the weight that mixes them."""

import numpy as np
import pytest

from scmoe.readout._linear import (
    MIN_HELD_OUT,
    PENALTIES,
    Linear,
    Mixture,
    fit_linear,
    fit_mixture,
    fit_projection,
    mixing_weight,
)

N, P, Q = 80, 5, 3


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


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_weight_has_the_least_error(share):
    rng = np.random.default_rng(0)
    linear, network = rng.normal(size=(2, N, Q))
    y = (1 - share) * linear + share * network + 0.1 * rng.normal(size=(N, Q))
    weights = np.linspace(0, 1, 1001)
    errors = [np.square(y - (1 - w) * linear - w * network).sum() for w in weights]
    assert mixing_weight(y, linear, network) == pytest.approx(weights[np.argmin(errors)], abs=1e-3)


def test_members_that_agree_give_some_weight_and_no_error():
    y = np.ones((N, Q))
    assert 0 <= mixing_weight(y, y + 1, y + 1) <= 1


def held_out_after(n_train):
    return np.arange(N) >= n_train


@pytest.mark.parametrize(("error", "low", "high"), [(0.0, 0.99, 1.0), (100.0, 0.0, 0.01)])
def test_the_better_member_gets_the_weight(error, low, high):
    x, y = data(noise=1.0)
    network = y + error * np.random.default_rng(1).normal(size=y.shape)
    assert low <= fit_mixture(x, y, network, held_out_after(60)).weight <= high


def test_held_out_cells_weigh_a_member_that_has_not_learned_from_them():
    x, y = data(noise=1.0)
    network, held_out = 0.5 * y, held_out_after(60)
    slope = fit_linear(x[:60], y[:60])
    expected = mixing_weight(y[60:], slope.predict(x[60:]), network[60:])
    assert fit_mixture(x, y, network, held_out).weight == pytest.approx(expected)


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


@pytest.mark.parametrize("held_out", [held_out_after(N), held_out_after(N - MIN_HELD_OUT + 1), held_out_after(0)])
def test_without_enough_cells_to_tell_the_network_stands_alone(held_out):
    x, y = data()
    assert fit_mixture(x, y, y + 50, held_out).weight == 1


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
    assert back.weight == mixture.weight
    np.testing.assert_array_equal(back.linear.predict(x), mixture.linear.predict(x))
    np.testing.assert_array_equal(Linear.from_arrays(mixture.linear.to_arrays()).predict(x), mixture.linear.predict(x))
