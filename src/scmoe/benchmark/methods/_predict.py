"""Baselines that predict one modality from another: training arrays and held-out source in, held-out target out."""

import warnings
from collections.abc import Callable

import numpy as np
from mudata import MuData
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

from scmoe._matrix import dense
from scmoe.benchmark._baselines import ALPHAS, pca_scores, ridge_on_pca
from scmoe.benchmark._inputs import Mosaic, Run
from scmoe.benchmark._outputs import Integration, Prediction
from scmoe.benchmark.methods._method import Method, needs_few_cells

Array = NDArray[np.floating]
ArrayMethod = Callable[[Array, Array, Array, int], Array]
N_COMPONENTS = 50
N_NEIGHBORS = 15
MAX_TUNED = 2000
"""Training cells that the kernel's settings are chosen on: all of them would take minutes on large data."""
MAX_CELLS = 15_000
"""With more, the kernel's cells x cells matrix does not fit into the memory of a laptop."""
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
    sample = np.random.default_rng(seed).permutation(len(a))[:MAX_TUNED]
    fit, check = train_test_split(sample, test_size=0.2, random_state=seed)
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
        predicted = np.reshape(network.fit(a, np.squeeze(scores / unit)).predict(b), (len(b), -1))
    return scaler.inverse_transform(pca.inverse_transform(predicted * unit))


def _components(x_train: Array, x_test: Array, seed: int, standardize: bool = True) -> tuple[Array, Array]:
    """Principal components of the source, fitted on training cells, with a mean variance of one."""
    both, train = np.concatenate([x_train, x_test]), np.arange(len(x_train))
    scores = pca_scores(both, train, N_COMPONENTS, seed, standardize=standardize)
    scores *= np.sqrt(scores.shape[1])
    return scores[: len(x_train)], scores[len(x_train) :]


def _scaled(y_train: Array) -> tuple[StandardScaler, Array]:
    scaler = StandardScaler().fit(y_train)
    return scaler, np.nan_to_num(scaler.transform(y_train))


def _method(predict: ArrayMethod, *, integrates: bool = False, max_cells: int | None = None) -> Method:
    """The record of a function above, under its name."""
    return Method(
        name=predict.__name__,
        predict=lambda train, test, run: _predict(predict, train, test, run.source, run.target, run.seed),
        integrate=(lambda mosaic, run: _integrate(predict, mosaic, run)) if integrates else None,
        unsuited=lambda run, facts: "" if max_cells is None else needs_few_cells(facts, max_cells),
    )


def _predict(predict: ArrayMethod, train: MuData, test: MuData, source: str, target: str, seed: int) -> Prediction:
    x, y, query = (dense(part.X) for part in (train.mod[source], train.mod[target], test.mod[source]))
    return Prediction(values=predict(x, y, query, seed))


def _integrate(predict: ArrayMethod, mosaic: Mosaic, run: Run) -> Integration:
    """Both missing modalities; there is no embedding."""
    first, second = run.source, run.target
    return Integration(
        second=_predict(predict, mosaic.paired, mosaic.first_only, first, second, run.seed),
        first=_predict(predict, mosaic.paired, mosaic.second_only, second, first, run.seed),
    )


METHODS = (
    _method(mean, integrates=True),
    _method(ridge, integrates=True),
    _method(ridge_unscaled),
    _method(kernel_ridge, max_cells=MAX_CELLS),
    _method(knn, integrates=True),
    _method(mlp),
)
