"""Whether probabilities say how often a label is right."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scmoe._align import in_one_order, in_order_of, is_numbered
from scmoe._keys import column_names
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import Category, category_names
from scmoe.metrics._confusion import Labels, as_codes, numbers, training_counts
from scmoe.metrics._frequency import frequency_groups
from scmoe.metrics._wilson import wilson_interval

N_BINS = 15
"""Of the calibration error; of equal width, from 0 to 1."""
MAX_QUANTILES, MIN_PER_BIN = 10, 10
"""Of the table: bins of as many cells each, as many as have this many cells."""
ALL_CELLS = "all cells"
ROUNDING = 1e-3
"""By which the probabilities of a cell may miss a sum of 1."""


@checks_arguments
def calibration_table(
    truth: Labels,
    predicted: Labels,
    probabilities: ArrayLike | pd.DataFrame,
    *,
    labels: Sequence[Category],
    n_train: Mapping[str, int] | pd.Series | None = None,
) -> pd.DataFrame:
    """Mean probability of the predicted label, and how often it is right, in bins of as many cells each.

    Parameters
    ----------
    truth, predicted
        As in `scmoe.metrics.confusion_table`. Cells that are predicted to be ``"Unknown"`` are left out.
    probabilities
        ``(n_cells, n_labels)`` in the order of `labels`; rows sum to 1. A frame names its columns, as in
        ``obsm["scmoe_label_probability"]``, and its cells if it has an index of names; both are matched by name.
    labels
        All labels, as in `scmoe.metrics.confusion_table`.
    n_train
        Training cells of each label; the cells are then also divided by how frequent their true label is in training,
        see `scmoe.metrics.frequency_groups`.

    Returns
    -------
    One row for each group and bin, with the columns

    - ``group``: ``"all cells"``, and with `n_train` ``"head"``, ``"middle"`` and ``"tail"``;
    - ``low`` and ``high``: lowest and highest probability in the bin. Up to ten bins of at least ten cells each have as
      many cells, but that cells of the same probability stay together;
    - ``confidence`` and ``accuracy``: means of its cells;
    - ``accuracy_low`` and ``accuracy_high``: Wilson's 95 % interval of the accuracy;
    - ``n_cells``;
    - ``ece``: the group's expected calibration error, as in `scmoe.metrics.classification_scores` (15 bins of equal
      width).

    Raises
    ------
    ValueError
        As in `scmoe.metrics.confusion_table`; the probabilities are of other cells or labels, or are none; a label is
        not in `n_train`.

    Examples
    --------
    >>> table = calibration_table(["B", "T"], ["B", "B"], [[0.9, 0.1], [0.9, 0.1]], labels=["B", "T"])
    >>> table[["confidence", "accuracy", "n_cells"]].values.tolist()
    [[0.9, 0.5, 2.0]]
    """
    truth, predicted, probabilities = in_one_order(
        {"truth": truth, "predicted": predicted, "probabilities": probabilities}
    )
    names, true_code, predicted_code = as_codes(truth, predicted, labels)
    confidence = confidence_of(probabilities, names, predicted_code)
    answered = predicted_code < len(names)
    group = np.full(len(names), ALL_CELLS)
    if n_train is not None:
        group = frequency_groups(training_counts(n_train, names)).astype(str).to_numpy()
    right, parts = true_code == predicted_code, []
    for name in dict.fromkeys([ALL_CELLS, *group]):
        mask = answered & ((group[true_code] == name) | (name == ALL_CELLS))
        parts.append(_binned(confidence[mask], right[mask]).assign(group=name))
    table = pd.concat(parts, ignore_index=True)
    return table[["group", *table.columns.drop("group")]]


def _binned(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> pd.DataFrame:
    """Rows of one group of cells."""
    n_bins = int(np.clip(len(confidence) // MIN_PER_BIN, 1, MAX_QUANTILES))
    inner = np.linspace(0, 1, n_bins + 1)[1:-1]
    edges = np.unique(np.quantile(confidence, inner)) if len(confidence) else np.empty(0)
    cells = pd.DataFrame({"bin": np.searchsorted(edges, confidence), "confidence": confidence, "right": right})
    of_bin = cells.groupby("bin")
    n = of_bin.size().to_numpy()
    low, high = wilson_interval(of_bin["right"].sum().to_numpy(), n)
    return pd.DataFrame(
        {
            "low": of_bin["confidence"].min().to_numpy(),
            "high": of_bin["confidence"].max().to_numpy(),
            "confidence": of_bin["confidence"].mean().to_numpy(),
            "accuracy": of_bin["right"].mean().to_numpy(dtype=float),
            "accuracy_low": low,
            "accuracy_high": high,
            "n_cells": n,
            "ece": calibration_error(confidence, right),
        }
    )


@checks_arguments
def coverage_accuracy(
    truth: Labels, predicted: Labels, confidence: ArrayLike | pd.Series, *, labels: Sequence[Category]
) -> pd.DataFrame:
    """Accuracy among the cells of highest confidence, for every share of the cells that could be kept.

    Parameters
    ----------
    truth, predicted
        As in `scmoe.metrics.confusion_table`. Cells that are predicted to be ``"Unknown"`` are never kept.
    confidence
        Of each cell's prediction, ``(n_cells,)``, in any unit in which more is surer. A Series that names its cells is
        matched by name.
    labels
        All labels, as in `scmoe.metrics.confusion_table`.

    Returns
    -------
    One row for each threshold, the highest first: ``threshold``, ``coverage`` (share of all cells whose confidence
    reaches it), ``accuracy`` among them, and ``n_cells``. Cells of the same confidence stay together, so the order of
    cells does not matter.

    Raises
    ------
    ValueError
        As in `scmoe.metrics.confusion_table`; the confidence is of other cells, or not a number.

    Examples
    --------
    >>> coverage_accuracy(["B", "T"], ["B", "B"], [0.9, 0.6], labels=["B", "T"])["accuracy"].tolist()
    [1.0, 0.5]
    """
    truth, predicted, confidence = in_one_order({"truth": truth, "predicted": predicted, "confidence": confidence})
    names, true_code, predicted_code = as_codes(truth, predicted, labels)
    values = numbers(confidence, "confidence")
    if values.shape != true_code.shape or not np.isfinite(values).all():
        raise ValueError(
            f"confidence must be a number for each of the {len(true_code)} cells; found {values.size} of the shape "
            f"{values.shape}, {int((~np.isfinite(values)).sum())} of them not finite."
        )
    answered = predicted_code < len(names)
    cells = pd.DataFrame(
        {"threshold": values[answered], "right": (true_code == predicted_code)[answered], "n_cells": 1}
    )
    totals = cells.groupby("threshold").sum().sort_index(ascending=False).cumsum().reset_index()
    return pd.DataFrame(
        {
            "threshold": totals["threshold"],
            "coverage": totals["n_cells"] / len(true_code),
            "accuracy": totals["right"] / totals["n_cells"],
            "n_cells": totals["n_cells"],
        }
    )


def calibration_error(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean over cells of the gap between confidence and accuracy in their bin.

    NaN without cells.
    """
    if not len(confidence):
        return float("nan")
    gap = np.bincount(bin_of(confidence), weights=confidence - correct, minlength=N_BINS)
    return float(np.abs(gap).sum() / len(confidence))


def bin_of(confidence: NDArray[np.floating]) -> NDArray[np.integer]:
    """Bin of each confidence; ends belong to the bin below."""
    return np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)


def checked_probabilities(
    probabilities: ArrayLike | pd.DataFrame, names: Sequence[str], n_cells: int
) -> NDArray[np.float64]:
    """Probabilities as an array, (n_cells, labels)."""
    if isinstance(probabilities, pd.DataFrame):
        probabilities = _by_label(probabilities, names)
    values = numbers(probabilities, "probabilities")
    if values.shape != (n_cells, len(names)):
        raise ValueError(f"probabilities must have shape ({n_cells} cells, {len(names)} labels); found {values.shape}.")
    if not ((values >= 0).all() and (np.abs(values.sum(axis=1) - 1) < ROUNDING).all()):
        raise ValueError("probabilities must be numbers from 0 on that sum to 1 in each cell.")
    return values


def _by_label(probabilities: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The columns of labels, in their order, whether they are called like these or like the columns of a file."""
    columns = category_names(pd.Series(probabilities.columns))
    if not columns.isin(names).any() and is_numbered(probabilities.columns):
        return probabilities
    if not set(names) <= set(columns):
        columns = columns.replace(dict(zip(column_names(names), names, strict=True)))
    return in_order_of(probabilities.set_axis(columns, axis=1), pd.Index(names), "probabilities", "labels", axis=1)


def confidence_of(
    probabilities: ArrayLike | pd.DataFrame, names: Sequence[str], predicted_code: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Probability of each cell's predicted label; 0 where a model declined to name one."""
    values = checked_probabilities(probabilities, names, len(predicted_code))
    # One more column, of zeros, for declined predictions: their code is the number of labels.
    return np.take_along_axis(np.pad(values, ((0, 0), (0, 1))), predicted_code[:, None], axis=1)[:, 0].clip(0, 1)
