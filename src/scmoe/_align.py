"""Arguments with an entry for each cell or feature: brought into the order of the data by name, or refused."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Indices: TypeAlias = Sequence[int] | Sequence[str] | Sequence[bool] | NDArray[Any] | pd.Series | pd.Index
"""Which cells: positions (negative ones count from the end), names, or a mask over all cells."""
Positions = NDArray[np.intp]


def in_order_of(values: Any, names: pd.Index, argument: str, entries: str = "cells", *, axis: int = 0) -> Any:
    """Values whose entries have the order of `names`.

    Parameters
    ----------
    values
        A Series or DataFrame is brought into this order by its index (columns, for ``axis=1``), which may have other
        entries besides. An index that is numbered from 0 names nothing and goes by position, as do arrays.
    names
        Of all cells or features.
    argument, entries
        What messages call the values, and `names`.
    axis
        Along which the entries are.

    Returns
    -------
    As `values`. How many entries there are is not looked at where they have no names.

    Raises
    ------
    ValueError
        Names are missing, occur twice, or cannot be told from positions.
    """
    index = _index(values, axis)
    if index is None:
        return values
    if index.equals(names):
        return values
    if not is_numbered(index):
        return values.take(_places(index, names, argument, entries), axis=axis)
    if len(index) == len(names) and names.isin(index).all():
        raise ValueError(
            f"{argument} is numbered from 0, and the same numbers in another order are the names of the {entries}: it "
            f"could be meant by position or by name. Pass arrays in one order, or give the {entries} their names."
        )
    return values


def in_one_order(tables: Mapping[str, Any], entries: str = "cells", *, axis: int = 0) -> list[Any]:
    """Several arguments about the same cells or features, all in the order of the first one that names them.

    Parameters
    ----------
    tables
        By the name of the argument, as `in_order_of` takes them, or None.
    entries, axis
        As in `in_order_of`.

    Raises
    ------
    ValueError
        Two of them name other cells or features, or one of several twice.
    """
    indices = {argument: _index(table, axis) for argument, table in tables.items()}
    named = {argument: index for argument, index in indices.items() if index is not None and not is_numbered(index)}
    if not named:
        return list(tables.values())
    first, names = next(iter(named.items()))
    for argument, index in named.items():
        if len(foreign := index.difference(names, sort=False)):
            raise ValueError(
                f"{first} and {argument} must be of the same {entries}; {foreign[0]!r} of {argument} is not in "
                f"{first}. Choose the {entries} that both have, or pass arrays to compare them by position."
            )
    return [in_order_of(table, names, argument, entries, axis=axis) for argument, table in tables.items()]


def mask_of(values: ArrayLike | pd.Series, names: pd.Index, argument: str, entries: str = "cells") -> NDArray[np.bool_]:
    """A mask over all cells, or other entries, brought into their order.

    Raises
    ------
    ValueError
        It is not True or False for each of the cells.
    """
    mask = plain(in_order_of(values, names, argument, entries))
    if mask.shape != (len(names),) or mask.dtype != bool:
        n_missing = int(pd.isna(mask).sum())
        shown = f"{n_missing} that are missing" if n_missing else f"{mask.dtype} of the shape {mask.shape}"
        raise ValueError(
            f"{argument} must say True or False for each of the {len(names)} {entries}; found {shown}. Compare a "
            "column with a value, as in mdata.obs['donor'] == 'donor1', or look for names: mdata.obs_names.isin(names)."
        )
    return mask


def positions_of(indices: Any, names: pd.Index, argument: str = "indices", entries: str = "cells") -> Positions:
    """Positions of the cells, or other entries, that `Indices` choose, in the order in which these have them.

    Raises
    ------
    TypeError
        They are neither positions nor names nor a mask.
    KeyError
        There is no cell of such a name.
    IndexError
        There is no such position.
    ValueError
        A mask is not one of these cells.
    """
    n, values = len(names), plain(indices)
    if values.dtype == bool or (values.dtype == object and pd.api.types.infer_dtype(values.ravel()) == "boolean"):
        return np.flatnonzero(mask_of(indices, names, argument, entries))
    if values.ndim == 1 and not len(values):
        return np.zeros(0, np.intp)
    if values.ndim == 1 and values.dtype.kind in "iu":
        return _checked_positions(values, n, argument, entries)
    if values.ndim == 1 and pd.api.types.infer_dtype(values) == "string" and not pd.isna(values).any():
        return _places_of_names(values, names, argument, entries)
    found = f"values like {values[0]!r} ({values.dtype})" if values.ndim == 1 else f"the shape {values.shape}"
    found = found if values.ndim else f"a {type(indices).__name__}, which is no list"
    raise TypeError(
        f"{argument} must list positions of {entries} (whole numbers), their names, or True and False for each of the "
        f"{n} {entries}; found {found}."
    )


def plain(values: Any) -> NDArray[Any]:
    """An array of a type of NumPy: pandas has others, and objects, for what may be missing."""
    array = np.asarray(values)
    if array.dtype == object and array.ndim == 1:
        kind = pd.api.types.infer_dtype(array, skipna=False)
        return array.astype({"boolean": bool, "integer": np.int64}.get(kind, object))
    return array


def is_numbered(index: pd.Index) -> bool:
    """Whether an index is what pandas gives to tables without names: 0, 1, 2, ..."""
    return pd.api.types.is_integer_dtype(index.dtype) and index.equals(pd.RangeIndex(len(index)))


def _index(values: Any, axis: int) -> pd.Index | None:
    """What pandas knows of the entries along an axis; None for anything else, which goes by position."""
    if isinstance(values, pd.DataFrame):
        return values.axes[axis]
    return values.index if isinstance(values, pd.Series) and axis == 0 else None


def _places(index: pd.Index, names: pd.Index, argument: str, entries: str) -> Positions:
    """Where each of the names stands in an index."""
    if not index.is_unique:
        raise ValueError(
            f"{argument} has {index[index.duplicated()][0]!r} more than once, so it cannot be brought into the order "
            f"of the {entries}. Leave repeated ones out, or pass an array in that order."
        )
    places = index.get_indexer(names)
    if (places < 0).any():
        n_missing, first = int((places < 0).sum()), names[int((places < 0).argmax())]
        raise ValueError(
            f"{argument} must have an entry for each of the {len(names)} {entries}, by name; it lacks {n_missing}, the "
            f"first is {first!r}; found {_some(index)}. Without names, pass an array in the order of the {entries}."
        )
    return places


def _checked_positions(values: NDArray[np.integer], n: int, argument: str, entries: str) -> Positions:
    if len(values) == n > 2 and values.min() >= 0 and values.max() <= 1:
        raise ValueError(
            f"{argument} holds 0 and 1 only, one for each of the {n} {entries}: as positions, these are the first two "
            f"{entries} again and again. Pass True and False: {argument}.astype(bool)."
        )
    wrong = (values < -n) | (values >= n)
    if wrong.any():
        raise IndexError(
            f"{argument} has the position {values[wrong.argmax()]}; there are {n} {entries}, at 0 to {n - 1}."
        )
    return np.arange(n)[values.astype(np.intp)]


def _places_of_names(values: NDArray[Any], names: pd.Index, argument: str, entries: str) -> Positions:
    if not names.is_unique:
        raise ValueError(
            f"{argument} names {entries}, of which several are called {names[names.duplicated()][0]!r}. Pass positions."
        )
    places = names.get_indexer(pd.Index(values, dtype=object))
    if (places < 0).any():
        raise KeyError(
            f"{argument} names {int((places < 0).sum())} {entries} that are not there, the first is "
            f"{str(values[(places < 0).argmax()])!r}; found {_some(names)}."
        )
    return places


def _some(names: Sequence[Hashable] | pd.Index) -> str:
    return ", ".join(repr(name) for name in names[:3]) + (" and others" if len(names) > 3 else "") or "none"
