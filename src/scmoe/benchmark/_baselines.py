"""Linear baselines, which any model has to beat: everything is fitted on training cells."""

from collections.abc import Sequence

import numpy as np
from mudata import MuData
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from scmoe._matrix import dense
from scmoe.arguments._checked import checks_arguments

ALPHAS = np.logspace(-1, 5, 13)
"""Ridge penalties tried by leave-one-out cross-validation on the training cells."""


@checks_arguments
def pca_embedding(
    mdata: MuData,
    train_indices: ArrayLike,
    n_components: int = 50,
    *,
    modalities: Sequence[str] | None = None,
    standardize: bool = True,
    seed: int = 0,
) -> NDArray[np.float32]:
    """PCA of each modality, scaled to equal variance and put side by side.

    Parameters
    ----------
    mdata
        Prepared data. NaN entries count as the mean of the training cells.
    train_indices
        Positions in ``mdata.obs_names`` of the cells that means, scales and components are fitted on.
    n_components
        Components of each modality, fewer where it has fewer features or training cells.
    modalities
        Modalities to use; default all.
    standardize
        Whether ``X`` of every modality is z-scored first.
    seed
        Seed of the randomized PCA.

    Returns
    -------
    ``(n_cells, sum of components)``; the block of a modality that a cell lacks is 0, its mean.

    Raises
    ------
    ValueError
        If a modality has fewer than two training cells.

    Examples
    --------
    >>> train = np.arange(500)
    >>> scmoe.benchmark.pca_embedding(mdata, train, n_components=10).shape
    (600, 20)
    """
    training_cells = mdata.obs_names[np.asarray(train_indices)]
    blocks = []
    for name in modalities or list(mdata.mod):
        adata = mdata.mod[name]
        train = np.flatnonzero(adata.obs_names.isin(training_cells))
        if len(train) < 2:
            raise ValueError(f"Modality {name!r} has {len(train)} training cells; PCA needs at least 2.")
        scores = pca_scores(dense(adata.X), train, n_components, seed, standardize=standardize)
        block = np.zeros((mdata.n_obs, scores.shape[1]), dtype=np.float32)
        block[mdata.obs_names.get_indexer(adata.obs_names)] = scores
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


@checks_arguments
def ridge_on_pca(
    source_train: ArrayLike,
    target_train: ArrayLike,
    source_test: ArrayLike,
    n_components: int = 50,
    *,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Ridge regression from the principal components of the source to the z-scored target.

    Parameters
    ----------
    source_train
        ``(n_train, n_source_features)``.
    target_train
        ``(n_train, n_target_features)``.
    source_test
        ``(n_test, n_source_features)``. NaN entries of any input count as the mean of the training cells.
    n_components
        Components of the z-scored training source, fewer where there are fewer features or cells.
    seed
        Seed of the randomized PCA.

    Returns
    -------
    Predicted target in its own units, ``(n_test, n_target_features)``.

    Examples
    --------
    >>> rna, adt = mdata["rna"].X.toarray(), mdata["adt"].X
    >>> scmoe.benchmark.ridge_on_pca(rna[:500], adt[:500], rna[500:]).shape
    (100, 134)
    """
    train, test = dense(source_train), dense(source_test)
    scores = pca_scores(np.concatenate([train, test]), np.arange(len(train)), n_components, seed)
    scaler = StandardScaler()
    target = np.nan_to_num(scaler.fit_transform(dense(target_train)))
    ridge = RidgeCV(alphas=ALPHAS).fit(scores[: len(train)], target)
    predicted = np.asarray(ridge.predict(scores[len(train) :])).reshape(len(test), target.shape[1])
    return np.asarray(scaler.inverse_transform(predicted), dtype=np.float32)


def pca_scores(
    values: NDArray[np.floating],
    train: NDArray[np.integer],
    n_components: int,
    seed: int,
    *,
    standardize: bool = True,
) -> NDArray[np.float64]:
    """Components of all rows with unit total variance over the training rows, all fitted on those."""
    scaler = StandardScaler(with_std=standardize).fit(values[train])
    scaled = np.nan_to_num(scaler.transform(values))
    pca = PCA(min(n_components, values.shape[1], len(train) - 1), random_state=seed).fit(scaled[train])
    total = float(pca.explained_variance_.sum())
    return np.asarray(pca.transform(scaled) / np.sqrt(total if total > 0 else 1.0))
