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
    """Offsets of each series' dots, (rows, 2)."""
    return [np.asarray(c.get_offsets()) for c in dots(ax)]


def dots(ax) -> list[matplotlib.collections.PathCollection]:
    return [c for c in ax.collections if isinstance(c, matplotlib.collections.PathCollection)]


def labels(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_each_dot_is_a_stored_score_in_its_concept_s_row(tested):
    ax = scmoe.pl.tcav(tested, targets=["B", "T"])
    assert labels(ax) == ["genes", "depth (control)"]
    for target, places in zip("BT", points(ax), strict=True):
        found = {["genes", "depth"][round(y)]: x for x, y in places}
        assert found == {concept: SCORES[target, concept] for concept in ("genes", "depth")}


def test_only_significant_scores_are_filled(tested):
    ax = scmoe.pl.tcav(tested, targets=["B"])
    (series,) = dots(ax)
    filled = {
        round(x, 1): not (face[:3] == 1).all()
        for (x, _), face in zip(series.get_offsets(), series.get_facecolors(), strict=True)
    }
    assert filled == {0.9: True, 0.2: False}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["B", "significant", "not significant"]


def test_each_target_has_a_shape_of_its_own(tested):
    first, second = (series.get_paths()[0].vertices for series in dots(scmoe.pl.tcav(tested)))
    assert first.shape != second.shape or not np.allclose(first, second)


def test_a_target_with_a_significant_control_is_gray(tested):
    table = tested.uns["scmoe"]["tcav"]
    table.loc[(table["target"] == "T") & (table["concept"] == "depth"), "significant"] = True
    ax = scmoe.pl.tcav(tested, targets=["B", "T"])
    gray = np.full(3, 0.75)
    for target, series in zip("BT", dots(ax), strict=True):
        for (_, y), edge in zip(series.get_offsets(), series.get_edgecolors(), strict=True):
            assert np.allclose(edge[:3], gray) == (target == "T" and round(y) == 0)  # the control keeps its color
    assert "significant control" in ax.get_legend().get_texts()[-1].get_text()


def test_of_many_targets_these_are_the_rows(tested):
    table = tested.uns["scmoe"]["tcav"]
    one = table[table["target"] == "B"]
    tested.uns["scmoe"]["tcav"] = pd.concat([one.assign(target=f"type {i}") for i in range(41)])
    ax = scmoe.pl.tcav(tested)
    assert labels(ax) == [f"type {i}" for i in range(41)]
    assert [len(series.get_offsets()) for series in dots(ax)] == [41, 41]
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == ["genes", "depth (control)"]


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
