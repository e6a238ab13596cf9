"""Scores of what was predicted for held-out cells, labels or features: arrays in, named numbers out."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score, f1_score

from scmoe.arguments._checked import checks_arguments
from scmoe.metrics._calibration import calibration_error
from scmoe.metrics._features import feature_scores

Array = NDArray[np.floating]
MIN_CLASS = 5
"""Classes with fewer cells are left out of the macro-F1 named after this number."""
SMALLEST = 1e-15
"""Probabilities count as at least this much in the log-loss."""


def class_scores(truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Accuracy, and macro-F1 over the classes of `truth`: all, and those with at least 5 cells."""
    names, sizes = np.unique(truth, return_counts=True)
    large = names[sizes >= MIN_CLASS]

    def macro_f1(labels: NDArray[Any]) -> float:
        if not len(labels):
            return float("nan")
        return float(f1_score(truth, predicted, labels=labels, average="macro", zero_division=0))

    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro_f1": macro_f1(names),
        "macro_f1_5": macro_f1(large),
    }


@checks_arguments
def label_scores(truth: ArrayLike, probability: pd.DataFrame) -> dict[str, float]:
    """Score probabilities of labels.

    Parameters
    ----------
    truth
        Label of every cell, ``(n_cells,)``.
    probability
        Cells x labels. NaN says that the label was not among the training labels of the cell.

    Returns
    -------
    ``accuracy``; ``macro_f1`` over the labels in `truth` and ``macro_f1_5`` over those with at least 5 cells;
    ``log_loss``, over cells whose label was in training; ``ece``, the expected calibration error in 15 bins of equal
    width; and ``unseen``, the number of cells whose label was not in training: they count as wrong everywhere else.

    Examples
    --------
    >>> probability = mdata.obsm["scmoe_label_probability"]
    >>> scores = scmoe.benchmark.label_scores(mdata.obs["lineage"], probability)
    >>> scores["accuracy"] > 0.5
    True
    """
    true, values = np.asarray(truth).astype(str), probability.to_numpy(dtype=np.float64)
    column = probability.columns.astype(str).get_indexer(true)
    own = np.where(column >= 0, values[np.arange(len(true)), column], np.nan)
    seen = np.isfinite(own)
    best = np.nan_to_num(values).argmax(axis=1)
    predicted, confidence = probability.columns.astype(str).to_numpy()[best], np.nan_to_num(values).max(axis=1)
    return {
        **class_scores(true, predicted),
        "log_loss": float(-np.log(np.clip(own[seen], SMALLEST, 1)).mean()) if seen.any() else float("nan"),
        "ece": calibration_error(confidence, predicted == true),
        "unseen": float((~seen).sum()),
    }


@checks_arguments
def prediction_scores(train: ArrayLike, truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Score predicted features of held-out cells.

    Parameters
    ----------
    train
        The target in training cells, ``(n_train, n_features)``.
    truth
        The target in held-out cells, ``(n_test, n_features)``.
    predicted
        Its prediction, of the same shape.

    Returns
    -------
    Means over the features that vary both in training and in held-out cells: ``pearson``, ``r2``, ``nrmse`` (root mean
    squared error divided by the standard deviation in held-out cells) and ``skill`` (1 - squared error / that of
    the mean of the training cells); and the numbers ``n_features`` and ``n_dropped``.

    Examples
    --------
    >>> values = mdata["adt"].X
    >>> mean = np.tile(values[:500].mean(axis=0), (100, 1))  # the prediction to beat
    >>> scores = scmoe.benchmark.prediction_scores(values[:500], values[500:], mean)
    >>> abs(scores["skill"]) < 1e-6
    True
    """
    x, y, p = (np.asarray(values, dtype=np.float64) for values in (train, truth, predicted))
    varies = (np.nanmax(x, axis=0) > np.nanmin(x, axis=0)) & (np.nanmax(y, axis=0) > np.nanmin(y, axis=0))
    counts = {"n_features": float(varies.sum()), "n_dropped": float((~varies).sum())}
    if not varies.any():
        return dict.fromkeys(("pearson", "r2", "nrmse", "skill"), float("nan")) | counts
    x, y, p = x[:, varies], y[:, varies], p[:, varies]
    table = feature_scores(y, p)
    mean = feature_scores(y, np.broadcast_to(np.nanmean(x, axis=0), y.shape))
    return {
        "pearson": float(table["pearson"].mean()),
        "r2": float(table["r2"].mean()),
        "nrmse": float((table["rmse"] / np.nanstd(y, axis=0)).mean()),
        "skill": float((1 - table["rmse"] ** 2 / mean["rmse"] ** 2).mean()),
        **counts,
    }


def uncertainty_scores(
    train: Array, truth: Array, predicted: Array, sd: Array, lower: Array, upper: Array
) -> dict[str, float]:
    """Whether standard deviations and intervals of a prediction are as large as its errors.

    Parameters
    ----------
    train
        The target in training cells, ``(n_train, n_features)``.
    truth, predicted
        The target in held-out cells and its prediction, ``(n_test, n_features)``.
    sd, lower, upper
        Standard deviation of each value, and ends of its 90 % interval.

    Returns
    -------
    ``sd_ratio``, the root mean square of the standard deviations over that of the errors, with each feature in units of
    its standard deviation in training cells; ``coverage_90``, the share of values in their intervals; and the same of
    the values above zero, among features that are never below: ``sd_ratio_positive`` and ``coverage_90_positive``. NaN
    where there is no such value.
    """
    unit = np.nanstd(train, axis=0)
    unit = np.where(unit > 0, unit, np.nan)  # what does not vary has none
    spread, error = np.square(sd / unit), np.square((truth - predicted) / unit)
    inside, measured = (lower <= truth) & (truth <= upper), np.isfinite(error)
    positive = measured & (truth > 0) & (np.nanmin(train, axis=0) >= 0)
    scores: dict[str, float] = {}
    for suffix, mask in (("", measured), ("_positive", positive)):
        ratio, coverage = np.nan, np.nan
        if mask.any():
            ratio, coverage = np.sqrt(spread[mask].mean() / error[mask].mean()), inside[mask].mean()
        scores |= {f"sd_ratio{suffix}": float(ratio), f"coverage_90{suffix}": float(coverage)}
    return scores
