"""Scores against how often a label is in training."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from scmoe.arguments._checked import checks_arguments
from scmoe.metrics._confusion import index_names, training_counts

GROUPS = ("head", "middle", "tail")
MIN_LABELS = 3
"""From which on a rank correlation says anything."""


@checks_arguments
def frequency_groups(n_train: Mapping[str, int] | pd.Series) -> pd.Series:
    """Divide labels by their numbers of training cells.

    Parameters
    ----------
    n_train
        Training cells of each label; 0 for labels that training lacks.

    Returns
    -------
    ``"tail"`` for the third of the labels (rounded up) with the fewest cells, ``"head"`` for the third (rounded down,
    but at least one) with the most, ``"middle"`` for others. Labels with the same number are in the same group, at
    the edge of both in the tail.

    Raises
    ------
    ValueError
        A number is missing or negative.

    Examples
    --------
    >>> frequency_groups({"B": 500, "T": 900, "pDC": 9}).to_dict()
    {'B': 'middle', 'T': 'head', 'pDC': 'tail'}
    """
    counts = training_counts(n_train, list(index_names(pd.Series(n_train))))
    ordered = np.sort(counts.to_numpy())
    low, high = ordered[math.ceil(len(counts) / 3) - 1], ordered[-max(len(counts) // 3, 1)]
    groups = np.where(counts <= low, "tail", np.where(counts >= high, "head", "middle"))
    return pd.Series(pd.Categorical(groups, categories=GROUPS), index=counts.index)


@checks_arguments
def recall_slope(recall: Mapping[str, float] | pd.Series, n_train: Mapping[str, int] | pd.Series) -> float:
    """Tell how much recall depends on the number of training cells.

    This is Spearman's correlation of recall and log n over labels.

    Parameters
    ----------
    recall
        Of each label, as in `scmoe.metrics.per_class_scores`; NaN for labels that are left out.
    n_train
        Training cells of each label.

    Returns
    -------
    float
        From -1 to 1; near 1, the rarer a label, the less of its cells are found. NaN for fewer than three labels, or
        where all recalls or all numbers are equal.

    Raises
    ------
    ValueError
        `n_train` lacks a label, or has a negative number; a recall is no share.

    Examples
    --------
    >>> recall_slope({"B": 0.9, "T": 0.95, "pDC": 0.2}, {"B": 500, "T": 900, "pDC": 9})
    1.0
    """
    values = pd.Series(recall, dtype=np.float64)
    if not values.dropna().between(0, 1).all():
        wrong = values[values.notna() & ~values.between(0, 1)]
        raise ValueError(f"recall must be shares from 0 to 1, or NaN; found {wrong.iloc[0]:g} for {wrong.index[0]!r}.")
    counts = training_counts(n_train, list(index_names(values)))
    finite = values.notna().to_numpy()
    x, y = counts.to_numpy()[finite], values.to_numpy()[finite]  # ranks of n are ranks of log n
    if finite.sum() < MIN_LABELS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.clip(spearmanr(x, y).statistic, -1, 1))
