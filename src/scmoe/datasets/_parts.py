"""Training, validation and test cells, as a column of obs says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe._keys import GROUP_KEY, PARTS, SPLIT, UNS_ROOT
from scmoe.datasets._categories import category_names
from scmoe.datasets._cells import all_obs, column_of

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Positions of training, validation and test cells."""


def parts_of(data: AnnData | MuData, split_key: str) -> Parts:
    """Positions of the training, validation and test cells that a column of ``obs`` names.

    Raises
    ------
    TypeError
        `split_key` is not the name of a column.
    KeyError
        There is no such column.
    ValueError
        A cell is in no part or an unknown one, all cells are in one part, none is a training cell, or a group that
        `scmoe.pp.split` kept together by `group_key` is in two parts.
    """
    column = column_of(data, split_key, "split_key")
    expected = f"{', '.join(map(repr, PARTS[:-1]))} or {PARTS[-1]!r}, as scmoe.pp.split writes them"
    wrong = ~column.isin(PARTS).to_numpy()
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(
            f"obs[{split_key!r}] must say for each cell {expected}; found {column.iloc[i]!r} in cell "
            f"{data.obs_names[i]!r}. Rename the values, or name another column in split_key=."
        )
    train, validation, test = (np.flatnonzero(column == part) for part in PARTS)
    if not len(train):
        raise ValueError(f"obs[{split_key!r}] has no cell called 'train': there is none to learn from.")
    if len(train) == len(column):
        raise ValueError(
            f"obs[{split_key!r}] has one part, 'train'; expected {expected}, of which two at least. To learn from all "
            "cells, leave split_key out and pass train_size=1."
        )
    _check_groups(data, split_key, column)
    return train, validation, test


def _check_groups(data: AnnData | MuData, split_key: str, column: pd.Series) -> None:
    """Raise if cells of one donor, by which the cells were divided, are in two parts."""
    group_key, obs = recorded_group(data, split_key), all_obs(data)
    if group_key is None or group_key not in obs:
        return
    parts = column.groupby(category_names(obs[group_key])).unique()
    apart = parts[parts.map(len) > 1]
    if len(apart):
        others = f", and {len(apart) - 1} more in several" if len(apart) > 1 else ""
        raise ValueError(
            f"obs[{split_key!r}] was made by obs[{group_key!r}], none of which may be in two parts; found "
            f"{apart.index[0]!r} in {' and '.join(map(repr, apart.iloc[0]))}{others}. Split again "
            f"with scmoe.pp.split(group_key={group_key!r}), or without group_key= if this is meant."
        )


def record_split(data: AnnData | MuData, key_added: str, group_key: str | None) -> None:
    """Write down by which column the cells were divided, if by one."""
    root = data.uns.get(UNS_ROOT, {})
    if not isinstance(root, Mapping):
        return  # what a user keeps under this name stays
    former = root.get(SPLIT, {})
    if not isinstance(former, Mapping):
        return
    records: dict[str, Any] = {key: entry for key, entry in former.items() if key != key_added}
    if group_key is not None:
        records[key_added] = {GROUP_KEY: group_key}
    rest = {key: entry for key, entry in root.items() if key != SPLIT}
    if records or rest:
        data.uns[UNS_ROOT] = rest | ({SPLIT: records} if records else {})
    else:
        data.uns.pop(UNS_ROOT, None)


def recorded_group(data: AnnData | MuData, split_key: str) -> str | None:
    """The column by which `scmoe.pp.split` divided the cells; None: by none, or it is not known."""
    entry: Any = data.uns
    for key in (UNS_ROOT, SPLIT, split_key, GROUP_KEY):
        entry = entry.get(key) if isinstance(entry, Mapping) else None
    return None if entry is None else str(entry)
