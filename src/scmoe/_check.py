"""Checks of the input, each with a message that says what was expected, what was found and what to do."""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

SAMPLE = re.compile("sample|donor|patient|subject|individual|batch|lane|librar|orig.?ident", re.IGNORECASE)
"""Columns of ``obs`` that are likely to say where a cell comes from."""
Matrix = Any
"""A dense `numpy.ndarray` or any SciPy sparse matrix, cells x features."""

WHOLE_ROUNDING = 1e-5
"""Relative difference from a whole number that rounding of float32 leaves, as in ``expm1(log1p(6))``."""
MAX_ROUNDING = 0.05
"""Largest difference that counts as one of rounding."""


def check_mdata(mdata: Any, modalities: Sequence[str] | None = None) -> list[str]:
    """Check that the cells and modalities of a MuData can be used.

    Parameters
    ----------
    mdata
        The object to check; nothing is written to it.
    modalities
        Names of the modalities; all of them by default.

    Returns
    -------
    list of str
        The names of the modalities to use, in the order asked for.

    Raises
    ------
    TypeError
        `mdata` is not a MuData of AnnData objects.
    KeyError
        A modality asked for does not exist.
    ValueError
        There is no modality or no cell; a modality is empty, or its name holds ``.`` or ``/``; a cell or feature name
        occurs twice in a modality; a cell is in none of the modalities.
    """
    if isinstance(mdata, AnnData):
        raise TypeError("Expected a MuData, found an AnnData. Make one: scmoe.datasets.from_anndata(adata).")
    if not isinstance(mdata, MuData):
        raise TypeError(f"Expected a MuData, found {type(mdata).__name__}. Read one with scmoe.datasets.read(path).")
    if mdata.axis != 0:
        raise ValueError(f"Expected modalities that share cells (MuData axis 0), found axis {mdata.axis}.")
    names = _choose_modalities(mdata, modalities)
    if mdata.n_obs == 0:
        raise ValueError("Expected at least one cell, found a MuData without cells. Check the filter applied before.")
    for name in names:
        _check_modality(mdata, name)
    _check_membership(mdata, names)
    return names


def _choose_modalities(mdata: MuData, modalities: Sequence[str] | None) -> list[str]:
    present = list(mdata.mod)
    if not present:
        raise ValueError('Expected at least one modality, found none. Build the MuData as MuData({"rna": adata}).')
    if modalities is None:
        return present
    names = [modalities] if isinstance(modalities, str) else list(modalities)
    if not names:
        raise ValueError(f"Expected at least one modality in modalities, found none. Choose from {present}.")
    for name in names:
        if name not in mdata.mod:
            raise KeyError(f"There is no modality {name!r}; the MuData has {present}.")
        if names.count(name) > 1:
            raise ValueError(f"Modality {name!r} is asked for twice in {names}. Name it once.")
    return names


def _check_modality(mdata: MuData, name: str) -> None:
    adata = mdata.mod[name]
    if not isinstance(adata, AnnData):
        raise TypeError(f"Expected mdata[{name!r}] to be an AnnData, found {type(adata).__name__}.")
    if "." in name or "/" in name:
        raise ValueError(
            f"The modality name {name!r} holds '.' or '/', which cannot be stored. Rename the modality, "
            f"e.g. to {name.replace('.', '_').replace('/', '_')!r}."
        )
    for axis, size in (("cell", adata.n_obs), ("feature", adata.n_vars)):
        if size == 0:
            raise ValueError(
                f"mdata[{name!r}] has no {axis}s. Remove the modality, or check the filter applied before."
            )
    if not adata.obs_names.is_unique:
        raise ValueError(repeated_cells(name, adata))
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()][0]
        raise ValueError(
            f"mdata[{name!r}] has the feature name {repeated!r} more than once. "
            f"Call mdata[{name!r}].var_names_make_unique() and then mdata.update()."
        )


def check_free(data: AnnData | MuData, *names: str) -> None:
    """Raise if ``data.uns[name]``, or an entry of it that later names lead to, holds what nothing can be added to."""
    entry, place = data.uns, f"{'adata' if isinstance(data, AnnData) else 'mdata'}.uns"
    for name in names:
        entry, place = entry.get(name, {}), f"{place}[{name!r}]"
        if not isinstance(entry, Mapping):
            raise ValueError(
                f"{place} must be free for results; found a {type(entry).__name__}. Rename it, or choose another name."
            )


def repeated_cells(name: str, adata: AnnData) -> str:
    """What to do about cells of one name: numbering them apart in each modality would pair those of other samples."""
    repeated = adata.obs_names[adata.obs_names.duplicated()]
    text = f"mdata[{name!r}] has the cell name {repeated[0]!r} more than once, so it cannot be paired by name."
    same = adata.obs[adata.obs_names == repeated[0]]
    # A column tells them apart if it does so for one name; which are looked at all once it is used.
    telling = [str(key) for key in same if not isinstance(same[key], pd.DataFrame) and same[key].astype(str).is_unique]
    column = next((key for key in telling if SAMPLE.search(key)), "sample")
    return (
        f"{text} Samples share barcodes: put the sample before each name in every modality before joining them, "
        f'mdata[{name!r}].obs_names = mdata[{name!r}].obs["{column}"].astype(str) + "_" + mdata[{name!r}].obs_names, '
        "and then mdata = mudata.MuData(dict(mdata.mod)). If one cell is there twice, remove one. Numbering the names "
        "(-1, -2) would pair cells of different samples."
    )


def _check_membership(mdata: MuData, names: list[str]) -> None:
    in_any = np.zeros(mdata.n_obs, dtype=bool)
    for name in names:
        position = mdata.obs_names.get_indexer(mdata.mod[name].obs_names)
        if (position < 0).any():
            cell = mdata.mod[name].obs_names[int(np.argmax(position < 0))]
            raise ValueError(f"Cell {cell!r} of mdata[{name!r}] is not in mdata.obs. Call mdata.update() first.")
        in_any[position] = True
    if not in_any.all():
        cell = mdata.obs_names[int(np.argmin(in_any))]
        raise ValueError(
            f"{int((~in_any).sum())} cells are in none of the modalities {names}, the first is {cell!r}. "
            "Remove them, or use more modalities."
        )


def layer_names(adata: AnnData) -> list[str]:
    """Names of the layers; anndata 0.13 keeps ``X`` among them, under the key None."""
    return [name for name in adata.layers if name is not None]


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
    """Check that numbers are finite or NaN, and that no cell and no feature is NaN throughout.

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
        The values are not numbers in memory, one of them is infinite, a cell or feature holds only NaN, or a value is
        NaN where none may be missing.
    """
    check_array(matrix, modality, where)
    place = f"mdata[{modality!r}].{where}"
    infinite = np.isinf(_stored(matrix))
    if infinite.any():
        row, column, value = _first(matrix, infinite)
        raise ValueError(
            f"{place} must hold finite numbers; found {value} for feature {_name(var_names, column)} in cell "
            f"{_name(obs_names, row)}. Replace infinite values by NaN, or remove the feature."
        )
    missing = np.isnan(_stored(matrix))
    if not missing.any():
        return
    rows, columns = _positions(matrix, missing)
    n_obs, n_vars = matrix.shape
    for axis, names, counts, full in (
        ("Feature", var_names, np.bincount(columns, minlength=n_vars), n_obs),
        ("Cell", obs_names, np.bincount(rows, minlength=n_obs), n_vars),
    ):
        if (counts == full).any() and not allow_empty:
            name = _name(names, int(np.argmax(counts == full)))
            raise ValueError(f"{axis} {name} of {place} is NaN throughout. Remove it from mdata[{modality!r}].")
    if not allow_missing:
        raise ValueError(
            f"{place} is NaN for feature {_name(var_names, columns[0])} in cell {_name(obs_names, rows[0])}; only "
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
        The first negative, fractional, infinite or NaN value, with its cell and feature.
    """
    check_array(matrix, modality, where)
    stored = _stored(matrix)
    wrong = ~_is_count(stored)
    if allow_missing and stored.dtype.kind == "f":
        wrong &= ~np.isnan(stored)
    if wrong.any():
        row, column, value = _first(matrix, wrong)
        raise ValueError(
            f"{_owner(modality)}.{where} must hold raw counts (whole numbers, none negative); found {value:.6g} for "
            f"feature {_name(var_names, column)} in cell {_name(obs_names, row)}. Put the raw counts there, or say "
            "what the values are: "
            + ("values= when the model is set up." if modality is None else "kinds= in prepare, likelihoods= in setup.")
        )


def looks_like_counts(matrix: Matrix) -> bool:
    """Tell whether all values are non-negative whole numbers and some exceed 1 (so that 0/1 data are not counts)."""
    values = _stored(matrix)
    return bool(values.size and _is_count(values).all() and values.max() > 1 + MAX_ROUNDING)


def check_array(matrix: Matrix, modality: str | None, where: str) -> None:
    """Refuse what is not a matrix of real numbers in memory (no values, text, backed or lazy arrays)."""
    place = f"{_owner(modality)}.{where}"
    if matrix is None:
        raise ValueError(f"{place} holds no values; expected a matrix of cells x features.")
    if not isinstance(matrix, np.ndarray) and not sparse.issparse(matrix):
        raise ValueError(
            f"{place} must be a NumPy array or a SciPy sparse matrix in memory; found {type(matrix).__name__}. "
            "Read the file without backed=, or load the values first (adata.to_memory())."
        )
    if matrix.dtype.kind not in "buif":
        raise ValueError(
            f"{place} must hold numbers; found values of type {matrix.dtype}. Move text to {_owner(modality)}.obs, "
            f'and convert numbers stored as text: {place} = {place}.astype("float32").'
        )


def _owner(modality: str | None) -> str:
    return "adata" if modality is None else f"mdata[{modality!r}]"


def _stored(matrix: Matrix) -> np.ndarray:
    """Return the values held in memory; the implicit zeros of a sparse matrix pass every check."""
    if not sparse.issparse(matrix):
        return np.asarray(matrix)
    return matrix.data if matrix.format in ("csr", "csc", "coo", "bsr") else matrix.tocoo().data


def _is_count(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in ("b", "u", "i"):
        return values >= 0
    with np.errstate(invalid="ignore"):
        tolerance = np.minimum(WHOLE_ROUNDING * (1 + np.abs(values)), MAX_ROUNDING)
        return np.isfinite(values) & (values >= 0) & (np.abs(values - np.round(values)) <= tolerance)


def _positions(matrix: Matrix, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the values that `mask`, of the shape of `_stored(matrix)`, marks."""
    if not sparse.issparse(matrix):
        rows, columns = np.nonzero(mask)
        return rows, columns
    coo = matrix.tocoo()
    return coo.row[mask.ravel()], coo.col[mask.ravel()]


def _first(matrix: Matrix, mask: np.ndarray) -> tuple[int, int, float]:
    rows, columns = _positions(matrix, mask)
    return int(rows[0]), int(columns[0]), float(_stored(matrix)[mask][0])


def _name(names: Iterable[Hashable], position: int) -> str:
    return repr(list(names)[position])
