"""What the network takes over from the training cells: means, standard deviations and principal components."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scmoe.data._dataset import ModalityRows, MosaicDataset
from scmoe.data._likelihood import CountLikelihood, CountSums, Likelihood
from scmoe.data._transform import fill_missing
from scmoe.data.sparse._features import Features, SparseFeatures, standardize
from scmoe.data.sparse._rows import SparseRows, dense
from scmoe.data.statistics._components import Components, fill_by_components, fit_components
from scmoe.data.statistics._correction import Correction, fit_correction, offset
from scmoe.data.statistics._moments import fit_moments, one_if_constant
from scmoe.pp._kind import COMPARABLE_KINDS
from scmoe.pp._normalize import MIN_CENTERED

MAX_CORRECTED = 20_000
"""Training cells that a correction is fitted on; of more, a random subset."""
MIN_SHARE_OF_CELLS = 0.99
"""Share of the cells that must have a feature for it to be one that all panels hold."""
MIN_COMMON = 0.1
"""Share of the features that all panels must hold for these alone to be read."""
SMALL_LOG, SMALL = 1e-8, 1e-16
"""Standard deviations that rounding leaves, of logarithms, and of numbers in units as small as a femtofarad."""
CHUNK = 2048
"""Cells that are read at once."""
SVD_ENTRIES = 25_000_000
"""Largest matrix that components are computed from (100 MB); of more training cells, a random subset is used."""
SPARSE_CELLS = 5000
"""Cells that components of sparse values are computed from, however many features there are: of 20,000 genes, 50
components of 1250 cells hold a tenth less of the variance of other cells."""


class Scale(NamedTuple):
    """Of the J covariates."""

    mean: np.ndarray
    """(J,)."""
    std: np.ndarray
    """(J,)."""


class Statistics(NamedTuple):
    """Of one modality, over the training cells that have it."""

    mean: np.ndarray
    """(D,) mean of the observed input values."""
    std: np.ndarray
    """(D,) their standard deviation; 1 for a feature without variance."""
    read: Components
    """How the modality is read: features count by their variance where they share a unit, else equally."""
    decode: Components
    """How it is decoded: right singular vectors of the standardized values, features count equally."""
    correction: Correction | None
    """What covariates add to the scores read, if there are any."""
    bias: np.ndarray
    """(D,) where that of a likelihood of counts starts; else zeros."""
    library: float
    """Median total count of a cell."""


def fit_scale(dataset: MosaicDataset, cells: np.ndarray) -> Scale:
    """Mean and standard deviation of the numbers among the covariates; 0 and 1 for one-hot columns."""
    values, n = dataset.covariates[cells], len(dataset.setup.continuous)
    mean, std = np.zeros(values.shape[1], np.float32), np.ones(values.shape[1], np.float32)
    if n:
        numbers = values[:, -n:].astype(np.float64)
        mean[-n:] = numbers.mean(0)
        std[-n:] = one_if_constant(numbers.std(0), numbers.mean(0), SMALL)
    return Scale(mean, std)


def scale(values: np.ndarray, units: Scale) -> np.ndarray:
    """Covariates (n, J) as the network uses them."""
    return (values - units.mean) / units.std


def fit_statistics(
    dataset: MosaicDataset, cells: np.ndarray, modality: int, n_components: int, covariates: Scale, seed: int
) -> Statistics:
    """Fit the statistics of one modality.

    Parameters
    ----------
    dataset
        The data.
    cells
        Positions of the training cells; no other cell is looked at.
    modality
        Position of the modality.
    n_programs
        K, principal components.
    covariates
        Of `fit_scale`.
    seed
        Of the subset, of the randomized decomposition and of the correction.
    """
    cells = cells[dataset.present[cells, modality]]
    name = dataset.setup.modalities[modality]
    if not len(cells):
        raise ValueError(
            f"No training cell has a value of the modality {name!r}, so nothing can be learned about it: values are "
            "not there, all zero, or alike in all features of a cell, which normalization makes zero. Raise "
            "train_size, or leave the modality out with modalities=."
        )
    comparable = shares_unit(dataset, modality)
    small = SMALL_LOG if comparable else SMALL
    mean, std, share = fit_moments(lambda: _chunks(dataset, cells, modality), len(cells), small)
    z, seen = _sample(dataset, cells, modality, mean, std, n_components, seed)
    is_read = read_features(share) if comparable else np.ones(len(mean), bool)
    if seen is not None and isinstance(z, np.ndarray) and not is_read.all():
        z = fill_by_components(z, seen, n_components, seed)
    decode = fit_components(z, np.ones_like(std), n_components, seed)
    read = fit_components(z, reading_weight(std, is_read), n_components, seed) if comparable else decode
    bias, library = _offsets(dataset, cells, modality)
    statistics = Statistics(mean, std, read, decode, None, bias, library)
    if dataset.setup.batch_key is None and dataset.covariates.shape[1] == 1:
        return statistics
    subset = np.random.default_rng(seed).permutation(cells)[:MAX_CORRECTED]
    scores = np.concatenate(list(_score_chunks(dataset, subset, modality, statistics)))
    return statistics._replace(correction=fit_correction(scores, scale(dataset.covariates[subset], covariates), seed))


def shares_unit(dataset: MosaicDataset, modality: int) -> bool:
    """Whether the features of a modality are of one unit, so that their variances can be compared."""
    kind = dataset.setup.kinds.get(dataset.setup.modalities[modality])
    return kind in COMPARABLE_KINDS or likelihood_of(dataset, modality).reads_counts


def reading_weight(std: np.ndarray, is_read: np.ndarray) -> np.ndarray:
    """(D,) what standardized features of one unit count in the components: as much as they vary."""
    return np.asarray(std / np.sqrt(np.square(std).mean()) * is_read, np.float32)


def component_scores(
    dataset: MosaicDataset, cells: np.ndarray, modality: int, statistics: Statistics, covariates: Scale
) -> np.ndarray:
    """Scores (n, K) of cells on the components of a modality that they all have, without what their covariates add."""
    out, start = [], 0
    for scores in _score_chunks(dataset, cells, modality, statistics):
        if statistics.correction is not None:
            covariates_n = scale(dataset.covariates[cells[start : start + len(scores)]], covariates)
            scores = (
                scores - offset(torch.from_numpy(scores), torch.from_numpy(covariates_n), statistics.correction).numpy()
            )
        out.append(scores)
        start += len(scores)
    return np.concatenate(out)


def _score_chunks(
    dataset: MosaicDataset, cells: np.ndarray, modality: int, statistics: Statistics
) -> Iterator[np.ndarray]:
    """Scores of some cells at a time; missing values are filled as the network fills them."""
    loadings, penalty = torch.from_numpy(statistics.decode.loadings), torch.from_numpy(statistics.decode.penalty)
    read = torch.from_numpy(statistics.read.loadings)
    for rows in _chunks(dataset, cells, modality):
        z: Features = standardized(rows, statistics.mean, statistics.std)
        if rows.observed is not None and isinstance(z, Tensor) and not rows.observed.all():
            z = fill_missing(z, rows.observed, loadings, penalty)
        yield (z @ read).numpy()


def standardized(rows: ModalityRows, mean: np.ndarray, std: np.ndarray) -> Features:
    """Standardized values (n, D), 0 where missing."""
    z = standardize(rows.values, torch.from_numpy(mean), torch.from_numpy(std))
    return z if rows.observed is None else dense(z) * rows.observed


def likelihood_of(dataset: MosaicDataset, modality: int) -> Likelihood:
    """Likelihood of the modality at a position."""
    return dataset.setup.likelihood(dataset.setup.modalities[modality])


def _chunks(dataset: MosaicDataset, cells: np.ndarray, modality: int) -> Iterator[ModalityRows]:
    """What one modality holds of some cells at a time."""
    for start in range(0, len(cells), CHUNK):
        yield dataset.read_modality(modality, cells[start : start + CHUNK], sparse=True)


def read_features(share: np.ndarray) -> np.ndarray:
    """(D,) features that are read, of a modality whose panels differ: those that (nearly) all cells have.

    What is filled in has less noise than what was measured. Cells of another panel would be told apart by that, so what
    they lack is predicted but not read. With too few features in common, all are read.
    """
    common = share >= MIN_SHARE_OF_CELLS
    return common if common.sum() >= max(MIN_COMMON * len(share), MIN_CENTERED) else np.ones_like(common)


def _sample(
    dataset: MosaicDataset,
    cells: np.ndarray,
    modality: int,
    mean: np.ndarray,
    std: np.ndarray,
    n_components: int,
    seed: int,
) -> tuple[np.ndarray | SparseFeatures, np.ndarray | None]:
    """Standardized values of the cells, or of as many as components are computed from, and which were measured."""
    is_sparse = isinstance(dataset.read_modality(modality, cells[:1], sparse=True).values, SparseRows)
    limit = max(SVD_ENTRIES // len(mean), SPARSE_CELLS if is_sparse else n_components + 1)
    if len(cells) > limit:
        cells = np.sort(np.random.default_rng(seed).choice(cells, limit, replace=False))
    if is_sparse:
        z = standardized(dataset.read_modality(modality, cells, sparse=True), mean, std)
        assert isinstance(z, SparseFeatures)
        return z, None
    values = np.empty((len(cells), len(mean)), np.float32)
    observed = np.ones(values.shape, bool)
    for i, rows in enumerate(_chunks(dataset, cells, modality)):
        at = slice(i * CHUNK, (i + 1) * CHUNK)
        values[at] = dense(standardized(rows, mean, std)).numpy()
        if rows.observed is not None:
            observed[at] = rows.observed.numpy()
    return values, None if observed.all() else observed


def _offsets(dataset: MosaicDataset, cells: np.ndarray, modality: int) -> tuple[np.ndarray, float]:
    likelihood = likelihood_of(dataset, modality)
    n_features = len(dataset.setup.feature_names[dataset.setup.modalities[modality]])
    if not isinstance(likelihood, CountLikelihood):
        return np.zeros(n_features, np.float32), 1.0
    total, positive, library = np.zeros(n_features), np.zeros(n_features), []
    for rows in _chunks(dataset, cells, modality):
        assert rows.counts is not None
        counts = rows.counts.numpy()
        total += counts.sum(0, dtype=np.float64)
        positive += (counts > 0).sum(0)
        library.append(counts.sum(1, dtype=np.float64))
    bias = likelihood.start_bias(CountSums(len(cells), total, positive))
    return bias.astype(np.float32), float(max(np.median(np.concatenate(library)), 1))
