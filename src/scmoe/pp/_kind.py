"""Tell from names and values what a modality holds; nothing is changed here."""

import re
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scmoe._matrix import Matrix, has_missing, is_count, looks_like_counts, value_blocks, value_range
from scmoe.io._mapped import canonical
from scmoe.pp._values import MAX_LOG_VALUE, Origin, judge

Kind = Literal[
    "rna", "ambient", "protein", "peaks", "continuous", "lognormalized", "tags", "guides", "controls", "custom"
]
KINDS: tuple[str, ...] = get_args(Kind)
COUNT_KINDS = ("rna", "ambient", "protein", "peaks")
"""Kinds whose values are counts before `scmoe.pp.prepare`."""
COMPARABLE_KINDS = (*COUNT_KINDS, "lognormalized")
"""Kinds whose features share a unit, so that their variances say what matters, and in which zero means no count."""
SET_ASIDE_KINDS = ("tags", "guides", "controls", "custom")
"""Kinds that are no biology of the cell: no model reads them unless it is told to."""

FEATURE_TYPE_KIND = {
    "gene expression": "rna",
    "gex": "rna",
    "antibody capture": "protein",
    "adt": "protein",
    "peaks": "peaks",
    "atac": "peaks",
    "multiplexing capture": "tags",
    "crispr guide capture": "guides",
    "antigen capture": "custom",
    "custom": "custom",
    "negative control probe": "controls",
    "negative control codeword": "controls",
    "unassigned codeword": "controls",
    "deprecated codeword": "controls",
    "blank codeword": "controls",
}
NAME_KIND = {
    "tags": ("hto", "hashtag", "tag", "multiplex", "cmo", "lmo"),
    "guides": ("guide", "sgrna", "grna", "crispr", "gdo"),
    "controls": ("control", "blank", "unassigned", "deprecated"),
    "custom": ("custom", "antigen"),
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
MAX_MISTAKES = 20
"""Fractions up to which they are mistakes; more, among whole numbers, are molecules that are divided between genes."""
MIN_UNDIVIDED = 0.5
"""Share of whole numbers among the values above one from which these are counts of which some are divided. Logarithms
to base 2 of counts have less than a third, and natural ones none."""
MAX_DENSITY = 0.9
"""Peaks are open, and most genes on, in some cells only; a table with fewer zeros may hold something else."""
MAX_PEAK_COUNT = 1000
"""No peak of one cell has as many fragments."""
MIN_MEASURED_AS_GENES = 50
"""Features from which whole numbers, some of them zero, are counts although the modality's name says coordinates."""


class Decision(NamedTuple):
    """What a modality is taken for, and why (a phrase for the log)."""

    kind: str
    reason: str
    is_doubtful: bool = False
    """Whether the values leave it open, so that the user should look."""


def decide_kind(name: str, adata: AnnData, matrix: Matrix) -> Decision:
    """Decide what a modality holds.

    Names come first (``var["feature_types"]``, the modality's name, features named like ``chr1:100-200``), as far as
    the values can be what they say. Without a name, a dense count table with few features is taken for proteins, other
    counts for RNA.

    Parameters
    ----------
    name, adata
        The modality.
    matrix
        Its values, cells x features; raw counts if there are any. Missing values (NaN) are not looked at.
    """
    hint = _from_names(name, adata)
    if hint and hint.kind in SET_ASIDE_KINDS:
        return hint
    is_missing = has_missing(matrix)
    if (hint or not is_missing) and looks_like_counts(matrix, allow_missing=True):
        return _of_counts(hint, matrix)
    if hint and hint.kind == "peaks" and _is_binary(matrix) and _density(matrix) <= MAX_DENSITY:
        return Decision("peaks", f"open or closed, 0 or 1, and {hint.reason}")
    if hint and hint.kind == "rna" and are_divided(matrix):
        return Decision(
            "ambient", f"whole numbers and fractions, as of reads that fit several genes, and {hint.reason}"
        )
    if hint and hint.kind in COUNT_KINDS and nearly_counts(matrix):
        return hint
    if problem := _no_logarithms_nor_counts(matrix, is_missing and hint is None):
        return Decision("continuous", problem)
    return _of_fractions(hint, matrix)


def _of_counts(hint: Decision | None, matrix: Matrix) -> Decision:
    """What whole numbers are."""
    density = _density(matrix)
    if hint is None:
        return _from_shape(matrix)
    if hint.kind == "peaks" and density > MAX_DENSITY and (largest := value_range(matrix)[1]) > MAX_PEAK_COUNT:
        reason = f"whole numbers up to {largest:.6g} and hardly a zero, which counts of peaks have"
        return Decision("continuous", reason)
    if hint.kind == "continuous" and matrix.shape[1] >= MIN_MEASURED_AS_GENES and density <= MAX_DENSITY:
        reason = f"whole numbers of {matrix.shape[1]} features, {density:.0%} above zero, whatever the modality's name"
        return Decision("rna", reason)
    return Decision(hint.kind, f"whole numbers, and {hint.reason}")


def _of_fractions(hint: Decision | None, matrix: Matrix) -> Decision:
    """What fractional values are, none of them negative."""
    origin = judge(matrix)
    if hint is None or hint.kind == "continuous":
        if origin.name == "logarithms" and hint is None:
            return Decision("lognormalized", origin.reason)
        return Decision("continuous", "fractional values, and no name says that they come from counts")
    if origin.name == "logarithms":
        return Decision("lognormalized", f"{origin.reason}, and {hint.reason}")
    if hint.kind == "peaks" and _density(matrix) > MAX_DENSITY:
        return Decision("continuous", "fractional values and hardly a zero, which counts of peaks have")
    if origin.name == "scaled":
        return Decision(hint.kind, f"{origin.reason}, and {hint.reason}")
    return _of_unknown(hint, origin)


def _of_unknown(hint: Decision, origin: Origin) -> Decision:
    if origin.uneven:
        kind = "ambient" if hint.kind == "rna" else hint.kind
        return Decision(kind, f"{origin.reason}: counts without ambient molecules? And {hint.reason}", True)
    return Decision("lognormalized", f"{origin.reason}: logarithms? And {hint.reason}", True)


def _from_names(name: str, adata: AnnData) -> Decision | None:
    if "feature_types" in adata.var:
        types = pd.Series(adata.var["feature_types"]).dropna().astype(str).str.lower().unique()
        if len(types) == 1 and types[0] in FEATURE_TYPE_KIND:
            return Decision(FEATURE_TYPE_KIND[types[0]], f"var['feature_types'] is {types[0]!r}")
    words = re.split(r"[^a-z]+", name.lower())
    for kind, starts in NAME_KIND.items():
        if any(word.startswith(starts) for word in words):
            return Decision(kind, "the modality's name says so")
    if np.mean([bool(INTERVAL.match(str(feature))) for feature in adata.var_names]) > 0.5:
        return Decision("peaks", f"features are named like {adata.var_names[0]!r}")
    return None


def _density(matrix: Matrix) -> float:
    """Share of values that are not zero."""
    matrix = canonical(matrix) if sparse.issparse(matrix) else matrix
    return float(sum(map(np.count_nonzero, value_blocks(matrix))) / (matrix.shape[0] * matrix.shape[1]))


def _from_shape(matrix: Matrix) -> Decision:
    density = _density(matrix)
    shape = f"raw counts, {matrix.shape[1]} features, {density:.0%} of the values above zero"
    few = matrix.shape[1] <= MAX_PROTEINS and density >= MIN_PROTEIN_DENSITY
    return Decision("protein" if few else "rna", shape)


def nearly_counts(matrix: Matrix) -> bool:
    """Tell whether nearly all values are whole: damaged counts, which the check of counts will refuse by name.

    Missing values (NaN) are not looked at.
    """
    n, n_whole, largest = 0, 0, 0.0
    for values in value_blocks(matrix, skip_missing=True):
        values = values[values != 0]
        with np.errstate(invalid="ignore"):
            whole = values[values == np.floor(values)]
        n, n_whole = n + len(values), n_whole + len(whole)
        largest = max(largest, float(np.abs(whole).max(initial=0)))
    return n > 0 and n_whole >= MIN_WHOLE * n and largest > 1


def are_divided(matrix: Matrix) -> bool:
    """Tell whether values are counts of which some are divided between genes (STARsolo EM, alevin-fry, RSEM)."""
    n_above, n_whole, n_fractions = 0, 0, 0
    for values in value_blocks(matrix, skip_missing=True):
        if not np.isfinite(values).all() or values.min(initial=0) < 0:
            return False
        whole = is_count(values)
        n_fractions += int((~whole).sum())
        n_above, n_whole = n_above + int((values > 1).sum()), n_whole + int((whole & (values > 1)).sum())
    return n_fractions > MAX_MISTAKES and n_whole >= MIN_UNDIVIDED * n_above and n_above > 0


def _is_binary(matrix: Matrix) -> bool:
    return all(np.isin(values, (0, 1)).all() for values in value_blocks(matrix, skip_missing=True))


def _no_logarithms_nor_counts(matrix: Matrix, has_gaps: bool) -> str:
    """Say why values are neither counts nor logarithms of counts; empty if they may be."""
    low, high = value_range(matrix)
    if low == high == 0:
        return "all values are zero"
    if has_gaps:
        return "some values are missing"
    if low < 0:
        return "some values are negative"
    if not np.isfinite(high):
        return f"some values are infinite, neither counts nor their logarithms (at most {MAX_LOG_VALUE:.0f})"
    return "whole numbers, none above 1" if _is_binary(matrix) else ""
