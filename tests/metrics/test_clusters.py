from itertools import permutations

import numpy as np
import pytest

from scmoe.metrics import matched_accuracy


def test_worked_number_of_the_specification():
    accuracy, confusion = matched_accuracy(list("0001112222"), list("2200011111"))
    assert accuracy == 0.8
    assert np.diagonal(confusion).tolist() == [2, 2, 4]


def test_best_of_all_permutations():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(4, size=60), rng.integers(4, size=60)
    best = max(np.mean(truth == np.array(names)[predicted]) for names in permutations(range(4)))
    assert matched_accuracy(truth, predicted)[0] == pytest.approx(best)


@pytest.mark.parametrize(("truth", "predicted", "correct"), [("aabbcc", "xxxxyy", 4), ("aabbbb", "xyzzww", 3)])
def test_unequal_numbers_keep_every_cell(truth, predicted, correct):
    accuracy, confusion = matched_accuracy(list(truth), list(predicted))
    assert confusion.to_numpy().sum() == 6
    assert accuracy == pytest.approx(correct / 6)


def test_renaming_clusters_changes_nothing():
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(5, size=50), rng.integers(7, size=50)
    names = rng.permutation(7)
    assert matched_accuracy(truth, predicted)[0] == matched_accuracy(truth, names[predicted])[0]


@pytest.mark.parametrize(
    ("truth", "predicted", "match"),
    [([1, 2], [1], "2 and 1"), ([], [], "at least one cell"), ([None, "a"], ["a", "a"], "no entry for 1 of 2")],
)
def test_bad_input(truth, predicted, match):
    with pytest.raises(ValueError, match=match):
        matched_accuracy(truth, predicted)
