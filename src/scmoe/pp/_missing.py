"""What was not measured: features that are zero in a whole batch, NaN, and cells without a count."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scmoe._align import in_order_of
from scmoe._keys import PANEL
from scmoe._matrix import Matrix, has_missing, row_blocks
from scmoe.datasets._categories import category_names

BATCH_NAME = re.compile(
    r"batch|donor|sample|patient|subject|individual|lane|librar|(^|_)run|experiment|dataset|study|site|orig.?ident|panel"
    r"|chip|channel|pool|plate|slide|slice|section|chemistry|assay|technology|protocol|capture|replicate|project|center",
    re.IGNORECASE,
)
"""How columns are called in whose categories other features may have been measured."""
MAX_BATCHES = 500
"""Categories of a column, and panels, that are told apart."""
MIN_EVIDENCE = 20.0
"""Minus the log probability, by a feature's rate elsewhere, that it is zero in all cells of a batch by chance."""
MAX_RATE = 0.999
"""Rate of detection of a feature that all cells have: its probability of a zero is not taken for none."""
COMMON = 0.75
"""Quantile of the rates from which features are common: cells of any type have them."""
MIN_COMMON = 0.02
"""Share of the common genes or peaks that another panel lacks at least.

A batch may lack single genes because of its donors (XIST, HLA-DRB5), or markers of types that it has no cell of.
"""
MIN_CELLS = 20
"""Cells in which a protein is never zero throughout: antibodies bind a little everywhere."""
TABLE = ("modality", "column", "category", "feature")
"""Columns of ``mdata.uns["scmoe"]["missing"]``; without a column, a feature is missing in all cells."""


class Panels(NamedTuple):
    """Which features of a modality were measured in which cells."""

    column: str
    """Column of ``obs`` that says the panel of a cell; empty: all cells have the same."""
    categories: list[str]
    """Its categories; one without a name where there is no column."""
    codes: np.ndarray
    """(n,) category of each cell, -1: none."""
    missing: np.ndarray
    """(categories, D) which features were not measured."""

    @classmethod
    def complete(cls, n_cells: int, n_features: int) -> "Panels":
        """Everything was measured."""
        return cls("", [""], np.zeros(n_cells, int), np.zeros((1, n_features), bool))

    def mask(self, cells: slice = slice(None)) -> np.ndarray:
        """(n, D) which values of some cells were not measured."""
        none = np.zeros((1, self.missing.shape[1]), bool)
        return np.concatenate([self.missing, none])[self.codes[cells]]

    def rows(self, modality: str, features: Sequence[str]) -> pd.DataFrame:
        """What is missing, as a tidy table."""
        category, feature = np.nonzero(self.missing)
        names = np.asarray(features, dtype=object)
        entries = [
            (modality, self.column, self.categories[c], names[f]) for c, f in zip(category, feature, strict=True)
        ]
        return pd.DataFrame(entries, columns=list(TABLE), dtype=object)


class Detection(NamedTuple):
    """How often features are above zero, by batch."""

    n_cells: np.ndarray
    """(batches, D) cells in which the feature has a value."""
    n_detected: np.ndarray
    """(batches, D) cells in which it is above zero."""

    def rates(self) -> np.ndarray:
        """(D,) share of the cells in which a feature is above zero, of the batches where that happens at all."""
        seen = self.n_detected > 0
        return self.n_detected.sum(0) / np.maximum((self.n_cells * seen).sum(0), 1)


def detect(matrix: Matrix, codes: np.ndarray, n_batches: int) -> Detection:
    """Count the cells of each batch in which each feature of (n, D) values is above zero; NaN is no value."""
    size = np.bincount(codes[codes >= 0], minlength=n_batches).astype(np.float64)[:, None]
    matrix = matrix.tocsr() if sparse.issparse(matrix) else matrix
    n_cells, n_detected = np.repeat(size, matrix.shape[1], 1), np.zeros((n_batches, matrix.shape[1]))
    may_miss = has_missing(matrix)
    for rows in row_blocks(matrix):
        members, block = membership(codes[rows], n_batches), matrix[rows]
        values = block.data if sparse.issparse(block) else block
        add_sums(n_detected, members, block, values > 0)
        if may_miss:
            add_sums(n_cells, -members, block, np.isnan(values))
    return Detection(n_cells, n_detected)


def membership(codes: np.ndarray, n_batches: int) -> sparse.csr_matrix:
    """(batches, n) 1 where a cell is of a batch; -1 is none."""
    cells = np.flatnonzero(codes >= 0)
    return sparse.csr_matrix((np.ones(len(cells)), (codes[cells], cells)), shape=(n_batches, len(codes)))


def add_sums(total: np.ndarray, members: sparse.csr_matrix, block: Matrix, values: np.ndarray) -> None:
    """Add to (batches, D) sums over the cells of each batch of values that are held where a block has some."""
    values = values.astype(np.float64)
    if not sparse.issparse(block):
        total += members @ values
        return
    sums = (members @ sparse.csr_matrix((values, block.indices, block.indptr), shape=block.shape)).tocoo()
    total[sums.row, sums.col] += sums.data


def never_measured(detection: Detection, rates: np.ndarray, *, is_protein: bool) -> np.ndarray:
    """(batches, D) which features a batch cannot have measured, by the rates at which other cells have them.

    A protein is missing where it is zero throughout against all odds. Genes and peaks are so only where a batch lacks
    a share of the common ones as well, for single genes may be absent from all cells of a donor.
    """
    evidence = -np.log1p(-np.minimum(rates, MAX_RATE)) * detection.n_cells
    missing = (detection.n_detected == 0) & (evidence >= MIN_EVIDENCE)
    if is_protein:
        silent = (detection.n_detected.sum(0) == 0) & (detection.n_cells.sum(0) >= MIN_CELLS)
        return missing | silent
    if not (rates > 0).any():
        return missing
    common = rates >= np.quantile(rates[rates > 0], COMMON)
    lacks_common = (missing & common).sum(1) >= max(MIN_COMMON * common.sum(), 1)
    return missing & lacks_common[:, None]


def find_panels(counts: Matrix, obs: pd.DataFrame, *, is_protein: bool, batch_key: str | None) -> Panels:
    """Which features the categories of a column lack; of several columns, the one that says most.

    Parameters
    ----------
    counts
        Cells x features.
    obs
        What is known of these cells, in the same order.
    is_protein
        Whether these are proteins.
    batch_key
        The column; None: those that are called like batches.
    """
    keys = [batch_key] if batch_key is not None else [key for key in obs if BATCH_NAME.search(str(key))]
    best = _panels_of(counts, "", np.zeros(counts.shape[0], int), [""], is_protein)
    for key in keys:
        codes, categories = pd.factorize(category_names(obs[key]), sort=True)
        if 1 < len(categories) <= min(MAX_BATCHES, len(codes) // 2):
            panels = _panels_of(counts, str(key), codes, list(map(str, categories)), is_protein)
            if _n_missing(panels) > _n_missing(best):
                best = panels
    return best


def _panels_of(counts: Matrix, column: str, codes: np.ndarray, categories: list[str], is_protein: bool) -> Panels:
    detection = detect(counts, codes, len(categories))
    return Panels(column, categories, codes, never_measured(detection, detection.rates(), is_protein=is_protein))


def _n_missing(panels: Panels) -> int:
    """Values that were not measured."""
    return int(panels.missing.sum(1) @ np.bincount(panels.codes[panels.codes >= 0], minlength=len(panels.categories)))


def panels_of_mask(mask: Any, name: str, cells: pd.Index, features: pd.Index) -> Panels:
    """The panels of a user's mask (n, D) of values that were not measured."""
    if isinstance(mask, pd.DataFrame):
        for axis, (known, entries) in enumerate(((cells, "cells"), (features, "features"))):
            mask = in_order_of(mask, known, f"missing[{name!r}]", entries, axis=axis)
        is_mask = all(map(pd.api.types.is_bool_dtype, mask.dtypes)) and not mask.isna().any(axis=None)
        mask = mask.to_numpy(bool) if is_mask else mask.to_numpy()
    mask = mask.toarray() if sparse.issparse(mask) else np.asarray(mask)
    if mask.shape != (len(cells), len(features)) or mask.dtype != bool:
        raise ValueError(
            f"missing[{name!r}] must be True where a value was not measured, in an array of {len(cells)} cells x "
            f"{len(features)} features; found {mask.dtype} of shape {mask.shape}."
        )
    patterns, codes = np.unique(mask, axis=0, return_inverse=True)
    if len(patterns) == 1:
        return Panels("", [""], np.zeros(len(cells), int), patterns)
    if len(patterns) > MAX_BATCHES:
        raise ValueError(
            f"missing[{name!r}] has {len(patterns)} different rows; cells of at most {MAX_BATCHES} panels are "
            f"expected. Put NaN into mdata[{name!r}].X where single values are missing."
        )
    return Panels(PANEL, [f"panel {i}" for i in range(len(patterns))], codes.ravel(), patterns)


def former_mask(name: str, adata: AnnData, table: pd.DataFrame) -> np.ndarray | None:
    """The mask (n, D) that a user gave in an earlier call, from what that wrote down; None if there is none."""
    rows = table[(table["modality"].astype(str) == name) & (table["column"].astype(str) == PANEL)]
    if not len(rows) or PANEL not in adata.obs:
        return None
    panel, mask = adata.obs[PANEL].astype(str).to_numpy(), np.zeros(adata.shape, bool)
    for category, features in rows.groupby(rows["category"].astype(str))["feature"]:
        mask[np.ix_(panel == category, adata.var_names.astype(str).isin(features.astype(str)))] = True
    return mask
