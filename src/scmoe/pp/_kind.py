"""Tell from names and values what a modality holds; nothing is changed here."""

import re
from typing import Literal, NamedTuple, get_args

import numpy as np
from anndata import AnnData
from scipy import sparse

from scmoe._check import Matrix, looks_like_counts

Kind = Literal["rna", "protein", "peaks", "continuous", "lognormalized"]
KINDS: tuple[str, ...] = get_args(Kind)
COUNT_KINDS = ("rna", "protein", "peaks")
"""Kinds whose values are raw counts before `scmoe.pp.prepare`."""

FEATURE_TYPE_KIND = {
    "gene expression": "rna",
    "gex": "rna",
    "antibody capture": "protein",
    "adt": "protein",
    "peaks": "peaks",
    "atac": "peaks",
}
NAME_KIND = {
    "rna": ("rna", "mrna", "scrna", "snrna", "gex", "gene", "transcr", "express"),
    "protein": ("adt", "prot", "antibod", "surface"),
    "peaks": ("atac", "scatac", "snatac", "peak", "access", "chromatin"),
    "continuous": ("ephys", "electro", "morph", "imag", "spatial", "coord"),
}
"""How the words in a modality's name start."""
INTERVAL = re.compile(r"^[\w.]+[:_-]\d+[_-]\d+$")
MAX_PROTEINS = 500
MIN_PROTEIN_DENSITY = 0.5
MIN_WHOLE = 0.9
"""Share of whole numbers among the values above zero from which the others count as mistakes."""
MAX_LOG_VALUE = 20.0
"""log1p of any count of one molecule in one cell stays below this; larger values are not logarithms."""


class Decision(NamedTuple):
    """What a modality is taken for, and why (a phrase for the log)."""

    kind: str
    reason: str


def decide_kind(name: str, adata: AnnData, matrix: Matrix) -> Decision:
    """Decide what a modality holds.

    Names come first (``var["feature_types"]``, the modality's name, features named like ``chr1:100-200``), then the
    values: a dense count table with few features is taken for proteins, other counts for RNA.

    Parameters
    ----------
    name, adata
        The modality.
    matrix
        Its values, cells x features; raw counts if there are any.
    """
    hint = _from_names(name, adata)
    if looks_like_counts(matrix):
        return Decision(hint.kind, f"whole numbers, and {hint.reason}") if hint else _from_shape(matrix)
    values = np.asarray(matrix.data if sparse.issparse(matrix) else matrix)
    if hint and hint.kind == "peaks" and _is_binary(values):
        return Decision("peaks", f"open or closed, 0 or 1, and {hint.reason}")
    if hint and hint.kind in COUNT_KINDS and _nearly_counts(values):
        return hint
    problem = _not_logarithms(values)
    if hint and hint.kind in COUNT_KINDS and not problem:
        return Decision("lognormalized", f"fractional values from 0 to {values.max():.4g}, and {hint.reason}")
    return Decision("continuous", problem or "fractional values, and no name says that they come from counts")


def _from_names(name: str, adata: AnnData) -> Decision | None:
    if "feature_types" in adata.var:
        types = adata.var["feature_types"].astype(str).str.lower().unique()
        if len(types) == 1 and types[0] in FEATURE_TYPE_KIND:
            return Decision(FEATURE_TYPE_KIND[types[0]], f"var['feature_types'] is {types[0]!r}")
    words = re.split(r"[^a-z]+", name.lower())
    for kind, starts in NAME_KIND.items():
        if any(word.startswith(starts) for word in words):
            return Decision(kind, "the modality's name says so")
    if np.mean([bool(INTERVAL.match(str(feature))) for feature in adata.var_names]) > 0.5:
        return Decision("peaks", f"features are named like {adata.var_names[0]!r}")
    return None


def _from_shape(matrix: Matrix) -> Decision:
    stored = matrix.count_nonzero() if sparse.issparse(matrix) else np.count_nonzero(matrix)
    density = stored / (matrix.shape[0] * matrix.shape[1])
    shape = f"raw counts, {matrix.shape[1]} features, {density:.0%} of the values above zero"
    few = matrix.shape[1] <= MAX_PROTEINS and density >= MIN_PROTEIN_DENSITY
    return Decision("protein" if few else "rna", shape)


def _nearly_counts(values: np.ndarray) -> bool:
    """Tell whether nearly all values are whole: damaged counts, which the check of counts will refuse by name."""
    values = values[values != 0]
    with np.errstate(invalid="ignore"):
        whole = values == np.floor(values)
    return bool(values.size and whole.mean() >= MIN_WHOLE and np.abs(values[whole]).max() > 1)


def _is_binary(values: np.ndarray) -> bool:
    return bool(np.isin(values, (0, 1)).all())


def _not_logarithms(values: np.ndarray) -> str:
    """Say why values cannot be logarithms of counts; empty if they can."""
    if not values.size or not values.any():
        return "all values are zero"
    if values.dtype.kind == "f" and np.isnan(values).any():
        return "some values are missing"
    if values.min() < 0:
        return "some values are negative"
    if values.max() > MAX_LOG_VALUE:
        return f"fractional values up to {values.max():.4g}, neither raw counts nor their logarithms"
    return "whole numbers, none above 1" if _is_binary(values) else ""
