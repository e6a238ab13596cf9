"""Checks of the input, each with a message that says what was expected, what was found and what to do."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe._keys import RESULT_PATHS

SAMPLE = re.compile("sample|donor|patient|subject|individual|batch|lane|librar|orig.?ident", re.IGNORECASE)
"""Columns of ``obs`` that are likely to say where a cell comes from."""


def check_mdata(mdata: Any, modalities: Sequence[str] | None = None) -> list[str]:
    """Check that the cells and modalities of a MuData can be used.

    Parameters
    ----------
    mdata
        The object to check; nothing is written to it.
    modalities
        Names of the modalities; all of them by default.

    Returns
    -------
    list of str
        The names of the modalities to use, in the order asked for.

    Raises
    ------
    TypeError
        `mdata` is not a MuData of AnnData objects.
    KeyError
        A modality asked for does not exist.
    ValueError
        There is no modality or no cell; a modality is empty, or its name holds ``.`` or ``/``; a cell or feature name
        occurs twice in a modality; a cell is in none of the modalities; a table of ``obsm`` has other rows than cells.
    """
    if isinstance(mdata, AnnData):
        raise TypeError("Expected a MuData, found an AnnData. Make one: scmoe.datasets.from_anndata(adata).")
    if not isinstance(mdata, MuData):
        raise TypeError(f"Expected a MuData, found {type(mdata).__name__}. Read one with scmoe.datasets.read(path).")
    if mdata.axis != 0:
        raise ValueError(f"Expected modalities that share cells (MuData axis 0), found axis {mdata.axis}.")
    names = choose_modalities(mdata, modalities)
    if mdata.n_obs == 0:
        raise ValueError("Expected at least one cell, found a MuData without cells. Check the filter applied before.")
    check_tables(mdata)
    for name in names:
        _check_modality(mdata, name)
    _check_membership(mdata, names)
    return names


def choose_modalities(mdata: MuData, modalities: str | Sequence[str] | None) -> list[str]:
    """Names of the modalities asked for, all for None; an error if one of them does not exist."""
    present = list(mdata.mod)
    if not present:
        raise ValueError('Expected at least one modality, found none. Build the MuData as MuData({"rna": adata}).')
    if modalities is None:
        return present
    names = [modalities] if isinstance(modalities, str) else list(modalities)
    if not names:
        raise ValueError(f"Expected at least one modality in modalities, found none. Choose from {present}.")
    for name in names:
        if name not in mdata.mod:
            raise missing_modality(name, "The MuData", features_of(mdata))
        if names.count(name) > 1:
            raise ValueError(f"Modality {name!r} is asked for twice in {names}. Name it once.")
    return names


def features_of(mdata: MuData) -> dict[str, pd.Index]:
    """Names of the features of each modality."""
    return {name: adata.var_names for name, adata in mdata.mod.items()}


def missing_modality(name: str, owner: str, features: Mapping[str, Collection[str]]) -> KeyError:
    """The error for a modality that there is not; a feature of that name is said to be one.

    Parameters
    ----------
    name
        What was asked for.
    owner
        What has no such modality: ``"The MuData"``.
    features
        Names of the features of its modalities.
    """
    homes = [modality for modality, names in features.items() if name in names]
    hint = f" {name!r} is a feature of {homes[0]!r}: name the modality, and take the feature from it." if homes else ""
    return KeyError(f"{owner} has no modality {name!r}; it has {', '.join(features) or 'none'}.{hint}")


def _check_modality(mdata: MuData, name: str) -> None:
    adata = mdata.mod[name]
    if not isinstance(adata, AnnData):
        raise TypeError(f"Expected mdata[{name!r}] to be an AnnData, found {type(adata).__name__}.")
    if "." in name or "/" in name:
        raise ValueError(
            f"The modality name {name!r} holds '.' or '/', which cannot be stored. Rename the modality, "
            f"e.g. to {name.replace('.', '_').replace('/', '_')!r}."
        )
    for axis, size in (("cell", adata.n_obs), ("feature", adata.n_vars)):
        if size == 0:
            raise ValueError(
                f"mdata[{name!r}] has no {axis}s. Remove the modality, or check the filter applied before."
            )
    if not adata.obs_names.is_unique:
        raise ValueError(repeated_cells(name, adata))
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()][0]
        raise ValueError(
            f"mdata[{name!r}] has the feature name {repeated!r} more than once. "
            f"Call mdata[{name!r}].var_names_make_unique() and then mdata.update()."
        )


def check_tables(data: AnnData | MuData, owner: str | None = None) -> None:
    """Raise for a table of ``obsm`` that was sorted or cut in its place: the libraries take it for one of all cells.

    `owner` is what messages call the data; None: as they are called in general.
    """
    owner = owner or ("mdata" if isinstance(data, MuData) else "adata")
    text = f"must have the cells of {owner} as rows, in their order; it was sorted or cut since it was put there."
    try:
        tables = {key: value for key, value in data.obsm.items() if isinstance(value, pd.DataFrame)}
    except ValueError as error:  # anndata before 0.13 notices at the next access, and lets nobody at the table any more
        raise ValueError(f"A table in {owner}.obsm {text} Make it anew: {owner}.obsm = {{}}.") from error
    for key, table in tables.items():
        if not table.index.equals(data.obs_names):
            place = f"{owner}.obsm[{key!r}]"
            raise ValueError(f"{place} {text} Bring it back: {place} = {place}.loc[{owner}.obs_names].")
    for name, adata in data.mod.items() if isinstance(data, MuData) else ():
        check_tables(adata, f"{owner}[{name!r}]")


def check_free(data: AnnData | MuData, *names: str) -> None:
    """Raise if ``data.uns[name]``, or an entry of it that later names lead to, holds what nothing can be added to."""
    entry, place = data.uns, f"{'adata' if isinstance(data, AnnData) else 'mdata'}.uns"
    for name in names:
        entry, place = entry.get(name, {}), f"{place}[{name!r}]"
        if not isinstance(entry, Mapping):
            raise ValueError(
                f"{place} must be free for results; found a {type(entry).__name__}. Rename it, or choose another name."
            )


def check_results_there(mdata: MuData, key: str) -> None:
    """Raise unless a model wrote results under this name; names those that are there."""
    results = mdata.uns.get(key)
    if isinstance(results, Mapping) and RESULT_PATHS in results:
        return
    others = [name for name, value in mdata.uns.items() if isinstance(value, Mapping) and RESULT_PATHS in value]
    there = (
        f"There are results under {', '.join(map(repr, others))}: pass key={others[0]!r}."
        if others
        else (
            "Train first: scmoe.tl.train(mdata), or on the command line scmoe train FILE -o FOLDER, whose result.h5mu "
            "has results."
        )
    )
    raise KeyError(f"These data hold no results of scmoe under the name {key!r}. {there}")


def repeated_cells(name: str, adata: AnnData) -> str:
    """What to do about cells of one name: numbering them apart in each modality would pair those of other samples."""
    repeated = adata.obs_names[adata.obs_names.duplicated()]
    text = f"mdata[{name!r}] has the cell name {repeated[0]!r} more than once, so it cannot be paired by name."
    same = adata.obs[adata.obs_names == repeated[0]]
    # A column tells them apart if it does so for one name; which are looked at all once it is used.
    telling = [str(key) for key in same if not isinstance(same[key], pd.DataFrame) and same[key].astype(str).is_unique]
    column = next((key for key in telling if SAMPLE.search(key)), "sample")
    return (
        f"{text} Samples share barcodes: put the sample before each name in every modality before joining them, "
        f'mdata[{name!r}].obs_names = mdata[{name!r}].obs["{column}"].astype(str) + "_" + mdata[{name!r}].obs_names, '
        "and then mdata = mudata.MuData(dict(mdata.mod)). If one cell is there twice, remove one. Numbering the names "
        "(-1, -2) would pair cells of different samples."
    )


def _check_membership(mdata: MuData, names: list[str]) -> None:
    in_any = np.zeros(mdata.n_obs, dtype=bool)
    for name in names:
        position = mdata.obs_names.get_indexer(mdata.mod[name].obs_names)
        if (position < 0).any():
            cell = mdata.mod[name].obs_names[int(np.argmax(position < 0))]
            raise ValueError(f"Cell {cell!r} of mdata[{name!r}] is not in mdata.obs. Call mdata.update() first.")
        in_any[position] = True
    if not in_any.all():
        cell = mdata.obs_names[int(np.argmin(in_any))]
        raise ValueError(
            f"{int((~in_any).sum())} cells are in none of the modalities {names}, the first is {cell!r}. "
            "Remove them, or use more modalities."
        )


def layer_names(adata: AnnData) -> list[str]:
    """Names of the layers; anndata 0.13 keeps ``X`` among them, under the key None."""
    return [name for name in adata.layers if name is not None]
