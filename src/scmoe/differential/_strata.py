"""Which cells can be compared: those of one batch that were measured to a like depth."""

import numpy as np
from numpy.typing import NDArray

CELLS = 30
"""Cells of a batch for each of its classes of depth."""
MAX_CLASSES = 20


def make_strata(batches: NDArray[np.integer], depth: NDArray[np.floating] | None) -> NDArray[np.intp]:
    """Number the strata of cells from 0 on.

    A cell of more molecules shows more genes, whatever its type; dividing by the total does not mend it for genes with
    few counts. So cells are compared with cells of like depth, which supposes nothing of how counts depend on it.

    Parameters
    ----------
    batches
        (n,) codes from 0 on.
    depth
        (n,) numbers of which only the order counts; None: unknown, or the same in all cells.
    """
    if depth is None:
        return np.unique(batches, return_inverse=True)[1].ravel()
    order = np.lexsort((depth, batches))
    sorted_batches = batches[order]
    size = np.bincount(batches)
    place = np.arange(len(order)) - (np.cumsum(size) - size)[sorted_batches]
    n_classes = np.clip(size // CELLS, 1, MAX_CLASSES)
    pairs = np.empty((len(order), 2), np.intp)
    pairs[order, 0] = sorted_batches
    pairs[order, 1] = place * n_classes[sorted_batches] // size[sorted_batches]
    return np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
