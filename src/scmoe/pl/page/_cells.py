"""The interactive map: coordinates, columns and features of the cells, packed to some megabytes."""

import base64
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from mudata import MuData
from numpy.typing import NDArray
from scanpy.plotting.palettes import default_20, default_102
from scipy.sparse import issparse

from scmoe._keys import Keys, copied_column
from scmoe._log import logger
from scmoe._matrix import dense
from scmoe.pp._records import read_by_models

MAX_CELLS = 10_000
MAX_BYTES = 3_500_000
"""Of the features, once packed."""
MISSING, LEVELS = 255, 254
"""Code of a missing value; numbers are rounded to as many steps from the lowest to the highest."""
MAX_CATEGORIES = 200
N_SHADES = 32
HIGHEST = 0.995
"""Quantile of a feature's values above which all have one color."""


class Cells(NamedTuple):
    """What the page's script reads.

    Parameters
    ----------
    payload
        Plain lists, texts and numbers.
    n_shown
        Cells on the map.
    n_features
        Features that can be searched for, by modality.
    """

    payload: dict[str, Any]
    n_shown: int
    n_features: dict[str, int]


def pack_cells(mdata: MuData, keys: Keys, color: Sequence[str], seed: int = 0) -> Cells | None:
    """Pack the map; None where `scmoe.tl.umap` was not run.

    Parameters
    ----------
    mdata, keys
        The data, and where their results are.
    color
        Columns of ``obs`` and features, the first of which is shown first; other columns and features follow as long
        as there is room.
    seed
        Of the choice of cells, of more than 10,000, and of the order in which they are drawn.
    """
    if keys.umap not in mdata.obsm:
        return None
    points = np.asarray(mdata.obsm[keys.umap], dtype=float)
    mapped = np.flatnonzero(np.isfinite(points).all(1))
    cells = np.random.default_rng(seed).permutation(mapped)[:MAX_CELLS]
    points = points[cells]
    low, span = points.min(0), max(float(np.ptp(points, axis=0).max()), 1e-9)
    low -= (span - np.ptp(points, axis=0)) / 2  # the map is square, and the cells in its middle
    places = np.round((points - low) / span * 65535).astype("<u2")
    features, n_features = _features(mdata, cells, color)
    payload = {
        "n": len(cells),
        "names": _packed("\n".join(map(str, mdata.obs_names[cells])).encode()),
        "x": _packed(places[:, 0].tobytes()),
        "y": _packed(places[:, 1].tobytes()),
        "shades": [to_hex(shade) for shade in matplotlib.colormaps["viridis"](np.linspace(0, 1, N_SHADES))],
        "columns": [_column(mdata, name, cells) for name in _columns(mdata, keys, color)],
        "features": features,
    }
    return Cells(payload, len(cells), n_features)


def _columns(mdata: MuData, keys: Keys, color: Sequence[str]) -> list[str]:
    """Columns to color by: those asked for, results, and all others that say something."""
    results = (keys.label, keys.cluster, keys.label_confidence, keys.mapping_score, keys.unknown_score, keys.split)
    copies = {copied_column(name, column) for name in mdata.mod for column in (*results, *mdata.obs)}
    names = [*(name for name in color if name in mdata.obs), *results, *mdata.obs]
    return [
        name for name in dict.fromkeys(names) if name in mdata.obs and name not in copies and _says(mdata.obs[name])
    ]


def _says(column: pd.Series) -> bool:
    """Whether a map in its colors can be read: numbers, or not too many categories."""
    n = column.nunique()
    return n > 0 and (_is_number(column) or n <= MAX_CATEGORIES)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _column(mdata: MuData, name: str, cells: NDArray[np.intp]) -> dict[str, Any]:
    column = mdata.obs[name].iloc[cells]
    if _is_number(column):
        return {"name": name, **_numbers(column.to_numpy(dtype=float, na_value=np.nan))}
    codes, categories = pd.factorize(column.astype(object).where(column.notna()), use_na_sentinel=True)
    order = _in_order(mdata.obs[name], categories)
    rank = np.empty(len(categories), dtype=int)
    rank[order] = np.arange(len(categories))
    codes = np.where(codes < 0, MISSING, rank[codes]) if len(categories) else np.full(len(codes), MISSING)
    names = [str(categories[i]) for i in order]
    colors = _colors(mdata, name, names)
    return {"name": name, "codes": _packed(codes.astype("u1").tobytes()), "names": names, "colors": colors}


def _in_order(column: pd.Series, categories: Sequence[Any]) -> list[int]:
    """Positions of the categories in the order that the column gives them, or by name."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        place = {category: i for i, category in enumerate(column.cat.categories)}
        return sorted(range(len(categories)), key=lambda i: place[categories[i]])
    return sorted(range(len(categories)), key=lambda i: str(categories[i]))


def _colors(mdata: MuData, name: str, names: Sequence[str]) -> list[str]:
    """Colors that scanpy keeps for the column, or its palettes."""
    kept = mdata.uns.get(f"{name}_colors")
    column = mdata.obs[name]
    if kept is not None and isinstance(column.dtype, pd.CategoricalDtype) and len(kept) == len(column.cat.categories):
        known = {str(category): str(color) for category, color in zip(column.cat.categories, kept, strict=True)}
        return [to_hex(known[each]) for each in names]
    palette = default_20 if len(names) <= len(default_20) else default_102
    return [to_hex(palette[i % len(palette)]) for i in range(len(names))]


def _features(
    mdata: MuData, cells: NDArray[np.intp], color: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Features in packed form, as many as there is room for, and how many of each modality."""
    samples = {name: _Sample.of(mdata, name, cells) for name in mdata.mod}
    packed: list[dict[str, Any]] = []
    n_features, size = dict.fromkeys(mdata.mod, 0), 0
    for name, column in _by_interest(mdata, samples, color):
        feature = str(mdata.mod[name].var_names[column])
        entry = {"name": feature, "modality": name, **_numbers(samples[name].values(column))}
        size += len(entry["values"])
        if size > MAX_BYTES:
            logger.info("report: the page has room for %d features; others can be asked for", len(packed))
            break
        packed.append(entry)
        n_features[name] += 1
    return packed, n_features


class _Sample(NamedTuple):
    """Values of a modality in the cells of the map.

    Parameters
    ----------
    matrix
        Its cells among them x features; sparse ones by column.
    rows
        Row of each cell of the map; -1 for cells without the modality.
    is_read
        (features,) which models read.
    """

    matrix: Any
    rows: NDArray[np.intp]
    is_read: NDArray[np.bool_]

    @classmethod
    def of(cls, mdata: MuData, name: str, cells: NDArray[np.intp]) -> "_Sample":
        """Read the rows of these cells, and no others."""
        adata = mdata.mod[name]
        place = adata.obs_names.get_indexer(mdata.obs_names[cells])
        rows = np.where(place >= 0, np.cumsum(place >= 0) - 1, -1)
        matrix = adata.X[place[place >= 0]]
        return cls(matrix.tocsc() if issparse(matrix) else np.asarray(matrix), rows, read_by_models(adata))

    def values(self, column: int) -> NDArray[np.float64]:
        """Of one feature in all cells of the map; NaN in cells without the modality."""
        own = dense(self.matrix[:, [column]]).ravel()
        return np.where(self.rows >= 0, own[self.rows], np.nan) if len(own) else np.full(len(self.rows), np.nan)

    def most_variable(self) -> NDArray[np.intp]:
        """Features that models read, those with the largest variance first."""
        x = self.matrix
        if not x.shape[0]:
            return np.arange(0)
        if issparse(x):
            mean = np.asarray(x.mean(axis=0), dtype=float).ravel()
            variance = np.asarray(x.multiply(x).mean(axis=0), dtype=float).ravel() - mean**2
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # features that none of these cells has
                variance = np.nanvar(np.asarray(x, dtype=float), axis=0)
        order = np.argsort(-np.nan_to_num(variance), kind="stable")
        return order[self.is_read[order]]


def _by_interest(mdata: MuData, samples: Mapping[str, _Sample], color: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Features that were asked for, then of each modality those that vary most, in turn."""
    asked = [name for name in dict.fromkeys(color) if name not in mdata.obs]
    places = {name: adata.var_names.get_indexer(asked) for name, adata in mdata.mod.items()}
    for i in range(len(asked)):
        yield from ((name, int(place[i])) for name, place in places.items() if place[i] >= 0)
    ranked = {name: sample.most_variable() for name, sample in samples.items()}
    for turn in range(max(map(len, ranked.values()))):
        for name, order in ranked.items():
            if turn < len(order) and order[turn] not in places[name]:
                yield name, int(order[turn])


def _numbers(values: NDArray[np.float64]) -> dict[str, Any]:
    """Numbers in 254 steps; the highest half percent has one color."""
    finite = values[np.isfinite(values)]
    low = float(finite.min()) if len(finite) else 0.0
    high = float(np.quantile(finite, HIGHEST)) if len(finite) else 1.0
    if high <= low:
        high = float(finite.max()) if len(finite) else 1.0
    span = high - low or 1.0
    with np.errstate(invalid="ignore"):
        steps = np.clip(np.round((values - low) / span * LEVELS), 0, LEVELS)
    codes = np.where(np.isfinite(values), steps, MISSING).astype("u1")
    return {"values": _packed(codes.tobytes()), "low": low, "high": high}


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()
