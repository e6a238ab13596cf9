"""Some cells of an AnnData or MuData, and what is known of them: shared by what draws cells."""

import copy
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scmoe._check import check_mdata, check_tables
from scmoe._keys import COPY_OF, MIXED_WITH, PARTS, UNKNOWN_LABEL
from scmoe._matrix import NOT_LOADED
from scmoe.datasets._categories import category_names, report_unlabeled
from scmoe.io._plain import is_text
from scmoe.io._quiet import quiet_mudata

Data = TypeVar("Data", AnnData, MuData)
ONLY = "adata"
"""What messages call an AnnData that is no modality."""


def check_cells(data: Any) -> None:
    """Refuse what is neither an AnnData nor a MuData in memory, with cells whose names differ."""
    if not isinstance(data, AnnData):
        check_mdata(data)
    elif data.n_obs == 0 or not data.obs_names.is_unique:
        problem = f"twice {data.obs_names[data.obs_names.duplicated()][0]!r}" if data.n_obs else "no cell"
        raise ValueError(f"Expected cells with names that differ; found {problem}. Call adata.obs_names_make_unique().")
    else:
        check_tables(data)
    if data.isbacked:
        raise ValueError(f"The data are backed by a file. {NOT_LOADED}")


def modalities_of(data: AnnData | MuData) -> dict[str, AnnData]:
    """The modalities by name; an AnnData is one."""
    return {ONLY: data} if isinstance(data, AnnData) else dict(data.mod.items())


def column_of(data: AnnData | MuData, key: str, argument: str) -> pd.Series:
    """A column of ``obs`` as text, without missing entries."""
    column = raw_column(data, key, argument)
    if column.isna().any():
        raise ValueError(
            f"{_obs(data)}[{key!r}] must have an entry for every cell; {int(column.isna().sum())} cells have none, the "
            f"first is {data.obs_names[int(column.isna().argmax())]!r}. Fill them, or leave these cells out."
        )
    return category_names(column)


def labels_of(data: AnnData | MuData, key: str) -> pd.Series:
    """Labels in a column of ``obs`` as text, `UNKNOWN_LABEL` where a cell has none; the log says how many."""
    column = raw_column(data, key, "labels_key")
    report_unlabeled(column)
    return category_names(column).fillna(UNKNOWN_LABEL)


def raw_column(data: AnnData | MuData, key: str, argument: str) -> pd.Series:
    """A column of ``obs`` as it is; an error that says where it is, if it is elsewhere."""
    if not isinstance(key, str):
        raise TypeError(f"{argument} must be the name of one column of {_obs(data)}; found {key!r}.")
    if key not in data.obs:
        names = ", ".join(map(str, data.obs)) or "none"
        raise KeyError(f"{argument}={key!r} is not a column of {_obs(data)}; found {names}.{modality_hint(data, key)}")
    return pd.Series(data.obs[key])


def _obs(data: AnnData | MuData) -> str:
    return "mdata.obs" if isinstance(data, MuData) else "adata.obs"


def owners_of(data: AnnData | MuData, key: str) -> list[str]:
    """The modalities of a MuData whose own ``obs`` has a column."""
    return [name for name, adata in data.mod.items() if key in adata.obs] if isinstance(data, MuData) else []


def modality_hint(data: AnnData | MuData, key: str) -> str:
    """What to run where a column is in the table of a modality only."""
    owners = owners_of(data, key)
    if not owners:
        return ""
    # Not pull_obs, which puts the modality's name before that of the column. Cells are aligned by name.
    return f" mdata[{owners[0]!r}].obs has it: mdata.obs[{key!r}] = mdata[{owners[0]!r}].obs[{key!r}]."


def all_obs(data: AnnData | MuData) -> pd.DataFrame:
    """``obs``, and of a MuData the columns that only a modality has, named as in ``"rna:split"``.

    mudata before 0.4 copies the columns of modalities to ``mdata.obs``; later versions do not. Where cells come from is
    known by its own name, whichever table says it.
    """
    if isinstance(data, AnnData):
        return data.obs
    columns = {key: data.obs[key] for key in data.obs}
    for name, adata in data.mod.items():
        for key in adata.obs:
            if key not in columns and f"{name}:{key}" not in columns:
                columns[f"{name}:{key}"] = adata.obs[key].reindex(data.obs_names)
    for key in (COPY_OF, MIXED_WITH):
        owner = next((each for each in columns if str(each).endswith(f":{key}")), None)
        if owner is not None:
            columns.setdefault(key, columns[owner])
    return pd.DataFrame(columns, index=data.obs_names)


def split_columns(obs: pd.DataFrame) -> list[str]:
    """Columns that divide the cells as `scmoe.pp.split` does, whatever their names.

    They hold cells of several parts, and of nothing else. Any kind of text counts; cells without an entry are in no
    part.
    """
    texts = [key for key in obs if isinstance(obs[key].dtype, pd.CategoricalDtype) or is_text(obs[key])]
    entries = {key: set(obs[key].dropna().unique()) for key in texts}
    return [key for key, values in entries.items() if len(values) > 1 and values <= set(PARTS)]


def origins(obs: pd.DataFrame, key: str = COPY_OF) -> NDArray[np.object_]:
    """For each cell the measured cell that it comes from: itself, if nothing else is known.

    A cell without an entry, as after a join with cells that were never copied, comes from no other.
    """
    names = obs.index.to_series().astype(object)
    if key not in obs:
        return names.to_numpy()
    return np.asarray(obs[key].astype(object).where(obs[key].notna(), names), dtype=object)


def class_sizes(labels: pd.Series) -> pd.Series:
    """Cells of each label, largest first and then by name; `UNKNOWN_LABEL` is none."""
    sizes = labels[labels != UNKNOWN_LABEL].value_counts()
    if sizes.empty:
        raise ValueError(f"No cell has a label in {labels.name!r}. Name the column with the labels in labels_key=.")
    return sizes.sort_index().sort_values(ascending=False, kind="stable")


def take(data: Data, cells: NDArray[np.integer], names: pd.Index | None = None) -> Data:
    """A copy of some cells, in this order, where a cell may be taken several times.

    Parameters
    ----------
    data
        Its ``uns`` and what describes features are kept whole.
    cells
        Positions in ``data.obs``.
    names
        Of the cells, all different; their own if None.
    """
    names = data.obs_names[cells] if names is None else names
    parts = {}
    for modality, adata in modalities_of(data).items():
        position = adata.obs_names.get_indexer(data.obs_names[cells])
        with warnings.catch_warnings():  # a cell that is taken twice has its own name only after this
            warnings.filterwarnings("ignore", message="Observation names are not unique")
            parts[modality] = adata[position[position >= 0]].copy()
        parts[modality].obs_names = names[position >= 0]
    out = assemble(data, parts, cells, names)
    if isinstance(data, MuData):
        for key, value in data.obsm.items():
            if key not in data.mod:
                is_frame = isinstance(value, pd.DataFrame)
                out.obsm[key] = value.iloc[cells].set_axis(names) if is_frame else value[cells]
        for key, value in data.obsp.items():
            out.obsp[key] = value[cells][:, cells]
    return out


def assemble(data: Data, parts: Mapping[str, AnnData], cells: NDArray[np.integer], names: pd.Index) -> Data:
    """Put modalities together as those of `data` are, and give each cell the ``obs`` of the one that it comes from."""
    if isinstance(data, AnnData):
        return parts[ONLY]
    with quiet_mudata():
        out = MuData(dict(parts))
        if not out.obs_names.equals(names):
            out = out[names].copy()
        obs = data.obs.iloc[cells].set_axis(names)
        for key in obs.select_dtypes("category"):
            obs[key] = obs[key].cat.remove_unused_categories()
        out.obs = obs
        if out.var_names.equals(data.var_names):  # not so if features were chosen without an update
            out.var = data.var.copy()
    out.uns = copy.deepcopy(dict(data.uns))
    return out
