"""Sums of ranks against scipy, and against draws of the cells of a group within strata."""

import numpy as np
import pytest
from scipy import sparse, stats

from scmoe.differential._ranks import rank_tests, two_sided


def counts(rng: np.random.Generator, shape: tuple[int, int], rate: float) -> np.ndarray:
    return rng.poisson(rate, shape).astype(float)


def test_one_stratum_is_mann_whitney() -> None:
    rng = np.random.default_rng(0)
    values, groups = counts(rng, (80, 6), 0.7), rng.integers(0, 3, 80)
    values[:, 0] -= 1  # zeros that a sparse matrix leaves out lie among the others
    tests = rank_tests(sparse.csr_matrix(values), np.zeros(80, int), groups, 3)
    for group in range(3):
        is_in = groups == group
        u = stats.mannwhitneyu(values[is_in], values[~is_in], use_continuity=False, method="asymptotic")
        np.testing.assert_allclose(tests.auc[group], u.statistic / (is_in.sum() * (~is_in).sum()))
        np.testing.assert_allclose(2 * stats.norm.sf(abs(tests.score[group])), u.pvalue)


@pytest.mark.parametrize("rate", [0.1, 3.0])
def test_sparse_and_dense_agree(rate: float) -> None:
    rng = np.random.default_rng(1)
    values, strata, groups = counts(rng, (90, 20), rate), rng.integers(0, 4, 90), rng.integers(-1, 2, 90)
    for one, other in zip(
        rank_tests(values, strata, groups, 2), rank_tests(sparse.csc_matrix(values), strata, groups, 2), strict=True
    ):
        np.testing.assert_allclose(one, other)


def test_strata_are_weighted_sums_of_ranks() -> None:
    """Against a loop over strata, with the moments of draws without replacement of all subsets' mean and variance."""
    rng = np.random.default_rng(2)
    values, strata, groups = counts(rng, (60, 3), 1.0), rng.integers(0, 3, 60), rng.integers(0, 2, 60)
    for feature in range(3):
        total = variance = 0.0
        for stratum in range(3):
            here = strata == stratum
            rank, is_in = stats.rankdata(values[here, feature]), groups[here] == 1
            n_all, n = len(rank), is_in.sum()
            total += (rank[is_in].sum() - n * rank.mean()) / (n_all + 1)
            variance += n * (n_all - n) / n_all * rank.var(ddof=1) / (n_all + 1) ** 2
        score = rank_tests(values, strata, groups, 2).score[1, feature]
        np.testing.assert_allclose(score, total / np.sqrt(variance))


def test_p_values_of_few_cells_are_those_of_random_draws() -> None:
    """Of 5 cells among 200 and a feature that one in twenty cells has, a normal distribution would be far off."""
    rng = np.random.default_rng(3)
    values = (rng.random((200, 1)) < 0.05).astype(float)
    is_seen = np.flatnonzero(values[:, 0])
    groups = np.full(200, -1)
    groups[[*is_seen[:2], *np.flatnonzero(values[:, 0] == 0)[:3]]] = 0
    tests = rank_tests(values, np.zeros(200, int), groups, 1)
    exact = stats.hypergeom.sf(1, 200, len(is_seen), 5)
    assert 2 * stats.norm.sf(tests.score[0, 0]) < exact / 20
    assert exact / 2 < tests.p_value[0, 0] < 4 * exact


def test_skewness_moves_the_tails_apart() -> None:
    p = two_sided(np.array([2.5, -2.5, 2.5]), np.array([0.8, 0.8, 0.0]))
    assert p[0] > p[2] > p[1]
    np.testing.assert_allclose(two_sided(np.array([2.0]), np.array([2e-3])), 2 * stats.norm.sf(2), rtol=0.01)


def test_p_values_of_no_effect_are_uniform() -> None:
    rng = np.random.default_rng(4)
    values, strata = counts(rng, (400, 500), 0.3), rng.integers(0, 5, 400)
    p = rank_tests(sparse.csr_matrix(values), strata, rng.integers(0, 4, 400), 4).p_value
    assert 0.03 < (p < 0.05).mean() < 0.07


def test_what_cannot_be_compared_is_nan() -> None:
    values = np.arange(12, dtype=float).reshape(12, 1)
    strata = np.repeat([0, 1], 6)
    groups = np.r_[[0, 0, 0, 1, 1, 1], [2] * 6]  # the third group is a stratum
    tests = rank_tests(values, strata, groups, 3)
    assert np.isnan(tests.p_value[2]).all() and np.isnan(tests.auc[2]).all()
    assert np.isfinite(tests.p_value[:2]).all()
    assert np.isnan(rank_tests(values, strata, np.r_[0, [-1] * 11], 1).p_value).all()  # a group of one cell
    assert np.isnan(rank_tests(np.zeros((12, 1)), strata, groups, 3).p_value).all()
