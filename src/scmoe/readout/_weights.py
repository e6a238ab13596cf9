"""Weights of a mixture of classifiers, from what they say of held-out cells."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

N_WEIGHT_STEPS = 200
"""Steps of expectation-maximization; from a few dozen on, nothing changes that matters."""
SMALLEST = 1e-12
"""Probabilities count as at least this much in a logarithm."""


def choose_weights(
    held_out: Sequence[NDArray[np.float64]], truth: NDArray[np.integer], folds: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Weights of least log-loss; all on the first member if such weights do not pay on folds outside their fit."""
    own = np.stack([p[np.arange(len(truth)), truth] for p in held_out], axis=1).clip(SMALLEST)
    tested = np.empty(len(truth))
    for fold in np.unique(folds):
        tested[folds == fold] = own[folds == fold] @ fit_weights(own[folds != fold])
    pays = np.log(tested).mean() > np.log(own[:, 0]).mean()
    return fit_weights(own) if pays else np.eye(len(held_out))[0]


def fit_weights(own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expectation-maximization of mean log(own @ weights) for the members' probabilities (n, M) of the true labels."""
    weights = np.full(own.shape[1], 1 / own.shape[1])
    for _ in range(N_WEIGHT_STEPS):
        share = own * weights
        weights = (share / share.sum(axis=1, keepdims=True)).mean(axis=0)
    return weights
