"""The features that a normalization ranges over: a query is brought to those of the training data."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from scmoe._check import Matrix
from scmoe._log import logger
from scmoe.pp._kind import COMPARABLE_KINDS
from scmoe.pp._normalize import totals

TOLERANCE = 1e-3
"""How far, relative to the total, cells may be from a common one (in a mean: absolutely)."""
FAR = 1e-2
"""The same of the median cell, from which values of a query with more features are brought to the training total."""
VERY_FAR = 0.2
"""The same where it has no other features: what was changed in a few of them, as in a perturbation, stays."""
MIN_CELLS = 2
"""Cells with counts that a common total needs."""


class Reference(NamedTuple):
    """What all cells of the training data have in common, of one modality."""

    features: list[str]
    """Names of the features."""
    total: float
    """Total of ``expm1(values)`` over them; 0: they are proteins, whose mean is 0."""


def fit_reference(matrix: Matrix, kind: str | None, names: list[str], candidates: list[np.ndarray]) -> Reference | None:
    """The features over which each cell has the same total or, of proteins, the mean 0; None if there are none.

    Without any, features were chosen after the normalization: its total is of more than is here.

    Parameters
    ----------
    matrix
        Values of the training data, cells x features.
    kind
        What `scmoe.pp.prepare` took the modality for.
    names
        Of the features.
    candidates
        (features,) sets of features, one of which it may be; the first that fits.
    """
    if kind not in COMPARABLE_KINDS:
        return None
    for over in candidates:
        total = np.zeros(1) if kind == "protein" else _totals(matrix, over)
        if kind == "protein":
            fits = over.any() and np.abs(_means(matrix, over)).max() < TOLERANCE
        else:
            total = total[total > 0]
            fits = len(total) >= MIN_CELLS and np.ptp(total) <= TOLERANCE * total.mean()
        if fits:
            return Reference([name for name, used in zip(names, over, strict=True) if used], float(total.mean()))
    return None


def to_reference(matrix: Matrix, names: list[str], reference: Reference, modality: str) -> Matrix:
    """Values of a query, with the total or mean of the training data; those that have it already as they are.

    Parameters
    ----------
    matrix
        Cells x features, logarithms of scaled counts or centered logarithms.
    names
        Of the features.
    reference
        Of the training data.
    modality
        For the log.
    """
    wanted = set(reference.features)
    over = np.array([name in wanted for name in names])
    if reference.total == 0:
        mean = _means(matrix, over)
        if over.all() or np.median(np.abs(mean)) < FAR:
            return matrix
        dense = matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
        logger.info("%s: centered on the mean of the %d proteins of the training data", modality, int(over.sum()))
        return (dense - mean[:, None]).astype(np.float32)
    if over.sum() < len(wanted):
        return matrix  # the total of what is not there is not known
    total = _totals(matrix, over)
    some = total > 0
    limit = VERY_FAR if over.all() else FAR
    if not some.any() or np.median(np.abs(total[some] / reference.total - 1)) < limit:
        return matrix
    logger.info(
        "%s: scaled to a total of %.5g over the %d features that the training data were scaled by",
        *(modality, reference.total, int(over.sum())),
    )
    scale = np.divide(reference.total, total, out=np.ones_like(total), where=some)
    if not sparse.issparse(matrix):
        return np.log1p(np.expm1(matrix.astype(np.float64)) * scale[:, None]).astype(np.float32)
    out = matrix.tocsr().astype(np.float64)
    out.data = np.log1p(np.expm1(out.data) * np.repeat(scale, np.diff(out.indptr)))
    return out.astype(np.float32)


def _totals(matrix: Matrix, over: np.ndarray) -> np.ndarray:
    """Sum of ``expm1(values)`` of each cell over some features."""
    raised = matrix.astype(np.float64)
    if sparse.issparse(raised):
        raised = raised.tocsr()
        raised.data = np.expm1(raised.data)
        return totals(raised, over)
    return totals(np.expm1(raised), over)


def _means(matrix: Matrix, over: np.ndarray) -> np.ndarray:
    """Mean of each cell over those of some features that it has; 0 without any."""
    part = np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float64)[:, over]
    seen = ~np.isnan(part)
    return np.where(seen, part, 0).sum(1) / np.maximum(seen.sum(1), 1)
