import matplotlib
import numpy as np
import pandas as pd
import pytest

import scmoe.pl

SCORES = {("B", "genes"): 0.9, ("B", "depth"): 0.2, ("T", "genes"): 0.6, ("T", "depth"): 1.0}


@pytest.fixture
def tested(mdata):
    """Two targets, a concept and a control, in one layer; only the concept of B is significant."""
    rows = [
        {
            "layer": "input",
            "target": target,
            "concept": concept,
            "kind": "control" if concept == "depth" else "gene set",
            "score": score,
            "score_sd": 0.15,
            "significant": (target, concept) == ("B", "genes"),
        }
        for (target, concept), score in SCORES.items()
    ]
    mdata.uns["scmoe"]["tcav"] = pd.DataFrame(rows[::-1])
    return mdata


def points(ax) -> list[np.ndarray]:
    """Offsets of each target's dots, (concepts, 2)."""
    return [np.asarray(c.get_offsets()) for c in ax.collections if isinstance(c, matplotlib.collections.PathCollection)]


def labels(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_each_dot_is_a_stored_score_in_its_concept_s_row(tested):
    ax = scmoe.pl.tcav(tested, targets=["B", "T"])
    assert labels(ax) == ["genes", "depth (control)"]
    for target, dots in zip("BT", points(ax), strict=True):
        found = {["genes", "depth"][round(y)]: x for x, y in dots}
        assert found == {concept: SCORES[target, concept] for concept in ("genes", "depth")}


def test_only_significant_scores_are_filled(tested):
    ax = scmoe.pl.tcav(tested, targets=["B"])
    (dots,) = (c for c in ax.collections if isinstance(c, matplotlib.collections.PathCollection))
    filled = {
        round(x, 1): not (face[:3] == 1).all()
        for (x, _), face in zip(dots.get_offsets(), dots.get_facecolors(), strict=True)
    }
    assert filled == {0.9: True, 0.2: False}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["B", "significant", "not significant"]


def test_bars_stay_between_0_and_1(tested):
    ax = scmoe.pl.tcav(tested)
    bars = [c for c in ax.collections if isinstance(c, matplotlib.collections.LineCollection)]
    ends = np.concatenate([np.concatenate(c.get_segments())[:, 0] for c in bars])
    assert ends.min() >= 0 and ends.max() <= 1


def test_a_line_marks_no_effect(tested):
    assert 0.5 in [line.get_xdata()[0] for line in scmoe.pl.tcav(tested).lines]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"targets": ["NK"]}, KeyError, "no target 'NK'; the table has T, B"),
        ({"targets": []}, ValueError, "at least one target"),
        ({"layer": "joint"}, KeyError, "no layer 'joint'; the table has input"),
        ({"key": "other"}, KeyError, "scmoe.tl.tcav"),
    ],
)
def test_bad_arguments(tested, arguments, error, match):
    with pytest.raises(error, match=match):
        scmoe.pl.tcav(tested, **arguments)


def test_one_of_several_layers_must_be_named(tested):
    table = tested.uns["scmoe"]["tcav"]
    tested.uns["scmoe"]["tcav"] = pd.concat([table, table.assign(layer="tokens")])
    with pytest.raises(ValueError, match="layers input, tokens"):
        scmoe.pl.tcav(tested)
    assert "tokens" in scmoe.pl.tcav(tested, layer="tokens").get_title(loc="left")
