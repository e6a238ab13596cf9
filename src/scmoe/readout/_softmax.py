"""A linear classifier of frozen features, balanced in any of the ways that there are."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from scmoe.losses._class_balance import FEW_CELLS, Balance, ClassBalance, prior_offsets, shrunken_means

INVERSE_PENALTY = 1.0
"""C of the regression, meant for features with a mean variance of one."""
MAX_ITERATIONS = 1000
TOLERANCE = 1e-4
"""Largest entry of the gradient of the mean loss at the end."""
Array = NDArray[np.float64]


def fit_softmax(
    values: Array, codes: NDArray[np.integer], class_balance: ClassBalance, seed: int = 0
) -> tuple[Array, Array]:
    r"""Softmax regression, with a penalty of :math:`\lVert W \rVert^2 / 2 C n` on features of mean variance one.

    The features are what they are and the loss has one minimum, so some ways of balancing come to the same.
    ``"logit_adjusted"`` is ``"post_hoc"``: the intercepts bear no penalty, and take up what is added to the logits.
    ``"deferred"`` is ``"inverse"``: it does not matter where the descent starts. ``"decoupled"`` is ``"sampler"``:
    there is nothing else to train. Samplers draw as many cells as there are once, with replacement. ``"ldam"`` has its
    margins between logits, not cosines.
    ``"prototype"``: the logits of classes with fewer than `FEW_CELLS` cells are :math:`a (x \mu_c - \mu_c^2 / 2) + b`,
    with shrunken means :math:`\mu_c`, and a and b fitted together with the rows of the other classes.

    Parameters
    ----------
    values
        (n, d), in any unit.
    codes
        (n,) from 0 to C - 1, each of which some cell has.
    class_balance
        See `ClassBalance`.
    seed
        Of the samplers.

    Returns
    -------
    Slopes (d, C) and intercepts (C,), in the units of `values`.
    """
    center = values.mean(axis=0)
    scale = np.sqrt(np.square(values - center).mean()) or 1.0
    x, counts = (values - center) / scale, np.bincount(codes)
    adjusted = class_balance in ("logit_adjusted", "post_hoc")
    balance = Balance("none" if adjusted else class_balance, counts)
    multiplicity = np.ones(len(codes))
    if (probability := balance.probabilities(codes)) is not None:
        sample = np.random.default_rng(seed).choice(len(codes), len(codes), p=probability)
        multiplicity = np.bincount(sample, minlength=len(codes)).astype(float)
    few = counts < (FEW_CELLS if class_balance == "prototype" else 0)
    slope, start = descend(x, codes, balance, multiplicity, few)
    if adjusted:
        start = start - prior_offsets(counts)
    return slope.T / scale, start - center @ slope.T / scale


def descend(
    x: Array, codes: NDArray[np.integer], balance: Balance, multiplicity: Array, few: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Rows (C, d) and intercepts (C,) of the least mean loss of cells that are drawn so often, by L-BFGS.

    The slopes' gradient is written out, since a backward pass through such small matrices costs several times the work.
    """
    (n, d), n_classes = x.shape, len(balance.counts)
    prototype = shrunken_means(x, codes, n_classes) * few[:, None]
    length, free = np.square(prototype).sum(axis=1), 1.0 * ~few
    penalty = 1 / (2 * INVERSE_PENALTY * n)
    logit_loss = closed_form(balance, codes, multiplicity) or by_autograd(balance, codes, multiplicity)

    def rows(point: Array) -> tuple[Array, Array]:
        own, (a, b) = point[:-2].reshape(n_classes, d + 1), point[-2:]
        return own[:, :-1] * free[:, None] + a * prototype, own[:, -1] * free - a * length / 2 + b * few

    def loss(point: Array) -> tuple[float, Array]:
        weight, bias = rows(point)
        value, by_logit = logit_loss(x @ weight.T + bias)
        by_weight, by_bias = by_logit.T @ x, by_logit.sum(axis=0)
        own, gradient = point[:-2].reshape(n_classes, d + 1)[:, :-1], np.empty_like(point)
        of_rows = gradient[:-2].reshape(n_classes, d + 1)
        of_rows[:, :-1] = by_weight * free[:, None] + 2 * penalty * own
        of_rows[:, -1] = by_bias * free
        gradient[-2] = (by_weight * prototype).sum() - (by_bias * length).sum() / 2
        gradient[-1] = (by_bias * few).sum()
        return value + penalty * float(np.square(own).sum()), gradient

    options = {"maxiter": MAX_ITERATIONS, "maxls": 50, "gtol": TOLERANCE, "ftol": 64 * np.finfo(float).eps}
    optimum = minimize(loss, np.zeros(n_classes * (d + 1) + 2), jac=True, method="L-BFGS-B", options=options)
    return rows(optimum.x)


LogitLoss = Callable[[Array], tuple[float, Array]]
"""From logits (n, C) to the mean loss and its gradient (n, C)."""


def closed_form(balance: Balance, codes: NDArray[np.integer], multiplicity: Array) -> LogitLoss | None:
    """Weighted cross-entropy; None where the option has another loss."""
    weights = balance.class_weights()
    if weights is None:
        return None
    share, cells = weights[codes] * multiplicity / len(codes), np.arange(len(codes))

    def loss(logits: Array) -> tuple[float, Array]:
        logits = logits - logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        total = odds.sum(axis=1)
        value = float(share @ (np.log(total) - logits[cells, codes]))
        gradient = odds * (share / total)[:, None]
        gradient[cells, codes] -= share
        return value, gradient

    return loss


def by_autograd(balance: Balance, codes: NDArray[np.integer], multiplicity: Array) -> LogitLoss:
    """The loss of any option."""
    label, times = torch.from_numpy(codes).long(), torch.from_numpy(multiplicity)

    def loss(logits: Array) -> tuple[float, Array]:
        with torch.enable_grad():  # the readouts are fitted where the network's gradients are off
            leaf = torch.from_numpy(logits).requires_grad_()
            total = (times * balance.losses(leaf, label)).mean()
            (gradient,) = torch.autograd.grad(total, leaf)
        return float(total.detach()), gradient.numpy()

    return loss
