"""Weights of neighbors: against a slow loop, on grids, at equal places, within batches."""

import numpy as np
import pytest

from scmoe.pp import _spatial
from scmoe.pp._spatial import neighbor_weights, weights_within

POINTS = np.random.default_rng(0).normal(size=(40, 2))
GRID = np.argwhere(np.ones((6, 6))).astype(float)
STACKED = np.repeat(POINTS[:8], 5, axis=0)


def slow_weights(points: np.ndarray, k: int, include_self: bool) -> np.ndarray:
    """The definition, cell by cell."""
    weights = np.zeros((len(points), len(points)))
    for i, here in enumerate(points):
        distance = np.sqrt(((points - here) ** 2).sum(axis=1))
        last = np.sort(np.delete(distance, i))[k - 1]
        for j, d in enumerate(distance):
            if d <= last + 1e-9 and (include_self or j != i):
                weights[i, j] = np.exp(-(d**2) / (2 * (last / 2) ** 2)) if last > 0 else 1.0
        weights[i] /= weights[i].sum()
    return weights


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize(
    "points",
    [POINTS, GRID, STACKED, np.c_[POINTS, POINTS[::-1, 0]]],
    ids=["random", "grid", "stacked", "3d"],
)
def test_weights_are_those_of_a_slow_loop(points: np.ndarray, k: int, include_self: bool) -> None:
    weights = neighbor_weights(points, k, include_self)
    np.testing.assert_allclose(weights.toarray(), slow_weights(points, k, include_self), atol=1e-6)


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("points", [POINTS, GRID, STACKED], ids=["random", "grid", "stacked"])
def test_rows_sum_to_one_and_own_cell_counts_only_by_option(points: np.ndarray, include_self: bool) -> None:
    weights = neighbor_weights(points, 4, include_self)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert (weights.diagonal() > 0).tolist() == [include_self] * len(points)


def test_last_neighbor_weighs_as_documented() -> None:
    weights = neighbor_weights(np.array([[0.0, 0], [1e-4, 0], [2, 0]]), 2, False).toarray()
    assert weights[0, 2] / weights[0, 1] == pytest.approx(np.exp(-2), rel=1e-3)


def test_cells_at_the_same_place_have_the_same_neighborhood() -> None:
    weights = neighbor_weights(STACKED, 9, True).toarray()
    np.testing.assert_allclose(weights[::5], weights[1::5], atol=1e-7)


@pytest.mark.parametrize("points", [POINTS, GRID, STACKED], ids=["random", "grid", "stacked"])
def test_order_of_the_cells_does_not_matter(points: np.ndarray) -> None:
    order = np.random.default_rng(1).permutation(len(points))
    weights = neighbor_weights(points, 5, False).toarray()
    again = neighbor_weights(points[order], 5, False).toarray()
    np.testing.assert_allclose(again, weights[np.ix_(order, order)], atol=1e-7)


@pytest.mark.parametrize(("unit", "origin"), [(1e-3, 0), (1, 1e5), (-1, 0)])
def test_unit_and_origin_do_not_matter(unit: float, origin: float) -> None:
    expected = neighbor_weights(GRID, 5, False).toarray()
    np.testing.assert_allclose(neighbor_weights(GRID * unit + origin, 5, False).toarray(), expected, atol=1e-6)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = neighbor_weights(POINTS, 5, True).toarray()
    monkeypatch.setattr(_spatial, "CHUNK", 7)
    np.testing.assert_array_equal(neighbor_weights(POINTS, 5, True).toarray(), whole)


def test_neighbors_never_cross_batches() -> None:
    batch = np.arange(len(POINTS)) % 3
    batches = {str(b): np.flatnonzero(batch == b) for b in (2, 0, 1)}
    weights = weights_within(POINTS, batches, 4, False).toarray()
    assert not weights[batch[:, None] != batch].any()
    for cells in batches.values():
        np.testing.assert_allclose(weights[np.ix_(cells, cells)], slow_weights(POINTS[cells], 4, False), atol=1e-6)
