"""What was measured of a modality, in the form in which groups are compared: never what a model makes of it."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse

from scmoe._keys import HELD_OUT_LAYER
from scmoe._matrix import Matrix, has_missing
from scmoe.data._panels import Measured, both, empty_cells, measured_by_table, takes_zeros_for_values
from scmoe.datasets._cells import all_obs
from scmoe.pp._kind import COUNT_KINDS, decide_kind
from scmoe.pp._missing import find_panels
from scmoe.pp._normalize import clr, log_normalize, totals
from scmoe.pp._records import prepare_records, read_by_models
from scmoe.pp._source import find_source, holds_counts

Unit = Literal["log", "clr", "amount", "other"]
"""Of values: log1p of an amount, centered logarithms, an amount, or anything else."""


class Observed(NamedTuple):
    """A modality of n cells and D features."""

    values: Matrix
    """(n, D) what is ranked; NaN only where it was not measured."""
    unit: Unit
    detected: Matrix | None
    """(n, D) above zero where a feature was seen; None: zero means nothing in particular."""
    depth: NDArray[np.float64] | None
    """(n,) how deeply a cell was measured; None: unknown."""
    measured: Measured
    """Which features were measured in which cells."""
    where: str
    """The place that was read, for the log."""

    def take(self, cells: NDArray[np.intp]) -> "Observed":
        """Some of the cells."""
        return self._replace(
            values=self.values[cells],
            detected=None if self.detected is None else self.detected[cells],
            depth=None if self.depth is None else self.depth[cells],
            measured=self.measured._replace(codes=self.measured.codes[cells]),
        )

    def blocks(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Positions of features that were measured in the same cells, and of these cells."""
        panels = np.unique(self.measured.codes)
        patterns, which = np.unique(self.measured.features[panels], axis=1, return_inverse=True)
        for number, pattern in enumerate(patterns.T):
            cells = np.flatnonzero(np.isin(self.measured.codes, panels[pattern]))
            if len(cells):
                yield cells, np.flatnonzero(which.ravel() == number)


def block_of(matrix: Matrix, cells: NDArray[np.intp], features: NDArray[np.intp]) -> Matrix:
    """Some rows and columns; without a copy where these are all."""
    rows = matrix if len(cells) == matrix.shape[0] else matrix[cells]
    return rows if len(features) == matrix.shape[1] else rows[:, features]


def observe(mdata: MuData, name: str, batch_key: str | None) -> Observed:
    """The measured values of a modality, normalized from its counts where it has some.

    Counts that `scmoe.pp.split_counts` has set aside are read alone: what was made of the others knows nothing of them.

    Parameters
    ----------
    mdata, name
        The data, and the modality.
    batch_key
        Column of ``mdata.obs`` in whose categories other features may have been measured.
    """
    adata = mdata.mod[name]
    kind, counts, where = counts_of(mdata, name)
    if counts is None:
        return _without_counts(adata, kind)
    measured = measured_of(mdata, name, counts, kind, batch_key)
    used = read_by_models(adata)
    in_all = measured.features[np.unique(measured.codes)].all(0) & used
    over = in_all if in_all.any() else used
    if kind == "protein":
        values: Matrix = clr(counts, over)
        depth = _mean_log(counts, over)
        unit: Unit = "clr"
    else:
        values, depth, unit = log_normalize(counts, None if over.all() else over), totals(counts, over), "log"
    return Observed(_columns_first(values), unit, _columns_first(counts), depth, measured, where)


def counts_of(mdata: MuData, name: str) -> tuple[str, Matrix | None, str]:
    """What the modality holds, its counts if it has some, and their place."""
    adata = mdata.mod[name]
    if HELD_OUT_LAYER in adata.layers:
        source, where = adata.layers[HELD_OUT_LAYER], f"layers[{HELD_OUT_LAYER!r}]"
    else:
        source, where, _ = find_source(name, adata)
    record = prepare_records(mdata).get(name)
    kind = decide_kind(name, adata, source).kind if record is None else str(record["kind"])
    has_counts = kind in COUNT_KINDS and (kind == "ambient" or holds_counts(source))
    return kind, source if has_counts else None, where if has_counts else "X"


def _without_counts(adata: AnnData, kind: str) -> Observed:
    """Values as they are; of logarithms, the number of features that a cell has tells how deeply it was measured."""
    values = adata.X
    measured = _by_nan(values) or Measured(np.zeros(adata.n_obs, int), np.ones((1, adata.n_vars), bool))
    if kind not in ("lognormalized", *COUNT_KINDS):
        return Observed(values, "other", None, None, measured, "X")
    values = _columns_first(values)
    depth = np.asarray((values > 0).sum(1), dtype=np.float64).ravel()
    return Observed(values, "log", values, depth, measured, "X")


def measured_of(mdata: MuData, name: str, counts: Matrix, kind: str, batch_key: str | None) -> Measured:
    """By what `scmoe.pp.prepare` wrote down, by the values where it was not run, NaN, and cells without a count."""
    adata = mdata.mod[name]
    measured = _by_nan(counts)
    if not takes_zeros_for_values(mdata, name):
        if name in prepare_records(mdata):
            measured = both(measured, measured_by_table(mdata, name, list(adata.var_names.astype(str))))
        else:
            obs = all_obs(mdata).loc[adata.obs_names]
            panels = find_panels(counts, obs, is_protein=kind == "protein", batch_key=batch_key)
            codes = np.where(panels.codes < 0, len(panels.missing), panels.codes)
            features = np.concatenate([~panels.missing, np.ones((1, adata.n_vars), bool)])
            measured = both(measured, Measured(codes, features))
    empty = empty_cells(counts).astype(int)
    if empty.any() or measured is None:
        measured = both(measured, Measured(empty, np.array([[True], [False]]).repeat(adata.n_vars, 1)))
    assert measured is not None
    return measured._replace(codes=measured.groups()[0])


def _by_nan(values: Matrix) -> Measured | None:
    """Which values are no NaN; None: none is."""
    if not has_missing(values):
        return None
    is_missing = np.isnan(values.toarray() if sparse.issparse(values) else values)
    patterns, codes = np.unique(is_missing, axis=0, return_inverse=True)
    return Measured(codes.ravel(), ~patterns)


def _mean_log(counts: Matrix, over: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) mean log1p of the counts of a cell, which is what its proteins are centered on."""
    logarithm = counts.astype(np.float64)
    if sparse.issparse(logarithm):
        logarithm.data = np.nan_to_num(np.log1p(logarithm.data))
        return np.asarray(logarithm[:, over].mean(1)).ravel()
    return np.asarray(np.nan_to_num(np.log1p(logarithm[:, over])).mean(1))


def _columns_first(matrix: Matrix) -> Matrix:
    """Sparse matrices by column: features are looked at one after the other."""
    if not sparse.issparse(matrix):
        return matrix
    columns = matrix.tocsc()
    if not columns.has_canonical_format:  # SciPy would sort the user's own matrix when it is compared
        columns = columns.copy()
        columns.sum_duplicates()
    return columns
