"""Composition of samples: which groups, or neighborhoods of the embedding, a condition has more of."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from scmoe.differential._markers import benjamini_hochberg
from scmoe.differential._samples import MIN_SAMPLES, Design

PRIOR = 0.5
"""Cells added to each count, so that logarithms of none are finite."""
SHARE_OF_CELLS = 0.1
MAX_NEIGHBORHOODS = 2000
CELLS_A_SAMPLE = 5
MIN_NEIGHBORS = 30


class Neighborhoods(NamedTuple):
    """M neighborhoods of cells, each around a cell that was drawn."""

    center: NDArray[np.intp]
    """(M,) position of the cell in the middle."""
    members: NDArray[np.intp]
    """(M, k) positions of its nearest cells, itself among them."""
    radius: NDArray[np.float64]
    """(M,) distance to the farthest of them."""


def composition_tests(counts: NDArray[np.float64], totals: NDArray[np.float64], design: Design) -> list[pd.DataFrame]:
    """For each condition but the reference, t-tests of the log-odds of parts over samples.

    Parameters
    ----------
    counts
        (samples, parts) cells.
    totals
        (samples,) all cells.
    design
        Of these samples, in this order.
    """
    share = counts / totals[:, None]
    logit = np.log((counts + PRIOR) / (totals[:, None] - counts + PRIOR))
    condition, (reference, *others) = design.table["condition"].to_numpy(), design.levels
    tables = []
    for level in others:
        one, other = condition == level, condition == reference
        if one.sum() >= MIN_SAMPLES and other.sum() >= MIN_SAMPLES:
            with np.errstate(invalid="ignore", divide="ignore"):
                p = np.asarray(stats.ttest_ind(logit[one], logit[other]).pvalue, dtype=float)
        else:
            p = np.full(counts.shape[1], np.nan)
        columns = {
            "condition": level,
            "reference": reference,
            "n_samples": int(one.sum()),
            "n_reference": int(other.sum()),
            "share": share[one].mean(0),
            "share_reference": share[other].mean(0),
            "log_fold_change": (logit[one].mean(0) - logit[other].mean(0)) / np.log(2),
            "p_value": p,
        }
        tables.append(pd.DataFrame(columns))
    return tables


def draw_neighborhoods(embedding: NDArray[np.floating], n_samples: int, seed: int) -> Neighborhoods:
    """The nearest cells of a tenth of the cells, at least 30 and five for each sample."""
    rng, n = np.random.default_rng(seed), len(embedding)
    n_centers = min(max(round(SHARE_OF_CELLS * n), 1), MAX_NEIGHBORHOODS)
    center = np.sort(rng.choice(n, n_centers, replace=False))
    k = min(max(MIN_NEIGHBORS, CELLS_A_SAMPLE * n_samples), n)
    distance, members = NearestNeighbors(n_neighbors=k).fit(embedding).kneighbors(embedding[center])
    return Neighborhoods(center, members, distance[:, -1])


def counts_by_sample(codes: NDArray[np.intp], parts: Sequence[NDArray[np.intp]], n_samples: int) -> NDArray[np.float64]:
    """(samples, parts) cells of each sample in each part, which is a list of cells; -1 is no sample."""
    out = np.zeros((n_samples, len(parts)))
    for number, cells in enumerate(parts):
        own = codes[cells]
        out[:, number] = np.bincount(own[own >= 0], minlength=n_samples)
    return out


def weighted_benjamini_hochberg(p: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values adjusted as by Benjamini and Hochberg, each test counting as its weight; NaN is no test.

    Neighborhoods overlap most where cells are dense: weighted by one over their radius, parts of the embedding count
    alike (Dann et al. 2022).
    """
    adjusted, is_test = np.full_like(p, np.nan), ~np.isnan(p)
    if not is_test.any():
        return adjusted
    order = np.argsort(p[is_test])
    weight = weights[is_test][order]
    steps = p[is_test][order] * weight.sum() / np.cumsum(weight)
    result = np.empty(len(order))
    result[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1)
    adjusted[is_test] = result
    return adjusted


def adjusted_table(tables: Sequence[pd.DataFrame], weights: NDArray[np.float64] | None) -> pd.DataFrame:
    """All comparisons below one another, p-values adjusted over the parts of each."""
    parts = []
    for table in tables:
        p = table["p_value"].to_numpy()
        adjusted = benjamini_hochberg(p) if weights is None else weighted_benjamini_hochberg(p, weights)
        parts.append(table.assign(p_adjusted=adjusted))
    return pd.concat(parts, ignore_index=True)
