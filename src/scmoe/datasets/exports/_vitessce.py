"""A folder that Vitessce shows: a zarr store in format 2, and a configuration that names what is in it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from anndata import AnnData
from anndata.io import write_elem
from mudata import MuData
from scipy import sparse

from scmoe._keys import SPATIAL, UMAP, Keys
from scmoe.datasets._anndata import to_anndata
from scmoe.datasets.exports._columns import as_category_or_number, converted
from scmoe.io._files import atomic_dir
from scmoe.io._memory import check_memory
from scmoe.io._plain import plain, text_as_arrays

STORE, CONFIG = "cells.zarr", "config.json"
VERSION = "1.0.15"
"""Of the configuration."""
HEATMAP = "shown"
"""Boolean column of ``var``: the features of the heat map."""
N_HEATMAP = 50
N_COLUMNS = 10
"""Features of a chunk: Vitessce asks for one feature at a time."""
MAX_CATEGORIES = 200
"""Sets of cells of one column that can still be read in a list."""
MAP = "UMAP"


def write_vitessce(mdata: MuData, path: Path, modality: str | None, keys: Keys, *, overwrite: bool) -> list[str]:
    """Write the store and its configuration to a folder."""
    name = modality or next(iter(mdata.mod))
    own = to_anndata(mdata, name)
    missing = [] if UMAP in own.obsm else [f"There is no map: run scmoe.tl.umap(mdata, key_added={keys.name!r})."]
    check_memory(
        4 * own.n_obs * own.n_vars, "All values of a modality", "Choose features first, or a smaller modality."
    )
    adata = _slim(own, keys)
    with atomic_dir(path, overwrite=overwrite) as folder:
        _write_store(adata, folder / STORE)
        text = json.dumps(configuration(adata, name, path.name), indent=2)
        (folder / CONFIG).write_text(text, encoding="utf-8")
    return missing


def _slim(own: AnnData, keys: Keys) -> AnnData:
    """What Vitessce shows: values in single precision, sets and numbers of cells, places."""
    matrix = own.X.toarray() if sparse.issparse(own.X) else np.asarray(own.X)
    places = {key: np.asarray(own.obsm[key], np.float32) for key in (UMAP, SPATIAL) if key in own.obsm}
    adata = AnnData(
        np.nan_to_num(matrix.astype(np.float32)),
        obs=converted(own.obs, as_category_or_number),
        var=pd.DataFrame(index=own.var_names.astype(str).astype(object)),
        obsm=places,
    )
    if isinstance(own.obsm.get(keys.embedding), np.ndarray):
        adata.obsm[keys.embedding] = np.asarray(own.obsm[keys.embedding], np.float32)
    shown = np.zeros(adata.n_vars, bool)
    shown[np.argsort(-matrix_variance(adata.X), kind="stable")[:N_HEATMAP]] = True
    adata.var[HEATMAP] = shown
    return adata


def matrix_variance(matrix: np.ndarray) -> np.ndarray:
    """Variance of each column, with little memory."""
    mean = matrix.mean(axis=0, dtype=np.float64)
    return np.asarray([np.square(matrix[:, i] - mean[i]).mean() for i in range(matrix.shape[1])])


def _write_store(adata: AnnData, path: Path) -> None:
    # zarr 2 knows no other format and no such argument.
    form: dict[str, Any] = {} if zarr.__version__.startswith("2") else {"zarr_format": 2}
    group = zarr.open_group(str(path), mode="w", **form)
    plainer = plain(adata)
    matrix = np.asarray(plainer.X)
    plainer.X = None
    with text_as_arrays():
        write_elem(group, "/", plainer)
        write_elem(group, "X", matrix, dataset_kwargs={"chunks": (len(matrix), min(N_COLUMNS, matrix.shape[1]))})


def configuration(adata: AnnData, modality: str, title: str) -> dict[str, Any]:
    """The configuration that shows a store: map, sets of cells, features, heat map."""
    sets = [name for name in adata.obs if _is_set(adata.obs[name])]
    numbers = [name for name in adata.obs if adata.obs[name].dtype.kind in "fiu"]
    embeddings = [{"path": f"obsm/{UMAP}", "dims": [0, 1], "embeddingType": MAP}] if UMAP in adata.obsm else []
    options: dict[str, Any] = {
        "obsFeatureMatrix": {"path": "X", "initialFeatureFilterPath": f"var/{HEATMAP}"},
        "obsSets": [{"name": name, "path": f"obs/{name}"} for name in sets],
    }
    if numbers:
        options["obsFeatureColumns"] = [{"path": f"obs/{name}"} for name in numbers]
    if embeddings:
        options["obsEmbedding"] = embeddings
    if SPATIAL in adata.obsm:
        options["obsLocations"] = {"path": f"obsm/{SPATIAL}"}
    views = [("obsSets", 8, 0, 4, 4), ("featureList", 8, 4, 4, 4), ("heatmap", 0, 8, 12, 4)]
    if embeddings:
        views.insert(0, ("scatterplot", 0, 0, 8, 8))
    scopes: dict[str, dict[str, str]] = {"scatterplot": {"embeddingType": "A"}}
    return {
        "version": VERSION,
        "name": title,
        "description": f"{modality}: {adata.n_obs} cells, written by scmoe",
        "datasets": [
            {
                "uid": "A",
                "name": modality,
                "files": [{"fileType": "anndata.zarr", "url": STORE, "options": options}],
            }
        ],
        "coordinationSpace": {"dataset": {"A": "A"}, **({"embeddingType": {"A": MAP}} if embeddings else {})},
        "layout": [
            {
                "component": component,
                "coordinationScopes": {"dataset": "A", **scopes.get(component, {})},
                **dict(zip("xywh", place, strict=True)),
            }
            for component, *place in views
        ],
        "initStrategy": "auto",
    }


def _is_set(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) and 0 < len(column.cat.categories) <= MAX_CATEGORIES
