import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit

from scmoe.data._likelihood import (
    LIKELIHOODS,
    CountLikelihood,
    CountSums,
    bernoulli_nll,
    log_library,
    nb_nll,
    poisson_nll,
    squared_error,
)

COUNT = torch.tensor([0.0, 1, 2, 10, 300])
LOG_RATE = [-5.0, 0.0, 1.5, 6.0]
EXTREME = [-1e4, -100.0, 0.0, 100.0, 1e4]
OF_COUNTS = [name for name, likelihood in LIKELIHOODS.items() if likelihood.reads_counts]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


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


def test_library_of_an_empty_cell_is_one():
    assert log_library(torch.tensor([[1.0, 2, 4], [0, 0, 0]])).exp().tolist() == [[pytest.approx(7)], [1]]


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_are_listed_by_name(name):
    assert LIKELIHOODS[name].name == name


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_start_is_that_features_are_log_rates_logits_or_means(name):
    likelihood, features = LIKELIHOODS[name], torch.randn(2, 4, 3)
    torch.testing.assert_close(likelihood.predictor(features, likelihood.initial_parameters(3)), features)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_loss_of_several_sources_is_that_of_each(name):
    likelihood, target, features = LIKELIHOODS[name], torch.randint(0, 4, (4, 3)).float(), torch.randn(2, 4, 3)
    parameters = likelihood.initial_parameters(3)
    expected = torch.stack([likelihood.loss(target, predictor, parameters) for predictor in features])
    torch.testing.assert_close(likelihood.loss(target, features, parameters), expected)


@pytest.mark.parametrize("name", OF_COUNTS)
def test_start_expects_the_mean_of_the_training_cells(name):
    likelihood, counts = LIKELIHOODS[name], torch.randint(0, 9, (500, 3)).float()
    counts[:, 2] = 16 - counts[:, :2].sum(1)  # in cells of one total, the mean of shares is the share of sums
    assert isinstance(likelihood, CountLikelihood)
    sums = CountSums(len(counts), counts.sum(0).numpy(), (counts > 0).sum(0).numpy())
    bias = torch.from_numpy(likelihood.start_bias(sums)).float()
    mean = likelihood.expected(bias, counts.sum(1).mean())
    observed = likelihood.observed(counts, counts.sum(1).mean()).mean(0)
    torch.testing.assert_close(mean, observed, atol=0.03, rtol=0)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_loss_is_least_where_the_target_is_expected(name):
    likelihood, target = LIKELIHOODS[name], torch.tensor([[0.0, 1, 3, 4], [2.0, 0, 0, 6]])
    predictor = torch.zeros(2, 4, requires_grad=True)
    parameters = likelihood.initial_parameters(4)
    likelihood.loss(target, predictor, parameters).sum().backward()
    library = target.sum(1, keepdim=True)
    excess = likelihood.expected(torch.zeros(2, 4), library) - likelihood.observed(target, library)
    assert torch.equal(predictor.grad.sign(), excess.sign())


def test_only_a_likelihood_of_values_may_bypass_the_network():
    assert not [name for name in OF_COUNTS if LIKELIHOODS[name].may_bypass or LIKELIHOODS[name].is_squared_error]
