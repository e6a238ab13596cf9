"""Results of cells: written to a MuData and its modalities, noted, and removed again.

scanpy works on one modality: ``sc.pl.umap(mdata["rna"], color=["scmoe_cluster", "CD3E"])`` needs clusters and genes in
one AnnData. So what is known of the cells is written to each modality for its own cells too.

What is written is noted as a path in ``mdata.uns[key_added]["result_paths"]``. A later model removes or replaces what
is noted there, and nothing else: a column of the user's that only has such a name stays, or is given another one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import BEFORE, PARAMS, RESULT_PATHS, TABLES, UMAP, Keys, copied_column
from scmoe._log import logger
from scmoe.io._uns import to_uns

OBS, OBSM, LAYERS, UNS = "obs", "obsm", "layers", "uns"
Rows = TypeVar("Rows", np.ndarray, pd.DataFrame)


def write_obs(mdata: MuData, key: str, columns: Mapping[str, Any]) -> None:
    """Write columns over all cells to ``mdata.obs``, and to ``obs`` of each modality for its cells.

    A category that none of a modality's cells has is none there: scanpy's tests fail on groups without cells.
    """
    for name in columns:
        _make_room(mdata, key, f"{OBS}/{name}")
    drop_columns(mdata, columns)
    for name, values in columns.items():
        mdata.obs[name] = values
        for adata, rows in _modalities(mdata):
            own = mdata.obs[name].array[rows]
            adata.obs[name] = own.remove_unused_categories() if isinstance(own, pd.Categorical) else own
    note_results(mdata, key, [f"{OBS}/{name}" for name in columns])


def write_obsm(mdata: MuData, key: str, name: str, values: np.ndarray | pd.DataFrame) -> None:
    """Write an array or frame over all cells to ``mdata.obsm``, and to ``obsm`` of each modality for its cells."""
    _make_room(mdata, key, f"{OBSM}/{name}")
    put_obsm(mdata, name, values)
    note_results(mdata, key, [f"{OBSM}/{name}"])


def put_obsm(mdata: MuData, name: str, values: np.ndarray | pd.DataFrame) -> None:
    """As `write_obsm`, of what is nobody's in particular: a later model does not remove it."""
    mdata.obsm[name] = values
    for modality, adata in mdata.mod.items():
        adata.obsm[name] = rows_of(mdata, modality, values)


def rows_of(mdata: MuData, modality: str, values: Rows) -> Rows:
    """The rows of an array or frame over all cells that belong to a modality's cells, in its order.

    Of an array without a copy, which may be large, where these are all rows in order.
    """
    rows = mdata.obs_names.get_indexer(mdata.mod[modality].obs_names)
    if isinstance(values, pd.DataFrame):
        return values.iloc[rows]
    return values if np.array_equal(rows, np.arange(len(values))) else values[rows]


def write_to_modality(mdata: MuData, key: str, path: str, values: np.ndarray) -> None:
    """Write an array over a modality's cells to its ``obsm`` or ``layers``, as in ``"rna/layers/scmoe_denoised"``."""
    modality, part, name = path.split("/")
    _make_room(mdata, key, path)
    getattr(mdata.mod[modality], part)[name] = values
    note_results(mdata, key, [path])


def write_frame(mdata: MuData, key: str, name: str, frame: pd.DataFrame) -> None:
    """Write a frame over all cells to ``mdata.obsm`` alone."""
    _make_room(mdata, key, f"{OBSM}/{name}", own=True)
    mdata.obsm[name] = frame
    note_results(mdata, key, [f"{OBSM}/{name}"])


def write_uns(data: MuData | AnnData, key: str, **entries: object) -> None:
    """Add entries to ``uns[key]``, in a form that both h5mu and zarr can hold."""
    # Noted first: a table without a note is one of a version that wrote none.
    note_results(data, key, [f"{UNS}/{name}" for name in entries])
    data.uns[key] = {**data.uns[key], **{name: to_uns(value) for name, value in entries.items()}}


def write_modality_uns(mdata: MuData, key: str, modality: str, name: str, entry: Mapping[str, Any]) -> None:
    """Write an entry to ``uns`` of a modality, as it is."""
    path = f"{modality}/{UNS}/{name}"
    if path not in result_paths(mdata, key):
        move_aside(modality, mdata.mod[modality].uns, UNS, name)
    mdata.mod[modality].uns[name] = entry
    note_results(mdata, key, [path])


def drop_table(data: MuData | AnnData, key: str, name: str) -> None:
    """Remove an entry of ``uns[key]`` that an earlier call wrote and the next one may not."""
    path = f"{UNS}/{name}"
    if path in noted_paths(data, key):
        remainder = [each for each in noted_paths(data, key) if each != path]
        entries = {entry: value for entry, value in data.uns[key].items() if entry != name}
        data.uns[key] = {**entries, RESULT_PATHS: to_uns(remainder)}


def note_results(data: MuData | AnnData, key: str, paths: Iterable[str]) -> None:
    """Write down what a model wrote."""
    known = sorted({*result_paths(data, key), *paths})
    data.uns[key] = {**data.uns.get(key, {}), RESULT_PATHS: to_uns(known)}


def noted_paths(data: MuData | AnnData, key: str) -> list[str]:
    """What is noted as written under a name; joining data drops the note."""
    root = data.uns.get(key)
    paths = root.get(RESULT_PATHS, ()) if isinstance(root, Mapping) else ()
    return [] if isinstance(paths, str | Mapping) else [str(path) for path in paths]


def result_paths(data: MuData | AnnData, key: str) -> list[str]:
    """What models have written under a name, as far as it is known.

    Versions of scmoe before the note left their tables alone: then all that has the name of a result is one.
    """
    root = data.uns.get(key)
    if not isinstance(root, Mapping) or RESULT_PATHS in root or isinstance(data, AnnData):
        return noted_paths(data, key)
    tables = [name for name in TABLES if isinstance(root.get(name), Mapping | pd.DataFrame)]
    if not set(tables) - {PARAMS}:  # which scanpy has too
        return []
    return [*Keys(name=key).of_cells(data.mod), *(f"{UNS}/{name}" for name in tables)]


def _make_room(mdata: MuData, key: str, path: str, *, own: bool = False) -> None:
    """Give what is at a path, and is not known to be a result, another name; of modalities too, unless `own` is set."""
    if path in result_paths(mdata, key):
        return
    *owner, part, name = path.split("/")
    owners = owner or ([""] if own else ["", *mdata.mod])
    for each in owners:
        move_aside(each, getattr(mdata.mod[each] if each else mdata, part), part, name)


def move_aside(modality: str, table: Any, part: str, name: str) -> None:
    """Rename a column or array to ``{name}_before``, or with a number behind it, if it is there; the log says so."""
    if name not in table:
        return
    free = next(each for each in (f"{name}{BEFORE}{i if i > 1 else ''}" for i in count(1)) if each not in table)
    table[free] = table[name]
    del table[name]
    where = f"mdata[{modality!r}]" if modality else "mdata"
    logger.info("%s.%s[%r] was there before and is now called %r; a result takes its place", where, part, name, free)


def drop_columns(mdata: MuData, names: Iterable[str]) -> None:
    """Take columns out of ``obs`` of the MuData and its modalities, as far as they are there.

    ``mdata.update()`` of mudata before 0.4 copies ``scmoe_cluster`` of a modality to ``rna:scmoe_cluster`` of
    ``mdata.obs``; such copies go too, for they would be stale.
    """
    names = list(names)
    for data in (mdata, *mdata.mod.values()):
        for name in (*names, *copied_columns(mdata, names)):
            if name in data.obs:
                del data.obs[name]


def copied_columns(mdata: MuData, names: Iterable[str]) -> list[str]:
    """What mudata calls copies of columns of the modalities."""
    return [copied_column(modality, name) for modality in mdata.mod for name in names]


def drop_results(mdata: MuData, key: str, paths: Collection[str] = ()) -> None:
    """Remove what an earlier model wrote under this name, so that nothing stale stands beside the new results.

    Parameters
    ----------
    mdata
        The data.
    key
        The ``key_added``.
    paths
        What will be written next. The log names what else looks like a result and stays.
    """
    keys, known = Keys(name=key), result_paths(mdata, key)
    for path in known:
        *owner, part, name = path.split("/")
        if part == OBS:
            drop_columns(mdata, [name])
        elif part in (OBSM, LAYERS):
            _drop_array(mdata, path, keys)
        elif part == UNS and owner and owner[0] in mdata.mod:
            mdata.mod[owner[0]].uns.pop(name, None)
    if known:
        entries = {RESULT_PATHS, *(path.removeprefix(f"{UNS}/") for path in known if path.startswith(f"{UNS}/"))}
        remainder = {name: value for name, value in mdata.uns.pop(key).items() if name not in entries}
        if remainder:
            mdata.uns[key] = remainder
    report_others(mdata, keys.of_cells([]), paths)


def drop_arrays(mdata: MuData, key: str, paths: Iterable[str]) -> None:
    """Remove arrays that an earlier call wrote under this name and the next one does not."""
    known = set(paths) & set(noted_paths(mdata, key))
    for path in known:
        _drop_array(mdata, path, Keys(name=key))
    if known:
        remainder = sorted(set(noted_paths(mdata, key)) - known)
        mdata.uns[key] = {**mdata.uns[key], RESULT_PATHS: to_uns(remainder)}


def _drop_array(mdata: MuData, path: str, keys: Keys) -> None:
    *owner, part, name = path.split("/")
    for data in [mdata.mod[each] for each in owner if each in mdata.mod] if owner else [mdata, *mdata.mod.values()]:
        arrays = getattr(data, part)
        value = arrays.pop(name, None)
        if name == keys.umap and value is not None and is_same_array(arrays.get(UMAP), value):
            del arrays[UMAP]


def is_same_array(first: Any, second: Any) -> bool:
    """Whether two entries are arrays with the same values."""
    if not all(isinstance(each, np.ndarray) and each.dtype.kind in "biuf" for each in (first, second)):
        return False
    return np.array_equal(first, second, equal_nan=True)


def report_others(mdata: MuData, expected: Iterable[str], paths: Collection[str]) -> None:
    """Say what is where results are expected, after known ones were removed, and will not be written."""
    others = [path.split("/") for path in expected if path not in paths]
    stays = [f"{part}[{name!r}]" for part, name in others if name in getattr(mdata, part)]
    if stays:
        logger.warning(
            "%s: there before, not known to be written by scmoe, and left as it is; remove it if it is of an earlier "
            "model",
            ", ".join(stays),
        )


def _modalities(mdata: MuData) -> Iterator[tuple[AnnData, NDArray[np.integer]]]:
    """Each modality with the positions of its cells in the MuData."""
    for adata in mdata.mod.values():
        yield adata, mdata.obs_names.get_indexer(adata.obs_names)
