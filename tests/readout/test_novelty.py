"""Distances to known types, against a slow reference, and a planted new type."""

import numpy as np
import pytest

from scmoe.readout._axes import fit_axes
from scmoe.readout._held_out import split_labels
from scmoe.readout._novelty import N_AXES, Novelty, detection, fit_novelty

WIDTH = 30
CENTERS = 4 * np.random.default_rng(0).normal(size=(6, WIDTH))


def cells(sizes, seed):
    """Types around their centers, with directions of falling spread, and the types."""
    rng, labels = np.random.default_rng(seed), np.repeat(np.arange(len(sizes)), sizes)
    return CENTERS[labels] + rng.normal(size=(len(labels), WIDTH)) * np.linspace(2, 0.5, WIDTH), labels


def shrunk(residuals):
    n, d = residuals.shape
    scatter = residuals.T @ residuals
    return (scatter + np.eye(d) * np.trace(scatter) / n) / (n + d)


def slow_distances(train, labels, query):
    """In the leading axes, cell by cell and type by type."""
    axes = fit_axes(train, n_axes=N_AXES).directions.astype(float)
    train, query = train @ axes, query @ axes
    means = np.stack([train[labels == k].mean(0) for k in range(labels.max() + 1)])
    within, overall = np.linalg.inv(shrunk(train - means[labels])), np.linalg.inv(shrunk(train - train.mean(0)))
    off = query - train.mean(0)
    return [min((x - m) @ within @ (x - m) for m in means) + o @ overall @ o for x, o in zip(query, off, strict=True)]


def test_distance_is_the_sum_of_two_mahalanobis_distances():
    train, labels = cells([40, 25, 12, 1], 1)
    query = cells([5, 5, 5, 5, 5], 2)[0]
    expected = slow_distances(train, labels, query)
    np.testing.assert_allclose(fit_novelty(train, labels, 0).distance(query), expected, rtol=1e-6)


def test_held_out_distances_come_from_fits_without_the_cells_fold():
    train, labels = cells([40, 25, 12], 1)
    found, folds = fit_novelty(train, labels, 3).held_out, split_labels(labels, 3)
    for fold in range(5):
        own = folds == fold
        np.testing.assert_allclose(found[own], slow_distances(train[~own], labels[~own], train[own]), rtol=1e-6)


def test_a_type_taken_for_unknown_is_as_far_as_the_nearest_other_type():
    train, labels = cells([40, 25, 12], 1)
    found, folds = fit_novelty(train, labels, 3).held_out_unknown, split_labels(labels, 3)
    for fold in range(5):
        own = folds == fold
        axes = fit_axes(train[~own], n_axes=N_AXES).directions.astype(float)
        others, codes, new = train[~own] @ axes, labels[~own], train[own] @ axes
        means = np.stack([others[codes == k].mean(0) for k in range(3)])
        within, overall = np.linalg.inv(shrunk(others - means[codes])), np.linalg.inv(shrunk(others - others.mean(0)))
        for x, label, distance in zip(new, labels[own], found[own], strict=True):
            nearest = min((x - m) @ within @ (x - m) for k, m in enumerate(means) if k != label)
            assert distance == pytest.approx(nearest + (x - others.mean(0)) @ overall @ (x - others.mean(0)))


def test_types_that_overlap_would_not_be_found_and_others_would():
    train, labels = cells([60, 60, 60, 60], 1)
    labels[labels == 3] = 2
    labels[-60:] = np.where(np.arange(60) % 2, 2, 3)  # 2 is of two places, and 3 is part of one of them
    table = detection(fit_novelty(train, labels, 0), labels)
    assert table["n_cells"].tolist() == [60, 60, 90, 30]
    assert (table["auroc"][:2] > 0.95).all() and table.loc[3, "auroc"] < 0.7


def test_nothing_is_known_of_the_detection_of_types_in_models_of_earlier_versions():
    train, labels = cells([40, 25], 1)
    arrays = fit_novelty(train, labels, 0).to_arrays()
    del arrays["held_out_unknown"]
    old = Novelty.from_arrays(arrays)
    assert detection(old, labels).empty
    np.testing.assert_array_equal(
        old.rank(old.distance(train)), fit_novelty(train, labels, 0).rank(old.distance(train))
    )


def test_ranks_count_held_out_cells_that_are_nearer():
    novelty = fit_novelty(*cells([40, 25, 12], 1), 0)
    distance = novelty.distance(cells([5] * 5, 2)[0])
    expected = [(1 + (novelty.held_out < d).sum()) / 78 for d in distance]
    np.testing.assert_allclose(novelty.rank(distance), expected)


def test_a_planted_new_type_is_found_and_known_types_are_not():
    novelty = fit_novelty(*cells([200, 100, 50, 20], 1), 0)
    query, labels = cells([200, 100, 50, 20, 50, 50], 2)
    score = novelty.rank(novelty.distance(query))
    assert (score[labels > 3] > 0.95).all()
    assert 0.02 < (score[labels <= 3] > 0.95).mean() < 0.09


def test_a_place_between_two_types_is_unknown():
    train, labels = cells([200, 200], 1)
    novelty = fit_novelty(train, labels, 0)
    assert novelty.rank(novelty.distance(train.mean(0, keepdims=True))) > 0.95


def test_cells_without_a_label_are_not_looked_at():
    train, labels = cells([40, 25], 1)
    more = fit_novelty(np.concatenate([train, train + 1e5]), np.concatenate([labels, np.full(65, -1)]), 0)
    for name, array in fit_novelty(train, labels, 0).to_arrays().items():
        np.testing.assert_array_equal(more.to_arrays()[name], array, err_msg=name)


def test_the_way_through_arrays():
    novelty, query = fit_novelty(*cells([40, 25], 1), 0), cells([5, 5, 5], 2)[0]
    back = Novelty.from_arrays({name: array.copy() for name, array in novelty.to_arrays().items()})
    np.testing.assert_array_equal(back.rank(back.distance(query)), novelty.rank(novelty.distance(query)))


@pytest.mark.parametrize(
    ("train", "labels"),
    [
        (np.ones((20, 5)), np.arange(20) % 2),
        (np.repeat(np.eye(5)[:2], 10, axis=0), np.arange(20) // 10),
        (cells([10, 10], 1)[0][:, :1], np.arange(20) // 10),
        (cells([3, 3], 1)[0], np.arange(6) // 3),
    ],
    ids=["cells all alike", "two cells repeated", "one dimension", "fewer cells than axes"],
)
def test_little_to_learn_from(train, labels):
    novelty = fit_novelty(train, labels, 0)
    assert np.isfinite(novelty.distance(train)).all()
    assert (novelty.rank(novelty.distance(train + 1e6)) == 1).all()


def test_without_two_cells_of_a_type_nothing_is_ranked():
    train, labels = cells([1, 1, 1], 1)
    novelty = fit_novelty(train, labels, 0)
    assert len(novelty.held_out) == 0 and np.isnan(novelty.rank(novelty.distance(train))).all()
