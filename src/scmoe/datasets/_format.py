"""What a file or folder holds, told from its content: names are often wrong."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import h5py
import zarr


class Format(StrEnum):
    """The formats that `scmoe.datasets.read` reads; the value says in messages what a file holds."""

    MUDATA = "a MuData (.h5mu)"
    ANNDATA = "an AnnData (.h5ad)"
    COUNTS_10X = "counts of 10x Genomics (.h5)"
    MUDATA_ZARR = "a store of a MuData (.zarr)"
    ANNDATA_ZARR = "a store of an AnnData (.zarr)"
    SPATIALDATA = "a store of SpatialData (.zarr)"
    MATRIX_MARKET = "a matrix.mtx with features.tsv and barcodes.tsv beside it"


SUFFIXES = {
    ".h5mu": (Format.MUDATA,),
    ".h5ad": (Format.ANNDATA,),
    ".h5": (Format.COUNTS_10X,),
    ".zarr": (Format.MUDATA_ZARR, Format.ANNDATA_ZARR, Format.SPATIALDATA),
    ".mtx": (Format.MATRIX_MARKET,),
}
"""What the name of a file promises."""
SPATIALDATA_ATTRIBUTES = "spatialdata_attrs"
"""Attribute of a store of SpatialData."""
LEGACY_GROUP = {"barcodes", "genes", "indptr"}
"""What a genome's group holds in files of Cell Ranger 1 and 2."""
MATRIX_ENDINGS = (".mtx", ".mtx.gz")
TABLE_ENDINGS = tuple(f"{ending}{gz}" for ending in (".csv", ".tsv", ".txt") for gz in ("", ".gz"))
"""Of tables of counts as text, which do not say whether a row is a cell or a gene."""
STORE_FILES = ("zarr.json", ".zgroup")
"""By which a folder is known as a store of zarr, in its format 3 and 2."""
COUNTS_OF_CELL_RANGER = (
    "*filtered_feature_bc_matrix",
    "*filtered_feature_bc_matrix.h5",
    "filtered_gene_bc_matrices*.h5",
)
"""How the counts are called in a folder that Cell Ranger wrote."""
DEPTH = 4
"""Folders within a folder that are looked through for counts: outs/per_sample_outs/SAMPLE/count."""


class FormatError(ValueError):
    """What is at a path is not one thing that can be read."""


def recognize(path: Path) -> Format:
    """What there is at `path`.

    Raises
    ------
    FormatError
        It is none of the formats, or two at once.
    OSError
        The file cannot be opened: it is no HDF5, cut short, or may not be read.
    """
    if path.is_file() and path.name.endswith(MATRIX_ENDINGS):
        return Format.MATRIX_MARKET
    return _of_folder(path) if path.is_dir() else _of_file(path)


def genomes_of(path: Path) -> list[str]:
    """Genomes of a file of Cell Ranger 1 or 2, a group each."""
    with h5py.File(path, "r") as file:
        return [name for name, group in file.items() if _is_genome(group)]


def _of_file(path: Path) -> Format:
    with h5py.File(path, "r") as file:
        kind = file.attrs.get("encoding-type", "")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        entries = list(file)
        is_mudata = kind == "MuData" or "mod" in file
        is_10x = ("matrix" in file and _has(file["matrix"], {"barcodes"})) or any(map(_is_genome, file.values()))
        is_loom = {"row_attrs", "col_attrs"} <= set(entries)
        is_anndata = kind == "anndata" or {"obs", "var"} <= set(entries)
    formats = (
        [Format.MUDATA] * is_mudata
        + [Format.ANNDATA] * (is_anndata and not is_mudata)
        + [Format.COUNTS_10X] * (is_10x and not is_loom)
    )
    if len(formats) > 1:
        raise FormatError(
            f"Cannot read {path}: expected the data of one tool, found {' and '.join(formats)} in one file, and they "
            f"may differ (entries: {_few(entries)}). Write the one that you mean to a file of its own, for example "
            'with scanpy.read_h5ad(path).write_h5ad("cells.h5ad") or scanpy.read_10x_h5(path).write_h5ad("cells.h5ad").'
        )
    if not formats:
        remedy = "Open it with the tool that wrote it, and write it as .h5ad."
        if is_loom:
            remedy = 'It is a .loom file: anndata.io.read_loom(path).write_h5ad("cells.h5ad") makes it one.'
        raise FormatError(
            f"Cannot read {path}: expected a MuData, an AnnData or counts of 10x Genomics, found a file with the "
            f"entries {_few(entries) or 'none'}. {remedy}"
        )
    return formats[0]


def _of_folder(path: Path) -> Format:
    names = sorted(entry.name for entry in path.iterdir())
    if not set(STORE_FILES).isdisjoint(names):
        return _of_store(path)
    if any(name.endswith(MATRIX_ENDINGS) for name in names):
        return Format.MATRIX_MARKET
    inside = _counts_inside(path)
    remedy = f"Name what is in it: {inside}." if inside else "Name a file in it."
    raise FormatError(
        f"Cannot read {path}: it is a folder. {remedy} These can be read: {', '.join(SUFFIXES)}, and folders with "
        "matrix.mtx, features.tsv and barcodes.tsv (.gz or not)."
    )


def _counts_inside(folder: Path) -> Path | None:
    """What is to be read below a folder: counts of cells before those of all droplets, the nearest first."""
    for depth in range(DEPTH):
        matches = [match for name in COUNTS_OF_CELL_RANGER for match in folder.glob("*/" * depth + name)]
        matches += [match.parent for match in folder.glob("*/" * (depth + 1) + "*.mtx*")]
        if matches:
            return min(matches, key=lambda match: ("filtered" not in match.name, str(match)))
    return None


def _of_store(path: Path) -> Format:
    store = zarr.open_group(path, mode="r")
    entries, kind = list(store.keys()), store.attrs.get("encoding-type", "")
    if kind == "MuData" or "mod" in entries:
        return Format.MUDATA_ZARR
    if kind == "anndata" or {"obs", "var"} <= set(entries):
        return Format.ANNDATA_ZARR
    if "tables" in entries or SPATIALDATA_ATTRIBUTES in store.attrs:
        return Format.SPATIALDATA
    raise FormatError(
        f"Cannot read {path}: expected a store of a MuData, an AnnData or SpatialData, found one with the entries "
        f"{_few(entries) or 'none'}. Open it with the tool that wrote it, and write it as .h5ad."
    )


def _has(group: Any, names: set[str]) -> bool:
    return isinstance(group, h5py.Group) and names <= set(group)


def _is_genome(group: Any) -> bool:
    return _has(group, LEGACY_GROUP)


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
