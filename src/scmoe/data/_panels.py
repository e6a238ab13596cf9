"""Which values of a modality were not measured, as `scmoe.pp.prepare` or the values say."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scmoe._matrix import Matrix, row_blocks
from scmoe.datasets._categories import category_names
from scmoe.datasets._cells import all_obs
from scmoe.pp._missing import detect, find_panels, never_measured
from scmoe.pp._normalize import MIN_CENTERED
from scmoe.pp._records import missing_table, prepare_records

ALL = ""
"""Column of the table of what is missing, where that holds for all cells."""


class Measured(NamedTuple):
    """Of n cells of a modality."""

    codes: np.ndarray
    """(n,) panel of each cell."""
    features: np.ndarray
    """(panels, D) which features a panel holds."""

    def groups(self) -> tuple[np.ndarray, int]:
        """Panel of each cell, none of them negative, and their number."""
        return self.codes % len(self.features), len(self.features)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), D) which values were measured."""
        return self.features[self.codes[rows]]


def takes_zeros_for_values(mdata: MuData, name: str) -> bool:
    """Whether the user said that zeros are values, or which are not."""
    record = prepare_records(mdata).get(name, {})
    return str(record.get("missing", "auto")) != "auto"


def measured_by_table(mdata: MuData, name: str, features: Sequence[str | None]) -> Measured | None:
    """What ``mdata.uns["scmoe"]["missing"]`` says of features of a modality; None: nothing is missing."""
    table = missing_table(mdata)
    if table is None:
        return None
    table = table[(table["modality"].astype(str) == name) & table["feature"].astype(str).isin(list(features))]
    if not len(table):
        return None
    column = str(table["column"].iloc[0])
    n_cells, place = mdata.mod[name].n_obs, {feature: i for i, feature in enumerate(features)}
    names = pd.Index(table["category"].astype(str).unique())
    holds = np.ones((len(names) + 1, len(features)), bool)
    holds[names.get_indexer(table["category"].astype(str)), table["feature"].astype(str).map(place)] = False
    if column == ALL:
        return Measured(np.zeros(n_cells, int), holds[:1])
    obs = all_obs(mdata)
    if column not in obs:
        return None  # without the column, values say what they can
    return Measured(names.get_indexer(category_names(obs[column].loc[mdata.mod[name].obs_names])), holds)


def measured_without_record(mdata: MuData, name: str, matrix: Matrix, batch_key: str | None) -> Measured | None:
    """What `scmoe.pp.prepare` would find, where its record was lost, as in joined data; None: nothing is missing."""
    if name in prepare_records(mdata):
        return None
    obs = all_obs(mdata).loc[mdata.mod[name].obs_names]
    panels = find_panels(matrix, obs, is_protein=False, batch_key=batch_key if batch_key in obs else None)
    return Measured(panels.codes, ~panels.missing) if panels.missing.any() else None


def batches_of(mdata: MuData, name: str, batch_key: str | None) -> tuple[np.ndarray, int]:
    """Batch of each cell of a modality, and their number; one without a column."""
    cells = mdata.mod[name].obs_names
    if batch_key is None or batch_key not in mdata.obs:
        return np.zeros(len(cells), int), 1
    codes, batches = pd.factorize(category_names(mdata.obs[batch_key].loc[cells]), use_na_sentinel=False)
    return codes, len(batches)


def measured_by_values(matrix: Matrix, codes: np.ndarray, n_batches: int, rates: np.ndarray) -> Measured | None:
    """Which features of (n, D) values are zero in whole batches against all odds; None: none.

    Parameters
    ----------
    matrix
        Values of which zero means no count.
    codes, n_batches
        Batch of each cell.
    rates
        (D,) share of the training cells in which a feature is above zero.
    """
    missing = never_measured(detect(matrix, codes, n_batches), rates, is_protein=False)
    return Measured(codes, ~missing) if missing.any() else None


def both(first: Measured | None, second: Measured | None) -> Measured | None:
    """What both hold."""
    if first is None or second is None:
        return first or second
    pairs, codes = np.unique(np.stack([first.codes, second.codes]), axis=1, return_inverse=True)
    return Measured(codes.ravel(), first.features[pairs[0]] & second.features[pairs[1]])


def empty_cells(matrix: Matrix) -> np.ndarray:
    """(n,) cells of which every value is zero or missing; none where there are too few features to tell."""
    if matrix.shape[1] < MIN_CENTERED:
        return np.zeros(matrix.shape[0], bool)
    matrix, is_empty = matrix.tocsr() if sparse.issparse(matrix) else matrix, np.zeros(matrix.shape[0], bool)
    for rows in row_blocks(matrix):
        block = matrix[rows]
        if sparse.issparse(block):
            block.data = np.nan_to_num(block.data) != 0
            is_empty[rows] = np.asarray(block.sum(1)).ravel() == 0
        else:
            is_empty[rows] = ~(np.nan_to_num(block) != 0).any(1)
    return is_empty
