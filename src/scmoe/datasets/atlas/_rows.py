"""annbatch reads rows of one modality; imported where it is installed."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import annbatch
import numpy as np
import pandas as pd
from annbatch.abc import Sampler
from anndata.io import sparse_dataset

from scmoe._matrix import Matrix
from scmoe.datasets.atlas._atlas import Part

CELL = "cell"
GAP = 16
"""Rows up to which a gap is read too."""


class Rows(NamedTuple):
    """Some rows of a modality."""

    values: Matrix
    """(m, D)."""
    cells: np.ndarray
    """(m,) names of the cells that they are of."""


class RowSampler(Sampler):
    """Asks for these arrays of rows, each in its order."""

    batch_size = None
    shuffle = False

    def __init__(self, requests: Sequence[np.ndarray]) -> None:
        self.requests = requests

    def n_batches(self, n_obs: int) -> int:
        """How many arrays there are."""
        return len(self.requests)

    def validate(self, n_obs: int) -> None:
        """The rows are those of the stores, or annbatch's index fails."""

    def _sample(self, n_obs: int) -> Iterator[dict[str, Any]]:
        for rows in self.requests:
            span = with_gaps(np.sort(rows))
            yield {"requests": span, "splits": [np.searchsorted(span, rows)]}


def with_gaps(rows: np.ndarray) -> np.ndarray:
    """Rows in order, and those in small gaps: held-out cells lie among others, and each run is decompressed anew."""
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - GAP - 1) > GAP)
    ends = np.append(starts[1:], len(rows))
    return np.concatenate([np.arange(rows[a], rows[b - 1] + 1) for a, b in zip(starts, ends, strict=True)])


def read_rows(parts: Sequence[Part], requests: Sequence[np.ndarray]) -> Iterator[Rows]:
    """Rows of a modality for each array of their numbers, in all stores one below the other."""
    return (_sparse_rows if parts[0].encoding == "csr_matrix" else _dense_rows)(parts, requests)


def _sparse_rows(parts: Sequence[Part], requests: Sequence[np.ndarray]) -> Iterator[Rows]:
    loader = annbatch.Loader(batch_sampler=RowSampler(requests), preload_to_gpu=False)
    names = [pd.DataFrame({CELL: part.cells.to_numpy()}) for part in parts]
    loader.add_datasets([sparse_dataset(part.matrix) for part in parts], obs=names)
    for loaded in loader:
        yield Rows(loaded["X"], loaded["obs"][CELL].to_numpy())


def _dense_rows(parts: Sequence[Part], requests: Sequence[np.ndarray]) -> Iterator[Rows]:
    """By zarr itself: annbatch 0.3.1 puts values into wrong places where chunks do not hold all columns."""
    ends = np.cumsum([len(part.cells) for part in parts])
    for rows in requests:
        store = np.searchsorted(ends, rows, side="right")
        values = np.empty((len(rows), parts[0].matrix.shape[1]), parts[0].matrix.dtype)
        cells = np.empty(len(rows), object)
        for i in np.unique(store):
            own, part = store == i, parts[i]
            at = rows[own] - (ends[i] - len(part.cells))
            values[own], cells[own] = part.matrix.oindex[at, :], part.cells[at]
        yield Rows(values, cells)
