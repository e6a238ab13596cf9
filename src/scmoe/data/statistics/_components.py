"""Principal components of standardized values."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd

from scmoe.data._transform import fill_missing
from scmoe.data.sparse._features import SparseFeatures, row_squares

MIN_NOISE = 1e-3
"""Smallest variance outside the components, of features whose variance is 1."""
N_FILLINGS = 5
"""Of gaps, each followed by a fit of the components."""
CHUNK = 2048
"""Cells that are filled at once."""
N_EXTRA, N_ITERATIONS = 10, 7
"""Vectors beyond those asked for, and multiplications that sharpen them, as in scikit-learn."""


class Components(NamedTuple):
    """Leading principal components of the training cells of one modality: the programs of ``tokenizer="program"``."""

    loadings: np.ndarray
    """(D, K): standardized values times these are the scores; zero columns beyond the rank."""
    unit: float
    """Overall standard deviation of the K scores."""
    penalty: np.ndarray
    """(K,) residual variance of a feature over the variance of a score: how little is known from few features."""


def fit_components(z: np.ndarray | SparseFeatures, weight: np.ndarray, n_components: int, seed: int) -> Components:
    """Singular vectors of standardized values times the features' weights, as loadings of the standardized values.

    Parameters
    ----------
    z
        (n, D) standardized values.
    weight
        (D,) of the features.
    n_components
        K.
    seed
        Of the randomized decomposition (Halko et al. 2011).
    """
    shape = len(z), len(weight)
    rank = min(n_components, *shape)
    singular, right, total = (
        _sparse_svd(z, weight, rank, seed) if isinstance(z, SparseFeatures) else _svd(z * weight, rank, seed)
    )
    loadings = np.zeros((shape[1], n_components), np.float32)
    loadings[:, :rank] = weight[:, None] * right.T
    variance = np.square(singular) / shape[0]
    # As many components as there are cells or features leave nothing outside: noise is what a quarter of them leaves.
    n_trusted = max(min(rank, min(shape) // 4), 1)
    residual = float(total / shape[0] - variance[:n_trusted].sum())
    noise = max(residual / max(shape[1] - n_trusted, 1), MIN_NOISE)
    penalty = np.full(n_components, noise / MIN_NOISE, np.float32)
    penalty[:rank] = noise / np.maximum(variance, MIN_NOISE)
    return Components(loadings, max(float(np.sqrt(variance.mean())), 1e-6), penalty)


def _svd(x: np.ndarray, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Leading singular values (rank,), right vectors (rank, D), and the sum of all squares."""
    _, singular, right = randomized_svd(x, rank, random_state=seed)
    return singular, right, np.square(x).sum()


def _sparse_svd(z: SparseFeatures, weight: np.ndarray, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """As `_svd`, of sparse features: scikit-learn's takes a matrix only, not its products."""
    x = z.scaled(torch.from_numpy(weight.astype(np.float32)))
    width = min(rank + N_EXTRA, len(x), len(weight))
    basis = np.random.default_rng(seed).normal(size=(len(weight), width)).astype(np.float32)
    for _ in range(N_ITERATIONS):
        left, _ = np.linalg.qr((x @ torch.from_numpy(basis)).numpy())
        basis, _ = np.linalg.qr(x.transposed_product(torch.from_numpy(left)).numpy())
    left, _ = np.linalg.qr((x @ torch.from_numpy(basis)).numpy())
    _, singular, right = np.linalg.svd(x.transposed_product(torch.from_numpy(left)).numpy().T, full_matrices=False)
    # A vector and its negative are the same axis: the largest entry is positive.
    largest = right[np.arange(len(right)), np.abs(right).argmax(1)]
    right = right * np.where(largest < 0, -1, 1)[:, None]
    return singular[:rank], right[:rank], float(row_squares(x).double().sum())


def fill_by_components(z: np.ndarray, seen: np.ndarray, n_components: int, seed: int) -> np.ndarray:
    """Standardized values without gaps: filled in with the components, which are fitted to that, and so on.

    The EM algorithm for PCA with missing values (Roweis 1998).
    """
    for _ in range(N_FILLINGS):
        components = fit_components(z, np.ones(z.shape[1], np.float32), n_components, seed)
        loadings, penalty = torch.from_numpy(components.loadings), torch.from_numpy(components.penalty)
        for start in range(0, len(z), CHUNK):
            rows = slice(start, start + CHUNK)
            observed = torch.from_numpy(seen[rows])
            z[rows] = fill_missing(torch.from_numpy(z[rows]) * observed, observed, loadings, penalty).numpy()
    return z
