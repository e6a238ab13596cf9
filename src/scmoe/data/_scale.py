"""The scale of the training values of a modality, and whether a query has it.

What `scmoe.pp.prepare` wrote down is lost where data are joined, and says nothing of what was done since. So values are
judged by themselves, in every data set that is read.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from scmoe._matrix import MAX_ROUNDING, Matrix, value_blocks
from scmoe.data._reference import VERY_FAR
from scmoe.pp._kind import COUNT_KINDS
from scmoe.pp._values import BASES, MAX_LOG_VALUE, Origin, describe, some_rows

IMPOSSIBLE = {
    "logarithms": {"counts", "binary", "scaled", "large", "centered", "standardized"},
    "centered": {"counts", "binary", "scaled", "large"},
    "standardized": {"counts"},
}
"""Of training values (key), what values of a query cannot be: whoever prepares them so has made a mistake."""
ALIKE = {
    "logarithms": {"unknown"},
    "unknown": {"logarithms", "scaled", "large"},
    "scaled": {"unknown", "large"},
    "large": {"unknown", "scaled"},
    "centered": {"signed"},
    "standardized": {"signed"},
    "signed": {"centered"},
}
"""Of training values (key), what else some of such cells or features may look like."""
SIGNED = {"centered", "standardized", "signed"}
WHOLE = {"counts", "binary"}
MIN_EVIDENCE = 100
"""Values of a kind that a query should have, by the training data, for their absence to be no chance."""
QUANTILES = 0.01, 0.99
"""Of the training values of a feature: its range."""
MAX_OUTSIDE = 0.1
"""Share of the values that may be farther outside the range of their feature than it is wide."""
MIN_VALUES = 10
"""Values that such a share is taken of, and cells that a range is."""
MAX_RATIO = 10.0
"""Of the totals of logarithms, taken back, over some features: types and tissues differ less than other totals do."""
COLLAPSED = 0.02
"""Width of a query's ranges, as a share of those of the training data, in the middle feature, that no choice of cells
explains."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Of the training values of one modality.

    Parameters
    ----------
    name, reason, base, total
        How the values were made, see `scmoe.pp._values.Origin`.
    share
        Share of the values that show it: negative ones, or of counts those above one.
    low, high
        (D,) range of each of the model's features; none where the features share a unit.
    level
        (D,) mean of each feature before logarithms were taken; none where there were none.
    """

    name: str
    reason: str
    base: str = ""
    total: float = 0.0
    share: float = 0.0
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    level: list[float] = field(default_factory=list)

    @property
    def kind(self) -> str | None:
        """What `scmoe.pp.prepare` would take the modality for, where that is sure."""
        if self.name == "logarithms" and self.base == "e":
            return "lognormalized"
        return "protein" if self.name == "centered" else None


class Mismatch(NamedTuple):
    """How the values of a query differ from those of the training data."""

    text: str
    is_impossible: bool
    is_whole: bool
    """Whether the query holds whole numbers, which nothing but counting makes."""


def scale_of(matrix: Matrix, kind: str | None, columns: np.ndarray | None = None) -> Scale:
    """Describe training values.

    Parameters
    ----------
    matrix
        Cells x features.
    kind
        What `scmoe.pp.prepare` took the modality for; it decides where the values leave it open.
    columns
        (D,) of the model's features; None: these are not described one by one.
    """
    origin = describe(matrix)
    if origin.name == "unknown" and kind in (*COUNT_KINDS, "lognormalized"):
        base = "e" if kind in COUNT_KINDS else ""  # others were not normalized by us
        origin = Origin("logarithms", "logarithms of normalized counts", base=base)
    if origin.name == "signed" and kind == "protein":  # the mean may be over other proteins
        origin = Origin("centered", "values with a mean of 0 in each cell")
    scale = Scale(
        name=origin.name,
        reason=origin.reason,
        base=origin.base,
        total=origin.total,
        share=share_that_shows(matrix, origin.name),
    )
    if columns is None:
        return scale
    if scale.base:
        return replace(scale, level=np.round(levels(dense(matrix, columns), scale.base), 4).tolist())
    has_units = kind == "continuous" or (kind is None and origin.name not in WHOLE)  # counts have one, and a depth
    if not has_units or origin.name == "empty":
        return scale
    low, high = ranges(dense(matrix, columns))
    return replace(scale, low=low.tolist(), high=high.tolist())


def former_scale(kind: str | None, reads_counts: bool) -> Scale | None:
    """What is known of the training values of a model that was saved without their scale."""
    if reads_counts:
        return Scale(name="counts", reason="raw counts")
    if kind == "protein":
        return Scale(name="centered", reason="values with a mean of 0 in each cell")
    if kind in (*COUNT_KINDS, "lognormalized"):
        return Scale(name="logarithms", reason="logarithms of normalized counts", base="e")
    return None


def find_mismatch(scale: Scale, matrix: Matrix, *, has_total: bool) -> Mismatch | None:
    """Say how the values of a query differ from those of the training data; None: not.

    Another tissue, depth or panel, and few cells, make no difference.

    Parameters
    ----------
    scale
        Of the training values.
    matrix
        Of the query, cells x features.
    has_total
        Whether the total of a cell must be that of the training data.
    """
    origin = describe(matrix)
    if origin.name == "empty" or scale.name == "empty":
        return None
    text, is_whole = f"holds {origin.reason}; the model learned from {scale.reason}", origin.name in WHOLE
    possible, impossible = (Mismatch(text, each, is_whole) for each in (False, True))
    if origin.name == scale.name:
        if origin.base != scale.base and origin.base and scale.base:
            return impossible
        is_far = has_total and scale.total and origin.total and abs(origin.total / scale.total - 1) > VERY_FAR
        return possible if is_far else None
    if origin.name in IMPOSSIBLE.get(scale.name, ()):
        return impossible
    lacks_negative = scale.name in SIGNED and origin.name not in {"counts", *SIGNED}
    if lacks_negative or (scale.name, origin.name) == ("counts", "binary"):
        return possible if is_missed(scale, matrix) else None  # few values may lack what shows it
    return None if origin.name in ALIKE.get(scale.name, ()) else possible


def is_missed(scale: Scale, matrix: Matrix) -> bool:
    """Whether a query lacks values that show the scale, though it should have many by the training data."""
    n = sum(map(np.count_nonzero, value_blocks(matrix, skip_missing=True)))
    return bool(n * scale.share > MIN_EVIDENCE) and not share_that_shows(matrix, scale.name)


def share_that_shows(matrix: Matrix, name: str) -> float:
    """Of the values that are not zero, the share that shows how they were made."""
    n = n_shown = 0
    for values in value_blocks(matrix, skip_missing=True):
        n += int(np.count_nonzero(values))
        if name in SIGNED:
            n_shown += int(np.count_nonzero(values < 0))
        elif name == "counts":
            n_shown += int(np.count_nonzero(values > 1 + MAX_ROUNDING))
    return n_shown / max(n, 1)


def find_outliers(scale: Scale, values: np.ndarray, *, has_total: bool) -> str:
    """Say how values (n, D) of the model's features differ from the training values in size; "" if not.

    Parameters
    ----------
    scale
        Of the training values.
    values
        Of some cells, NaN where there are none.
    has_total
        As in `find_mismatch`.
    """
    if scale.low:
        return _outside(np.asarray(scale.low), np.asarray(scale.high), values)
    if not (scale.level and has_total):
        return ""
    own = levels(values, scale.base)
    here = ~np.isnan(values).all(0)
    own_total, total = own[here].sum(), np.asarray(scale.level)[here].sum()
    ratio = own_total / max(total, 1e-12)
    if own_total == 0 or 1 / MAX_RATIO < ratio < MAX_RATIO:
        return ""
    return f"holds logarithms of values that are {ratio:.3g} times as large as those of the training data"


def _outside(low: np.ndarray, high: np.ndarray, values: np.ndarray) -> str:
    """As `find_outliers`, of features without a common unit, whose ranges these are."""
    width, seen = high - low, ~np.isnan(values)
    varies = width > 0
    is_far = ((values < low - width) | (values > high + width)) & varies
    n = int((seen & varies).sum())
    if n >= MIN_VALUES and is_far.sum() > MAX_OUTSIDE * n:
        return f"holds values of which {is_far.sum() / n:.0%} are far outside the range of the training values"
    some = varies & (seen.sum(0) >= MIN_VALUES)
    if some.any():
        own_low, own_high = ranges(values[:, some])
        if np.median((own_high - own_low) / width[some]) < COLLAPSED:
            return "holds values that differ from cell to cell far less than the training values do"
    return ""


def levels(values: np.ndarray, base: str) -> np.ndarray:
    """Mean of each feature of (n, D) logarithms before these were taken; 0 of one without values."""
    raised = np.expm1(np.clip(values * BASES[base], None, MAX_LOG_VALUE))
    return np.nan_to_num(raised).sum(0) / np.maximum((~np.isnan(raised)).sum(0), 1)


def ranges(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end of each feature of (n, D) values; 0 and 0 of one without any."""
    empty = np.isnan(values).all(0)
    low, high = np.nanquantile(np.where(empty, 0, values), QUANTILES, axis=0)
    return low, high


def dense(matrix: Matrix, columns: np.ndarray) -> np.ndarray:
    """Some columns of some cells, float64."""
    part = (matrix.tocsr() if sparse.issparse(matrix) else np.asarray(matrix))[some_rows(matrix.shape[0])][:, columns]
    return np.asarray(part.toarray() if sparse.issparse(part) else part, dtype=np.float64)
