import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmoe.metrics import _hubs, hub_ratio


def slow_ratio(points, group, k):
    """Neighbors cell by cell, from all distances."""
    shares = {True: [], False: []}
    for i, point in enumerate(points):
        distance = np.linalg.norm(points - point, axis=1)
        distance[i] = np.inf
        chance = (group.sum() - group[i]) / (len(points) - 1)
        if chance:
            shares[bool(group[i])].append(group[np.argsort(distance)[:k]].mean() / chance)
    return [np.mean(shares[side]) if shares[side] else np.nan for side in (True, False)]


@settings(max_examples=30)
@given(st.integers(4, 40), st.integers(1, 3), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_ratio_equals_slow_reference(n, m, k, seed):
    rng = np.random.default_rng(seed)
    points, group = rng.normal(size=(n, 3)), rng.permutation(n) < m
    assert hub_ratio(points, group, n_neighbors=k) == pytest.approx(
        slow_ratio(points, group, min(k, n - 1)), nan_ok=True
    )


@pytest.fixture
def cells():
    """Points of 1000 cells in 30 dimensions, of which 100 random ones are a group."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(1000, 30)), rng.permutation(1000) < 100


def test_random_cells_are_no_hubs(cells):
    assert hub_ratio(*cells) == pytest.approx((1, 1), abs=0.2)


def test_cells_at_the_center_are_hubs(cells):
    points, group = cells
    ratio = hub_ratio(points * np.where(group, 0.5, 1)[:, None], group)
    assert ratio.within > 5 and ratio.outside > 5


def test_cells_that_lie_apart_are_no_hubs_of_others(cells):
    points, group = cells
    ratio = hub_ratio(points + 100 * group[:, None], group)
    assert ratio == pytest.approx((999 / 99, 0))


def test_types_that_differ_in_number_are_no_hubs(cells):
    """A query of one type of a reference of four: its cells are each other's neighbors, and no hubs."""
    points, group = cells
    kind = np.where(group, 0, np.arange(1000) % 4)
    ratio = hub_ratio(points + 100 * np.eye(30)[kind], group)
    assert ratio.within > 2 and ratio.outside < 1


@pytest.mark.parametrize("seed", [0, 1])
def test_few_cells_whose_neighbors_are_looked_at_say_the_same(cells, monkeypatch, seed):
    points, group = cells
    points = points * np.where(group, 0.8, 1)[:, None]
    everything = hub_ratio(points, group)
    monkeypatch.setattr(_hubs, "MAX_QUERIES", 60)
    sample = hub_ratio(points, group, seed=seed)
    assert sample == pytest.approx(everything, rel=0.15) and sample != everything


def test_cells_at_one_place_are_not_chosen_by_their_position():
    ratios = [hub_ratio(np.zeros((200, 2)), np.arange(200) < 100, seed=seed).outside for seed in range(40)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("embedding", "group", "match"),
    [
        (np.zeros((3, 2)), [True, False], r"shapes \(3, 2\) and \(2,\)"),
        (np.zeros((3, 2)), [True, True, True], "found 3 of 3"),
        (np.zeros((3, 2)), [False] * 3, "found 0 of 3"),
        (np.zeros((3, 2)), ["a", "b", "a"], r"True or False of each cell; found entries like \['a'\]"),
        ([[0.0], [np.nan], [1.0]], [True, False, False], "finite numbers; found others in cell number 1"),
    ],
)
def test_bad_input(embedding, group, match):
    with pytest.raises(ValueError, match=match):
        hub_ratio(embedding, group)
