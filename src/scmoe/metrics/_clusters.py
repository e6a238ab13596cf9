"""Accuracy of a clustering after the best one-to-one naming of its clusters."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from scmoe.arguments._checked import checks_arguments
from scmoe.metrics._confusion import check_lengths


@checks_arguments
def matched_accuracy(truth: ArrayLike | pd.Series, predicted: ArrayLike | pd.Series) -> tuple[float, pd.DataFrame]:
    """Match clusters to labels one to one so that most cells agree.

    Parameters
    ----------
    truth
        Label of every cell, ``(n_cells,)``.
    predicted
        Cluster of every cell, ``(n_cells,)``; names need not be those of `truth`.

    Returns
    -------
    accuracy
        Share of the cells on the diagonal of `confusion`. Labels or clusters left without a partner count as wrong.
    confusion
        Numbers of cells, labels x clusters, ordered so that partners stand on the diagonal; those without a partner
        come last.

    Raises
    ------
    ValueError
        If there are no cells, the lengths differ, or a label is missing.

    Examples
    --------
    >>> matched_accuracy(list("0001112222"), list("2200011111"))[0]
    0.8
    """
    true, clusters = pd.Series(np.asarray(truth), name="truth"), pd.Series(np.asarray(predicted), name="predicted")
    check_lengths(true, clusters)
    for labels in (true, clusters):
        if labels.isna().any():
            raise ValueError(f"{labels.name} has {labels.isna().sum()} missing labels; leave those cells out first.")
    confusion = pd.crosstab(true, clusters)
    rows, columns = linear_sum_assignment(confusion.to_numpy(), maximize=True)
    row_order = [*rows, *np.setdiff1d(np.arange(confusion.shape[0]), rows)]
    column_order = [*columns, *np.setdiff1d(np.arange(confusion.shape[1]), columns)]
    ordered = confusion.iloc[row_order, column_order]
    return float(np.trace(ordered.to_numpy()) / len(true)), ordered
