"""Batch correction: planted shifts are taken away, what is no batch effect stays."""

import numpy as np
import pytest
import torch

from scmoe.data.statistics import _correction
from scmoe.data.statistics._correction import (
    FAR,
    MAX_CENTERS,
    PENALTY,
    Correction,
    assign,
    fit_correction,
    fit_shift,
    no_correction,
    offset,
)

K = 6


def simulate(n=600, types=(3, 3), seed=0, shift=0.7):
    """Scores, one-hot batch and kind of each cell.

    The cells of a batch are of the first `types` kinds; a batch adds a shift of its own to each, `shift` standard
    deviations of a kind in each direction.
    """
    rng = np.random.default_rng(seed)
    centers = 10 * np.linalg.qr(rng.normal(size=(K, K)))[0]
    shifts = shift * rng.normal(size=(2, K, K))  # of its own for each kind
    batch = rng.integers(2, size=n)
    kind = rng.integers(np.array(types)[batch])
    scores = centers[kind] + rng.normal(size=(n, K)) + shifts[batch, kind]
    return scores.astype(np.float32), np.eye(2, dtype=np.float32)[batch], kind


def corrected(scores, covariates, correction):
    return scores - offset(torch.from_numpy(scores), torch.from_numpy(covariates), correction).numpy()


def gap(scores, covariates, kind):
    """Largest distance between the means of the two batches in a kind of cell."""
    first = covariates[:, 0] == 1
    both = [k for k in np.unique(kind) if first[kind == k].any() and not first[kind == k].all()]
    return max(np.linalg.norm(scores[first & (kind == k)].mean(0) - scores[~first & (kind == k)].mean(0)) for k in both)


def test_the_shift_of_each_kind_of_cell_is_removed():
    scores, covariates, kind = simulate()
    found = corrected(scores, covariates, fit_correction(scores, covariates, seed=0))
    assert gap(found, covariates, kind) < 0.2 * gap(scores, covariates, kind)


def test_kinds_of_cells_stay_apart():
    scores, covariates, kind = simulate()
    found = corrected(scores, covariates, fit_correction(scores, covariates, seed=0))
    centers = np.stack([found[kind == k].mean(0) for k in range(3)])
    nearest = np.linalg.norm(found[:, None] - centers, axis=2).argmin(1)
    assert (nearest == kind).mean() > 0.99


@pytest.mark.parametrize("types", [(3, 3), (2, 5)])
def test_without_a_batch_effect_cells_hardly_move(types):
    scores, covariates, kind = simulate(types=types, shift=0)
    moved = np.linalg.norm(corrected(scores, covariates, fit_correction(scores, covariates, seed=0)) - scores, axis=1)
    assert np.median(moved) < 0.5  # a cell is about √6 = 2.4 from the center of its kind, and the kinds are 14 apart


def test_a_batch_of_other_kinds_is_not_drawn_to_the_first():
    """No kind of cell is in both batches: what differs cannot be told from a kind, and stays."""
    rng = np.random.default_rng(0)
    scores, _, kind = simulate(types=(4, 4), shift=0)
    covariates = np.eye(2, dtype=np.float32)[(kind >= 2).astype(int)]
    found = corrected(scores, covariates, fit_correction(scores, covariates, seed=0))
    pairs = rng.integers(len(scores), size=(2, 500))
    before, after = (np.linalg.norm(x[pairs[0]] - x[pairs[1]], axis=1) for x in (scores, found))
    np.testing.assert_allclose(after, before, atol=0.15 * before.max())


def test_numbers_and_batches_are_removed_together():
    scores, covariates, kind = simulate()
    age = np.random.default_rng(1).normal(size=(len(scores), 1)).astype(np.float32)
    direction = np.random.default_rng(2).normal(size=(1, K)).astype(np.float32)
    both, scores = np.hstack([covariates, age]), scores + age @ direction
    found = corrected(scores, both, fit_correction(scores, both, seed=0))
    assert gap(found, covariates, kind) < 0.25 * gap(scores, covariates, kind)
    left = np.concatenate([found[kind == k] - found[kind == k].mean(0) for k in range(3)])
    ages = np.concatenate([age[kind == k] for k in range(3)])
    slope = np.linalg.lstsq(ages, left, rcond=None)[0]
    assert np.linalg.norm(slope) < 0.1 * np.linalg.norm(direction)


def test_offset_of_no_correction_is_zero():
    scores, covariates, _ = simulate(n=50)
    assert not offset(torch.from_numpy(scores), torch.from_numpy(covariates), no_correction(2, K)).any()


def test_same_seed_same_correction():
    scores, covariates, _ = simulate()
    for a, b in zip(*(fit_correction(scores, covariates, seed=3) for _ in range(2)), strict=True):
        assert torch.equal(a, b)


def test_the_offset_is_a_function_of_the_cell():
    scores, covariates, _ = simulate()
    correction = fit_correction(scores, covariates, seed=0)
    together = offset(torch.from_numpy(scores), torch.from_numpy(covariates), correction)
    for i in (0, 17, 599):
        alone = offset(torch.from_numpy(scores[[i]]), torch.from_numpy(covariates[[i]]), correction)
        torch.testing.assert_close(alone, together[[i]], rtol=1e-4, atol=1e-4)


def test_cells_that_come_later_are_corrected_alike():
    scores, covariates, kind = simulate(n=1200)
    correction = fit_correction(scores[:600], covariates[:600], seed=0)
    assert gap(corrected(scores, covariates, correction)[600:], covariates[600:], kind[600:]) < 0.8
    assert gap(scores[600:], covariates[600:], kind[600:]) > 2.5


@pytest.mark.parametrize("n", [4, 30, 5000])
def test_shapes_do_not_depend_on_the_number_of_cells(n):
    scores, covariates, _ = simulate(n=n)
    found = fit_correction(scores, covariates, seed=0)
    assert [tuple(x.shape) for x in found] == [(MAX_CENTERS, K), (), (MAX_CENTERS, 2, K)]
    assert all(x.dtype == torch.float32 and x.isfinite().all() for x in found)
    assert ((found.centers < FAR / 2).any(1).sum() == min(max(n // 20, 1), MAX_CENTERS)).item()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_distinct", [1, 3])
def test_alike_cells_are_no_problem(n_distinct):
    scores = np.repeat(np.arange(n_distinct), 200)[:, None] * np.ones((1, K), np.float32)
    covariates = np.eye(2, dtype=np.float32)[np.arange(len(scores)) % 2]
    found = corrected(
        scores.astype(np.float32), covariates, fit_correction(scores.astype(np.float32), covariates, seed=0)
    )
    np.testing.assert_allclose(found, scores, atol=1e-3)


def test_shares_are_a_softmax_of_distances():
    x, centers = torch.randn(5, K), torch.randn(3, K)
    found = assign(x, centers, torch.tensor(2.0))
    for i in range(5):
        weight = [np.exp(-float(((x[i] - c) ** 2).sum()) / 2) for c in centers]
        np.testing.assert_allclose(found[i], np.array(weight) / sum(weight), rtol=1e-4)


def test_regression_is_weighted_least_squares_with_a_penalty():
    rng = np.random.default_rng(0)
    x, phi, share = rng.normal(size=(40, K)), rng.normal(size=(40, 3)), rng.dirichlet(np.ones(4), size=40)
    found = _correction._regress(*map(torch.from_numpy, (x, phi, share)))
    design = np.hstack([np.ones((40, 1)), phi])
    imaginary = np.diag([1e-3, *[PENALTY**0.5] * 3])  # penalties as cells whose scores are zero
    for c in range(4):
        root = np.sqrt(share[:, [c]])
        left, right = np.vstack([root * design, imaginary]), np.vstack([root * x, np.zeros((4, K))])
        np.testing.assert_allclose(found[c], np.linalg.lstsq(left, right, rcond=None)[0][1:], rtol=1e-6, atol=1e-9)


def test_a_batch_that_comes_later_is_moved_to_the_kinds_that_are_known():
    scores, covariates, kind = simulate(shift=0)
    correction = fit_correction(scores, covariates, seed=0)
    later = scores + np.random.default_rng(1).normal(size=(K, K)).astype(np.float32)[kind] * 1.5
    shift = fit_shift(later, correction)
    assert shift.shape == (MAX_CENTERS, K) and shift.isfinite().all()
    new = Correction(correction.centers, correction.width, shift[:, None])
    found = corrected(later, np.ones((len(later), 1), np.float32), new)
    for k in range(3):
        known, left = scores[kind == k].mean(0), found[kind == k].mean(0)
        assert np.linalg.norm(left - known) < 0.3 * np.linalg.norm(later[kind == k].mean(0) - known)


def test_kinds_that_a_later_batch_lacks_get_no_shift():
    scores, covariates, kind = simulate(shift=0)
    correction = fit_correction(scores, covariates, seed=0)
    shift = fit_shift(scores[kind == 0] + 1, correction)
    share = assign(torch.from_numpy(scores), correction.centers, correction.width)
    for center in np.flatnonzero((correction.centers < FAR / 2).any(1)):
        if kind[share[:, center].argmax()] != 0:
            assert shift[center].abs().max() < 1e-3
