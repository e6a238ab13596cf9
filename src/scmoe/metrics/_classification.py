"""Scores of predicted labels in which rare ones count."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score

from scmoe._align import in_one_order
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import Category
from scmoe.metrics._calibration import calibration_error, checked_probabilities, confidence_of
from scmoe.metrics._confusion import Labels, as_codes, count_cells, training_counts
from scmoe.metrics._frequency import GROUPS, frequency_groups
from scmoe.metrics._per_class import class_scores

NAN = float("nan")


class ClassificationScores(NamedTuple):
    """What `scmoe.metrics.classification_scores` returns; NaN for what was not asked for.

    Means over labels are over those that some cell has.

    Parameters
    ----------
    accuracy
        Share of the cells whose label is right.
    balanced_accuracy
        Mean recall of the labels.
    macro_f1
        Mean F1 of the labels.
    worst_recall
        The lowest recall.
    worst_label
        The label that has it.
    tail_recall, tail_f1
        Means over the labels of the tail.
    macro_auprc
        Mean over labels of the average precision, each label against all others.
    ece
        Expected calibration error, 15 bins of equal width.
    ece_head, ece_middle, ece_tail
        The same for cells whose true label is in the group.
    n_cells
        All cells.
    n_unknown
        Cells whose prediction is ``"Unknown"``. They count as wrong, and are left out of the calibration errors.
    absent
        Labels that no cell has, which are left out of all means.
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    worst_recall: float
    worst_label: str
    tail_recall: float
    tail_f1: float
    macro_auprc: float
    ece: float
    ece_head: float
    ece_middle: float
    ece_tail: float
    n_cells: int
    n_unknown: int
    absent: tuple[str, ...]


@checks_arguments
def classification_scores(
    truth: Labels,
    predicted: Labels,
    probabilities: ArrayLike | pd.DataFrame | None = None,
    *,
    labels: Sequence[Category],
    n_train: Mapping[str, int] | pd.Series | None = None,
) -> ClassificationScores:
    """Score predicted labels.

    A label that is never predicted has an F1 of 0. A label that no cell has is left out of all means, and listed in
    ``absent``.

    Parameters
    ----------
    truth, predicted
        As in `scmoe.metrics.confusion_table`.
    probabilities
        ``(n_cells, n_labels)`` in the order of `labels`; rows sum to 1. A frame names its columns, and its cells if
        it has an index of names; both are matched by name. Needed for ``ece`` and ``macro_auprc``.
    labels
        All labels, as in `scmoe.metrics.confusion_table`.
    n_train
        Training cells of each label, 0 for those that training lacks. Needed for what is said of head, middle and
        tail, see `scmoe.metrics.frequency_groups`.

    Returns
    -------
    ClassificationScores
        Named numbers.

    Raises
    ------
    ValueError
        As in `scmoe.metrics.confusion_table`; the probabilities are of other cells or labels, or are none; a label is
        not in `n_train`.

    Examples
    --------
    >>> scores = classification_scores(["B", "B", "T"], ["B", "B", "B"], labels=["B", "T", "NK"])
    >>> scores.macro_f1, scores.worst_label, scores.absent
    (0.4, 'T', ('NK',))
    """
    truth, predicted, probabilities = in_one_order(
        {"truth": truth, "predicted": predicted, "probabilities": probabilities}
    )
    names, true_code, predicted_code = as_codes(truth, predicted, labels)
    _, recall, f1 = class_scores(count_cells(len(names), true_code, predicted_code))
    worst = int(np.nanargmin(recall))
    group = np.full(len(names), "none")
    if n_train is not None:
        group = frequency_groups(training_counts(n_train, names)).astype(str).to_numpy()
    tail, answered, right = group == "tail", predicted_code < len(names), true_code == predicted_code
    auprc, ece = NAN, dict.fromkeys(("all", *GROUPS), NAN)
    if probabilities is not None:
        auprc = _macro_auprc(true_code, checked_probabilities(probabilities, names, len(true_code)))
        confidence = confidence_of(probabilities, names, predicted_code)
        for name in ece:
            subset = answered & ((group[true_code] == name) | (name == "all"))
            ece[name] = calibration_error(confidence[subset], right[subset])
    return ClassificationScores(
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.nanmean(recall)),
        macro_f1=float(np.nanmean(f1)),
        worst_recall=float(recall[worst]),
        worst_label=names[worst],
        tail_recall=_mean(recall[tail]),
        tail_f1=_mean(f1[tail]),
        macro_auprc=auprc,
        ece=ece["all"],
        ece_head=ece["head"],
        ece_middle=ece["middle"],
        ece_tail=ece["tail"],
        n_cells=len(true_code),
        n_unknown=int((~answered).sum()),
        absent=tuple(name for name, value in zip(names, recall, strict=True) if np.isnan(value)),
    )


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what is there; NaN if nothing is."""
    present = values[np.isfinite(values)]
    return float(present.mean()) if len(present) else NAN


def _macro_auprc(true: NDArray[np.integer], probability: NDArray[np.float64]) -> float:
    return float(np.mean([average_precision_score(true == code, probability[:, code]) for code in np.unique(true)]))
