"""Reading what `scmoe.tl` stored."""

from collections.abc import Mapping

import pandas as pd
from mudata import MuData


def stored_table(mdata: MuData, key: str, name: str, function: str) -> pd.DataFrame:
    """The frame ``mdata.uns[key][name]``.

    Raises
    ------
    KeyError
        If it is not there; says which function writes it.
    """
    results = mdata.uns.get(key)
    if not isinstance(results, Mapping) or name not in results:
        raise KeyError(f"mdata.uns[{key!r}][{name!r}] does not exist; run {function}(..., key_added={key!r}) first.")
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


def one_of(value: str, options: tuple[str, ...], argument: str) -> None:
    """Raise ValueError unless `value` is one of `options`."""
    if value not in options:
        raise ValueError(f"{argument} must be one of {', '.join(map(repr, options))}; found {value!r}.")
