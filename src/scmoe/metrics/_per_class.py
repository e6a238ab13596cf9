"""Scores of each label, with intervals over cells."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe._align import in_one_order
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import Category
from scmoe.metrics._confusion import Labels, as_codes, cell_labels
from scmoe.metrics._wilson import wilson_interval

SCORES = ("precision", "recall", "f1")
N_BOOT = 1000
LEVEL = 0.95


@checks_arguments
def per_class_scores(
    truth: Labels,
    predicted: Labels,
    *,
    labels: Sequence[Category],
    groups: Labels | None = None,
    n_boot: int = N_BOOT,
    level: float = LEVEL,
    seed: int = 0,
) -> pd.DataFrame:
    """Precision, recall and F1 of each label, with intervals over cells.

    F1 = 2 TP / (2 TP + FP + FN). A label that is never predicted has precision and F1 of 0; one that no cell has is NaN
    throughout, with a ``support`` of 0.

    Parameters
    ----------
    truth, predicted, labels
        As in `scmoe.metrics.confusion_table`.
    groups
        Donor of every cell, ``(n_cells,)``, matched by name as `truth` and `predicted` are. Cells are then drawn within
        donors (bootstrap), so that the interval does not hold what different shares of donors would do. It is for
        these donors; others may differ more.
    n_boot
        With `groups`: draws with replacement of as many cells as there are; 0: no intervals (NaN).
    level
        Share of intervals that hold the true value; of the draws, share between the ends.
    seed
        Of the draws.

    Returns
    -------
    One row a label, in the order of `labels`: ``precision``, ``recall``, ``f1``, each also with ``_low`` and
    ``_high``, ``support`` (cells of the label) and ``n_predicted`` (cells predicted to be). A draw without a cell of
    a label is left out of its interval.

    Without `groups` the intervals are Wilson's: of recall among the cells of the label, of precision among those
    predicted to be, and of F1 = 2 J / (1 + J) by J, the share of true positives among the cells of either. They have a
    width even where all cells are right.

    Raises
    ------
    ValueError
        As in `scmoe.metrics.confusion_table`; `groups` does not name a group a cell; `n_boot` is negative, or `level`
        not between 0 and 1.

    Notes
    -----
    With `groups`, resampled cells cannot show an error that none of them has: where a handful of cells are all right,
    the interval has no width.

    Examples
    --------
    >>> per_class_scores(["B", "B", "T"], ["B", "T", "T"], labels=["B", "T"])["f1"].round(3).tolist()
    [0.667, 0.667]
    """
    truth, predicted, groups = in_one_order({"truth": truth, "predicted": predicted, "groups": groups})
    names, true_code, predicted_code = as_codes(truth, predicted, labels)
    donor = np.zeros(len(true_code), dtype=int) if groups is None else pd.factorize(cell_labels(groups, "groups"))[0]
    if len(donor) != len(true_code):
        raise ValueError(f"groups must name a group for each of the {len(true_code)} cells; found {len(donor)}.")
    counts = np.zeros((donor.max() + 1, len(names), len(names) + 1), dtype=np.int64)
    np.add.at(counts, (donor, true_code, predicted_code), 1)
    total = counts.sum(axis=0)
    scores = class_scores(total)
    table = pd.DataFrame(index=pd.Index(names, name="label"))
    if groups is None:
        ends = _wilson(total, level)
    else:
        ends = _drawn(counts, n_boot, level, np.random.default_rng(seed))
    for i, name in enumerate(SCORES):
        table[name], table[f"{name}_low"], table[f"{name}_high"] = scores[i], *ends[:, i]
    return table.assign(support=total.sum(axis=1), n_predicted=total.sum(axis=0)[: len(names)])


def class_scores(confusion: NDArray[np.integer]) -> NDArray[np.float64]:
    """Precision, recall and F1 of each label: (..., C, C + 1) cells by true and predicted label to (3, ..., C)."""
    C = confusion.shape[-2]
    right = np.diagonal(confusion[..., :C], axis1=-2, axis2=-1)
    support, n_predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)[..., :C]
    # A denominator of 0 becomes 1: without a true positive the score is 0.
    scores = np.stack(
        [
            right / np.maximum(n_predicted, 1),
            right / np.maximum(support, 1),
            2 * right / np.maximum(support + n_predicted, 1),
        ]
    )
    return np.where(support > 0, scores, np.nan)


def _wilson(total: NDArray[np.integer], level: float) -> NDArray[np.float64]:
    """Ends of the intervals, (2, 3 scores, C); of F1 by the share of true positives among those of either."""
    right, support = np.diagonal(total), total.sum(axis=1)
    n_predicted = total.sum(axis=0)[: len(total)]
    n = np.where(support > 0, np.stack([n_predicted, support, support + n_predicted - right]), 0)
    ends = wilson_interval(right, n, level)
    ends[:, 2] = 2 * ends[:, 2] / (1 + ends[:, 2])
    return ends


def _drawn(counts: NDArray[np.integer], n_boot: int, level: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Ends of the intervals, (2, 3 scores, C).

    Cells with the same true and predicted label are alike, so a draw of n cells is a multinomial draw of n from the
    counts.
    """
    C = counts.shape[1]
    if n_boot == 0:
        return np.full((2, len(SCORES), C), np.nan)
    samples = np.zeros((n_boot, C * (C + 1)), dtype=np.int64)
    for of_donor in counts.reshape(len(counts), -1):
        samples += rng.multinomial(of_donor.sum(), of_donor / of_donor.sum(), size=n_boot)
    scores = class_scores(samples.reshape(n_boot, C, C + 1))
    ends = np.full((2, *scores.shape[::2]), np.nan)
    defined = np.isfinite(scores).any(axis=1)
    quantiles = [(1 - level) / 2, (1 + level) / 2]
    for i, j in zip(*np.nonzero(defined), strict=True):
        ends[:, i, j] = np.nanquantile(scores[i, :, j], quantiles)
    return ends
