"""What the network takes over from the training cells: means, standard deviations and principal components."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd

from scmoe.data._correction import Correction, fit_correction, offset
from scmoe.data._dataset import MosaicDataset
from scmoe.data._likelihood import CountLikelihood, CountSums, Likelihood
from scmoe.data._sparse_rows import dense
from scmoe.data._transform import CLIP, fill_missing
from scmoe.pp._kind import COMPARABLE_KINDS
from scmoe.pp._normalize import MIN_CENTERED

MIN_NOISE = 1e-3
"""Smallest variance outside the components, of features whose variance is 1."""
MAX_CORRECTED = 20_000
"""Training cells that a correction is fitted on; of more, a random subset."""
MIN_SHARE_OF_CELLS = 0.99
"""Share of the cells that must have a feature for it to be one that all panels hold."""
MIN_COMMON = 0.1
"""Share of the features that all panels must hold for these alone to be read."""
SMALL_LOG, SMALL = 1e-8, 1e-16
"""Standard deviations that rounding leaves, of logarithms, and of numbers in units as small as a femtofarad."""
N_FILLINGS = 5
"""Of gaps, each followed by a fit of the components."""
CHUNK = 2048
"""Cells that are dense at once."""
SVD_ENTRIES = 25_000_000
"""Largest matrix that components are computed from (100 MB); of more training cells, a random subset is used."""


class Scale(NamedTuple):
    """Of the J covariates."""

    mean: np.ndarray
    """(J,)."""
    std: np.ndarray
    """(J,)."""


class Components(NamedTuple):
    """Leading principal components of the training cells of one modality: the programs of ``tokenizer="program"``."""

    loadings: np.ndarray
    """(D, K): standardized values times these are the scores; zero columns beyond the rank."""
    unit: float
    """Overall standard deviation of the K scores."""
    penalty: np.ndarray
    """(K,) residual variance of a feature over the variance of a score: how little is known from few features."""


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
            f"No training cell has the modality {name!r}, so nothing can be learned about it. "
            "Raise train_size, or leave the modality out with modalities=."
        )
    comparable = shares_unit(dataset, modality)
    mean, std, share = _moments(dataset, cells, modality, SMALL_LOG if comparable else SMALL)
    z, seen = _sample(dataset, cells, modality, mean, std, n_components, seed)
    is_read = read_features(share) if comparable else np.ones(len(mean), bool)
    if not is_read.all() and seen is not None:
        z = _filled(z, seen, n_components, seed)
    decode = _components(z, np.ones_like(std), n_components, seed)
    read = _components(z, reading_weight(std, is_read), n_components, seed) if comparable else decode
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
    for x, seen, _ in _chunks(dataset, cells, modality):
        z = (np.clip((x - statistics.mean) / statistics.std, -CLIP, CLIP) * seen).astype(np.float32)
        if not seen.all():
            z = fill_missing(torch.from_numpy(z), torch.from_numpy(seen), loadings, penalty).numpy()
        yield z @ statistics.read.loadings


def likelihood_of(dataset: MosaicDataset, modality: int) -> Likelihood:
    """Likelihood of the modality at a position."""
    return dataset.setup.likelihood(dataset.setup.modalities[modality])


def _chunks(
    dataset: MosaicDataset, cells: np.ndarray, modality: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Values, which of them are observed, and raw counts, of some cells at a time."""
    for start in range(0, len(cells), CHUNK):
        batch = dataset[cells[start : start + CHUNK]]
        values = dense(batch.values[modality]).numpy()
        observed = batch.observed[modality]
        counts = batch.counts[modality]
        yield (
            values,
            np.ones_like(values, bool) if observed is None else observed.numpy(),
            None if counts is None else counts.numpy(),
        )


def read_features(share: np.ndarray) -> np.ndarray:
    """(D,) features that are read, of a modality whose panels differ: those that (nearly) all cells have.

    What is filled in has less noise than what was measured. Cells of another panel would be told apart by that, so what
    they lack is predicted but not read. With too few features in common, all are read.
    """
    common = share >= MIN_SHARE_OF_CELLS
    return common if common.sum() >= max(MIN_COMMON * len(share), MIN_CENTERED) else np.ones_like(common)


def _moments(
    dataset: MosaicDataset, cells: np.ndarray, modality: int, small: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, and the share of the cells that have it."""
    n, total, square = 0, 0, 0
    for values, observed, _ in _chunks(dataset, cells, modality):
        n = n + observed.sum(0)
        total = total + values.sum(0, dtype=np.float64)
    mean = total / np.maximum(n, 1)
    for values, observed, _ in _chunks(dataset, cells, modality):
        square = square + (((values - mean) * observed) ** 2).sum(0)
    std = np.sqrt(square / np.maximum(n, 1))
    share = np.asarray(n, dtype=np.float64) / len(cells)
    return mean.astype(np.float32), one_if_constant(std, mean, small).astype(np.float32), share


def one_if_constant(std: np.ndarray, mean: np.ndarray, small: float) -> np.ndarray:
    """Standard deviations, 1 for what float32 cannot tell from a constant, or is no larger than `small`."""
    return np.where(std <= np.maximum(1e-6 * np.abs(mean), small), 1, std)


def _sample(
    dataset: MosaicDataset,
    cells: np.ndarray,
    modality: int,
    mean: np.ndarray,
    std: np.ndarray,
    n_components: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Standardized values of the cells, or of as many as components are computed from, and which were measured."""
    rng = np.random.default_rng(seed)
    limit = max(SVD_ENTRIES // len(mean), n_components + 1)
    if len(cells) > limit:
        cells = np.sort(rng.choice(cells, limit, replace=False))
    z = np.empty((len(cells), len(mean)), np.float32)
    observed = np.empty(z.shape, bool)
    for i, (x, seen, _) in enumerate(_chunks(dataset, cells, modality)):
        rows = slice(i * CHUNK, (i + 1) * CHUNK)
        observed[rows] = seen
        z[rows] = np.clip((x - mean) / std, -CLIP, CLIP) * seen
    return z, None if observed.all() else observed


def _filled(z: np.ndarray, seen: np.ndarray, n_components: int, seed: int) -> np.ndarray:
    """Standardized values without gaps: filled in with the components, which are fitted to that, and so on.

    The EM algorithm for PCA with missing values (Roweis 1998).
    """
    for _ in range(N_FILLINGS):
        components = _components(z, np.ones(z.shape[1], np.float32), n_components, seed)
        loadings, penalty = torch.from_numpy(components.loadings), torch.from_numpy(components.penalty)
        for start in range(0, len(z), CHUNK):
            rows = slice(start, start + CHUNK)
            observed = torch.from_numpy(seen[rows])
            z[rows] = fill_missing(torch.from_numpy(z[rows]) * observed, observed, loadings, penalty).numpy()
    return z


def _components(z: np.ndarray, weight: np.ndarray, n_components: int, seed: int) -> Components:
    """Singular vectors of standardized values times the features' weights, as loadings of the standardized values."""
    rank = min(n_components, *z.shape)
    _, singular, right = randomized_svd(z * weight, rank, random_state=seed)
    loadings = np.zeros((z.shape[1], n_components), np.float32)
    loadings[:, :rank] = weight[:, None] * right.T
    variance = np.square(singular) / len(z)
    # As many components as there are cells or features leave nothing outside: noise is what a quarter of them leaves.
    n_trusted = max(min(rank, min(z.shape) // 4), 1)
    residual = float(np.square(z * weight).sum() / len(z) - variance[:n_trusted].sum())
    noise = max(residual / max(z.shape[1] - n_trusted, 1), MIN_NOISE)
    penalty = np.full(n_components, noise / MIN_NOISE, np.float32)
    penalty[:rank] = noise / np.maximum(variance, MIN_NOISE)
    return Components(loadings, max(float(np.sqrt(variance.mean())), 1e-6), penalty)


def _offsets(dataset: MosaicDataset, cells: np.ndarray, modality: int) -> tuple[np.ndarray, float]:
    likelihood = likelihood_of(dataset, modality)
    n_features = len(dataset.setup.feature_names[dataset.setup.modalities[modality]])
    if not isinstance(likelihood, CountLikelihood):
        return np.zeros(n_features, np.float32), 1.0
    total, positive, library = np.zeros(n_features), np.zeros(n_features), []
    for _, _, counts in _chunks(dataset, cells, modality):
        assert counts is not None
        total += counts.sum(0, dtype=np.float64)
        positive += (counts > 0).sum(0)
        library.append(counts.sum(1, dtype=np.float64))
    bias = likelihood.start_bias(CountSums(len(cells), total, positive))
    return bias.astype(np.float32), float(max(np.median(np.concatenate(library)), 1))
