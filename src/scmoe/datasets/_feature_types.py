"""Features of several types become modalities of their own."""

import re

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe._log import logger

COLUMN = "feature_types"
"""Column of ``var`` in which 10x Genomics and NeurIPS 2021 say what a feature is."""
MODALITIES = {
    "gene expression": "rna",
    "gex": "rna",
    "antibody capture": "adt",
    "adt": "adt",
    "peaks": "atac",
    "atac": "atac",
    "multiplexing capture": "hto",
    "crispr guide capture": "guides",
    "custom": "custom",
}
"""Names of the modalities by type, in small letters."""
NO_TYPE = ("", "nan", "none", "<na>")
"""What an absent type is written as."""


class FeatureTypeError(ValueError):
    """Some features have a type and others none."""


def modality_name(feature_type: str) -> str:
    """What the modality of a type of features is called."""
    kind = feature_type.strip().lower()
    return MODALITIES.get(kind) or re.sub(r"[^0-9a-z]+", "_", kind).strip("_") or "other"


def split(adata: AnnData, modality: str) -> MuData:
    """Make one modality of each type of feature; without types, all is `modality`.

    ``.raw`` is split alike. The columns of ``obs`` are in ``mdata.obs`` too, for batches and labels belong to the
    cells, not to one modality.

    Raises
    ------
    FeatureTypeError
        Some features have a type and others none.
    """
    names = _modality_names(adata.var)
    if names is None:
        mods = {modality: adata}
    elif names.nunique() == 1:
        mods = {names.iloc[0]: adata}
    else:
        raw = adata.raw.to_adata() if adata.raw is not None else None
        raw_names = None if raw is None else _names_in_raw(raw.var, adata.var, names)
        mods = {}
        for name in names.unique():
            part = adata[:, (names == name).to_numpy()].copy()
            if raw is not None and raw_names is not None:
                part.raw = raw[:, (raw_names == name).to_numpy()].copy()
            mods[name] = part
    mdata = MuData(mods)
    mdata.obs = adata.obs.copy()
    return mdata


def _modality_names(var: pd.DataFrame) -> pd.Series | None:
    """The modality of each feature; None if no feature has a type."""
    if COLUMN not in var:
        return None
    types = var[COLUMN].astype(object).where(var[COLUMN].notna(), "").astype(str)
    has_none = types.str.strip().str.lower().isin(NO_TYPE)
    if has_none.all():
        return None
    if has_none.any():
        features = [repr(str(name)) for name in var.index[has_none.to_numpy()]]
        shown = ", ".join(features[:5]) + (", ..." if len(features) > 5 else "")
        raise FeatureTypeError(
            f"var[{COLUMN!r}] must say of every feature what it is; {len(features)} of {len(var)} have no type: "
            f"{shown}. They may be genes or proteins, so nothing is guessed. In Python, fill the gaps and write the "
            f'file again: adata = anndata.read_h5ad(path); adata.var["{COLUMN}"] = adata.var["{COLUMN}"].astype(object)'
            f'.fillna("Gene Expression"); adata.write_h5ad(path).'
        )
    names = types.map(modality_name)
    _refuse_merged(types, names)
    return names


def _refuse_merged(types: pd.Series, names: pd.Series) -> None:
    """Raise if two types that are not known to be the same would become one modality."""
    spellings = types.str.strip().str.lower().to_numpy()
    table = pd.DataFrame({"type": spellings, "modality": names.to_numpy()})
    unknown = table[~table["type"].isin(list(MODALITIES))].groupby("modality")["type"].unique()
    merged = unknown[unknown.map(len) > 1]
    if len(merged):
        raise FeatureTypeError(
            f"var[{COLUMN!r}] has the types {' and '.join(map(repr, merged.iloc[0]))}, which would both become the "
            f"modality {merged.index[0]!r}. Rename one of them."
        )


def _names_in_raw(raw: pd.DataFrame, var: pd.DataFrame, names: pd.Series) -> pd.Series:
    """The modality of each feature of ``.raw``: by its own type, that of its name, or the most frequent one.

    ``.raw`` often has features that were filtered from ``X``, as are those that vary little.
    """
    if raw.index.equals(var.index):
        return names
    own = _modality_names(raw)
    if own is not None:
        return own
    by_name = names[~names.index.duplicated()].reindex(raw.index)
    return by_name.fillna(names.mode().iloc[0])


def make_features_unique(mdata: MuData) -> None:
    """Give features whose name occurs again in their modality a suffix (-1, -2 ...), and say so.

    Symbols repeat in files of 10x Genomics, and a name must be that of one feature. Names in ``.raw`` change alike if
    they are the same.
    """
    changed = False
    for name, adata in mdata.mod.items():
        repeated = int(adata.var_names.duplicated().sum())
        if not repeated:
            continue
        former = adata.var_names
        adata.var_names_make_unique()
        if adata.raw is not None and adata.raw.var_names.equals(former):
            raw = adata.raw.to_adata()
            raw.var_names = adata.var_names
            adata.raw = raw
        changed = True
        logger.info("%s: %d feature names occurred more than once and got a suffix (-1, -2 ...)", name, repeated)
    if changed:
        features = [feature for adata in mdata.mod.values() for feature in adata.var_names]
        mdata.var = mdata.var.set_axis(features)
