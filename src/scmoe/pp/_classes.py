"""What resampling and augmentation share: which cells may be resampled, and what new cells are called."""

import numpy as np
import pandas as pd
from anndata import AnnData
from imblearn.over_sampling import RandomOverSampler
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import COPY_OF, MIXED_WITH
from scmoe.datasets._cells import all_obs, check_cells, class_sizes, labels_of, split_columns


def trainable_labels(data: AnnData | MuData, labels_key: str) -> tuple[pd.Series, pd.Series]:
    """Label of each cell, and number of cells of each type, largest first.

    Raises
    ------
    ValueError
        There are cells of several parts, or of a single type.
    """
    check_cells(data)
    if labels_key in (COPY_OF, MIXED_WITH):
        raise ValueError(
            f"labels_key={labels_key!r} is the column in which new cells say where they come from. Rename yours."
        )
    obs = all_obs(data)
    for key in split_columns(obs):
        parts = obs[key].dropna().astype(str).unique()
        raise ValueError(
            f"obs[{key!r}] has cells of {len(parts)} parts ({', '.join(parts)}). Resampling before the division puts "
            f"copies of test cells into training; resample data[data.obs[{key!r}] == 'train']."
        )
    labels = labels_of(data, labels_key)
    sizes = class_sizes(labels)
    if len(sizes) < 2:
        raise ValueError(f"Expected at least two types to balance; obs[{labels_key!r}] has {sizes.index[0]!r} only.")
    return labels, sizes


def check_threshold(threshold: int | None, sizes: pd.Series, default: int) -> int:
    """The threshold as a number of cells, which the largest type has."""
    if threshold is None:
        return default
    if threshold > sizes.iloc[0]:
        raise ValueError(
            f"threshold must be from 1 to {sizes.iloc[0]}, the cells of the largest type ({sizes.index[0]}); found "
            f"{threshold}."
        )
    return int(threshold)


def draw_more(labels: pd.Series, sizes: pd.Series, target: int, seed: int) -> NDArray[np.integer]:
    """Positions of cells, drawn with replacement, that bring every type with fewer cells to `target`."""
    sampler = RandomOverSampler(sampling_strategy=dict.fromkeys(sizes.index[sizes < target], target), random_state=seed)
    sampler.fit_resample(np.arange(len(labels))[:, None], labels)
    return sampler.sample_indices_[len(labels) :]


def names_of_new(data: AnnData | MuData, sources: NDArray[np.integer], suffix: str) -> pd.Index:
    """Names of cells made from those at `sources`, as in ``"AACG-copy1"``, that no other cell has."""
    all_names, last, names = set(data.obs_names), dict.fromkeys(sources.tolist(), 0), []
    for source in sources.tolist():
        name = ""
        while not name or name in all_names:
            last[source] += 1
            name = f"{data.obs_names[source]}-{suffix}{last[source]}"
        all_names.add(name)
        names.append(name)
    return pd.Index(names, dtype=data.obs_names.dtype)
