"""What the network takes over from the training cells: means, spreads and programs."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from sklearn.utils.extmath import randomized_svd

from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import COUNT_LIKELIHOODS
from scmoe.data._transform import CLIP

CHUNK = 2048
"""Cells that are dense at once."""
SVD_ENTRIES = 25_000_000
"""Largest matrix that the programs are computed from (100 MB); beyond it, from a random subset of the training cells."""


class Statistics(NamedTuple):
    """Of one modality, over the training cells that have it."""

    mean: np.ndarray
    """(D,) mean of the observed input values."""
    std: np.ndarray
    """(D,) their standard deviation; 1 for a feature without variance."""
    loadings: np.ndarray
    """(D, K) right singular vectors of the standardized values; zero columns beyond their rank."""
    unit: float
    """Overall standard deviation of the K scores."""
    bias: np.ndarray
    """(D,) log of the share of all counts (nb, poisson) or logit of the share of cells with a count (bernoulli)."""
    library: float
    """Median total count of a cell."""


def fit_statistics(dataset: MosaicDataset, cells: np.ndarray, modality: int, n_programs: int, seed: int) -> Statistics:
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
        K.
    seed
        Of the subset and of the randomized decomposition.
    """
    cells = cells[dataset.present[cells, modality]]
    name = dataset.setup.modalities[modality]
    if not len(cells):
        raise ValueError(
            f"No training cell has the modality {name!r}, so nothing can be learned about it. "
            "Raise train_size, or leave the modality out with modalities=."
        )
    mean, std = _moments(dataset, cells, modality)
    loadings, unit = _programs(dataset, cells, modality, mean, std, n_programs, seed)
    bias, library = _offsets(dataset, cells, modality)
    return Statistics(mean, std, loadings, unit, bias, library)


def program_scores(dataset: MosaicDataset, cells: np.ndarray, modality: int, found: Statistics) -> np.ndarray:
    """Scores (n, K) of the cells in the programs of a modality that they all have."""
    return np.concatenate(
        [
            (np.clip((x - found.mean) / found.std, -CLIP, CLIP) * seen) @ found.loadings
            for x, seen, _ in _chunks(dataset, cells, modality)
        ]
    )


def _chunks(
    dataset: MosaicDataset, cells: np.ndarray, modality: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Values, which of them are observed, and raw counts, of some cells at a time."""
    for start in range(0, len(cells), CHUNK):
        batch = dataset[cells[start : start + CHUNK]]
        values = batch.values[modality].numpy()
        observed = batch.observed[modality]
        counts = batch.counts[modality]
        yield (
            values,
            np.ones_like(values, bool) if observed is None else observed.numpy(),
            None if counts is None else counts.numpy(),
        )


def _moments(dataset: MosaicDataset, cells: np.ndarray, modality: int) -> tuple[np.ndarray, np.ndarray]:
    n, total, square = 0, 0, 0
    for values, observed, _ in _chunks(dataset, cells, modality):
        n = n + observed.sum(0)
        total = total + values.sum(0, dtype=np.float64)
    mean = total / np.maximum(n, 1)
    for values, observed, _ in _chunks(dataset, cells, modality):
        square = square + (((values - mean) * observed) ** 2).sum(0)
    std = np.sqrt(square / np.maximum(n, 1))
    # What float32 cannot tell from a constant is one.
    constant = std <= 1e-6 * np.maximum(np.abs(mean), 1e-2)
    return mean.astype(np.float32), np.where(constant, 1, std).astype(np.float32)


def _programs(
    dataset: MosaicDataset,
    cells: np.ndarray,
    modality: int,
    mean: np.ndarray,
    std: np.ndarray,
    n_programs: int,
    seed: int,
) -> tuple[np.ndarray, float]:
    rng = np.random.default_rng(seed)
    limit = max(SVD_ENTRIES // len(mean), n_programs + 1)
    if len(cells) > limit:
        cells = np.sort(rng.choice(cells, limit, replace=False))
    z = np.empty((len(cells), len(mean)), np.float32)
    for i, (x, seen, _) in enumerate(_chunks(dataset, cells, modality)):
        z[i * CHUNK : (i + 1) * CHUNK] = np.clip((x - mean) / std, -CLIP, CLIP) * seen
    rank = min(n_programs, *z.shape)
    _, singular, right = randomized_svd(z, rank, random_state=seed)
    loadings = np.zeros((len(mean), n_programs), np.float32)
    loadings[:, :rank] = right.T
    unit = float(np.sqrt(np.square(singular).sum() / (len(z) * rank)))
    return loadings, max(unit, 1e-6)


def _offsets(dataset: MosaicDataset, cells: np.ndarray, modality: int) -> tuple[np.ndarray, float]:
    likelihood = dataset.setup.likelihoods[dataset.setup.modalities[modality]]
    n_features = len(dataset.setup.feature_names[dataset.setup.modalities[modality]])
    if likelihood not in COUNT_LIKELIHOODS:
        return np.zeros(n_features, np.float32), 1.0
    total, positive, library = np.zeros(n_features), np.zeros(n_features), []
    for _, _, counts in _chunks(dataset, cells, modality):
        assert counts is not None
        total += counts.sum(0, dtype=np.float64)
        positive += (counts > 0).sum(0)
        library.append(counts.sum(1, dtype=np.float64))
    if likelihood == "bernoulli":
        share = (positive + 0.5) / (len(cells) + 1)
        bias = np.log(share / (1 - share))
    else:
        bias = np.log((total + 0.5) / (total.sum() + 0.5 * n_features))
    return bias.astype(np.float32), float(max(np.median(np.concatenate(library)), 1))
