"""Likelihoods: how the values of a modality follow from what a decoder says of its features.

Data set, network, objective and readouts ask the objects of `LIKELIHOODS`; no other file knows one of them by name.
They lie with the data because that is the lowest folder that asks.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

LOG_RATE_MAX = 15.0
"""Log rates are capped here (3 million counts of one feature), so that an outlying cell cannot overflow."""
LOG_THETA_MAX = 10.0
"""Log inverse dispersions are limited to ± this: beyond it the distribution is Poisson for any practical purpose, and
the difference of two lgamma has no digits left in float32."""


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


def log_library(count: Tensor) -> Tensor:
    """Log of each cell's total count, (..., 1); a cell without counts is taken to have one."""
    return count.sum(-1, keepdim=True).clamp(min=1).log()


class CountSums(NamedTuple):
    """Raw counts of a modality, summed over cells."""

    n_cells: int
    total: NDArray[np.floating]
    """(D,): counts of each feature."""
    positive: NDArray[np.floating]
    """(D,): cells in which the feature has a count."""


class Likelihood(ABC):
    """The distribution of the values of one modality.

    A decoder makes features x (..., D), in standard deviations of the input values. The likelihood turns x into a
    predictor η (`predictor`), with the help of parameters that the decoder learns (`initial_parameters`), compares η
    with a target (`loss`), and maps it to an expected value (`expected`). The target (n, D) holds raw counts if
    `reads_counts`; else standardized values.
    """

    name: ClassVar[str]
    """What arguments and saved settings call it."""
    reads_counts: ClassVar[bool]
    """Whether it is of raw counts, whose log-normalized values are the input; else of the input values themselves."""
    may_bypass: ClassVar[bool]
    """Whether a linear member may predict the scores of a modality beside the network."""
    expects_counts: ClassVar[bool]
    """Whether the expected value is a count; else it is a probability or a standardized value."""
    is_squared_error: ClassVar[bool]
    """Whether the loss is (target - x)², whose mean follows from scores, without x."""

    @abstractmethod
    def initial_parameters(self, n_features: int) -> dict[str, Tensor]:
        """What the decoder must learn, by the names of its parameters, at their start.

        ``bias`` and ``scale`` start anew with each training: at `CountLikelihood.start_bias` and at the standard
        deviations of the input values.
        """

    @abstractmethod
    def predictor(self, features: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """η (..., D) of features x (..., D)."""

    @abstractmethod
    def loss(self, target: Tensor, predictor: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Negative log-likelihood (..., n, D) up to a constant; the offset, if any, is a cell's total count."""

    @abstractmethod
    def expected(self, predictor: Tensor, library: Tensor) -> Tensor:
        """Inverse link: the expected value (..., D) of a cell whose total count is `library`."""

    @abstractmethod
    def observed(self, values: Tensor, library: Tensor) -> Tensor:
        """Input values, or raw counts if it `reads_counts`, (n, D) in the units of `expected`."""


@final
class Gaussian(Likelihood):
    """Normal with mean η = x and unit variance, of standardized values."""

    name = "gaussian"
    reads_counts = False
    may_bypass = True
    expects_counts = False
    is_squared_error = True

    def initial_parameters(self, n_features: int) -> dict[str, Tensor]:
        """None."""
        return {}

    def predictor(self, features: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """The mean, in standard deviations."""
        return features

    def loss(self, target: Tensor, predictor: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """See `squared_error`."""
        return squared_error(target, predictor)

    def expected(self, predictor: Tensor, library: Tensor) -> Tensor:
        """The mean, in standard deviations."""
        return predictor

    def observed(self, values: Tensor, library: Tensor) -> Tensor:
        """As they are."""
        return values


class CountLikelihood(Likelihood):
    """Of raw counts: η = b + a x with bias b and scale a (D), both learned."""

    reads_counts = True
    may_bypass = False
    is_squared_error = False

    @abstractmethod
    def start_bias(self, sums: CountSums) -> NDArray[np.floating]:
        """The bias (D,) under which the training cells' mean is expected of every cell."""

    def predictor(self, features: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Bias + scale * x."""
        return parameters["bias"] + parameters["scale"] * features


class RateLikelihood(CountLikelihood):
    """Of counts with mean ℓ exp(η), ℓ the cell's total count."""

    expects_counts = True

    def expected(self, predictor: Tensor, library: Tensor) -> Tensor:
        """The expected count."""
        return capped_rate(predictor) * library

    def observed(self, values: Tensor, library: Tensor) -> Tensor:
        """Counts, scaled to one total."""
        return scaled_to(values, library)

    def start_bias(self, sums: CountSums) -> NDArray[np.floating]:
        """Log of the share of all counts."""
        return log_share(sums)


@final
class NegativeBinomial(RateLikelihood):
    """Mean ℓ exp(η), ℓ the cell's total count; inverse dispersion θ (D) learned."""

    name = "nb"

    def initial_parameters(self, n_features: int) -> dict[str, Tensor]:
        """Bias, scale and log θ."""
        return {**bias_and_scale(n_features), "log_theta": torch.zeros(n_features)}

    def loss(self, target: Tensor, predictor: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """See `nb_nll`."""
        return nb_nll(target, predictor + log_library(target), parameters["log_theta"])


@final
class Poisson(RateLikelihood):
    """Mean ℓ exp(η), ℓ the cell's total count."""

    name = "poisson"

    def initial_parameters(self, n_features: int) -> dict[str, Tensor]:
        """Bias and scale."""
        return bias_and_scale(n_features)

    def loss(self, target: Tensor, predictor: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """See `poisson_nll`."""
        return poisson_nll(target, predictor + log_library(target))


@final
class Bernoulli(CountLikelihood):
    """A count is above zero with probability sigmoid(η)."""

    name = "bernoulli"
    expects_counts = False

    def initial_parameters(self, n_features: int) -> dict[str, Tensor]:
        """Bias and scale."""
        return bias_and_scale(n_features)

    def loss(self, target: Tensor, predictor: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """See `bernoulli_nll`."""
        return bernoulli_nll((target > 0).float(), predictor)

    def expected(self, predictor: Tensor, library: Tensor) -> Tensor:
        """The probability."""
        return predictor.sigmoid()

    def observed(self, values: Tensor, library: Tensor) -> Tensor:
        """1 where there is a count, else 0."""
        return (values > 0).float()

    def start_bias(self, sums: CountSums) -> NDArray[np.floating]:
        """Logit of the share of cells with a count; half a cell is added to both kinds, so that it is finite."""
        share = (sums.positive + 0.5) / (sums.n_cells + 1)
        return np.log(share / (1 - share))


def bias_and_scale(n_features: int) -> dict[str, Tensor]:
    """Of all likelihoods of counts."""
    return {"bias": torch.zeros(n_features), "scale": torch.ones(n_features)}


def capped_rate(log_rate: Tensor) -> Tensor:
    """exp, without overflow."""
    return log_rate.clamp(max=LOG_RATE_MAX).exp()


def scaled_to(counts: Tensor, library: Tensor) -> Tensor:
    """Counts (n, D) of cells as if each had `library` of them; zeros of a cell without counts stay."""
    return counts / counts.sum(1, keepdim=True).clamp(min=1) * library


def log_share(sums: CountSums) -> NDArray[np.floating]:
    """Log of each feature's share of all counts; half a count is added to each, so that it is finite."""
    return np.log((sums.total + 0.5) / (sums.total.sum() + 0.5 * len(sums.total)))


LIKELIHOODS: dict[str, Likelihood] = {
    likelihood.name: likelihood for likelihood in (Gaussian(), NegativeBinomial(), Poisson(), Bernoulli())
}
"""By name."""
