"""The tag or guide of each cell, as a column of ``obs``."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scmoe._check import check_mdata, features_of, missing_modality
from scmoe._keys import COUNTS_LAYER, SET_ASIDE, check_name
from scmoe._log import logger
from scmoe._matrix import check_counts, dense_columns
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.pp._kind import decide_kind

NEGATIVE, DOUBLET, SEVERAL = "Negative", "Doublet", "Several"
TAG_KINDS = ("tags", "guides")
ASSIGNABLE = ("hashtag", "tag", "guide")
"""Reasons in ``var["scmoe_set_aside"]`` of features that say something of a cell."""
MIN_GUIDE_COUNT = 3
"""Molecules of a guide that a cell with it has at least: fewer are ambient."""
MIN_GUIDE_SHARE = 0.8
"""Share of the molecules of all guides that the guide of a cell with one guide has at least."""


@checks_arguments
@takes_anndata
def assign_tags(
    mdata: MuData,
    modality: str | None = None,
    *,
    features: Sequence[str] | None = None,
    key_added: str | None = None,
) -> None:
    """Write which hashtag (or guide) a cell has.

    Hashtags are told apart by HashSolo (Bernstein et al. 2020, `scanpy.external.pp.hashsolo`), a cell with two being a
    doublet of two samples. A guide is that of a cell if it makes up 80 % of the cell's guide molecules, three at least.

    Parameters
    ----------
    mdata
        Data with the counts of the tags.
    modality
        Where these are. None: the only modality, or the only one that `scmoe.pp.prepare` takes for tags or guides.
    features
        Their names. None: those that `scmoe.pp.prepare` set aside as hashtags or guides, or all of a modality that
        holds nothing else.
    key_added
        Name of the column; that of the modality by default.

    Returns
    -------
    None
        Writes ``mdata.obs[key_added]``, categorical: the name of the tag, ``"Negative"`` for cells with none,
        ``"Doublet"`` for cells with two hashtags and ``"Several"`` for cells with several guides; no entry for cells
        that lack the modality. The log says how many there are of each.

    Raises
    ------
    KeyError
        There is no such modality or feature.
    ValueError
        Fewer than two tags are known, their values are no counts, or `key_added` names a column that is there.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.read("sample.h5")  # doctest: +SKIP
    >>> scmoe.pp.assign_tags(mdata, "hto", key_added="sample")  # doctest: +SKIP
    """
    modality = _modality(mdata, modality)
    key = modality if key_added is None else key_added
    check_name(key, "key_added")
    if key in mdata.obs:
        raise ValueError(f"mdata.obs has a column {key!r} already. Choose another key_added, or delete the column.")
    adata = mdata.mod[modality]
    chosen, is_guide = _tags_of(modality, adata, features)
    has_layer = COUNTS_LAYER in adata.layers
    where, matrix = (f"layers['{COUNTS_LAYER}']", adata.layers[COUNTS_LAYER]) if has_layer else ("X", adata.X)
    check_counts(matrix, modality, where, adata.obs_names, adata.var_names)
    columns = adata.var_names.get_indexer(chosen)
    block = dense_columns(matrix, columns)
    tags = _guides(block, chosen) if is_guide else _hashtags(block, chosen)
    column = pd.Series(tags, index=adata.obs_names).reindex(mdata.obs_names)
    mdata.obs[key] = pd.Categorical(column)
    sizes = column.value_counts()
    logger.info("%s: %s", key, ", ".join(f"{name} {n}" for name, n in sizes.items()))


def _modality(mdata: MuData, modality: str | None) -> str:
    """The modality asked for, or the one that there is."""
    names = check_mdata(mdata)
    if modality is None:
        tagged = [name for name in names if decide_kind(name, mdata.mod[name], mdata.mod[name].X).kind in TAG_KINDS]
        if len(tagged or names) != 1:
            raise ValueError(f"Name the modality that holds the tags; the MuData has {', '.join(tagged or names)}.")
        return (tagged or names)[0]
    if modality not in names:
        raise missing_modality(modality, "The MuData", features_of(mdata))
    return modality


def _tags_of(modality: str, adata: AnnData, features: Sequence[str] | None) -> tuple[list[str], bool]:
    """Names of the tags, and whether they are guides."""
    kind = decide_kind(modality, adata, adata.X).kind
    names = adata.var_names.astype(str)
    if features is not None:
        if unknown := [name for name in features if name not in names]:
            raise KeyError(f"mdata[{modality!r}] has no feature {unknown[0]!r}; found {', '.join(names[:5])}, ...")
        chosen, is_guide = list(dict.fromkeys(features)), kind == "guides"
    elif kind in TAG_KINDS:
        chosen, is_guide = list(names), kind == "guides"
    else:
        reason = adata.var[SET_ASIDE].astype(str) if SET_ASIDE in adata.var else pd.Series("", index=adata.var_names)
        chosen = list(names[reason.isin(ASSIGNABLE)])
        is_guide = bool((reason == "guide").any())
    if len(chosen) < 2:
        raise ValueError(
            f"At least two tags are needed to tell cells apart; mdata[{modality!r}] has {len(chosen)} that are known. "
            "Run scmoe.pp.prepare(mdata) first, or name them in features=."
        )
    return chosen, is_guide


def _hashtags(counts: NDArray[np.number], names: list[str]) -> list[str]:
    from scanpy.external.pp import hashsolo  # takes seconds

    keys = [f"tag{i}" for i in range(len(names))]
    cells = AnnData(obs=pd.DataFrame(counts.astype(np.float64), columns=keys).rename(index=str))
    hashsolo(cells, keys, number_of_noise_barcodes=max(len(names) - 2, 1))
    called = dict(zip(keys, names, strict=True)) | {"Negative": NEGATIVE, "Doublet": DOUBLET}
    return [called[str(entry)] for entry in cells.obs["Classification"]]


def _guides(counts: NDArray[np.number], names: list[str]) -> list[str]:
    total, first = counts.sum(1), counts.argmax(1)
    largest = counts.max(1)
    one = (largest >= MIN_GUIDE_COUNT) & (largest >= MIN_GUIDE_SHARE * total)
    return [
        names[guide] if is_one else SEVERAL if n >= MIN_GUIDE_COUNT else NEGATIVE
        for guide, is_one, n in zip(first, one, total, strict=True)
    ]
