"""What is in the stores of an atlas, without the matrices."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from anndata.io import read_elem

from scmoe._keys import COUNTS_LAYER
from scmoe.datasets._format import Format, recognize

ENCODINGS = {"csr_matrix": "by rows (CSR)", "array": "dense"}
"""How a matrix may be stored, and how messages call it."""
REMEDY = "Write each file as one: scmoe.datasets.write(scmoe.datasets.read('a.h5ad'), 'atlas/a.zarr')."


@dataclass(frozen=True)
class Part:
    """A store, or a modality in it.

    Parameters
    ----------
    path
        The store.
    group
        The MuData or AnnData in it.
    cells
        (m,) names of its cells in the atlas.
    """

    path: Path
    group: Any
    cells: pd.Index

    @property
    def matrix(self) -> Any:
        """The counts, if they are stored apart, else ``X``."""
        layers = self.group["layers"] if "layers" in self.group else {}
        return layers[COUNTS_LAYER] if COUNTS_LAYER in layers else self.group["X"]

    @property
    def encoding(self) -> str:
        """How the matrix is stored."""
        return str(self.matrix.attrs.get("encoding-type"))


@dataclass(frozen=True)
class Atlas:
    """Cells of several stores, one after the other.

    Parameters
    ----------
    stores
        The stores.
    names
        (n,) names of the cells; of several stores, with the name of the store behind.
    parts
        Of each modality, what is in which store.
    features
        Of each modality, in the order of the stores.
    rows
        Of each modality the row (n,) of each cell, in the matrices of all stores one below the other; -1: none.
    """

    stores: list[Part]
    names: pd.Index
    parts: dict[str, list[Part]]
    features: dict[str, pd.Index]
    rows: dict[str, np.ndarray]

    @property
    def sizes(self) -> list[int]:
        """Cells of each store."""
        return [len(store.cells) for store in self.stores]

    def only(self, modalities: Sequence[str]) -> "Atlas":
        """The same cells without their other modalities."""
        own = {name: self.parts[name] for name in modalities}
        return replace(self, parts=own, rows={name: self.rows[name] for name in own})

    def obs(self, columns: Sequence[str]) -> pd.DataFrame:
        """(n, columns) of what is known of the cells; a KeyError for a column that a store lacks."""
        tables = []
        for store in self.stores:
            stored = store.group["obs"]
            for key in columns:
                if key not in stored:
                    raise KeyError(
                        f"The model reads obs[{key!r}], which {store.path} lacks; found {_few(stored)}. Write the "
                        "column into the obs of each store, or train a model without it."
                    )
            tables.append(pd.DataFrame({key: read_elem(stored[key]) for key in columns}, index=store.cells))
        table = pd.concat(tables)
        return table.astype({key: "category" for key in table if not pd.api.types.is_numeric_dtype(table[key])})


def open_atlas(path: str | os.PathLike[str], modality: str = "rna") -> Atlas:
    """Look into the stores at a path.

    Parameters
    ----------
    path, modality
        See `scmoe.datasets.sample_atlas`.

    Raises
    ------
    FileNotFoundError, ValueError
        See `scmoe.datasets.sample_atlas`.
    """
    paths = _paths(Path(path).expanduser())
    stores: list[Part] = []
    parts: dict[str, list[Part]] = {}
    for store in paths:
        root, suffix = zarr.open_group(store, mode="r"), f"-{store.stem}" if len(paths) > 1 else ""
        stores.append(Part(store, root, index_of(root) + suffix))
        for name, group in _modalities(root, modality).items():
            parts.setdefault(name, []).append(Part(store, group, index_of(group) + suffix))
    features = {name: _features_of(name, own) for name, own in parts.items()}
    cells = _cells_of(stores)
    for index in (cells, *(_cells_of(own) for own in parts.values())):
        if not index.is_unique:
            repeated = index[index.duplicated()][0]
            raise ValueError(f"{path}: expected cells with names that differ; found {repeated!r} twice. Rename them.")
    rows = {name: _cells_of(own).get_indexer(cells) for name, own in parts.items()}
    return Atlas(stores, cells, parts, features, rows)


def index_of(group: Any, table: str = "obs") -> pd.Index:
    """Names of the rows of a stored table."""
    stored = group[table]
    return pd.Index(read_elem(stored[stored.attrs["_index"]])).astype(str)


def _modalities(root: Any, modality: str) -> dict[str, Any]:
    if "mod" not in root:
        return {modality: root}
    stored = root["mod"]
    return {name: stored[name] for name in stored.attrs.get("mod-order", sorted(stored.group_keys()))}


def _cells_of(parts: Sequence[Part]) -> pd.Index:
    first, *others = (part.cells for part in parts)
    return first.append(others)


def _paths(folder: Path) -> list[Path]:
    if not folder.exists():
        raise FileNotFoundError(f"There is no folder {folder}. Check the name.")
    paths = [folder] if folder.suffix == ".zarr" else sorted(folder.glob("*.zarr"))
    if not paths:
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else [folder.name]
        raise ValueError(
            f"{folder} is no atlas: expected stores that end in .zarr, found {_few(names) or 'nothing'}. {REMEDY}"
        )
    for path in paths:
        if (form := recognize(path)) not in (Format.MUDATA_ZARR, Format.ANNDATA_ZARR):
            raise ValueError(f"{path} holds {form}, and an atlas stores of a MuData or AnnData. {REMEDY}")
    return paths


def _features_of(name: str, parts: Sequence[Part]) -> pd.Index:
    """The features of a modality; an error if it cannot be read by rows, or stores differ."""
    first = parts[0]
    features = index_of(first.group, "var")
    for part in parts:
        if part.encoding not in ENCODINGS:
            raise ValueError(
                f"The matrix of {name!r} in {part.path} is stored as {part.encoding}, which cannot be read by rows. "
                f"Set mdata[{name!r}].X = mdata[{name!r}].X.tocsr() and write the store anew."
            )
        if part.encoding != first.encoding:
            raise ValueError(
                f"The matrix of {name!r} is {ENCODINGS[first.encoding]} in {first.path} and {ENCODINGS[part.encoding]} "
                f"in {part.path}. Write both in one way."
            )
        if not (own := index_of(part.group, "var")).equals(features):
            differ = own.symmetric_difference(features)
            what = f"such as {differ[0]!r} in one of them" if len(differ) else "in another order"
            raise ValueError(
                f"{first.path} and {part.path} differ in the features of {name!r}, {what}. An atlas has the same "
                f"features in all stores: choose and order them with mdata[{name!r}][:, features].copy()."
            )
    return features


def _few(names: Iterable[str]) -> str:
    names = sorted(map(str, names))
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
