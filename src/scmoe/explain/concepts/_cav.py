"""One concept activation vector: the direction in a layer that leads from other cells to the cells of a concept."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

Array = NDArray[np.float64]

INVERSE_PENALTY = 1.0
"""C of the regressions, meant for activations whose root mean square distance from their mean is one."""
MAX_COMPONENTS = 128
"""Principal components that a regression sees; of the cells of one concept, these hold nearly all there is."""
TEST_SHARE = 1 / 3
"""Cells of each set that are held out to measure the accuracy."""


class Rotation(NamedTuple):
    """Activations in units of their spread, along their principal components."""

    center: NDArray[np.floating]
    """(F,)."""
    axes: NDArray[np.floating]
    """(F, K), orthonormal: lengths and angles of directions stay as they are."""
    scale: float
    """Root mean square distance of the activations from their mean."""

    def __call__(self, activations: NDArray[np.floating]) -> Array:
        """(n, F) to (n, K)."""
        return np.asarray((activations - self.center) @ self.axes / self.scale, dtype=np.float64)


def fit_rotation(activations: NDArray[np.floating]) -> Rotation:
    """Principal components of activations (n, F), the strongest `MAX_COMPONENTS` of them.

    The solution of a regression with an L2 penalty lies in the span of the centered cells (representer theorem), and a
    rotation does not change the penalty: as long as no component is left out, the regression on components is that on
    activations, at a fraction of the cost.

    Raises
    ------
    ValueError
        All cells have the same activations.
    """
    center = activations.mean(axis=0)
    x = activations - center
    # X Xᵀ and Xᵀ X have the same eigenvalues above 0, so the smaller of the two is enough.
    wide = x.shape[0] < x.shape[1]
    gram = x @ x.T if wide else x.T @ x
    total, size = float(np.trace(gram)), len(gram)
    if not total > 0:
        raise ValueError(
            f"All {len(x)} cells of the concept and the pool have the same activations, so no direction tells them "
            "apart. Choose an earlier layer or another concept."
        )
    values, vectors = eigh(gram, subset_by_index=[max(size - MAX_COMPONENTS, 0), size - 1])
    nonzero = values > size * np.finfo(gram.dtype).eps * values[-1]
    axes = x.T @ vectors[:, nonzero] / np.sqrt(values[nonzero]) if wide else vectors[:, nonzero]
    return Rotation(center, axes, float(np.sqrt(total / len(x))))


def unit(vectors: Array) -> Array:
    """Vectors along the last axis at a length of one; zero stays zero."""
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 0)


def classifier(positives: Array, negatives: Array) -> LogisticRegression:
    """Class-balanced logistic regression on rotated activations; 1 is the concept."""
    x, y = np.concatenate([positives, negatives]), np.repeat([1, 0], [len(positives), len(negatives)])
    # Newton's method, because it needs few steps and its result does not depend on a tolerance.
    model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", solver="newton-cholesky")
    return model.fit(x, y)


def normal(positives: Array, negatives: Array) -> Array:
    """Unit normal (K,) of the decision boundary between rotated sets, pointing to the positives."""
    return unit(classifier(positives, negatives).coef_[0])


def fit_cav(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> Array:
    """Concept activation vector (TCAV paper, Kim et al. 2018, section 3.2).

    Parameters
    ----------
    positives, negatives
        Activations of the cells of the concept and of other cells, (n_p, F) and (n_n, F).

    Returns
    -------
    (F,) unit normal of the boundary of an L2-penalized logistic regression in which both sets count alike, pointing to
    the concept.

    Raises
    ------
    ValueError
        All cells have the same activations.
    """
    rotation = fit_rotation(np.concatenate([positives, negatives]))
    return rotation.axes @ normal(rotation(positives), rotation(negatives))


def held_out_accuracy(positives: Array, negatives: Array, seed: int) -> tuple[float, int]:
    """Accuracy of the classifier on a third of both sets that it was not fitted to, and how many cells these are."""
    parts = [train_test_split(part, test_size=TEST_SHARE, random_state=seed) for part in (positives, negatives)]
    model = classifier(parts[0][0], parts[1][0])
    right = [model.predict(held_out) == label for (_, held_out), label in zip(parts, (1, 0), strict=True)]
    return float(np.concatenate(right).mean()), sum(map(len, right))
