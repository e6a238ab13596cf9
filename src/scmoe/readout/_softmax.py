"""A linear classifier of frozen features, balanced in any of the ways that there are."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

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
    """Rows (C, d) and intercepts (C,) of the least mean loss of cells that are drawn so often, by L-BFGS."""
    (n, d), n_classes = x.shape, len(balance.counts)
    means = shrunken_means(x, codes, n_classes) * few[:, None]
    features, label, times = torch.from_numpy(x), torch.from_numpy(codes).long(), torch.from_numpy(multiplicity)
    prototype, free, is_few = torch.from_numpy(means), torch.from_numpy(1.0 * ~few), torch.from_numpy(1.0 * few)

    def rows(flat: Tensor) -> tuple[Tensor, Tensor]:
        own, (a, b) = flat[:-2].view(n_classes, d + 1), flat[-2:]
        weight = own[:, :-1] * free[:, None] + a * prototype
        return weight, own[:, -1] * free - a * prototype.square().sum(1) / 2 + b * is_few

    def loss(point: Array) -> tuple[float, Array]:
        flat = torch.from_numpy(point).requires_grad_()
        weight, bias = rows(flat)
        losses = balance.losses(torch.addmm(bias, features, weight.T), label)
        penalty = flat[:-2].view(n_classes, d + 1)[:, :-1].square().sum() / (2 * INVERSE_PENALTY * n)
        total = (times * losses).mean() + penalty
        (gradient,) = torch.autograd.grad(total, flat)
        return float(total.detach()), gradient.numpy()

    options = {"maxiter": MAX_ITERATIONS, "maxls": 50, "gtol": TOLERANCE, "ftol": 64 * np.finfo(float).eps}
    with torch.enable_grad():  # the readouts are fitted where the network's gradients are off
        optimum = minimize(loss, np.zeros(n_classes * (d + 1) + 2), jac=True, method="L-BFGS-B", options=options)
    weight, bias = rows(torch.from_numpy(optimum.x))
    return weight.numpy(), bias.numpy()
