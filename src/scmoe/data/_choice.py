"""Which modalities and features of a MuData a model reads."""

from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import HIGHLY_VARIABLE
from scmoe._log import logger
from scmoe.pp._kind import SET_ASIDE_KINDS
from scmoe.pp._records import prepare_records, read_by_models

DEFAULT_VAR = HIGHLY_VARIABLE


def readable_modalities(mdata: MuData) -> list[str]:
    """All modalities but those that `scmoe.pp.prepare` set aside."""
    records = prepare_records(mdata)
    aside = [name for name in mdata.mod if name in records and str(records[name]["kind"]) in SET_ASIDE_KINDS]
    rest = [name for name in mdata.mod if name not in aside]
    if aside and not rest:
        raise ValueError(
            f"All modalities hold what is no biology of the cell: {', '.join(aside)}. Name those to learn from in "
            "modalities=, and prepare them as something else: scmoe.pp.prepare(mdata, kinds={'custom': 'rna'})."
        )
    if aside:
        logger.info("not read: %s (set aside by prepare; modalities= names what to read)", ", ".join(aside))
    return rest


def chosen_features(mdata: MuData, name: str, use_var: str | None) -> list[str]:
    """Features of a modality that a model reads, in the modality's order."""
    adata = mdata.mod[name]
    is_read = read_by_models(adata)
    if use_var is not None and use_var in adata.var:
        is_read &= _marked(adata.var[use_var], name, use_var)
        logger.info("%s: %d of %d features are read (var[%r])", name, int(is_read.sum()), adata.n_vars, use_var)
    if not is_read.any():
        raise ValueError(
            f"No feature of mdata[{name!r}] is left to read: all are set aside or not marked in var[{use_var!r}]. Pass "
            "use_var=None to read all, or leave the modality out with modalities=."
        )
    return list(adata.var_names.astype(str)[is_read])


def _marked(column: pd.Series, name: str, use_var: str) -> np.ndarray:
    """A column of ``var`` as booleans."""
    if column.isna().any() or not set(column.unique()) <= {True, False}:
        raise ValueError(
            f"mdata[{name!r}].var[{use_var!r}] must be True for the features to read and False for the others; found "
            f"{column.dtype} values such as {column.iloc[0]!r}. Make it boolean, or name another column in use_var=."
        )
    return column.to_numpy(dtype=bool)


def check_use_var(mdata: MuData, names: list[str], use_var: Any) -> None:
    """Raise if a column that the user names is in none of the modalities."""
    if use_var is not None and not isinstance(use_var, str):
        raise TypeError(f"use_var must be the name of a column of var, or None for all features; found {use_var!r}.")
    if use_var not in (None, DEFAULT_VAR) and not any(use_var in mdata.mod[name].var for name in names):
        columns = sorted({str(key) for name in names for key in mdata.mod[name].var})
        raise KeyError(
            f"use_var={use_var!r} is not a column of var of any of the modalities {', '.join(names)}; found "
            f"{', '.join(columns) or 'none'}."
        )
