"""The score of familiar and unfamiliar cells, against a slow reference."""

import numpy as np
import pytest

from scmoe.readout._mapping_score import MAX_REFERENCE, MappingScore, distance_of_new, fit_mapping_score, whiten


def scores(n, seed, n_components=30):
    """Cells around three centers, with programs of falling spread."""
    rng = np.random.default_rng(seed)
    centers = 8 * np.random.default_rng(0).normal(size=(3, n_components))
    return centers[rng.integers(3, size=n)] + rng.normal(size=(n, n_components)) * np.linspace(3, 0.5, n_components)


def fitted(train, held_out):
    """With the distances of cells that were held out."""
    return fit_mapping_score(train, distance_of_new(train, held_out, seed=0), seed=0)


def test_the_score_counts_reference_cells_that_are_at_least_as_far():
    mapping_score = fitted(scores(200, 1), scores(40, 2))
    centers = mapping_score.centers @ np.linalg.inv(mapping_score.whitening)
    precision = mapping_score.whitening @ mapping_score.whitening.T

    def distance(cell):
        return min(float((cell[:20] - c) @ precision @ (cell[:20] - c)) for c in centers)

    reference = [distance(cell) for cell in scores(40, 2)]
    for cell, found in zip(scores(10, 3), mapping_score.score(scores(10, 3)), strict=True):
        assert found == pytest.approx((1 + sum(r >= distance(cell) for r in reference)) / 41)


def test_distances_are_in_units_of_the_spread_in_each_direction():
    residuals = np.random.default_rng(0).normal(size=(5000, 3)) @ np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0.5]])
    np.testing.assert_allclose(np.cov((residuals @ whiten(residuals)).T), np.eye(3), atol=0.02)


def test_scores_of_cells_like_the_training_cells_are_uniform():
    mapping_score = fitted(scores(2000, 1), scores(500, 2))
    found = np.sort(mapping_score.score(scores(1000, 3)))
    assert np.abs(found - np.linspace(0, 1, 1000)).max() < 0.08  # Kolmogorov-Smirnov's 5 % for these sizes is 0.074


def test_cells_of_a_new_kind_score_low():
    mapping_score = fitted(scores(500, 1), scores(100, 2))
    new = scores(100, 3) + 10 * np.random.default_rng(4).normal(size=30)
    assert mapping_score.score(new).max() < 0.05 < np.median(mapping_score.score(scores(100, 3)))


def test_a_place_between_the_kinds_of_cells_is_unfamiliar():
    mapping_score = fitted(scores(500, 1), scores(100, 2))
    assert mapping_score.score(scores(500, 1).mean(0, keepdims=True)) < 0.05


def test_directions_of_the_programs_do_not_matter():
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    train, held_out, query = (scores(n, i, 20) for i, n in enumerate((300, 50, 80)))
    expected = fitted(train, held_out).score(query)
    found = fitted(train @ rotation, held_out @ rotation).score(query @ rotation)
    np.testing.assert_allclose(found, expected)


def test_a_large_reference_is_stored_as_quantiles():
    exact = fitted(scores(500, 1), scores(1000, 2))
    coarse = fitted(scores(500, 1), np.tile(scores(1000, 2), (5, 1)))
    assert len(exact.reference) == 1000 and len(coarse.reference) == MAX_REFERENCE
    np.testing.assert_allclose(coarse.score(scores(50, 3)), exact.score(scores(50, 3)), atol=0.003)


@pytest.mark.parametrize(
    "train",
    [np.ones((1, 5)), np.ones((30, 5)), np.repeat(np.eye(5)[:3], 20, axis=0), scores(50, 1, 1), scores(4, 1)],
    ids=["one cell", "cells all alike", "three cells repeated", "one program", "fewer cells than programs"],
)
def test_little_to_learn_from(train):
    mapping_score = fitted(train, train)
    known, far = mapping_score.score(train), mapping_score.score(train + 1e6)
    assert (known > 0).all() and (known <= 1).all()
    assert np.median(known) >= 0.5 and (far == 1 / (1 + len(train))).all()


def test_the_way_through_arrays():
    mapping_score = fitted(scores(100, 1), scores(30, 2))
    back = MappingScore.from_arrays({name: array.copy() for name, array in mapping_score.to_arrays().items()})
    np.testing.assert_array_equal(back.score(scores(20, 3)), mapping_score.score(scores(20, 3)))
