"""What features add to a target, and whether that can be trusted."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from scmoe._align import in_order_of
from scmoe.arguments._checked import checks_arguments


@checks_arguments
def attribution_table(
    signed: Mapping[str, NDArray[np.floating]],
    absolute: Mapping[str, NDArray[np.floating]],
    slope: Mapping[str, NDArray[np.floating]],
    feature_names: Mapping[str, Sequence[str]],
    *,
    level: Mapping[str, NDArray[np.floating]] | None = None,
    n_top: int | None = None,
) -> pd.DataFrame:
    """Features of all modalities, those of the largest attribution first.

    Parameters
    ----------
    signed, absolute
        Of each modality (n_features,), or a Series that names them: mean attribution, and mean of its size.
    slope
        Of each modality, in the same form: change of the target for one standard deviation more of a feature.
    feature_names
        Of each modality, in the same order.
    level
        Of each modality, in the form of `signed`: mean of a feature in these cells, in standard deviations from that
        of all.
    n_top
        Features of each modality that are kept; None: all.

    Returns
    -------
    A frame with the columns ``modality``, ``feature``, ``attribution``, ``size``, ``slope``, with `level`
    ``level``, and ``rank`` (by size, over all modalities, from 1).

    Raises
    ------
    ValueError
        Arrays and names do not fit.

    Examples
    --------
    >>> target = model.label_target("B")
    >>> mean = model.get_mean_attributions(target, indices=range(20), n_steps=4)
    >>> parts = (mean.signed, mean.absolute, mean.slope)
    >>> table = scmoe.explain.attribution_table(*parts, model.feature_names, level=mean.level, n_top=5)
    >>> len(table)
    10
    """
    parts = []
    columns = {"attribution": ("signed", signed), "size": ("absolute", absolute), "slope": ("slope", slope)}
    if level is not None:
        columns["level"] = ("level", level)
    for name, features in feature_names.items():
        arrays = {
            column: np.asarray(in_order_of(values[name], pd.Index(features), f"{argument}[{name!r}]", "features"))
            for column, (argument, values) in columns.items()
        }
        if any(np.shape(values) != (len(features),) for values in arrays.values()):
            raise ValueError(
                f"Modality {name!r} has {len(features)} features; found arrays of "
                f"{[np.shape(values) for values in arrays.values()]}."
            )
        parts.append(pd.DataFrame({"modality": name, "feature": list(features), **arrays}))
    table = pd.concat(parts).sort_values("size", ascending=False, kind="stable", ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    if n_top is not None:
        table = table.groupby("modality", sort=False).head(n_top).reset_index(drop=True)
    return table


def modality_shares(
    signed: Mapping[str, NDArray[np.floating]], absolute: Mapping[str, NDArray[np.floating]]
) -> pd.DataFrame:
    """Of each modality the sum of its features' attributions, and its share of their sizes.

    Parameters
    ----------
    signed, absolute
        As in `attribution_table`.

    Returns
    -------
    A frame with the columns ``modality``, ``attribution`` and ``share`` (sums to 1; 0 if no attribution differs from
    0).
    """
    sizes = np.array([float(np.sum(absolute[name])) for name in signed])
    return pd.DataFrame(
        {
            "modality": list(signed),
            "attribution": [float(np.sum(values)) for values in signed.values()],
            "share": sizes / max(sizes.sum(), 1e-300),  # 0, not NaN, where no attribution differs from 0
        }
    )


@checks_arguments
def deletion_table(
    values: NDArray[np.floating], rankings: Sequence[str], shares: Sequence[float]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How a target falls when the features that speak for it most are taken away, by how they were ranked.

    Parameters
    ----------
    values
        (n_cells, n_rankings, n_shares) of the target.
    rankings
        Their names.
    shares
        Of the features that are gone; ascending, the first one 0.

    Returns
    -------
    curve
        ``ranking``, ``share``, ``value``, ``drop`` (mean over cells of the value with all features minus this one) and
        ``drop_se``, its standard error.
    summary
        ``ranking``, ``area`` and ``p_over_attribution``. ``area`` is the mean drop over the shares (trapezoid rule),
        averaged over cells: the larger, the more the target rested on what the ranking put first. The p-value is that
        of a one-sided Wilcoxon signed-rank test, paired by cell, of whether the first ranking's area is larger (1 for
        the first itself).

    Raises
    ------
    ValueError
        The shape does not fit, there is no cell, or the first share is not 0.

    Examples
    --------
    >>> values = np.array([[[3.0, 1.0], [3.0, 2.0]]])  # 1 cell, 2 rankings, 2 shares
    >>> curve, summary = scmoe.explain.deletion_table(values, ["attribution", "random"], [0, 0.1])
    >>> summary["area"].tolist()
    [1.0, 0.5]
    """
    if values.ndim != 3 or values.shape[1:] != (len(rankings), len(shares)) or not len(values):
        raise ValueError(
            f"values must be cells x {len(rankings)} rankings x {len(shares)} shares, with at least one cell; "
            f"found the shape {values.shape}."
        )
    if shares[0] != 0 or len(shares) < 2:
        raise ValueError(f"shares must begin with 0 and have a second one; found {list(shares)}.")
    drop = values[:, :, :1].astype(np.float64) - values
    ranking, share = (axis.ravel() for axis in np.indices(drop.shape[1:]))
    deviation = drop.std(0, ddof=1) if len(drop) > 1 else np.zeros(drop.shape[1:])
    curve = pd.DataFrame(
        {
            "ranking": np.array(rankings, object)[ranking],
            "share": np.asarray(shares, float)[share],
            "value": values.mean(0).ravel(),
            "drop": drop.mean(0).ravel(),
            "drop_se": (deviation / np.sqrt(len(drop))).ravel(),
        }
    )
    area = np.trapezoid(drop, shares, axis=2) / (shares[-1] - shares[0])
    p = [1.0] + [_p_larger(area[:, 0], area[:, i]) for i in range(1, len(rankings))]
    summary = pd.DataFrame({"ranking": list(rankings), "area": area.mean(0), f"p_over_{rankings[0]}": p})
    return curve, summary


def _p_larger(first: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    difference = first - other
    return float(wilcoxon(difference, alternative="greater").pvalue) if np.any(difference) else 1.0
