"""Baselines that predict one modality from another: training arrays and held-out source in, held-out target out."""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from scmoe.benchmark._baselines import ALPHAS, pca_scores, ridge_on_pca

Array = NDArray[np.floating]
N_COMPONENTS = 50
N_NEIGHBORS = 15
MAX_TUNED = 2000
"""Training cells that the kernel's settings are chosen on: all of them would take minutes on large data."""
WIDTHS = (0.1, 0.3, 1.0)
"""Of the kernel: tried, as multiples of one over the median squared distance."""
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
HIDDEN, DECAY, N_EPOCHS = 128, 10.0, 100
"""Of the network. Weaker decay and early stopping were both worse on the bundled data."""


def mean(x_train: Array, y_train: Array, x_test: Array, seed: int) -> Array:
    """The mean of the training cells."""
    return np.broadcast_to(np.nanmean(y_train, axis=0), (len(x_test), y_train.shape[1]))


def ridge(x_train: Array, y_train: Array, x_test: Array, seed: int) -> Array:
    """Ridge on principal components, penalty by leave-one-out."""
    return ridge_on_pca(x_train, y_train, x_test, N_COMPONENTS, seed=seed)


def ridge_unscaled(x_train: Array, y_train: Array, x_test: Array, seed: int) -> Array:
    """The same on components of the values as they are, without z-scores: variable features count for more."""
    a, b = _components(x_train, x_test, seed, standardize=False)
    scaler, y = _scaled(y_train)
    return scaler.inverse_transform(RidgeCV(alphas=ALPHAS).fit(a, y).predict(b).reshape(len(b), -1))


def kernel_ridge(x_train: Array, y_train: Array, x_test: Array, seed: int) -> Array:
    """Kernel ridge on principal components; width and penalty by the error on a fifth of the training cells."""
    a, b = _components(x_train, x_test, seed)
    scaler, y = _scaled(y_train)
    tuned = np.random.default_rng(seed).permutation(len(a))[:MAX_TUNED]
    fit, check = train_test_split(tuned, test_size=0.2, random_state=seed)
    width = 1 / np.median(pairwise_distances(a[fit[:500]], metric="sqeuclidean"))
    models = [KernelRidge(kernel="rbf", gamma=w * width, alpha=alpha) for w in WIDTHS for alpha in PENALTIES]
    errors = [np.square(model.fit(a[fit], y[fit]).predict(a[check]) - y[check]).mean() for model in models]
    return scaler.inverse_transform(models[int(np.argmin(errors))].fit(a, y).predict(b))


def knn(x_train: Array, y_train: Array, x_test: Array, seed: int) -> Array:
    """Mean of the 15 nearest training cells in principal components."""
    a, b = _components(x_train, x_test, seed)
    scaler, y = _scaled(y_train)
    return scaler.inverse_transform(KNeighborsRegressor(min(N_NEIGHBORS, len(a))).fit(a, y).predict(b))


def mlp(x_train: Array, y_train: Array, x_test: Array, seed: int) -> Array:
    """A network of one hidden layer from the components of the source to those of the target, with weight decay."""
    a, b = _components(x_train, x_test, seed)
    scaler, y = _scaled(y_train)
    pca = PCA(min(N_COMPONENTS, *y.shape), random_state=seed).fit(y)
    scores = pca.transform(y)
    unit = float(scores.std()) or 1.0
    network = MLPRegressor(hidden_layer_sizes=(HIDDEN,), alpha=DECAY, max_iter=N_EPOCHS, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the number of epochs is fixed
        found = np.reshape(network.fit(a, np.squeeze(scores / unit)).predict(b), (len(b), -1))
    return scaler.inverse_transform(pca.inverse_transform(found * unit))


def _components(x_train: Array, x_test: Array, seed: int, standardize: bool = True) -> tuple[Array, Array]:
    """Principal components of the source, fitted on training cells, with a mean variance of one."""
    both, train = np.concatenate([x_train, x_test]), np.arange(len(x_train))
    scores = pca_scores(both, train, N_COMPONENTS, seed, standardize=standardize)
    scores *= np.sqrt(scores.shape[1])
    return scores[: len(x_train)], scores[len(x_train) :]


def _scaled(y_train: Array) -> tuple[StandardScaler, Array]:
    scaler = StandardScaler().fit(y_train)
    return scaler, np.nan_to_num(scaler.transform(y_train))


ARRAY_METHODS: dict[str, Callable[[Array, Array, Array, int], Array]] = {
    "mean": mean,
    "ridge": ridge,
    "ridge_unscaled": ridge_unscaled,
    "kernel_ridge": kernel_ridge,
    "knn": knn,
    "mlp": mlp,
}
