"""Where the raw counts of a modality are, and what becomes of an ``X`` that was made from them."""

from typing import NamedTuple

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from scmoe._check import layer_names
from scmoe._keys import COUNTS_LAYER, ORIGINAL_LAYER, SPLICING
from scmoe._log import logger
from scmoe._matrix import Matrix, looks_like_counts, value_blocks
from scmoe.io._mapped import with_columns

OTHER_NAMES = ("raw_counts", "counts_raw", "count", "raw", "umi", "umis", "umi_counts")
"""Layers, in small letters, that people keep raw counts in. Their values have to be counts, and the name says which:
``spliced`` holds whole numbers too, and not all of a cell's."""
RAW = "raw.X"
N_LOOKED_AT = 100
"""Cells, evenly from all, by which two matrices are compared."""
ROUNDING = 1e-4
"""Of values that single precision and another order of sums give."""


class Source(NamedTuple):
    """Values that a modality is to be prepared from."""

    matrix: Matrix
    """Cells x features of the modality, in its order."""
    where: str
    """The place, as in ``"layers['counts']"``, ``"raw.X"`` or ``"X"``."""
    counts_are_in: str
    """For the log: which place was read and why, ``""`` if it is ``X``."""

    @property
    def is_x(self) -> bool:
        """Whether ``X`` itself is read, so that nothing is lost if it is replaced."""
        return self.where == "X"


def find_source(name: str, adata: AnnData) -> Source:
    """The raw counts of a modality: ``layers["counts"]``, else ``X``, else where people usually put them, else ``X``.

    After scaling or normalizing, counts may be left in a layer such as ``"raw_counts"``, or in ``adata.raw``, whose
    features then have to include those of `adata`. Both are looked at only if ``X`` holds no counts.

    Parameters
    ----------
    name
        Of the modality, for messages.
    adata
        The modality; nothing is written to it.

    Returns
    -------
    Source
        Of ``layers["counts"]`` the values are not looked at here.
    """
    if COUNTS_LAYER in adata.layers:
        where = f"layers[{COUNTS_LAYER!r}]"
        return Source(adata.layers[COUNTS_LAYER], where, f"{name}: the counts are in {where}")
    if holds_counts(adata.X):
        return Source(adata.X, "X", "")
    for layer in sorted(layer_names(adata), key=str):
        if str(layer).lower() in (COUNTS_LAYER, *OTHER_NAMES) and holds_counts(adata.layers[layer]):
            where = f"layers[{layer!r}]"
            return Source(adata.layers[layer], where, f"{name}: X holds no counts; those in {where} are used")
    if not has_values(adata.X) and all(part in adata.layers and holds_counts(adata.layers[part]) for part in SPLICING):
        where = f"layers {', '.join(map(repr, SPLICING))}"
        total = sparse.csr_matrix(sum(adata.layers[part] for part in SPLICING))
        return Source(total, where, f"{name}: X holds no value; the sum of {where} is used")
    columns = _columns_in_raw(adata)
    if columns is not None and holds_counts(adata.raw.X):
        extra = adata.raw.n_vars - adata.n_vars
        rest = f", for the {adata.n_vars} of its {adata.raw.n_vars} features that X has" if extra else ""
        phrase = f"{name}: X holds no counts; those in raw.X are used{rest}"
        return Source(with_columns(adata.raw.X, columns), RAW, phrase)
    return Source(adata.X, "X", "")


def keep_original(name: str, adata: AnnData, source: Source, values: Matrix) -> None:
    """Before ``X`` is replaced: keep it in a layer if it would be lost, and say so.

    It is not lost if it is the source, or the same as the source or as the `values` that are to replace it (of a second
    call). What is in that layer already is older, and stays.

    Parameters
    ----------
    name
        Of the modality, for the log.
    adata
        The modality. Written is ``layers["X_before_prepare"]``.
    source
        What `values` were made from.
    values
        The new ``X``.
    """
    if source.is_x or not has_values(adata.X) or _is_same(adata.X, source.matrix) or _is_same(adata.X, values):
        return
    is_first = ORIGINAL_LAYER not in adata.layers
    if is_first:
        adata.layers[ORIGINAL_LAYER] = adata.X
    where = f"the former X is in layers[{ORIGINAL_LAYER!r}]" if is_first else "the former X is not kept"
    logger.info("%s: X is replaced by values made from %s; %s", name, source.where, where)


def refuse_empty(name: str, adata: AnnData) -> None:
    """Raise if ``X`` is not there, and say which layer has values: R packages keep all assays in layers."""
    if adata.X is None and (layers := layer_names(adata)):
        raise ValueError(
            f"mdata[{name!r}].X holds no values; found some in the layers {', '.join(map(repr, layers))}. Raw counts "
            f'are read from layers["{COUNTS_LAYER}"]; other values have to be in X: '
            f'mdata["{name}"].X = mdata["{name}"].layers["{layers[0]}"].'
        )


def holds_counts(matrix: Matrix) -> bool:
    """Whether the values are raw counts where they are not missing; not so of what is not in memory."""
    if matrix is None or not is_in_memory(matrix):
        return False
    return matrix.dtype.kind in "uif" and looks_like_counts(matrix, allow_missing=True)


def is_in_memory(matrix: Matrix) -> bool:
    """Whether the values can be read as those of an array; not so of what AnnData leaves on disk."""
    return sparse.issparse(matrix) or isinstance(matrix, np.ndarray)


def has_values(matrix: Matrix | None) -> bool:
    """Whether any value is there and is not zero: tools that keep all in layers leave ``X`` out, or fill it with 0.

    What is not in memory is not looked at: who reads it says how to open it.
    """
    if matrix is None or not is_in_memory(matrix):
        return matrix is not None
    return any((values != 0).any() for values in value_blocks(matrix))


def _columns_in_raw(adata: AnnData) -> NDArray[np.integer] | None:
    """Where the features of the modality are in ``adata.raw``; None if they are not all there."""
    if adata.raw is None or not adata.raw.var_names.is_unique:
        return None
    columns = adata.raw.var_names.get_indexer(adata.var_names)
    return None if (columns < 0).any() else columns


def _is_same(first: Matrix, second: Matrix) -> bool:
    """Whether two matrices of the same cells and features have the same values, by a look at some cells."""
    if first is second:
        return True
    if first.shape != second.shape:
        return False
    rows = np.unique(np.linspace(0, first.shape[0] - 1, min(N_LOOKED_AT, first.shape[0])).astype(int))
    one, other = (_dense(matrix[rows]) for matrix in (first, second))
    return bool(np.allclose(one, other, rtol=ROUNDING, atol=ROUNDING, equal_nan=True))


def _dense(matrix: Matrix) -> NDArray[np.floating]:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
