"""What held-out cells decide about a mixture of classifiers: its weights, and how far rare labels are favored."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import f1_score

from scmoe.losses._class_balance import TAUS, prior_offsets

N_WEIGHT_STEPS = 200
"""Steps of expectation-maximization; from a few dozen on, nothing changes that matters."""
SMALLEST = 1e-12
"""Probabilities count as at least this much in a logarithm."""


def choose_tau(
    held_out: Sequence[NDArray[np.float64]],
    truth: NDArray[np.integer],
    folds: NDArray[np.integer],
    counts: NDArray[np.integer],
) -> float:
    """The strength of logit adjustment with which the mixture of plain classifiers has the highest macro-F1; the smallest of equals.

    The log-loss cannot choose it: at natural frequencies any adjustment raises that of a well-fitted classifier.

    Parameters
    ----------
    held_out
        For each member, probabilities (n, C) of held-out cells.
    truth, folds
        (n,) their labels and folds.
    counts
        (C,) training cells of each label.
    """
    scores = []
    for tau in TAUS:
        adjusted = [adjust(p, prior_offsets(counts, tau)) for p in held_out]
        mixed = np.tensordot(choose_weights(adjusted, truth, folds), adjusted, axes=1)
        scores.append(f1_score(truth, mixed.argmax(axis=1), labels=np.unique(truth), average="macro", zero_division=0))
    return TAUS[int(np.argmax(scores))]


def adjust(probability: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities after offsets (C,) are subtracted from their logits."""
    return np.asarray(softmax(np.log(probability.clip(SMALLEST)) - offset, axis=1))


def choose_weights(
    held_out: Sequence[NDArray[np.float64]], truth: NDArray[np.integer], folds: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Weights of least log-loss; all on the first member if such weights do not pay on folds they were not fitted to."""
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
