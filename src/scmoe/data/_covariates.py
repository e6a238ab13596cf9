"""Covariates of cells: batch, further categories, numbers."""

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe.data._setup import Setup, numbers_of
from scmoe.datasets._categories import category_codes, category_names


def read_covariates(mdata: MuData, setup: Setup) -> np.ndarray:
    """Covariates (n, J) float32: one-hot batch, other categories one-hot, numbers as they are.

    A category that the model does not know counts as equal parts of those it knows, and so does one that is missing
    in a cell or a whole query.
    """
    codes = np.zeros(mdata.n_obs, np.int64)
    if setup.batch_key is not None:
        codes = category_codes(names_or_missing(mdata, setup.batch_key), setup.batches)
    blocks = [one_hot(codes, len(setup.batches))]
    for key, names in setup.categorical.items():
        blocks.append(one_hot(category_codes(names_or_missing(mdata, key), names), len(names)))
    blocks += [numbers_of(mdata, key)[:, None] for key in setup.continuous]
    return np.concatenate(blocks, 1, dtype=np.float32)


def n_covariates(setup: Setup) -> int:
    """J."""
    return len(setup.batches) + sum(map(len, setup.categorical.values())) + len(setup.continuous)


def one_hot(codes: np.ndarray, n: int) -> np.ndarray:
    """Codes (cells,) to (cells, n) float32; -1 becomes 1/n throughout."""
    return np.where(codes[:, None] < 0, 1 / n, codes[:, None] == np.arange(n)).astype(np.float32)


def names_or_missing(mdata: MuData, key: str) -> pd.Series:
    """The categories in a column of ``obs`` as text, None where there is none; in all cells, without such a column."""
    if key in mdata.obs:
        return category_names(mdata.obs[key])
    return pd.Series(None, index=mdata.obs_names, name=key, dtype=object)


def batches_unknown_to(setup: Setup, mdata: MuData) -> list[str]:
    """Batches of a query that the model was not trained on."""
    if setup.batch_key is None:
        return []
    names = names_or_missing(mdata, setup.batch_key)
    return sorted(names[names.notna() & (category_codes(names, setup.batches) < 0)].unique())
