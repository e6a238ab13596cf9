"""The features that a normalization ranges over: a query is brought to those of the training data."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from scmoe._matrix import Matrix, dense_blocks, row_blocks
from scmoe.io._mapped import canonical, filled, with_data
from scmoe.pp._kind import COMPARABLE_KINDS
from scmoe.pp._modality import MIN_SHARED
from scmoe.pp._normalize import MIN_CENTERED, totals, values_by_row

TOLERANCE = 1e-3
"""How far, relative to the total, cells may be from a common one (in a mean: absolutely)."""
FAR = 1e-2
"""The same, of the cells that are farthest, from which values are brought to the total of the training data."""
VERY_FAR = 0.2
"""The same where there are no other features: what was changed in a few of them, as in a perturbation, stays."""
FARTHEST = 0.9
"""Quantile of the cells that is looked at: a few odd ones do not count."""
MIN_CELLS = 2
"""Cells with counts that a common total needs."""


class Reference(NamedTuple):
    """What makes the cells of the training data comparable, of one modality."""

    features: list[str]
    """Names of the features."""
    total: float
    """Total of ``expm1(values)`` over them; 0: they are proteins, whose mean is 0."""


def fit_reference(
    matrix: Matrix, kind: str | None, names: list[str], is_used: np.ndarray, is_shared: np.ndarray
) -> Reference | None:
    """The features whose total, or of proteins whose mean, makes cells comparable; None if that is not known.

    Where panels differ, these are the features that all cells have: a mean over other proteins is another mean. Where
    they do not, all features, if they have the same total in each cell. If not, features were chosen after the
    normalization, whose total is of more than is here.

    Parameters
    ----------
    matrix
        Values of the training data, cells x features; NaN or 0 where not measured.
    kind
        What `scmoe.pp.prepare` took the modality for.
    names
        Of the features.
    is_used
        (features,) which are no tags or controls.
    is_shared
        (features,) which were measured in all cells.
    """
    if kind not in COMPARABLE_KINDS:
        return None
    shared = is_used & is_shared
    differ = MIN_CENTERED <= shared.sum() < is_used.sum() and shared.sum() >= MIN_SHARED * is_used.sum()
    over = shared if differ else is_used
    total = np.zeros(1)
    if kind == "protein":
        fits = differ or (over.sum() >= MIN_CENTERED and np.abs(_means(matrix, over)).max() < TOLERANCE)
    else:
        total = _totals(matrix, over)
        total = total[total > 0]
        fits = len(total) >= MIN_CELLS and (differ or np.ptp(total) <= TOLERANCE * total.mean())
    if not fits:
        return None
    return Reference([name for name, used in zip(names, over, strict=True) if used], float(np.median(total)))


def to_reference(matrix: Matrix, names: list[str], reference: Reference, modality: str) -> tuple[Matrix, str]:
    """Values of a query, with the total or mean of the training data, and a line for the log.

    Those that have it already are returned as they are, without a line.

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
        is_selection = over.all() and over.sum() < len(wanted)  # of proteins that were centered with the others
        if is_selection or np.quantile(np.abs(mean), FARTHEST) < FAR:
            return matrix, ""
        note = f"{modality}: centered on the mean of the {int(over.sum())} proteins that all training cells have"
        blocks = (block - mean[rows, None] for rows, block in dense_blocks(matrix))
        return filled(blocks, matrix.shape, np.float32, beside=matrix), note
    if over.sum() < len(wanted):
        return matrix, (
            f"{modality}: {len(wanted) - int(over.sum())} of the {len(wanted)} features that the training data were "
            "scaled over are not here, so values are taken as they are"
        )
    total = _totals(matrix, over)
    some = total > 0
    limit = VERY_FAR if over.all() else FAR
    if not some.any() or np.quantile(np.abs(total[some] / reference.total - 1), FARTHEST) < limit:
        return matrix, ""
    note = f"{modality}: scaled to a total of {reference.total:.5g} over the {int(over.sum())} features of the training"
    scale = np.divide(reference.total, total, out=np.ones_like(total), where=some)
    if not sparse.issparse(matrix):
        blocks = (
            np.log1p(np.expm1(block.astype(np.float64)) * scale[rows, None]) for rows, block in dense_blocks(matrix)
        )
        return filled(blocks, matrix.shape, np.float32, beside=matrix), note
    csr = canonical(matrix)
    values = (np.log1p(np.expm1(values.astype(np.float64)) * each) for values, each in values_by_row(csr, scale))
    return with_data(csr, filled(values, (csr.nnz,), np.float32, beside=csr)), note


def _totals(matrix: Matrix, over: np.ndarray) -> np.ndarray:
    """Sum of ``expm1(values)`` of each cell over some features."""
    matrix, out = matrix.tocsr() if sparse.issparse(matrix) else matrix, np.zeros(matrix.shape[0])
    for rows in row_blocks(matrix):
        block = matrix[rows].astype(np.float64)
        out[rows] = totals(np.expm1(block), over)
    return out


def _means(matrix: Matrix, over: np.ndarray) -> np.ndarray:
    """Mean of each cell over those of some features that it has; 0 without any."""
    out = np.zeros(matrix.shape[0])
    for rows, block in dense_blocks(matrix):
        part = block[:, over].astype(np.float64)
        seen = ~np.isnan(part)
        out[rows] = np.where(seen, part, 0).sum(1) / np.maximum(seen.sum(1), 1)
    return out
