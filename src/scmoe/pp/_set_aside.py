"""Features that are no biology of the cell: tags of samples, guides, isotype controls, blank probes, spike-ins."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from scmoe._matrix import Matrix, dense_columns
from scmoe.pp._kind import FEATURE_TYPE_KIND, SET_ASIDE_KINDS

HASHTAG, ISOTYPE, CONTROL, SPIKE_IN = "hashtag", "isotype control", "control probe", "spike-in"
PATTERNS = {
    "protein": {
        HASHTAG: re.compile(r"hash[-_ .]?tag|(^|[^a-z])(hto|cmo|lmo)([^a-z]|$)|sample[-_ .]?tag", re.IGNORECASE),
        ISOTYPE: re.compile(
            r"isotype|(mouse|rat|hamster|rabbit|goat)[-_ .]*ig[gma]"
            r"|ig[gma][-_ .]?\d?[a-c]?[-_ .]*(\w+[-_ .])?(control|ctrl)|^igg(1|2a|2b|2c)([-_ .][a-z]*)?$",
            re.IGNORECASE,
        ),
    },
    "rna": {
        SPIKE_IN: re.compile(r"^ERCC[-_]\d{5}$"),
        CONTROL: re.compile(
            r"^(NegControl|NegPrb|Negative\d*$|SystemControl|BLANK_|Blank-|Unassigned|DeprecatedCodeword)"
        ),
    },
}
"""Names that vendors give them, by kind of modality."""
MAYBE_TAG = re.compile(r"tag|sample|multiplex|barcode|donor|pool|^[abc]02[567]\d", re.IGNORECASE)
"""Names that tags of samples have too, and other features as well; the values decide."""
MIN_DOMINANCE = 0.8
"""Share of the counts of all tags that the first one of a cell has, in the median cell: others are ambient."""
MIN_FIRST = 0.01
"""Share of the cells that each tag is the first of."""


def find_set_aside(adata: AnnData, kind: str, counts: Matrix) -> dict[str, str]:
    """Which features are no biology, and what they are.

    Parameters
    ----------
    adata
        The modality, for its names, ``var["feature_types"]`` and ``var["isotype_control"]``.
    kind
        What it was taken for.
    counts
        Its values, cells x features.
    """
    features = adata.var_names.astype(str)
    reasons: dict[str, str] = {}
    for reason, pattern in PATTERNS.get("rna" if kind == "ambient" else kind, {}).items():
        reasons |= {feature: reason for feature in features if pattern.search(feature)}
    if kind == "protein":
        maybe = np.flatnonzero([bool(MAYBE_TAG.search(feature)) and feature not in reasons for feature in features])
        if len(maybe) > 1 and exclude_each_other(counts, maybe):
            reasons |= {features[i]: HASHTAG for i in maybe}
    if "isotype_control" in adata.var and pd.api.types.is_bool_dtype(adata.var["isotype_control"].dtype):
        reasons |= dict.fromkeys(features[adata.var["isotype_control"].to_numpy(dtype=bool)], ISOTYPE)
    if "feature_types" in adata.var:
        types = adata.var["feature_types"].astype(str).str.lower().map(FEATURE_TYPE_KIND)
        own = np.flatnonzero(types.isin(SET_ASIDE_KINDS).to_numpy())
        reasons |= {features[i]: str(types.iloc[i]).removesuffix("s") for i in own}
    return reasons


def exclude_each_other(counts: Matrix, columns: np.ndarray) -> bool:
    """Whether nearly all counts that a cell has of some features are of one of them, and each is that in some cells."""
    block = dense_columns(counts, columns)
    block = np.nan_to_num(block.astype(np.float64))
    block = block[block.sum(1) > 0]
    if not len(block):
        return False
    first = np.bincount(block.argmax(1), minlength=len(columns)) / len(block)
    return bool(np.median(block.max(1) / block.sum(1)) >= MIN_DOMINANCE and (first >= MIN_FIRST).all())


def choose_set_aside(
    name: str, adata: AnnData, kind: str, counts: Matrix, asked: str | Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Features that are set aside: those recognized, unless the user says which."""
    if isinstance(asked, str):
        return find_set_aside(adata, kind, counts) if asked == "auto" else {}
    if name not in asked:
        return find_set_aside(adata, kind, counts)
    features = adata.var_names.astype(str)
    if unknown := [feature for feature in asked[name] if feature not in features]:
        raise KeyError(
            f"set_aside names the feature {unknown[0]!r} of {name!r}, which it does not have; its features are "
            f"{', '.join(features[:5])}, ..."
        )
    return dict.fromkeys(map(str, asked[name]), "named by set_aside")
