"""Labels from several views, against scikit-learn and slow references."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from scmoe.readout._annotator import (
    Annotator,
    choose_temperature,
    fit_annotator,
    log_loss,
    temper,
)
from scmoe.readout._held_out import N_FOLDS, hold_out, split_labels
from scmoe.readout._weights import choose_weights, fit_weights


def cells(sizes, seed=0, width=6, noise=1.0):
    """A view in which labels are clouds around random centers, and the labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centers = np.random.default_rng(9).normal(size=(len(sizes), width))
    return centers[labels] + noise * rng.normal(size=(len(labels), width)), labels


def probabilities(n, n_labels, seed):
    return np.random.default_rng(seed).dirichlet(np.ones(n_labels), size=n)


@pytest.mark.parametrize("n_labels", [2, 3])
def test_one_view_is_scikit_learns_balanced_regression_at_a_temperature(n_labels):
    view, labels = cells([60, 20, 7][:n_labels])
    found = fit_annotator([view], labels, n_labels, seed=0, class_balance="inverse")
    scaled = view / np.sqrt(view.var(axis=0).mean())
    # Of two labels scikit-learn penalizes one row of slopes, where there are two of half its size here.
    C = 2 if n_labels == 2 else 1
    reference = LogisticRegression(C=C, class_weight="balanced", max_iter=1000, tol=1e-8).fit(scaled, labels)
    expected = reference.predict_proba(scaled) ** (1 / found.temperature)
    np.testing.assert_allclose(found.predict([view]), expected / expected.sum(axis=1, keepdims=True), atol=2e-3)


def test_units_and_origins_of_views_do_not_matter():
    view, labels = cells([30, 20, 10])
    other = cells([30, 20, 10], seed=1, noise=0.5)[0]
    plain = fit_annotator([view, other], labels, 3, seed=0)
    moved = fit_annotator([1e4 * view + 3e4, 1e-3 * other], labels, 3, seed=0)
    np.testing.assert_allclose(moved.predict([1e4 * view + 3e4, 1e-3 * other]), plain.predict([view, other]), atol=1e-3)


def test_held_out_probabilities_come_from_fits_without_the_cells_fold():
    view, labels = cells([12, 9, 1])
    folds = split_labels(labels, seed=0)
    found = hold_out(view, labels, folds, "inverse", seed=0)
    for fold in range(N_FOLDS):
        train = folds != fold
        scale = np.sqrt(view[train].var(axis=0).mean())
        reference = LogisticRegression(class_weight="balanced", max_iter=1000).fit(view[train] / scale, labels[train])
        expected = reference.predict_proba(view[folds == fold] / scale)
        np.testing.assert_allclose(found[folds[folds >= 0] == fold], expected, atol=2e-3)


def test_folds_spread_each_label_and_leave_out_single_cells():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), [1, 2, 3, 8, 40]))
    folds = split_labels(labels, seed=0)
    assert (folds[labels == 0] == -1).all()
    for label, size in enumerate([2, 3, 8, 40], start=1):
        counts = np.bincount(folds[labels == label], minlength=N_FOLDS)
        assert counts.sum() == size
        assert counts.max() - counts.min() <= 1


def test_weights_minimize_the_log_loss():
    own = np.random.default_rng(0).beta([0.5, 0.6, 0.5], 0.5, size=(300, 3))
    best = minimize(lambda v: -np.log(own @ (np.exp(v) / np.exp(v).sum())).mean(), np.zeros(3), tol=1e-10)
    np.testing.assert_allclose(fit_weights(own), np.exp(best.x) / np.exp(best.x).sum(), atol=1e-3)


def test_members_that_do_not_help_leave_the_first_alone():
    truth, folds = np.random.default_rng(0).integers(4, size=200), np.arange(200) % N_FOLDS
    good = 0.9 * np.eye(4)[truth] + 0.1 * probabilities(200, 4, seed=1)
    assert choose_weights([good, probabilities(200, 4, seed=2)], truth, folds).tolist() == [1, 0]
    assert choose_weights([probabilities(200, 4, seed=2), good], truth, folds)[1] > 0.9


def test_temperature_is_the_best_on_a_grid():
    truth = np.random.default_rng(0).integers(4, size=400)
    sure = temper(0.3 * np.eye(4)[truth] + 0.7 * probabilities(400, 4, seed=1), 0.3)
    grid = np.exp(np.linspace(-2, 2, 4001))
    expected = grid[np.argmin([log_loss(temper(sure, t), truth) for t in grid])]
    assert choose_temperature(sure, truth) == pytest.approx(expected, rel=2e-3)


def test_a_view_that_tells_more_counts_more():
    noisy, labels = cells([60, 40, 20, 5], noise=3)
    clear = cells([60, 40, 20, 5], seed=1, noise=0.5)[0]
    found = fit_annotator([noisy, clear], labels, 4, seed=0)
    assert found.weights[1] > 0.8
    assert found.log_loss < found.member_log_loss.min()


def test_with_one_cell_a_label_all_views_count_alike():
    """There is nothing to choose weights with, and any one view may be the worst."""
    first, labels = cells([1, 1, 1, 1], noise=0.1)
    second = cells([1, 1, 1, 1], seed=1, noise=0.1)[0]
    found = fit_annotator([first, second], labels, 4, seed=0)
    assert (found.weights.tolist(), found.temperature) == ([0.5, 0.5], 1)
    assert np.isnan([*found.member_log_loss, found.log_loss]).all()
    alone = [fit_annotator([view], labels, 4, seed=0).predict([view]) for view in (first, second)]
    np.testing.assert_allclose(found.predict([first, second]), np.mean(alone, axis=0), atol=1e-6)


def test_labels_of_one_or_two_cells_are_learned_and_absent_ones_are_zero():
    view, labels = cells([30, 1, 2, 20], noise=0.1)
    labels = np.array([0, 1, 2, 4])[labels]  # label 3 has no cell
    found = fit_annotator([view], labels, 5, seed=0).predict([view])
    assert (found.argmax(axis=1) == labels).all()
    assert (found[:, 3] == 0).all()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_cells_without_a_label_are_not_looked_at():
    view, labels = cells([30, 20, 10])
    extended = np.concatenate([view, 1e6 * np.ones((5, view.shape[1]))])
    plain = fit_annotator([view], labels, 3, seed=0)
    more = fit_annotator([extended], np.concatenate([labels, np.full(5, -1)]), 3, seed=0)
    np.testing.assert_array_equal(more.predict([view]), plain.predict([view]))


def test_arrays_restore_the_annotator_and_the_seed_repeats_it():
    view, labels = cells([30, 20, 10])
    views = [view, cells([30, 20, 10], seed=1)[0]]
    found, again = (fit_annotator(views, labels, 4, seed=3).to_arrays() for _ in range(2))
    restored = Annotator.from_arrays(found)
    assert all(np.array_equal(again[name], value) for name, value in restored.to_arrays().items())
    np.testing.assert_array_equal(restored.predict(views), Annotator.from_arrays(again).predict(views))


GOOD, CODES = cells([6, 6])


@pytest.mark.parametrize(
    ("views", "labels", "match"),
    [
        ([GOOD[:5]], CODES, r"View 0 must have shape \(12 cells, features\); found \(5, 6\)"),
        ([GOOD, GOOD[:, 0]], CODES, r"View 1 must have shape .* found \(12,\)"),
        ([np.where(np.arange(12)[:, None] == 4, np.nan, GOOD)], CODES, "not a number in cell 4"),
        ([GOOD], np.where(CODES == 0, 0, -1), r"at least two of them different; found \[0\] in 6 labeled cells"),
        ([GOOD], 2 * CODES, "codes below 2"),
    ],
)
def test_fit_refuses(views, labels, match):
    with pytest.raises(ValueError, match=match):
        fit_annotator(views, labels, 2, seed=0)


@pytest.mark.parametrize(
    ("views", "match"),
    [
        ([GOOD], r"Expected 2 views .* found shapes \[\(12, 6\)\]"),
        ([GOOD, GOOD[:, :3]], r"\[6, 6\]"),
        ([GOOD, GOOD[:5]], "View 1 must have shape"),
        ([GOOD, np.full_like(GOOD, np.inf)], "View 1 has a value that is not a number in cell 0"),
    ],
)
def test_predict_refuses(views, match):
    annotator = fit_annotator([GOOD, -GOOD], CODES, 2, seed=0)
    with pytest.raises(ValueError, match=match):
        annotator.predict(views)
