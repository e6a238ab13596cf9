"""Probabilities of parents, and the lowest name that is sure enough."""

import numpy as np
import pytest

from scmoe.readout._hierarchy import roll_up

LABELS = ["CD4", "CD8", "B", "Mono"]
TREE = {"CD4": "T", "CD8": "T", "T": "lymphocyte", "B": "lymphocyte"}


@pytest.mark.parametrize(
    ("probability", "name", "value"),
    [
        ([0.95, 0.05, 0, 0], "CD4", 0.95),
        ([0.6, 0.35, 0.05, 0], "T", 0.95),
        ([0.5, 0.2, 0.25, 0.05], "lymphocyte", 0.95),
        ([0, 0.05, 0.05, 0.9], "Mono", 0.9),
        ([0.25, 0.25, 0.1, 0.4], None, 0.6),
    ],
)
def test_lowest_name_that_reaches_the_level(probability, name, value):
    codes, confidence, names = roll_up(np.array([probability]), LABELS, TREE, 0.9)
    assert (None if codes[0] < 0 else names[codes[0]]) == name
    assert confidence[0] == pytest.approx(value)
    assert names == ["CD4", "CD8", "B", "Mono", "T", "lymphocyte"]


def test_a_label_may_be_a_parent():
    codes, confidence, names = roll_up(np.array([[0.5, 0.4, 0.1]]), ["T", "CD4", "B"], {"CD4": "T"}, 0.9)
    assert (names[codes[0]], confidence[0]) == ("T", pytest.approx(0.9))


def test_the_best_label_need_not_be_below_what_is_sure():
    codes, _, names = roll_up(np.array([[0.3, 0.3, 0, 0.4]]), LABELS, TREE, 0.6)
    assert names[codes[0]] == "T"


@pytest.mark.parametrize(
    ("tree", "level", "match"),
    [
        ({"CD4": "T", "T": "CD4"}, 0.9, "circle: CD4 → T → CD4"),
        ({"B": "B"}, 0.9, "circle: B → B"),
        ({"NK": "lymphocyte"}, 0.9, "has 'NK', which the model does not know; its labels are CD4, CD8"),
        ({"x": "y", "y": "x"}, 0.9, "has 'x', 'y', which"),
        ({**TREE, "B": None}, 0.9, "must name the parent of 'B'; found None"),
        ({**TREE, "B": ["x"]}, 0.9, r"must name the parent of 'B'; found \['x'\]"),
    ],
)
def test_refuses(tree, level, match):
    with pytest.raises(ValueError, match=match):
        roll_up(np.eye(4), LABELS, tree, level)
