"""Saying before long work what the installed libraries could not write after it."""

from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import pandas as pd
import zarr
from anndata import AnnData
from anndata.io import write_elem
from mudata import MuData
from scipy import sparse

from scmoe._log import logger
from scmoe.io._files import WriteError
from scmoe.io._plain import is_numeric, is_text, plain
from scmoe.io._quiet import quiet_mudata
from scmoe.io._versions import installed

FRAMES = ("obs", "var")
ARRAYS = ("obsm", "varm", "obsp", "varp", "layers")


def refuse_unstorable(data: AnnData | MuData, suffix: str) -> None:
    """Raise if the installed libraries could not write the data.

    Raises
    ------
    WriteError
        Names the entry, the reason and the remedy.
    """
    problem = next(unstorable(data, suffix), None)
    if problem is not None:
        raise WriteError(problem)


def warn_of_unstorable(data: AnnData | MuData) -> None:
    """Say in the log, before long work, which entry would keep the data from being written to an HDF5 file."""
    problem = next(unstorable(data, ".h5"), None)
    if problem is not None:
        logger.warning("%s", problem)


def unstorable(data: AnnData | MuData, suffix: str) -> Iterator[str]:
    """What the installed libraries cannot write, a sentence an entry.

    Nothing is written to disk: tables and ``uns`` are written whole to memory, of matrices the first row.
    """
    yield from _complex_columns(data)
    with quiet_mudata():
        plainer = plain(data)
        if isinstance(plainer, MuData):
            if suffix == ".zarr" and plainer.axis != 0:
                yield (
                    f"A MuData of axis {plainer.axis} comes back from .zarr as one of axis 0, with {installed()}. "
                    "Write it as .h5mu."
                )
            yield from _unstorable_parts(plainer, "mdata", suffix)
            for name, adata in plainer.mod.items():
                yield from _unstorable_parts(adata, f"mdata[{name!r}]", suffix)
        else:
            yield from _unstorable_parts(plainer, "adata", suffix)


def _has_unnamed(value: Any) -> bool:
    return isinstance(value, Mapping) and any(key == "" or _has_unnamed(entry) for key, entry in value.items())


def _complex_columns(data: AnnData | MuData) -> Iterator[str]:
    """Tables of complex numbers, which mudata cannot even copy."""
    parts = {f"mdata[{name!r}]": adata for name, adata in getattr(data, "mod", {}).items()}
    for owner, part in {"mdata" if parts else "adata": data, **parts}.items():
        for column in part.obs.select_dtypes("complex"):
            yield f"{owner}.obs[{column!r}] holds complex numbers, which no file takes. Keep its parts as two columns."


def _unstorable_parts(data: Any, owner: str, suffix: str) -> Iterator[str]:
    for part in FRAMES:
        frame = getattr(data, part)
        yield from _unstorable(frame.iloc[:, :0], f"{owner}.{part}.index", suffix, "Make the names text")
        for column in frame:
            if (problem := _mixture(frame[column])) is not None:
                place = f"{owner}.{part}[{column!r}]"
                yield f"{place} cannot be written as it is: {problem}. {_column_remedy(owner, part, column)}."
                continue
            table = frame[[column]] if frame.columns.is_unique else frame
            yield from _unstorable(table, f"{owner}.{part}[{column!r}]", suffix, _column_remedy(owner, part, column))
    if isinstance(data, MuData):
        for name in data.mod:
            if not name or "/" in name:
                yield (
                    f"The name of a modality cannot hold '/' or be empty in a file: {name!r}. Name it anew: "
                    f"mudata.MuData({{{_free(name) or 'rna'!r}: mdata[{name!r}], ...}})."
                )
    mappings = {part: getattr(data, part) for part in ARRAYS if getattr(data, part, None) is not None}
    for part, mapping in {**mappings, "uns": data.uns}.items():
        for key, value in mapping.items():
            if key == "" or _has_unnamed(value):
                place = f"{owner}.{part}[{key!r}]" if key else f"{owner}.{part}"
                yield f"{place} has an entry without a name, which files mix up with others. Name or remove it."
            elif key is not None:
                remedy = (
                    f"Rename it: {owner}.{part}[{_free(key)!r}] = {owner}.{part}.pop({key!r})"
                    if _free(key) != key
                    else ""
                )
                place = f"{owner}.{part}[{key!r}]"
                if part != "uns" and remedy:  # which anndata before 0.13 writes to HDF5, and cannot read
                    yield f"{place} cannot be written: the key has a '/'. {remedy}."
                else:
                    yield from _unstorable({key: _first_row(value)}, place, suffix, remedy)
    if isinstance(data, AnnData) and data.raw is not None:
        yield from _unstorable_parts(data.raw.to_adata(), f"{owner}.raw", suffix)
    if isinstance(data, AnnData) and data.X is not None:
        yield from _unstorable({"X": _first_row(data.X)}, f"{owner}.X", suffix, "")


def _mixture(column: pd.Series | pd.DataFrame) -> str | None:
    """What is wrong with a column of several types, which HDF5 refuses and zarr turns into text; None if nothing is."""
    if isinstance(column, pd.DataFrame) or column.dtype != object or is_text(column):
        return None
    kinds = sorted({type(value).__name__ for value in column.dropna()})
    return f"it mixes {' and '.join(kinds)}" if len(kinds) > 1 else None


def _column_remedy(owner: str, part: str, column: Any) -> str:
    if _free(column) != column:
        return f"Rename it: {owner}.{part} = {owner}.{part}.rename(columns={{{column!r}: {_free(column)!r}}})"
    return f"Convert it, for example to text: {owner}.{part}[{column!r}] = {owner}.{part}[{column!r}].astype(str)"


def _free(key: Any) -> str:
    """The key as files can hold it."""
    return str(key).replace("/", "_")


def _first_row(value: Any) -> Any:
    if isinstance(value, pd.DataFrame) and is_numeric(value):
        return value.iloc[:1]
    if isinstance(value, (pd.DataFrame, Mapping)):
        return value
    if sparse.issparse(value) and value.format not in ("csr", "csc"):  # which have no rows to take
        return value
    return value[:1] if getattr(value, "ndim", 0) > 1 else value


def _unstorable(value: Any, place: str, suffix: str, remedy: str) -> Iterator[str]:
    try:
        write_elem(_memory(suffix), "value", value)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001, the writers raise about every kind of error
        reason = next(iter(str(error).splitlines()), "no reason given").rstrip(".")
        advice = f"{remedy or 'Convert or remove it'}."
        yield f"{place} cannot be written to {suffix} files by {installed()}: {reason}. {advice}"


def _memory(suffix: str) -> Any:
    """A file or store in memory."""
    if suffix == ".zarr":
        return zarr.open_group({}, mode="w")
    return h5py.File("memory", "w", driver="core", backing_store=False)
