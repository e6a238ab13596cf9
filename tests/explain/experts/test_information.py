import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmoe.explain.experts._information import entropy, jensen_shannon, mutual_information

LOG2 = np.log(2)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[1.0, 0], [0, 1]], LOG2),
        ([[1.0, 1], [1, 1]], 0),
        ([[3.0, 1], [1, 3]], 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)),
        ([[2.0, 0, 0], [0, 1, 1]], LOG2),
        ([[1.0, 2, 3]], 0),
        ([[1.0], [5]], 0),
        ([[1.0, 1], [0, 0]], 0),
    ],
)
def test_mutual_information_by_hand(table, expected):
    assert mutual_information(np.array(table)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [([1.0, 0], [0, 1.0], LOG2), ([0.3, 0.7], [0.3, 0.7], 0), ([2.0, 2], [1.0, 0], 0.75 * np.log(4 / 3))],
)
def test_jensen_shannon_by_hand(p, q, expected):
    # Of (1/2, 1/2) and (1, 0): H(3/4, 1/4) - log(2) / 2 = log 4 - 3/4 log 3 - log(2) / 2 = 3/4 log(4/3).
    assert jensen_shannon(np.array(p), np.array(q)) == pytest.approx(expected, abs=1e-12)


def test_entropy_of_equal_shares():
    assert entropy(np.full(8, 3.0)) == pytest.approx(np.log(8))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_mutual_information_is_the_sum_over_the_table(seed):
    joint = np.random.default_rng(seed).dirichlet(np.ones(12)).reshape(3, 4)
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    slow = sum(joint[r, e] * np.log(joint[r, e] / (rows[r] * columns[e])) for r in range(3) for e in range(4))
    assert mutual_information(7 * joint) == pytest.approx(slow)
