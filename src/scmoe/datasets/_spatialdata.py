"""Tables of SpatialData: cells with coordinates, which tables alone often lack."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import zarr
from anndata import AnnData
from mudata import MuData

from scmoe._keys import SPATIAL
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import shared
from scmoe.datasets._feature_types import split
from scmoe.datasets._format import Format, FormatError, recognize
from scmoe.io._quiet import quiet_mudata

TABLES = "tables"
ATTRIBUTES = "spatialdata_attrs"
"""Entry of ``uns`` in which a table says what its rows are: regions, and instances in them."""


class NoTableError(KeyError):
    """There is no table of this name."""


@checks_arguments
def from_spatialdata(sdata: Any, *, table: str | Sequence[str] | None = None, modality: str = "rna") -> MuData:
    """Make a MuData of the tables of a SpatialData.

    Parameters
    ----------
    sdata
        A `spatialdata.SpatialData`.
    table
        Name of a table, or of several of the same cells, which become modalities. None: the only one, or all if they
        are of the same cells.
    modality
        Name of the modality of a single table that does not say the type of its features.

    Returns
    -------
    MuData
        Matrices are shared. Coordinates are in ``obsm["spatial"]`` of each modality: the table's own, or the centers of
        the shapes or labels that it is of. The columns of regions and instances stay in ``obs``, and what they are in
        ``uns["spatialdata_attrs"]``.

    Raises
    ------
    TypeError
        `sdata` is no SpatialData.
    KeyError
        There is no such table.
    ValueError
        There is no table, or there are several of different cells.

    Examples
    --------
    >>> import spatialdata  # doctest: +SKIP
    >>> sdata = spatialdata.read_zarr("xenium.zarr")  # doctest: +SKIP
    >>> mdata = scmoe.datasets.from_spatialdata(sdata)  # doctest: +SKIP
    """
    tables = getattr(sdata, TABLES, None)
    if not isinstance(tables, Mapping):
        kind = type(sdata).__name__
        raise TypeError(f"Expected a SpatialData, found {kind}. scmoe.datasets.read(path) reads a store.")
    chosen = _choose(tables, table, "The SpatialData")
    chosen = {name: shared(adata) for name, adata in chosen.items()}
    for adata in chosen.values():
        add_coordinates(adata, sdata)
    return _to_mudata(chosen, modality)


def read_spatialdata(path: Path, table: str | Sequence[str] | None, modality: str) -> MuData:
    """As `from_spatialdata`, from a store; only coordinates need the package spatialdata."""
    names = table_names(path)
    wanted = names if table is None else _listed(table)
    tables = {name: anndata.read_zarr(path / TABLES / name) for name in wanted if name in names}
    chosen = _choose(dict.fromkeys(names) | tables, table, str(path))
    for adata in chosen.values():
        locate(adata, path)
    return _to_mudata(chosen, modality)


def sole_table(path: Path, table: str | Sequence[str] | None) -> Path:
    """The folder of a table, where matrices stay on disk; an error if there are several."""
    names = table_names(path) if table is None else _listed(table)
    if len(names) != 1:
        raise FormatError(
            f"Of {path} one table can stay on disk; it has {', '.join(names) or 'none'}. Choose one, with table=, or "
            f"on the command line by its path in the store: {TABLES}/{names[0] if names else 'NAME'}."
        )
    if names[0] not in table_names(path):
        raise _no_table(names[0], table_names(path), str(path))
    return path / TABLES / names[0]


def table_names(path: Path) -> list[str]:
    """Tables of a store."""
    store = zarr.open_group(path, mode="r")
    return sorted(zarr.open_group(path / TABLES, mode="r").keys()) if TABLES in store else []


def store_of(table: Path) -> Path | None:
    """The store that a table lies in."""
    root = table.parent.parent
    try:
        return root if table.parent.name == TABLES and recognize(root) is Format.SPATIALDATA else None
    except (FormatError, OSError, ValueError):
        return None


def _listed(table: str | Sequence[str]) -> list[str]:
    return [table] if isinstance(table, str) else list(table)


def _choose(tables: Mapping[str, Any], table: str | Sequence[str] | None, owner: str) -> dict[str, AnnData]:
    if not tables:
        raise FormatError(f"{owner} has no table: expected counts of cells, found images, labels, shapes or points.")
    names = list(tables) if table is None else _listed(table)
    for name in names:
        if name not in tables:
            raise _no_table(name, list(tables), owner)
    chosen = {name: tables[name] for name in names}
    cells = [frozenset(adata.obs_names) for adata in chosen.values()]
    if len(set(cells)) > 1:
        sizes = ", ".join(f"{name} ({adata.n_obs} x {adata.n_vars})" for name, adata in chosen.items())
        raise FormatError(
            f"{owner} has tables of different cells: {sizes}. Choose one, with table={names[0]!r}, or on the command "
            f"line by its path in the store: {TABLES}/{names[0]}."
        )
    return chosen


def _no_table(name: str, tables: Sequence[str], owner: str) -> NoTableError:
    return NoTableError(f"{owner} has no table {name!r}; it has {', '.join(tables)}.")


def _to_mudata(tables: Mapping[str, AnnData], modality: str) -> MuData:
    with quiet_mudata():
        if len(tables) == 1:
            return split(next(iter(tables.values())), modality)
        mdata = MuData(dict(tables))
    for adata in tables.values():
        for name in adata.obs:
            if name not in mdata.obs:
                mdata.obs[name] = adata.obs[name].reindex(mdata.obs_names)
    return mdata


def locate(adata: AnnData, path: Path) -> None:
    """Give a table of a store coordinates, if it has none and they can be read."""
    if SPATIAL in adata.obsm or not _regions(adata):
        return
    if find_spec("spatialdata") is None:
        logger.warning(
            "%s: the table has no obsm[%r]. With the package spatialdata (pip install 'scmoe[spatial]') the centers of "
            "its shapes are read",
            path.name,
            SPATIAL,
        )
        return
    import spatialdata

    add_coordinates(adata, spatialdata.read_zarr(path))


def add_coordinates(adata: AnnData, sdata: Any) -> None:
    """Write the centers of a table's instances to ``obsm``, if it has no coordinates and there are some."""
    regions = _regions(adata)
    if SPATIAL in adata.obsm or not regions:
        return
    from spatialdata import get_centroids

    attributes = adata.uns[ATTRIBUTES]
    region, instance = (adata.obs[attributes[name]] for name in ("region_key", "instance_key"))
    places = np.full((adata.n_obs, 2), np.nan)
    for name in regions:
        if name in sdata:
            centers = get_centroids(sdata[name]).compute()[["x", "y"]]
            rows = np.flatnonzero((region == name).to_numpy())
            places[rows] = centers.reindex(instance.iloc[rows].to_numpy()).to_numpy()
    n_lost = int(np.isnan(places).any(axis=1).sum())
    if n_lost:
        logger.warning("%d of %d cells of a table are in none of its shapes, and get no place", n_lost, len(places))
    if n_lost < adata.n_obs:
        adata.obsm[SPATIAL] = places


def _regions(adata: AnnData) -> list[str]:
    """Names of the shapes or labels that the rows of a table are of; none if it does not say."""
    attributes = adata.uns.get(ATTRIBUTES)
    keys = [attributes.get(name) for name in ("region_key", "instance_key")] if isinstance(attributes, Mapping) else []
    if len(keys) != 2 or not all(isinstance(key, str) and key in adata.obs for key in keys):
        return []
    return [str(name) for name in pd.unique(adata.obs[keys[0]].dropna())]
