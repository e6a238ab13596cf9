"""From any value to what files can hold under ``uns``."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse


def to_uns(value: Any) -> Any:
    """Convert a value to what both ``.h5mu`` and zarr can store under ``uns``.

    Mapping keys become strings without ``/``. Tuples, sets and lists become arrays, or mappings from ``"0"``, ``"1"``
    ... when they are nested. None, and what is missing in text columns of tables, becomes ``"None"``. Paths,
    enumerations, dates and unknown objects become strings, and tensors arrays. Tables get string names.

    Raises
    ------
    ValueError
        Two keys of a mapping, or two columns of a table, become the same string.
    """
    if isinstance(value, Enum):
        return to_uns(value.value)
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {key: to_uns(item) for key, item in zip(_keys(value), value.values(), strict=True)}
    if isinstance(value, pd.DataFrame):
        return _table_to_uns(value)
    if isinstance(value, (set, frozenset)):
        return to_uns(sorted(value, key=str))
    if isinstance(value, (list, tuple)):
        return _list_to_uns(list(value))
    if hasattr(value, "detach"):  # a tensor; torch is not imported here because it takes seconds
        value = value.detach().cpu()
        return to_uns((value.float() if value.is_floating_point() else value).numpy())
    if isinstance(value, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        return to_uns(np.asarray(value))
    if isinstance(value, np.generic):
        return to_uns(value.item())
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "buifU" else _list_to_uns(list(np.atleast_1d(value)))
    return value if sparse.issparse(value) else str(value)


def _keys(keys: Iterable[Any]) -> list[str]:
    names = [str(key.value if isinstance(key, Enum) else key).replace("/", "_") for key in keys]
    if len(set(names)) < len(names):
        raise ValueError(f"The keys {list(keys)} are not distinct as text, so they cannot be stored.")
    return names


def _list_to_uns(items: list[Any]) -> Any:
    items = [to_uns(item) for item in items]
    if all(isinstance(item, str) for item in items):
        return np.array(items, dtype=str)
    if all(isinstance(item, (bool, int, float)) for item in items):
        return np.array(items)
    if all(isinstance(item, (bool, int, float, str)) for item in items):
        return np.array([str(item) for item in items])
    return {str(position): item for position, item in enumerate(items)}


def _table_to_uns(table: pd.DataFrame) -> pd.DataFrame:
    table = table.copy()
    table.columns = pd.Index(_keys(table.columns))
    table.index = table.index.map(str)
    for name in table.columns:
        if table[name].dtype.kind in "OMm" and not isinstance(table[name].dtype, pd.CategoricalDtype):
            # pandas 3 makes NaN of a None in a column of text, pandas 2 keeps it: both are written alike.
            table[name] = ["None" if pd.isna(item) else str(item) for item in table[name]]
    return table
