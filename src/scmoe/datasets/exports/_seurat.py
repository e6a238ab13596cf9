"""Files for R: what SeuratDisk, anndataR, zellkonverter and MuDataSeurat read alike.

Their rules, from their code:

- SeuratDisk knows categories in the layout of anndata 0.7 only, anndataR in that of 0.8 only, and MuDataSeurat takes
  the wrong names where a category has no cell. So text is text.
- Columns that are groups (nullable types), and tables in ``obsm``, stop SeuratDisk. R's whole numbers have 32 bits.
- SeuratDisk takes rows as compressed whatever the file says, counts from ``raw``, and a dense ``X`` for scaled values.
  It makes an assay of each layer, and cannot load one called counts.
- anndataR and zellkonverter know layers and no ``raw``, so an .h5ad has counts twice.
- MuDataSeurat takes counts from ``layers["counts"]``, and with ``raw`` something else.
- SeuratDisk cannot load single values in ``uns``. It copies whole groups, which HDF5 1.10 of today's Debian and Ubuntu
  cannot always, unless they note the order of what is in them.
- The key of a reduction is its name without ``X_``, in letters and digits.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import write_elem
from mudata import MuData
from scipy import sparse

from scmoe._check import choose_modalities
from scmoe._keys import BESIDE, COUNTS_LAYER, UMAP, Keys
from scmoe._log import logger
from scmoe.datasets._anndata import to_anndata
from scmoe.datasets._write import write_whole
from scmoe.datasets.exports._columns import as_text_or_number, converted
from scmoe.io._files import WriteError
from scmoe.io._quiet import quiet_mudata

SUFFIXES = (".h5ad", ".h5mu")
X_NAME = {"X_name": np.array(["logcounts"], dtype=object)}
"""How zellkonverter is to call ``X`` beside counts, as Bioconductor does."""
RAW_COUNTS = "raw_counts"
"""Layer of an .h5ad with counts."""


def write_seurat(mdata: MuData, path: Path, modality: str | None, keys: Keys) -> list[str]:
    """Write an ``.h5ad`` of one modality, or an ``.h5mu`` of all with predictions beside them."""
    if path.suffix == ".h5mu":
        names = choose_modalities(mdata, modality)
        parts = {name: _assay(mdata, name, keys, raw=False) for name in names}
        parts |= {name: part for name, part in _predictions(mdata, keys) if name not in parts}
        joined = _joined(mdata, parts, keys)
        with _ordered_groups():
            write_whole(joined, path, lambda file: _texts_in(file["mod"], parts))
        return [_without_counts(name) for name in names if COUNTS_LAYER not in mdata.mod[name].layers]
    if path.suffix != ".h5ad":
        raise WriteError(f"Files for Seurat end in {' or '.join(SUFFIXES)}; found {path}.")
    name = modality or next(iter(mdata.mod))
    adata = _assay(mdata, name, keys, raw=True)
    with _ordered_groups():
        write_whole(adata, path, lambda file: _text_in(file, adata))
    return [] if COUNTS_LAYER in mdata.mod[name].layers else [_without_counts(name)]


def _joined(mdata: MuData, parts: dict[str, AnnData], keys: Keys) -> MuData:
    """All assays; columns and reductions of cells stand once: MuDataSeurat gives those of each assay another name."""
    first, *others = parts.values()
    joint = dict(reductions(mdata, keys))
    for part in others:
        part.obs = part.obs[[name for name in part.obs if name not in first.obs]]
    for part in parts.values():
        for key in joint.keys() & part.obsm.keys():
            del part.obsm[key]
    with quiet_mudata():
        joined = MuData(parts)
        rows = mdata.obs_names.get_indexer(joined.obs_names)
        for key, value in joint.items():
            joined.obsm[key] = value[rows]
    return joined


def _without_counts(name: str) -> str:
    return (
        f"mdata[{name!r}] has no layer {COUNTS_LAYER!r}: Seurat takes what is there for counts. scmoe.pp.prepare keeps "
        "counts, where it is given some."
    )


def _assay(mdata: MuData, name: str, keys: Keys, *, raw: bool) -> AnnData:
    """A modality as R knows it: sparse rows, counts, tables of text and numbers, reductions."""
    own = to_anndata(mdata, name)
    obs, var = converted(own.obs, as_text_or_number), converted(own.var, as_text_or_number)
    adata = AnnData(_rows(own.X), obs=obs, var=var, obsm=dict(reductions(own, keys)))
    if COUNTS_LAYER in own.layers:
        counts = _rows(own.layers[COUNTS_LAYER])
        adata.layers[RAW_COUNTS if raw else COUNTS_LAYER] = counts
        adata.uns = dict(X_NAME)
        if raw:
            adata.raw = AnnData(counts, obs=obs, var=var)
    return adata


@contextmanager
def _ordered_groups() -> Iterator[None]:
    """Let new groups of HDF5 files note the order of what is in them."""
    config = h5py.get_config()
    before = config.track_order
    config.track_order = True
    try:
        yield
    finally:
        config.track_order = before


def _text_in(group: h5py.Group, adata: AnnData) -> None:
    """Write the tables of an AnnData again, with text where the library has made categories of it."""
    write_elem(group, "obs", adata.obs)
    write_elem(group, "var", adata.var)
    if adata.raw is not None:
        write_elem(group["raw"], "var", adata.var)


def _texts_in(group: h5py.Group, parts: dict[str, AnnData]) -> None:
    """As `_text_in`, of all modalities."""
    for name, adata in parts.items():
        _text_in(group[name], adata)


def _rows(matrix: object) -> sparse.csr_matrix:
    rows = sparse.csr_matrix(matrix)
    rows.sort_indices()
    return rows


def reductions(data: AnnData | MuData, keys: Keys) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of ``obsm`` with at least two columns, by a name of which R makes a key; tables are left out."""
    taken: dict[str, str] = {}
    for key, value in data.obsm.items():
        if (
            (key == keys.umap and UMAP in data.obsm)
            or key in getattr(data, "mod", ())
            or not isinstance(value, np.ndarray)
        ):
            continue
        if value.ndim != 2 or value.shape[1] < 2 or value.dtype.kind not in "fiu":
            continue
        name = "X_" + re.sub(r"[^0-9A-Za-z]", "", key.removeprefix("X_"))
        if name in taken or name == "X_" or name[2].isdigit():
            logger.warning("obsm[%r] is left out: its name would become %r, as that of %r", key, name, taken.get(name))
            continue
        taken[name] = key
        yield name, value.astype(np.float64) if value.dtype.kind in "iu" else value


def _predictions(mdata: MuData, keys: Keys) -> Iterator[tuple[str, AnnData]]:
    """Predicted modalities as assays of their own, for cells that have a prediction."""
    for key, name in predicted(mdata, keys):
        frame = mdata.obsm[key]
        frame = frame[frame.notna().any(axis=1)].dropna(axis=1, how="all")
        if frame.shape[0] and frame.shape[1]:
            obs = pd.DataFrame(index=frame.index.astype(str).astype(object))
            var = pd.DataFrame(index=frame.columns.astype(str).astype(object))
            yield name, AnnData(sparse.csr_matrix(frame.fillna(0).to_numpy()), obs=obs, var=var)


def predicted(mdata: MuData, keys: Keys) -> list[tuple[str, str]]:
    """Keys of predictions in ``obsm``, with what is beside them left out, and their names such as ``adt_from_rna``."""
    starts = {keys.imputed(target, [""]) for target in mdata.mod}
    own = [str(key) for key, value in mdata.obsm.items() if isinstance(value, pd.DataFrame)]
    own = [key for key in own if any(key.startswith(start) for start in starts)]
    main = [key for key in own if not any(key.endswith(end) and key.removesuffix(end) in own for end in BESIDE)]
    return [(key, key.removeprefix(f"{keys.name}_")) for key in main]
