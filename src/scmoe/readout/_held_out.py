"""Labeled cells held out in folds, and what classifiers of the others say of them."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from scmoe.losses._class_balance import ClassBalance
from scmoe.readout._softmax import fit_softmax

N_FOLDS = 5
"""Labeled cells are held out in this many parts."""


def split_labels(codes: NDArray[np.integer], seed: int, judges: NDArray[np.bool_] | None = None) -> NDArray[np.integer]:
    """Fold of each cell, every label spread over as many folds as it can; -1 for cells that stay in all fits.

    The only cell of a label does, and cells that are no `judges`, which must have been made without their labels.
    """
    generator, start = np.random.default_rng(seed), 0
    folds = np.full(len(codes), -1)
    may_judge = np.ones(len(codes), bool) if judges is None else judges
    for code in np.unique(codes):
        own = codes == code
        cells = generator.permutation(np.flatnonzero(own & may_judge))
        if own.sum() > 1:
            folds[cells] = np.arange(start, start + len(cells)) % N_FOLDS
            start += len(cells)  # or small labels would all be in the first folds
    return folds


def hold_out(
    values: NDArray[np.float64],
    codes: NDArray[np.integer],
    folds: NDArray[np.integer],
    class_balance: ClassBalance,
    seed: int,
) -> NDArray[np.float64]:
    """Probabilities (held-out cells, K) of the cells in folds, each from a fit to all cells outside its own fold."""
    out = np.empty((len(codes), codes.max() + 1))
    for fold in np.unique(folds[folds >= 0]):
        slope, start = fit_softmax(values[folds != fold], codes[folds != fold], class_balance, seed)
        out[folds == fold] = softmax(values[folds == fold] @ slope + start, axis=1)
    return out[folds >= 0]
