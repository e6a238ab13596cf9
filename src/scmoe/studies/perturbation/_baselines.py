"""Responses of cells to perturbations, simple predictions of them, and scores of predictions."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from scmoe._matrix import check_counts
from scmoe.benchmark._baselines import ALPHAS
from scmoe.metrics._features import feature_scores
from scmoe.pp._normalize import log_normalize

CONDITION, CONTROL = "condition", "ctrl"
"""Column of obs and its value for cells without a perturbation; others are such as "A+ctrl" and "A+B", as in GEARS."""
N_TOP = 20
"""Genes that change most, which get scores of their own."""


class Responses(NamedTuple):
    """Perturbations of a screen, each with its mean response.

    `perturbed` says which genes were perturbed, (perturbations, genes), boolean; `change` is the change of the
    log-normalized sum of the cells against the control, (perturbations, genes); `name` is the condition.
    """

    name: list[str]
    perturbed: NDArray[np.bool_]
    change: NDArray[np.float64]


def responses(screen: AnnData) -> Responses:
    """Change of ln(1 + 10 000 x / total) of each gene against the control.

    Counts are summed over the cells of a condition.

    Parameters
    ----------
    screen
        Counts of single cells, cells x genes, and ``obs["condition"]``: "ctrl", "A+ctrl", or "A+B" with names of genes.

    Raises
    ------
    ValueError
        The values are no counts, there is no such column, no control, or no perturbation, or one names an unknown gene.
    """
    if CONDITION not in screen.obs:
        raise ValueError(
            f"obs must have the column {CONDITION!r} with 'ctrl', 'A+ctrl' or 'A+B'; found {list(screen.obs)[:5]}."
        )
    check_counts(screen.X, None, "X", screen.obs_names, screen.var_names)
    condition = screen.obs[CONDITION].astype(str)
    names = sorted(set(condition) - {CONTROL})
    if CONTROL not in set(condition) or not names:
        raise ValueError(
            f"obs[{CONDITION!r}] must have {CONTROL!r} and perturbations; found {sorted(set(condition))[:5]}."
        )
    perturbed = np.stack([_indicator(name, screen.var_names) for name in names])
    sums = [np.asarray(screen.X[(condition == name).to_numpy()].sum(axis=0)).ravel() for name in (CONTROL, *names)]
    level = np.asarray(log_normalize(np.stack(sums).astype(np.float64)), np.float64)
    return Responses(names, perturbed, level[1:] - level[0])


def _indicator(condition: str, genes: pd.Index) -> NDArray[np.bool_]:
    wanted = [gene for gene in condition.split("+") if gene != CONTROL]
    if unknown := [gene for gene in wanted if gene not in genes]:
        raise ValueError(f"The condition {condition!r} names {unknown[0]!r}, which is not among the genes of the data.")
    return np.asarray(genes.isin(wanted))


def ridge_response(
    gene_features: NDArray[np.floating],
    perturbed: NDArray[np.bool_],
    change: NDArray[np.floating],
    unseen: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Predict the response to perturbations by ridge regression on features of the genes that they hit.

    A perturbation's features are the sum of those of its genes, each feature z-scored over all genes; what is regressed
    on them is the change of every gene. The penalty, one for all genes, is chosen by cross-validation that leaves out
    all perturbations of one gene at a time: leaving out one perturbation would keep pairs with the same gene, and favor
    too small a penalty.

    Parameters
    ----------
    gene_features
        (genes, k).
    perturbed, change
        Which genes the known perturbations hit, (n, genes), and the change of every gene, (n, genes).
    unseen
        Which genes the others hit, (m, genes).

    Returns
    -------
    (m, genes), the predicted change.
    """
    scaled = StandardScaler().fit_transform(np.asarray(gene_features, np.float64))
    splits = [(np.flatnonzero(~hits), np.flatnonzero(hits)) for hits in perturbed.T if hits.any()]
    search = GridSearchCV(Ridge(), {"alpha": ALPHAS}, cv=splits, scoring="neg_mean_squared_error")
    search.fit(perturbed @ scaled, change)
    return np.asarray(search.predict(unseen @ scaled)).reshape(len(unseen), change.shape[1])


def additive_response(
    perturbed: NDArray[np.bool_], change: NDArray[np.floating], unseen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The sum of the changes that the genes of a perturbation cause alone; a gene not perturbed alone adds nothing."""
    alone = perturbed.sum(axis=1) == 1
    of_gene = np.zeros((perturbed.shape[1], change.shape[1]))
    of_gene[perturbed[alone].argmax(axis=1)] = change[alone]
    return np.asarray(unseen @ of_gene)


def check_features(
    name: str, features: NDArray[np.floating], genes: pd.Index, needed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Features of genes as (genes, width), none missing for the genes needed.

    Raises
    ------
    ValueError
        The shape does not fit the genes, or a gene that is needed has none.
    """
    checked: NDArray[np.float64] = np.asarray(features, np.float64)
    if checked.ndim != 2 or len(checked) != len(genes):
        raise ValueError(f"The features {name!r} must be {len(genes)} genes x width; found the shape {checked.shape}.")
    missing = needed & ~np.isfinite(checked).all(axis=1)
    if missing.any():
        raise ValueError(
            f"The features {name!r} are missing for {missing.sum()} of the {needed.sum()} genes that need them, "
            f"the first is {genes[missing.argmax()]!r}. Leave these genes out of the screen, or use other features."
        )
    return checked


def response_scores(
    truth: NDArray[np.floating], predicted: NDArray[np.floating], perturbed: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Scores of each perturbation over the genes that it does not hit, and over the 20 of these that change most.

    Parameters
    ----------
    truth, predicted
        Change, (perturbations, genes).
    perturbed
        Which genes are hit, (perturbations, genes).

    Returns
    -------
    By name, (perturbations,). A prediction without differences between genes has a Pearson correlation of 0.
    """
    scored = np.where(perturbed, np.nan, truth)
    order = np.argsort(-np.nan_to_num(np.abs(scored), nan=-1.0), axis=1, kind="stable")
    top = np.take_along_axis(scored, order[:, :N_TOP], axis=1)
    predicted_top = np.take_along_axis(predicted, order[:, :N_TOP], axis=1)
    scores: dict[str, NDArray[np.float64]] = {}
    for suffix, y, p in (("", scored, predicted), ("_top", top, predicted_top)):
        table = feature_scores(y.T, p.T)
        scores[f"mse{suffix}"] = table["rmse"].to_numpy() ** 2
        scores[f"pearson{suffix}"] = table["pearson"].to_numpy()
    return scores
