"""Checks of the values of a matrix, each with a message that names the place, the cell and the feature."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Matrix = Any
"""A dense `numpy.ndarray` or any SciPy sparse matrix, cells x features."""

WHOLE_ROUNDING = 1e-5
"""Relative difference from a whole number that rounding of float32 leaves, as in ``expm1(log1p(6))``."""
MAX_ROUNDING = 0.05
"""Largest difference that counts as one of rounding."""
MAX_VALUE = 1e18
"""Networks compute in float32, which holds the squares of such numbers."""
MAX_LOST = 0.01
"""Share of a feature's spread that float32 may round away."""
SAME = 1e-14
"""Spread, relative to the mean, that rounding of float64 leaves in a constant."""
N_COLUMNS = 256
"""Features looked at at once."""
NOT_LOADED = (
    "Load the values (adata.to_memory()), or leave what memory does not hold on disk: "
    "scmoe.datasets.read(path, on_disk=True)."
)
"""What to do about values that are not there."""
BLOCK = 1 << 18
"""Values looked at at once, so that what is computed on the way takes little memory beside a matrix."""


def dense(matrix: Matrix) -> NDArray[np.float64]:
    """A matrix, sparse or not, as a dense array in double precision."""
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float64)


def check_values(
    matrix: Matrix,
    modality: str,
    where: str,
    obs_names: Iterable[Hashable],
    var_names: Iterable[Hashable],
    *,
    allow_missing: bool = True,
    allow_empty: bool = False,
) -> None:
    """Check that numbers are of a size to compute with or NaN, and that no cell and no feature is NaN throughout.

    Parameters
    ----------
    matrix
        Cells x features, dense or sparse; a sparse one is never made dense.
    modality, where
        Name of the modality and the place in it (``"X"`` or ``"layers['counts']"``), for the message.
    obs_names, var_names
        Names of the rows and columns, for the message.
    allow_missing, allow_empty
        Whether single values may be NaN, and a whole feature or cell: what a query lacks, or was not measured.

    Raises
    ------
    ValueError
        The values are not numbers in memory, one of them is infinite or beyond ± 1e18, a cell or feature holds only
        NaN, or a value is NaN where none may be missing.
    """
    check_array(matrix, modality, where)
    place = f"mdata[{modality!r}].{where}"
    if (beyond := _first(matrix, is_beyond)) is not None:
        row, column, value = beyond
        raise ValueError(
            f"{place} must hold finite numbers, up to {MAX_VALUE:g}; found {value:g} for feature "
            f"{_name(var_names, column)} in cell {_name(obs_names, row)}. Replace what is no measurement by NaN, use a "
            "larger unit, or remove the feature."
        )
    if matrix.dtype.kind != "f" or (first := _first(matrix, np.isnan)) is None:
        return
    n_obs, n_vars = matrix.shape
    n_of_cell, n_of_feature = n_missing(matrix)
    for axis, names, counts, full in (
        ("Feature", var_names, n_of_feature, n_obs),
        ("Cell", obs_names, n_of_cell, n_vars),
    ):
        if (counts == full).any() and not allow_empty:
            name = _name(names, int(np.argmax(counts == full)))
            raise ValueError(f"{axis} {name} of {place} is NaN throughout. Remove it from mdata[{modality!r}].")
    if not allow_missing:
        raise ValueError(
            f"{place} is NaN for feature {_name(var_names, first[1])} in cell {_name(obs_names, first[0])}; only "
            "continuous modalities may have missing values. Declare it as continuous, or remove the cell or feature."
        )


def check_counts(
    matrix: Matrix,
    modality: str | None,
    where: str,
    obs_names: Iterable[Hashable],
    var_names: Iterable[Hashable],
    *,
    allow_missing: bool = False,
) -> None:
    """Check that values are raw counts: non-negative whole numbers, but for rounding (``expm1(log1p(6))``).

    Parameters
    ----------
    matrix, modality, where, obs_names, var_names
        As in `check_values`; without a modality the values are those of an AnnData.
    allow_missing
        Whether values may be NaN: not measured.

    Raises
    ------
    ValueError
        The first negative, fractional, infinite, very large (1e18) or NaN value, with its cell and feature.
    """
    check_array(matrix, modality, where)

    def is_wrong(values: np.ndarray) -> np.ndarray:
        wrong = ~is_count(values) | is_beyond(values)
        return wrong & ~np.isnan(values) if allow_missing and values.dtype.kind == "f" else wrong

    if (wrong := _first(matrix, is_wrong)) is not None:
        row, column, value = wrong
        raise ValueError(
            f"{_owner(modality)}.{where} must hold raw counts (whole numbers, none negative); found {value:.6g} for "
            f"feature {_name(var_names, column)} in cell {_name(obs_names, row)}. Put the raw counts there, or say "
            "what the values are: "
            + ("values= when the model is set up." if modality is None else "kinds= in prepare, likelihoods= in setup.")
        )


def check_digits(matrix: Matrix, modality: str, where: str, var_names: Iterable[Hashable]) -> None:
    """Check that float32 keeps the differences between cells: it has 7 digits, and an offset may take them all.

    Parameters
    ----------
    matrix, modality, where, var_names
        As in `check_values`, which comes before. Sparse values have zeros, and so no offset.

    Raises
    ------
    ValueError
        The first feature of which more than 1 % of the spread would be rounded away.
    """
    if sparse.issparse(matrix) or np.can_cast(matrix.dtype, np.float32):
        return
    for start in range(0, matrix.shape[1], N_COLUMNS):
        lost = loses_digits(matrix[:, start : start + N_COLUMNS])
        if lost.any():
            column = start + int(lost.argmax())
            raise ValueError(
                f"mdata[{modality!r}].{where}: feature {_name(var_names, column)} varies by too little around a large "
                f"number, about {np.nanmean(matrix[:, column]):g}, for single precision (7 digits), in which models "
                "compute. Subtract that number from it first."
            )


def loses_digits(values: np.ndarray) -> np.ndarray:
    """(D,) of which features of (n, D) values float32 rounds differences between cells away."""
    x = values.astype(np.float64)
    seen = ~np.isnan(x)
    n = np.maximum(seen.sum(0), 1)
    mean = np.where(seen, x, 0).sum(0) / n
    spread, rounding = (
        np.sqrt(np.square(np.where(seen, difference, 0)).sum(0) / n)
        for difference in (x - mean, x - x.astype(np.float32))
    )
    return (rounding > MAX_LOST * spread) & (spread > SAME * np.abs(mean))


def looks_like_counts(matrix: Matrix, *, allow_missing: bool = False) -> bool:
    """Tell whether all values are non-negative whole numbers and some exceed 1 (so that 0/1 data are not counts)."""
    largest = 0.0
    for values in value_blocks(matrix, skip_missing=allow_missing):
        if not is_count(values).all():
            return False
        largest = max(largest, float(values.max(initial=0)))
    return largest > 1 + MAX_ROUNDING


def check_array(matrix: Matrix, modality: str | None, where: str) -> None:
    """Refuse what is not a matrix of real numbers (no values, text, backed or lazy arrays)."""
    place = f"{_owner(modality)}.{where}"
    if matrix is None:
        raise ValueError(f"{place} holds no values; expected a matrix of cells x features.")
    if not isinstance(matrix, np.ndarray) and not sparse.issparse(matrix):
        raise ValueError(
            f"{place} must be a NumPy array or a SciPy sparse matrix; found {type(matrix).__name__}. {NOT_LOADED}"
        )
    if matrix.dtype.kind not in "buif":
        raise ValueError(
            f"{place} must hold numbers; found values of type {matrix.dtype}. Move text to {_owner(modality)}.obs, "
            f'and convert numbers stored as text: {place} = {place}.astype("float32").'
        )


def _owner(modality: str | None) -> str:
    return "adata" if modality is None else f"mdata[{modality!r}]"


def stored(matrix: Matrix) -> np.ndarray:
    """The values held; the implicit zeros of a sparse matrix pass every check."""
    if not sparse.issparse(matrix):
        return np.asarray(matrix)
    return matrix.data if matrix.format in ("csr", "csc", "coo", "bsr") else matrix.tocoo().data


def value_blocks(matrix: Matrix, *, skip_missing: bool = False) -> Iterator[np.ndarray]:
    """The values held, some at a time and flat; with `skip_missing` without NaN."""
    values = stored(matrix)
    step = max(BLOCK // max(values[:1].size, 1), 1)
    for start in range(0, len(values), step):
        block = values[start : start + step].ravel()
        yield block[~np.isnan(block)] if skip_missing and block.dtype.kind == "f" else block


def row_blocks(matrix: Matrix) -> Iterator[slice]:
    """All rows, as many at a time as hold about `BLOCK` values; one at least."""
    n = matrix.shape[0]
    if not sparse.issparse(matrix):
        yield from (rows for rows, _ in dense_blocks(matrix))
        return
    until, start = matrix.tocsr().indptr.astype(np.int64, copy=False), 0
    while start < n:
        stop = int(np.searchsorted(until, until[start] + BLOCK, side="right")) - 1
        stop = min(max(stop, start + 1), start + BLOCK, n)
        yield slice(start, stop)
        start = stop


def dense_columns(matrix: Matrix, columns: np.ndarray) -> np.ndarray:
    """Some columns as a new dense array."""
    if not sparse.issparse(matrix):
        return np.asarray(matrix)[:, columns]
    csr = matrix.tocsr()
    blocks = [csr[rows][:, columns].toarray() for rows in row_blocks(csr)]
    return np.concatenate(blocks) if blocks else np.zeros((0, len(columns)), csr.dtype)


def dense_blocks(matrix: Matrix) -> Iterator[tuple[slice, np.ndarray]]:
    """All rows, some at a time, dense."""
    matrix = matrix.tocsr() if sparse.issparse(matrix) else matrix
    step = max(BLOCK // max(matrix.shape[1], 1), 1)
    for start in range(0, matrix.shape[0], step):
        rows = slice(start, min(start + step, matrix.shape[0]))
        yield rows, matrix[rows].toarray() if sparse.issparse(matrix) else matrix[rows]


def value_range(matrix: Matrix) -> tuple[float, float]:
    """The smallest and the largest of zero and all values held that are not NaN."""
    low = high = 0.0
    for values in value_blocks(matrix, skip_missing=True):
        low, high = min(low, float(values.min(initial=0))), max(high, float(values.max(initial=0)))
    return low, high


def has_missing(matrix: Matrix) -> bool:
    """Whether any value held is NaN."""
    return matrix.dtype.kind == "f" and any(np.isnan(block).any() for block in value_blocks(matrix))


def is_beyond(values: np.ndarray) -> np.ndarray:
    """Which values are infinite or too large to compute with; not NaN."""
    if values.dtype.itemsize < 4:  # of such types none is but infinity
        return np.isinf(values)
    return (values > MAX_VALUE) | (values < -MAX_VALUE)


def is_count(values: np.ndarray) -> np.ndarray:
    """Which values are non-negative whole numbers, but for rounding."""
    if values.dtype.kind in ("b", "u", "i"):
        return values >= 0
    with np.errstate(invalid="ignore"):
        tolerance = np.minimum(WHOLE_ROUNDING * (1 + np.abs(values)), MAX_ROUNDING)
        return np.isfinite(values) & (values >= 0) & (np.abs(values - np.round(values)) <= tolerance)


def n_missing(matrix: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """How many values of each row, and of each column, are NaN."""
    n_of_row, n_of_column = (np.zeros(n, np.int64) for n in matrix.shape)
    for rows, columns, _ in _where(matrix, np.isnan):
        n_of_row += np.bincount(rows, minlength=matrix.shape[0])
        n_of_column += np.bincount(columns, minlength=matrix.shape[1])
    return n_of_row, n_of_column


def _where(
    matrix: Matrix, condition: Callable[[np.ndarray], np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, columns and values that meet a condition, some at a time, in the order in which values are held."""
    if sparse.issparse(matrix) and matrix.format not in ("csr", "csc"):
        matrix = matrix.tocoo()
    start = 0
    for values in value_blocks(matrix):
        here = np.flatnonzero(condition(values))
        entries, start = start + here, start + len(values)
        if not len(here):
            continue
        if not sparse.issparse(matrix):
            yield *np.divmod(entries, matrix.shape[1]), values[here]
        elif matrix.format == "coo":
            yield matrix.row[entries], matrix.col[entries], values[here]
        else:
            major = np.searchsorted(matrix.indptr, entries, side="right") - 1
            minor = matrix.indices[entries]
            yield *((major, minor) if matrix.format == "csr" else (minor, major)), values[here]


def _first(matrix: Matrix, condition: Callable[[np.ndarray], np.ndarray]) -> tuple[int, int, float] | None:
    """Row, column and value of the first value that meets a condition; None: none does."""
    for rows, columns, values in _where(matrix, condition):
        return int(rows[0]), int(columns[0]), float(values[0])
    return None


def _name(names: Iterable[Hashable], position: int) -> str:
    return repr(list(names)[position])
