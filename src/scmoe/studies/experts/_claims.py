"""What the confirmation says: differences to dense networks, corrected for their number, and what could be seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from scmoe.benchmark._new_cells import TRAIN_SIZE
from scmoe.studies._report import Results, Row
from scmoe.studies._statistics import BySeed, in_order, mean_over, paired
from scmoe.studies.experts._arms import DENSE_ACTIVE, DENSE_TOTAL
from scmoe.studies.experts._plan import CONFIRMATION, timed

PRIMARY = ("pearson", "macro_f1")
SCORES = {
    "pearson": "Pearson",
    "macro_f1": "macro-F1",
    "r2": "R²",
    "pearson_network": "Pearson, network alone",
    "macro_f1_states": "macro-F1, states alone",
    "within_types": "neighbors within types",
}
CONTROLS = (timed(DENSE_TOTAL), DENSE_TOTAL, timed(DENSE_ACTIVE), DENSE_ACTIVE)
"""The first is that of the primary comparison."""
MARGIN = 0.01
"""A difference that matters."""
LEVEL, POWER = 0.05, 0.8
OVERLAP = (1 - TRAIN_SIZE) / TRAIN_SIZE
"""Test over training cells. Splits of the same cells overlap, so intervals are widened (Nadeau and Bengio 2003)."""
POOLED = "mean of measured data"
"""In place of a data set: the mean over all measured ones."""


def by_seed(results: Results, source: str, method: str, score: str) -> BySeed:
    """Seed to score of the confirmation; nothing where there is none, as of labels with one regime."""
    return {
        row["seed"]: row[score]
        for row in results
        if (row["stage"], row["source"], row["method"]) == (CONFIRMATION, source, method) and np.isfinite(row[score])
    }


def comparisons(results: Results, mixtures: Sequence[str], real: Mapping[str, bool]) -> list[Row]:
    """Of each mixture, control, score and data set the difference by seed, with interval and p.

    The primary rows have a p-value after Holm's method too: those of the mean over all measured data sets over mixtures
    and scores; those of single data sets within a mixture and score, measured and simulated ones apart.

    Parameters
    ----------
    results
        Of the confirmation.
    mixtures
        Names of the mixtures.
    real
        Of each data set, whether its cells are measured, so that splits of them overlap.
    """
    rows = []
    for control in CONTROLS:
        for score in SCORES:
            for mixture in mixtures:
                samples = {
                    source: paired(*(by_seed(results, source, method, score) for method in (mixture, control)))
                    for source in real
                }
                pooled = mean_over([samples[source] for source in real if real[source]])
                labels = {"mixture": mixture, "control": control, "score": score}
                labels["is_primary"] = control == CONTROLS[0] and score in PRIMARY
                for source, sample in {POOLED: pooled, **samples}.items():
                    is_real = source == POOLED or real[source]
                    if len(sample) > 1:
                        test = paired_test(in_order(sample), OVERLAP if is_real else 0.0)
                        rows.append({**labels, "source": source, "is_real": is_real, **test})
    families: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["is_primary"]:
            own = () if row["source"] == POOLED else (row["mixture"], row["score"], row["is_real"])
            families.setdefault(own, []).append(row)
    for family in families.values():
        for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = p
    return rows


def paired_test(sample: Sequence[float], ratio: float) -> dict[str, Any]:
    """Mean difference, its 95 % interval and two-sided p by Student's t, and the smallest difference that shows.

    ``detectable``: the true difference that such a sample finds different from 0 with a probability of 0.8.

    Parameters
    ----------
    sample
        A difference a seed.
    ratio
        See `OVERLAP`; 0 for samples that are independent.
    """
    n = len(sample)
    if n < 2 or not np.isfinite(sample).all():
        mean = float(np.mean(sample)) if n else float("nan")
        return {"difference": mean, "interval": None, "p": 1.0, "detectable": None, "n_seeds": n, "values": [*sample]}
    mean, sd = float(np.mean(sample)), float(np.std(sample, ddof=1))
    error = sd * float(np.sqrt(1 / n + ratio))
    half = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1)) if error > 0 else float(mean == 0)
    return {
        "difference": mean,
        "interval": [mean - half, mean + half],
        "p": p,
        "detectable": detectable(n) * error,
        "n_seeds": n,
        "values": [*sample],
    }


def detectable(n: int, level: float = LEVEL, power: float = POWER) -> float:
    """Standard errors that a true mean must lie from 0 for a t-test of n values to see it with this power."""
    critical = stats.t.ppf(1 - level / 2, n - 1)
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if stats.nct.sf(critical, n - 1, middle) < power else (low, middle)
    return high


def holm(p: Sequence[float]) -> list[float]:
    """P-values adjusted by Holm's method."""
    order, adjusted, worst = np.argsort(p), np.empty(len(p)), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = worst
    return adjusted.tolist()


def pays(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Of each mixture that is ahead on the mean over measured data sets, those on which it is so by the margin.

    All after Holm and in the same score; the longer list of both scores.
    """
    ahead: dict[str, list[str]] = {}
    for gate in rows:
        if gate["source"] != POOLED or not gate["is_primary"] or gate["difference"] <= 0 or gate["p_holm"] >= LEVEL:
            continue
        sets = [
            row["source"]
            for row in rows
            if (row["mixture"], row["score"], row["control"]) == (gate["mixture"], gate["score"], gate["control"])
            and row["is_real"]
            and row["source"] != POOLED
            and row["difference"] >= MARGIN
            and row["p_holm"] < LEVEL
        ]
        ahead[gate["mixture"]] = max(ahead.get(gate["mixture"], []), sets, key=len)
    return ahead
