"""Reading what `scmoe.tl` stored."""

from collections.abc import Iterable, Mapping

import pandas as pd
from mudata import MuData

from scmoe.explain._groups import ALL_CELLS


def stored_table(mdata: MuData, key: str, name: str, function: str, argument: str = "") -> pd.DataFrame:
    """The frame ``mdata.uns[key][name]``, which `function`, called with `argument`, writes.

    Raises
    ------
    KeyError
        If it is not there; says which function writes it.
    """
    results = mdata.uns.get(key)
    if not isinstance(results, Mapping) or name not in results:
        given = f"{argument}, " if argument else ""
        raise KeyError(
            f"mdata.uns[{key!r}][{name!r}] does not exist; run {function}(..., {given}key_added={key!r}) first."
        )
    return pd.DataFrame(results[name])


def at_layer(table: pd.DataFrame, layer: int) -> pd.DataFrame:
    """Rows of one layer; negative numbers count from the last.

    Raises
    ------
    KeyError
        If the table has no such layer.
    """
    layers = sorted(table["layer"].astype(int).unique())
    if not -len(layers) <= layer < len(layers):
        raise KeyError(f"There is no layer {layer}; the table has {len(layers)} layers, counted from 0.")
    return table[table["layer"].astype(int) == layers[layer]]


def of_group(table: pd.DataFrame, group: str) -> pd.DataFrame:
    """Rows of one group of cells.

    Raises
    ------
    KeyError
        If the table has no such group.
    """
    groups = table["group"].astype(str)
    check_in_table("group", [group], groups.unique())
    return table[groups == group]


def group_suffix(group: str) -> str:
    """What a title says of the group of cells: nothing of all cells."""
    return "" if group == ALL_CELLS else f", {group}"


def check_in_table(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise KeyError unless a table has all `names`, which are of a kind such as ``"target"``."""
    known = list(known)
    for name in names:
        if name not in known:
            raise KeyError(f"There is no {kind} {name!r}; the table has {', '.join(known)}.")
