import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmoe.pp._allot import allot_groups, allot_labels, apportion, fill

SHARES = np.array([0.6, 0.2, 0.2])
TRAIN = np.array([1, 0, 0])


@given(n=st.integers(1, 200), weights=st.tuples(*[st.integers(1, 20)] * 3), seed=st.integers(0, 5))
def test_numbers_are_within_one_of_the_shares(n, weights, seed):
    shares = np.array(weights) / sum(weights)
    counts = apportion(n, shares, TRAIN, np.random.default_rng(seed))
    assert counts.sum() == n and counts[0] >= 1
    assert (np.abs(counts - n * shares) < 1 + 1e-8).all()


def test_no_part_is_favored_over_many_small_classes():
    classes = np.repeat(np.arange(900), 2)
    part = allot_labels(np.arange(1800), classes, SHARES, np.random.default_rng(0))
    first_two = np.bincount(part, minlength=3) / 1800
    assert first_two == pytest.approx([0.6, 0.2, 0.2], abs=0.02)


@pytest.mark.parametrize("shares", [[0.6, 0.2, 0.2], [0.2, 0.4, 0.4]])
def test_a_single_cell_is_in_training(shares):
    part = allot_labels(np.arange(12), np.arange(12), np.array(shares), np.random.default_rng(0))
    assert (part == 0).all()


def test_units_stay_together():
    rng = np.random.default_rng(0)
    units = rng.integers(30, size=100)
    part = allot_labels(units, units % 3, SHARES, rng)
    assert all(len(set(part[units == unit])) == 1 for unit in np.unique(units))


def test_large_units_come_first():
    sizes = np.array([1, 1, 5, 1, 2])
    assert np.bincount(fill(sizes, np.array([6, 2, 2])), weights=sizes).tolist() == [6, 2, 2]


def test_every_part_has_a_group():
    for seed in range(5):
        groups = np.repeat(np.arange(3), 4)
        part = allot_groups(groups, np.array([0.9, 0.05, 0.05]), np.random.default_rng(seed), "donor")
        assert sorted(part[::4]) == [0, 1, 2] and (part.reshape(3, 4) == part[::4, None]).all()
