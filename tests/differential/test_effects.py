"""Fold changes against means taken by hand."""

import numpy as np
import pytest
from scipy import sparse

from scmoe.differential._effects import PSEUDOCOUNT, fold_changes, shares_detected


@pytest.mark.parametrize("is_sparse", [True, False])
def test_fold_change_is_of_mean_amounts(is_sparse: bool) -> None:
    rng = np.random.default_rng(0)
    amounts, groups = rng.poisson(2.0, (50, 4)).astype(float), rng.integers(0, 2, 50)
    values = np.log1p(amounts)
    change, error = fold_changes(
        sparse.csc_matrix(values) if is_sparse else values, "log", np.zeros(50, int), groups, 2
    )
    one, other = amounts[groups == 0].mean(0), amounts[groups == 1].mean(0)
    np.testing.assert_allclose(change[0], np.log2((one + PSEUDOCOUNT) / (other + PSEUDOCOUNT)))
    np.testing.assert_allclose(change[0], -change[1])
    assert (error > 0).all()


def test_others_are_weighted_to_the_batches_of_the_group() -> None:
    """A batch effect on all cells is no difference between groups, however unevenly these lie in batches."""
    batches = np.repeat([0, 1], 50)
    groups = np.r_[[0] * 40, [1] * 10, [0] * 10, [1] * 40]
    values = np.where(batches == 0, 5.0, 1.0)[:, None]
    change, _ = fold_changes(values, "clr", batches, groups, 2)
    np.testing.assert_allclose(change, 0, atol=1e-12)


def test_standard_error_is_that_of_many_draws() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat([0, 1], [30, 60])
    draws = [fold_changes(rng.normal(size=(90, 1)), "clr", np.zeros(90, int), groups, 2) for _ in range(400)]
    errors = np.array([each.standard_error[0, 0] for each in draws])
    assert errors.mean() == pytest.approx(np.std([each.log_fold_change[0, 0] for each in draws]), rel=0.1)


def test_group_that_is_a_batch_has_no_fold_change() -> None:
    change, _ = fold_changes(np.ones((4, 1)), "clr", np.array([0, 0, 0, 1]), np.array([0, 0, 1, 2]), 3)
    assert np.isnan(change[2, 0]) and np.isfinite(change[0, 0])


def test_shares_count_cells_above_zero() -> None:
    detected = sparse.csc_matrix(np.array([[1.0], [0], [3], [0]]))
    inside, outside = shares_detected(detected, np.array([0, 0, 1, -1]), 2, 1)
    np.testing.assert_allclose(inside[:, 0], [0.5, 1])
    np.testing.assert_allclose(outside[:, 0], [0.5, 1 / 3])
    assert np.isnan(shares_detected(None, np.array([0, 1]), 2, 3)).all()
