import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit

from scmoe.losses._likelihood import (
    bernoulli_nll,
    log_library,
    mean_over_observed,
    nb_nll,
    poisson_nll,
    squared_error,
)

COUNT = torch.tensor([0.0, 1, 2, 10, 300])
LOG_RATE = [-5.0, 0.0, 1.5, 6.0]
EXTREME = [-1e4, -100.0, 0.0, 100.0, 1e4]


def close(found: torch.Tensor, expected: np.ndarray, rtol: float = 1e-4) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=rtol, atol=1e-4)


def test_squared_error_is_twice_the_gaussian_up_to_a_constant():
    x, mean = torch.randn(20), torch.randn(20)
    nll = -torch.distributions.Normal(mean, 1.0).log_prob(x)
    torch.testing.assert_close(squared_error(x, mean), 2 * nll - np.log(2 * np.pi))


@pytest.mark.parametrize("log_rate", LOG_RATE)
def test_poisson(log_rate):
    found = poisson_nll(COUNT, torch.full((5,), log_rate))
    close(found, -stats.poisson.logpmf(COUNT.numpy(), np.exp(log_rate)))


@pytest.mark.parametrize("log_theta", [-3.0, 0.0, 2.0, 6.0])
@pytest.mark.parametrize("log_rate", LOG_RATE)
def test_negative_binomial(log_rate, log_theta):
    rate, theta = np.exp(log_rate), np.exp(log_theta)
    found = nb_nll(COUNT, torch.full((5,), log_rate), torch.full((5,), log_theta))
    close(found, -stats.nbinom.logpmf(COUNT.numpy(), theta, theta / (theta + rate)), rtol=1e-3)


@pytest.mark.parametrize("log_theta", [10.0, 15.0, 30.0, 200.0])
def test_negative_binomial_with_little_dispersion_is_poisson(log_theta):
    count, log_rate = torch.arange(12.0), torch.full((12,), 1.5)
    found = nb_nll(count, log_rate, torch.full((12,), log_theta))
    torch.testing.assert_close(found, poisson_nll(count, log_rate), atol=0.02, rtol=0)


@pytest.mark.parametrize("logit", [-20.0, -1.0, 0.0, 3.0, 12.0])
def test_bernoulli(logit):
    event = torch.tensor([0.0, 1.0])
    close(bernoulli_nll(event, torch.full((2,), logit)), -stats.bernoulli.logpmf(event.numpy(), expit(logit)))


@pytest.mark.parametrize("log_theta", EXTREME)
@pytest.mark.parametrize("log_rate", EXTREME)
def test_extreme_counts_and_parameters_are_finite(log_rate, log_theta):
    count = torch.tensor([0.0, 1, 1e6])
    rate = torch.full((3,), log_rate, requires_grad=True)
    theta = torch.full((3,), log_theta, requires_grad=True)
    for loss in (nb_nll(count, rate, theta), poisson_nll(count, rate)):
        assert loss.isfinite().all()
        loss.sum().backward()
    assert rate.grad.isfinite().all() and theta.grad.isfinite().all()


@pytest.mark.parametrize("logit", EXTREME)
def test_extreme_logits_are_finite(logit):
    logits = torch.full((2,), logit, requires_grad=True)
    loss = bernoulli_nll(torch.tensor([0.0, 1.0]), logits)
    assert loss.isfinite().all()
    loss.sum().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", [squared_error, poisson_nll, bernoulli_nll])
def test_target_broadcasts_over_sources(loss):
    target, parameter = torch.randint(0, 2, (4, 3)).float(), torch.randn(2, 4, 3)
    expected = torch.stack([loss(target, row) for row in parameter])
    torch.testing.assert_close(loss(target, parameter), expected)


def test_negative_binomial_broadcasts_over_sources():
    count, log_rate, log_theta = torch.ones(4, 3), torch.randn(2, 4, 3), torch.randn(3)
    expected = torch.stack([nb_nll(count, row, log_theta.expand(4, 3)) for row in log_rate])
    torch.testing.assert_close(nb_nll(count, log_rate, log_theta), expected)


def test_mean_over_observed_entries():
    loss, observed = torch.randn(2, 5, 7), torch.rand(5, 7) < 0.5
    observed[:, 0], observed[3] = True, False
    found = mean_over_observed(loss, observed)
    for source in range(2):
        for cell in range(5):
            expected = loss[source, cell, observed[cell]].mean() if observed[cell].any() else torch.tensor(0.0)
            torch.testing.assert_close(found[source, cell], expected)


def test_mean_over_all_entries_without_a_mask():
    loss = torch.randn(2, 5, 7)
    torch.testing.assert_close(mean_over_observed(loss, None), loss.mean(-1))


def test_library_of_an_empty_cell_is_one():
    assert log_library(torch.tensor([[1.0, 2, 4], [0, 0, 0]])).exp().tolist() == [[pytest.approx(7)], [1]]
