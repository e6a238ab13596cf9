"""Covariates of cells: batch, further categories, numbers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe.data._setup import Setup, column_of, numbers_of


def read_covariates(mdata: MuData, setup: Setup) -> np.ndarray:
    """Covariates (n, J) float32: one-hot batch, other categories one-hot, numbers as they are.

    A category that the model does not know counts as equal parts of those it knows.
    """
    codes = np.zeros(mdata.n_obs, np.int64)
    if setup.batch_key is not None:
        codes = encode(column_of(mdata, setup.batch_key, "batch_key"), setup.batches)
    blocks = [one_hot(codes, len(setup.batches))]
    for key, names in setup.categorical.items():
        blocks.append(one_hot(encode(column_of(mdata, key, "categorical_covariate_keys"), names), len(names)))
    blocks += [numbers_of(mdata, key)[:, None] for key in setup.continuous]
    return np.concatenate(blocks, 1, dtype=np.float32)


def n_covariates(setup: Setup) -> int:
    """J."""
    return len(setup.batches) + sum(map(len, setup.categorical.values())) + len(setup.continuous)


def one_hot(codes: np.ndarray, n: int) -> np.ndarray:
    """Codes (cells,) to (cells, n) float32; -1 becomes 1/n throughout."""
    return np.where(codes[:, None] < 0, 1 / n, codes[:, None] == np.arange(n)).astype(np.float32)


def encode(column: pd.Series, categories: Sequence[str]) -> np.ndarray:
    """Codes of the strings in a column; -1: not among `categories`."""
    return pd.Index(categories).get_indexer(pd.Index(column)).astype(np.int64)
