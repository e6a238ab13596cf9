"""Agreement of predicted with observed values, feature by feature."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scmoe._align import in_one_order
from scmoe.arguments._checked import checks_arguments
from scmoe.metrics._confusion import numbers

MAX_VALUE = 1e140
"""Sums of the squares of such values are numbers still."""


@checks_arguments
def feature_scores(truth: ArrayLike | pd.DataFrame, prediction: ArrayLike | pd.DataFrame) -> pd.DataFrame:
    r"""Score the prediction of every feature over cells.

    With residual :math:`e = y - \hat y` over the cells where both are finite, R² is
    :math:`1 - \sum e^2 / \sum (y - \bar y)^2` and may be negative.

    Parameters
    ----------
    truth
        Observed values, ``(n_cells, n_features)``; a frame names the features. NaN entries are left out one by one.
    prediction
        Predicted values of the same shape. Cells and features that both frames name are matched by name.

    Returns
    -------
    One row a feature with columns ``pearson``, ``r2``, ``rmse``, ``n_cells`` and ``dropped``. A feature whose observed
    values do not vary (or with fewer than two cells) has ``dropped=True`` and NaN for ``pearson`` and ``r2``.
    A prediction that does not vary has a ``pearson`` of 0: it tells cells apart no better than the mean does.

    Raises
    ------
    ValueError
        If the shapes differ or are not two-dimensional, two frames are of different cells or features, or a value is
        beyond ± 1e140.

    Examples
    --------
    >>> feature_scores([[1.0], [2.0], [3.0]], [[1.0], [2.0], [4.0]])["rmse"].round(3).tolist()
    [0.577]
    """
    for axis, entries in enumerate(("cells", "features")):
        truth, prediction = in_one_order({"truth": truth, "prediction": prediction}, entries, axis=axis)
    features = truth.columns if isinstance(truth, pd.DataFrame) else None
    y, p = numbers(truth, "truth"), numbers(prediction, "prediction")
    if y.shape != p.shape or y.ndim != 2:
        raise ValueError(
            f"truth and prediction must both be cells x features of one shape; found {y.shape} and {p.shape}."
        )
    finite = np.isfinite(y) & np.isfinite(p)
    y, p = np.where(finite, y, np.nan), np.where(finite, p, np.nan)
    for name, values in (("truth", y), ("prediction", p)):
        if (is_large := np.abs(values) > MAX_VALUE).any():
            column = int(is_large.any(axis=0).argmax())
            feature = column if features is None else repr(features[column])
            value = np.nanmax(np.abs(values[:, column]))
            raise ValueError(
                f"{name} must hold numbers of up to {MAX_VALUE:g}; found {value:g} for feature {feature}. Use a larger "
                "unit, or NaN for what is no measurement."
            )
    n_cells = finite.sum(axis=0)
    y_centered, p_centered = _centered(y, n_cells), _centered(p, n_cells)
    total = np.sum(y_centered**2, axis=0)
    squared_error = np.nansum((y - p) ** 2, axis=0)
    dropped = _constant(y) | (n_cells < 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Two roots: the product of both sums may be beyond all numbers where neither is.
        pearson = np.sum(y_centered * p_centered, axis=0) / np.sqrt(total) / np.sqrt(np.sum(p_centered**2, axis=0))
        r2 = 1 - squared_error / total
        rmse = np.sqrt(squared_error / n_cells)
    pearson = np.where(_constant(p), 0.0, np.clip(pearson, -1, 1))
    return pd.DataFrame(
        {
            "pearson": np.where(dropped, np.nan, pearson),
            "r2": np.where(dropped, np.nan, r2),
            "rmse": rmse,
            "n_cells": n_cells,
            "dropped": dropped,
        },
        index=pd.RangeIndex(y.shape[1]) if features is None else features,
    )


def _centered(values: NDArray[np.float64], n_cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values minus the column mean, with 0 where missing so that sums skip the entry."""
    return np.nan_to_num(values - np.nansum(values, axis=0) / np.maximum(n_cells, 1))


def _constant(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Columns with a single value; exact, unlike a variance, which rounding makes positive."""
    high = np.max(np.where(np.isnan(values), -np.inf, values), axis=0, initial=-np.inf)
    low = np.min(np.where(np.isnan(values), np.inf, values), axis=0, initial=np.inf)
    return high <= low
