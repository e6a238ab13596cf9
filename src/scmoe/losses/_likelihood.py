"""Negative log-likelihoods, entry by entry, and their mean over the observed entries of a cell."""

import torch
from torch import Tensor
from torch.nn import functional as F

from scmoe.nn._decoder import LOG_RATE_MAX

LOG_THETA_MAX = 10.0
"""Log inverse dispersions are kept within ± this: beyond it the distribution is Poisson for any practical purpose, and the
difference of two lgamma has no digits left in float32."""


def squared_error(target: Tensor, mean: Tensor) -> Tensor:
    """(x - m)²: the Gaussian negative log-likelihood with unit variance, up to a factor and a constant."""
    return (target - mean).square()


def poisson_nll(count: Tensor, log_rate: Tensor) -> Tensor:
    """-log Poisson(x; λ) = λ - x log λ + log x!"""
    log_rate = log_rate.clamp(max=LOG_RATE_MAX)
    return log_rate.exp() - count * log_rate + torch.lgamma(count + 1)


def nb_nll(count: Tensor, log_rate: Tensor, log_theta: Tensor) -> Tensor:
    """-log NB(x; μ, θ), mean μ = exp(log_rate), variance μ + μ²/θ.

    Computed through log(θ + μ) = logaddexp(log θ, log μ), which does not overflow.
    """
    log_rate = log_rate.clamp(max=LOG_RATE_MAX)
    log_theta = log_theta.clamp(-LOG_THETA_MAX, LOG_THETA_MAX)
    theta = log_theta.exp()
    log_total = torch.logaddexp(log_theta.expand_as(log_rate), log_rate)
    log_binomial = torch.lgamma(count + theta) - torch.lgamma(theta) - torch.lgamma(count + 1)
    return -(log_binomial + theta * (log_theta - log_total) + count * (log_rate - log_total))


def bernoulli_nll(event: Tensor, logit: Tensor) -> Tensor:
    """-log Bernoulli(x; p = sigmoid(logit))."""
    return F.binary_cross_entropy_with_logits(logit, event.expand_as(logit), reduction="none")


def mean_over_observed(loss: Tensor, observed: Tensor | None) -> Tensor:
    """Mean over the features (last axis) that are observed; 0 where none is."""
    if observed is None:
        return loss.mean(-1)
    return (loss * observed).sum(-1) / observed.sum(-1).clamp(min=1)


def log_library(count: Tensor) -> Tensor:
    """Log of each cell's total count, (..., 1); a cell without counts is taken to have one."""
    return count.sum(-1, keepdim=True).clamp(min=1).log()
