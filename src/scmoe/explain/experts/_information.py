"""How much the rows of a table of counts or shares say about its columns, in nats."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

Array = NDArray[np.float64]


def normalize_rows(weight_RE: Array) -> Array:
    """Rows (..., R, E) that sum to one; rows without weight stay 0."""
    total = weight_RE.sum(axis=-1, keepdims=True)
    return weight_RE / np.where(total > 0, total, 1)


def entropy(weight_E: Array) -> Array:
    """Entropy of the last axis of (..., E), which need not sum to one."""
    return np.asarray(entr(normalize_rows(weight_E)).sum(axis=-1))


def mutual_information(weight_RE: Array) -> Array:
    """I(row; column) of (..., R, E), whose sum over both axes is taken for one: H(row) + H(column) - H(row, column)."""
    joint = weight_RE.reshape(*weight_RE.shape[:-2], -1)
    information = entropy(weight_RE.sum(axis=-1)) + entropy(weight_RE.sum(axis=-2)) - entropy(joint)
    return np.maximum(information, 0)


def jensen_shannon(first_E: Array, second_E: Array) -> Array:
    """Divergence of two distributions (..., E), at most log 2: H of their mean less the mean of their H."""
    p, q = normalize_rows(first_E), normalize_rows(second_E)
    return np.maximum(entropy(p + q) - (entropy(p) + entropy(q)) / 2, 0)
