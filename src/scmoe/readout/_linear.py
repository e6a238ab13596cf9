"""Linear maps: the simple member of a prediction, and the way to the embedding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV

PENALTIES = np.logspace(-1, 5, 13)
"""Of ridge regression, for inputs of unit variance; chosen by leave-one-out."""
PSEUDO_CELLS = 5
"""Held-out cells that speak for the linear member, beside those there are."""
UNDECIDED = 0.5
"""Weight where no cell is held out."""
NUMBERS = ("weight", "explained")
"""Of a mixture, beside its linear member."""


@dataclass(frozen=True, kw_only=True)
class Linear:
    """y = x coefficients + intercept.

    Parameters
    ----------
    coefficients
        (p, q).
    intercept
        (q,).
    """

    coefficients: np.ndarray
    intercept: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Inputs (n, p) to outputs (n, q)."""
        return x @ self.coefficients + self.intercept

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs."""
        return {"coefficients": self.coefficients, "intercept": self.intercept}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Linear":
        """The inverse of `to_arrays`."""
        return cls(**arrays)


def fit_linear(x: np.ndarray, y: np.ndarray) -> Linear:
    """Ridge regression, with one penalty for all outputs.

    Parameters
    ----------
    x
        (n, p) inputs.
    y
        (n, q) outputs.
    """
    model = RidgeCV(alphas=PENALTIES).fit(x.astype(np.float64), y.astype(np.float64))
    coefficients = np.reshape(model.coef_, (y.shape[1], x.shape[1])).T
    return Linear(
        coefficients=coefficients.astype(np.float32), intercept=np.atleast_1d(model.intercept_).astype(np.float32)
    )


def fit_projection(blocks: Sequence[np.ndarray], shares: Sequence[float], width: int) -> Linear:
    """Principal components of several blocks side by side, centered and scaled.

    Parameters
    ----------
    blocks
        Of the same cells, (n, p_b) each.
    shares
        Of each block in the total variance.
    width
        Components to keep; no more than there are dimensions or cells.

    Returns
    -------
    Linear
        From the blocks side by side (n, Σ p_b) to components (n, width), zero beyond the rank.
    """
    scales = np.concatenate(
        [
            np.full(block.shape[1], np.sqrt(share / max(block.var(0).sum(), 1e-12)))
            for block, share in zip(blocks, shares, strict=True)
        ]
    )
    x = np.concatenate(blocks, 1).astype(np.float64)
    rank = min(width, *x.shape)
    pca = PCA(rank, svd_solver="full").fit(x * scales)
    coefficients = np.zeros((x.shape[1], width), np.float32)
    coefficients[:, :rank] = scales[:, None] * pca.components_.T
    return Linear(coefficients=coefficients, intercept=(-x.mean(0) @ coefficients).astype(np.float32))


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """(1 - weight) linear + weight network.

    Parameters
    ----------
    linear
        The linear member.
    weight
        Of the network, in [0, 1].
    explained
        By how much its squared error on a held-out cell is below that of predicting 0, summed over outputs, mean over
        cells; NaN where no cell was held out.
    """

    linear: Linear
    weight: float
    explained: float = np.nan

    def combine(self, linear: Any, network: Any) -> Any:
        """One prediction of what the members say, arrays or tensors (n, q) each."""
        return (1 - self.weight) * linear + self.weight * network

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs."""
        return {**self.linear.to_arrays(), **{name: np.asarray(getattr(self, name)) for name in NUMBERS}}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Mixture":
        """The inverse of `to_arrays`; mixtures of former versions do not say what they explain."""
        numbers = {name: float(arrays[name]) for name in NUMBERS if name in arrays}
        linear = {name: array for name, array in arrays.items() if name not in numbers}
        return cls(linear=Linear.from_arrays(linear), **numbers)


def fit_mixture(x: np.ndarray, y: np.ndarray, network: np.ndarray, held_out: np.ndarray) -> Mixture:
    """Ridge regression beside a network that predicts the same.

    The weight is fitted to the cells that neither member has learned from. (A network trained on the residual of the
    linear member would over-fit it.) The linear member is not fitted again to all cells: intervals are calibrated on
    the held-out ones.

    Parameters
    ----------
    x, y
        (n, p) inputs and (n, q) outputs of cells; outputs are 0 at the mean of the training cells.
    network
        (n, q) the network's prediction.
    held_out
        (n,) which of the cells the network has not learned from.
    """
    learned = ~held_out if (~held_out).sum() > 1 else np.ones_like(held_out)
    linear = fit_linear(x[learned], y[learned])
    unseen = held_out & ~learned
    if not unseen.any():
        return Mixture(linear=linear, weight=UNDECIDED)
    simple = linear.predict(x[unseen])
    mixture = Mixture(linear=linear, weight=mixing_weight(y[unseen], simple, network[unseen]))
    return replace(mixture, explained=explained_squares(y[unseen], mixture.combine(simple, network[unseen])))


def mixing_weight(y: np.ndarray, linear: np.ndarray, network: np.ndarray) -> float:
    """The weight w in [0, 1] for which (1 - w) linear + w network has the least squared error.

    w = Σᵢ aᵢ / (Σᵢ bᵢ + 5 b̄), aᵢ = Σ (y - l)(n - l) and bᵢ = Σ (n - l)² of held-out cell i, b̄ the mean of bᵢ: the cells
    and `PSEUDO_CELLS` for which the linear member is right. Outputs of one cell are no independent observations, so it
    is the number of cells that counts.

    Parameters
    ----------
    y, linear, network
        (n, q) outputs of held-out cells, and what the members predict.
    """
    gap = network - linear
    scale = float(np.square(gap).sum())
    scale += PSEUDO_CELLS * scale / len(gap)
    return float(np.clip(((y - linear) * gap).sum() / max(scale, 1e-12), 0, 1))


def explained_squares(y: np.ndarray, predicted: np.ndarray) -> float:
    """By how much the squared error of a prediction (n, q) of y (n, q) is below that of 0, mean over n."""
    return float((np.square(y) - np.square(y - predicted)).sum(1).mean())
