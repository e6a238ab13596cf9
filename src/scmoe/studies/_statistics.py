"""Statistics over seeds: means with intervals, paired differences, and what they say of a claim."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"
BySeed = dict[int, float]
"""Seed to score."""


def mean_interval(values: ArrayLike) -> tuple[float, list[float] | None]:
    """Mean and its 95 % interval by Student's t; no interval of one value."""
    sample = np.asarray(values, float)
    mean, n = float(sample.mean()), len(sample)
    if n == 1:
        return mean, None
    half = float(stats.t.ppf(0.975, n - 1) * sample.std(ddof=1) / np.sqrt(n))
    return mean, [mean - half, mean + half]


def resampled_interval(values: ArrayLike, ratio: float) -> tuple[float, list[float] | None]:
    """`mean_interval` of folds whose training sets overlap, widened as Nadeau and Bengio (2003) do.

    Parameters
    ----------
    values
        One of each fold of each seed.
    ratio
        Rows that a fold tests, of those that it learns from.
    """
    mean, interval = mean_interval(values)
    if interval is None:
        return mean, None
    half = (interval[1] - mean) * float(np.sqrt(1 + np.size(values) * ratio))
    return mean, [mean - half, mean + half]


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> BySeed:
    """First minus second, by seed, of the seeds that both have."""
    return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}


def differences(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    """The values of `paired`."""
    return list(paired(first, second).values())


def in_order(scores: Mapping[int, float]) -> list[float]:
    """Scores in the order of their seeds."""
    return [scores[seed] for seed in sorted(scores)]


def mean_over(cases: Sequence[Mapping[int, float]]) -> BySeed:
    """Mean over several cases, by seed, of the seeds that all of them have."""
    seeds = set.intersection(*map(set, cases)) if cases else set()
    return {seed: float(np.mean([scores[seed] for scores in cases])) for seed in sorted(seeds)}


def verdict(interval: Sequence[float] | None) -> str:
    """Whether a difference that is claimed to be positive is, by its interval."""
    if interval is None or interval[0] <= 0 <= interval[1]:
        return OPEN
    return HOLDS if interval[0] > 0 else FAILS


def equivalence(interval: Sequence[float] | None, margin: float) -> str:
    """Whether the interval of a difference lies within the margin, or outside."""
    if interval is None:
        return OPEN
    if -margin < interval[0] and interval[1] < margin:
        return HOLDS
    return FAILS if interval[0] > margin or interval[1] < -margin else OPEN


def paired_p(sample: Sequence[float]) -> float:
    """p-value of Wilcoxon's signed-rank test that differences are symmetric around 0; 1 if all are 0."""
    return float(stats.wilcoxon(sample).pvalue) if np.any(sample) else 1.0
