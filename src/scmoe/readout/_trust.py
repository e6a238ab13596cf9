"""How far the label of a cell can be trusted: whether it is sure, and whether the cell is of a known type at all."""

import numpy as np
from numpy.typing import NDArray

from scmoe.readout._annotator import Annotator
from scmoe.readout._novelty import Novelty


def label_trust(
    annotator: Annotator, novelty: Novelty, confidence: np.ndarray, distance: np.ndarray
) -> NDArray[np.float64]:
    """Rank of the trust in the labels of cells among held-out cells of known types.

    A cell's label is trusted as much as the smaller of two shares: that of held-out cells whose label is no surer, and
    that of held-out cells that are at least as far from the known types. Their smaller one is ranked among those of the
    held-out cells in turn, so a share c of cells like these is above 1 - c.

    Parameters
    ----------
    annotator, novelty
        Fitted to the same cells.
    confidence
        (n,) probabilities of the cells' labels.
    distance
        (n,) of `scmoe.readout._novelty.Novelty.distance`.

    Returns
    -------
    (n,) in (0, 1]; NaN without held-out cells.
    """
    if not len(novelty.held_out):
        return np.full(len(confidence), np.nan)
    sure, near = np.sort(annotator.confidence), np.sort(-novelty.held_out)
    held_out = np.minimum(share_up_to(sure, annotator.confidence), share_up_to(near, -novelty.held_out))
    return share_up_to(np.sort(held_out), np.minimum(share_up_to(sure, confidence), share_up_to(near, -distance)))


def share_up_to(reference: np.ndarray, values: np.ndarray) -> NDArray[np.float64]:
    """(1 + number of sorted reference values that are no larger) / (1 + their number), in (0, 1]."""
    return np.asarray((1 + np.searchsorted(reference, values, side="right")) / (1 + len(reference)))
