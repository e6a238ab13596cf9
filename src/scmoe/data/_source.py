"""Where a data set finds the values of a modality, and which of them were measured."""

from typing import NamedTuple

import numpy as np
from mudata import MuData
from scipy import sparse

from scmoe._matrix import Matrix, has_missing, n_missing
from scmoe.data._features import names_in_model
from scmoe.data._match import check_scale, describe_mismatch, find_features, is_protein
from scmoe.data._panels import (
    Measured,
    batches_of,
    both,
    empty_cells,
    measured_by_table,
    measured_by_values,
    measured_without_record,
    takes_zeros_for_values,
)
from scmoe.data._reference import Reference, to_reference
from scmoe.data._scale import find_outliers
from scmoe.data._setup import Setup, values_of
from scmoe.io._mapped import with_columns
from scmoe.pp._kind import COMPARABLE_KINDS
from scmoe.pp._records import prepare_records
from scmoe.pp._values import some_rows

MAX_DENSITY = 0.3
"""Share of values that are not zero up to which sparse products take less time than dense ones."""


class Source(NamedTuple):
    """The values of one modality."""

    matrix: np.ndarray | sparse.csr_matrix
    """Cells x features."""
    columns: np.ndarray | None
    """(D,) column of each of the model's features, -1: not there; None: all are there, in order."""
    measured: Measured | None
    """Which of the model's features were measured; None: all that are there."""
    is_empty: np.ndarray
    """(n,) cells without any value, which were not measured at all."""
    has_missing: bool
    """Whether a value or a feature is missing."""
    notes: list[str]
    """How the values differ from those of the training data, or were brought to them, for the log; mostly empty."""

    @property
    def n_found(self) -> int:
        """How many of the model's features are there."""
        return self.matrix.shape[1] if self.columns is None else int((self.columns >= 0).sum())

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), D) float32; NaN where a value or a feature is missing."""
        block = self.matrix[rows]
        if self.columns is None:
            out = to_dense(block)
        else:
            is_present = self.columns >= 0
            out = np.full((block.shape[0], len(self.columns)), np.nan, np.float32)
            out[:, is_present] = to_dense(block[:, self.columns[is_present]])
        if self.measured is not None:
            out[~self.measured.of(rows)] = np.nan
        return out

    @property
    def is_sparse(self) -> bool:
        """Whether few values are not zero, all were measured, and the features are the model's, in its order."""
        if not sparse.issparse(self.matrix) or self.columns is not None or self.has_missing:
            return False
        n_cells, n_features = self.matrix.shape
        return bool(self.matrix.nnz <= MAX_DENSITY * n_cells * n_features)  # type: ignore[union-attr]

    def read_sparse(self, rows: np.ndarray) -> sparse.csr_matrix:
        """(len(rows), D) of what `is_sparse`; each place is stored at most once."""
        block = self.matrix[rows]
        block.sum_duplicates()
        return block

    def arrays(self) -> list[Matrix]:
        """All that the values depend on."""
        measured = [] if self.measured is None else list(self.measured)
        return [part for part in (self.matrix, self.columns, *measured) if part is not None]


def open_source(mdata: MuData, name: str, setup: Setup) -> Source:
    """Where a batch finds the features of a modality, checked before."""
    adata = mdata.mod[name]
    matrix = values_of(mdata, name, setup.layers[name])
    is_empty = np.zeros(matrix.shape[0], bool)
    if has_missing(matrix):
        is_empty |= all_missing(matrix)
    if setup.kinds.get(name) in COMPARABLE_KINDS and not takes_zeros_for_values(mdata, name):
        is_empty |= empty_cells(matrix)
    features = list(names_in_model(setup.total_features.get(name, []), adata, is_protein=is_protein(name, setup)))
    has_reference = name in setup.totals and set(setup.total_features[name]) <= set(features)
    notes = check_scale(mdata, name, setup, has_total=not has_reference)
    is_doubtful = bool(notes)
    if may_have_another_total(mdata, name, setup, features):
        reference = Reference(setup.total_features[name], setup.totals[name])
        matrix, note = to_reference(matrix, features, reference, name)
        notes += [note] if note else []
    columns = find_features(mdata, name, setup)
    own_names = [str(adata.var_names[column]) if column >= 0 else None for column in columns]
    matrix = sparse.csr_matrix(matrix) if sparse.issparse(matrix) else matrix  # no copy of what is CSR already
    here = columns >= 0
    if sparse.issparse(matrix) and here.sum() < matrix.shape[1]:
        matrix = with_columns(matrix, columns[here])  # once, for columns of each batch would take far longer
        columns = np.where(here, np.cumsum(here) - 1, -1)
    measured = measured_features(mdata, name, setup, matrix, columns, own_names)
    in_order = np.array_equal(columns, np.arange(matrix.shape[1]))
    may_miss = measured is not None or has_missing(matrix) or not here.all()
    source = Source(matrix, None if in_order else columns, measured, is_empty, may_miss, notes)
    if not is_doubtful and (scale := setup.scale(name)) is not None:
        problem = find_outliers(scale, source.read(some_rows(matrix.shape[0])), has_total=not has_reference)
        notes += [describe_mismatch(name, setup, problem)] if problem else []
    return source


def may_have_another_total(mdata: MuData, name: str, setup: Setup, features: list[str]) -> bool:
    """Whether values may be normalized over more features than those of the training data, or nobody knows how.

    Values that `scmoe.pp.prepare` normalized over the same features are as they should be; what was changed since, as
    in a perturbation, the user wants so.
    """
    if name not in setup.totals or setup.likelihood(name).reads_counts:
        return False
    return name not in prepare_records(mdata) or not set(features) <= set(setup.total_features[name])


def measured_features(
    mdata: MuData, name: str, setup: Setup, matrix: Matrix, columns: np.ndarray, own_names: list[str | None]
) -> Measured | None:
    """Which of the model's features were measured in which cells; None: all that are there."""
    table = measured_by_table(mdata, name, own_names)
    if name not in setup.detection or takes_zeros_for_values(mdata, name):
        return table
    here = columns >= 0
    in_order = np.array_equal(columns[here], np.arange(matrix.shape[1]))
    present = matrix if in_order else with_columns(matrix, columns[here])
    rates = np.asarray(setup.detection[name])[here]
    by_values = both(
        measured_without_record(mdata, name, present, setup.batch_key),
        measured_by_values(present, *batches_of(mdata, name, setup.batch_key), rates),
    )
    if by_values is None:
        return table
    holds = np.ones((len(by_values.features), len(columns)), bool)
    holds[:, here] = by_values.features
    return both(table, Measured(by_values.codes, holds))


def all_missing(matrix: Matrix) -> np.ndarray:
    """(n,) cells of which every value is missing."""
    return n_missing(matrix)[0] == matrix.shape[1]


def to_dense(block: Matrix) -> np.ndarray:
    """A new float32 array."""
    return block.toarray().astype(np.float32, copy=False) if sparse.issparse(block) else block.astype(np.float32)
