import matplotlib.pyplot as plt
import numpy as np
import pytest

import scmoe.pl
from scmoe.metrics import per_class_scores

LABELS = ["B", "NK", "T", "pDC"]
N_TRAIN = {"B": 20, "NK": 5, "T": 90, "pDC": 1}


@pytest.fixture
def table():
    """Three labels with cells; "pDC" has none."""
    rng = np.random.default_rng(0)
    truth = rng.choice(LABELS[:3], 60, p=[0.6, 0.1, 0.3])
    return per_class_scores(truth, np.where(rng.random(60) < 0.7, truth, "B"), labels=LABELS)


def rows(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


@pytest.mark.parametrize("score", ["f1", "recall", "precision"])
def test_each_dot_and_bar_is_of_the_table(table, score):
    ax = scmoe.pl.per_class(table, score=score, n_train=N_TRAIN)
    n = table["support"]
    assert rows(ax) == [f"T (90, {n['T']})", f"B (20, {n['B']})", f"NK (5, {n['NK']})"]
    order = ["T", "B", "NK"]
    (dots,) = (line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(dots.get_xdata(), table.loc[order, score])
    bars = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
    np.testing.assert_array_equal(bars, table.loc[order, [f"{score}_low", f"{score}_high"]])


def test_labels_without_cells_are_named_and_groups_divided(table):
    ax = scmoe.pl.per_class(table, n_train=N_TRAIN)
    assert "no cell here: pDC" in ax.get_xlabel()
    assert [text.get_text() for text in ax.texts] == ["head", "middle", "tail"]
    assert not scmoe.pl.per_class(table).texts


def test_rows_are_ordered_by_the_cells_scored_without_training_counts(table):
    sizes = table["support"]
    assert rows(scmoe.pl.per_class(table)) == [f"{name} ({sizes[name]})" for name in ("B", "T", "NK")]


def test_several_methods_have_a_legend_and_places_of_their_own(table):
    ax = scmoe.pl.per_class({"none": table, "over": table.assign(f1=0.5)})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["none", "over"]
    first, second = (line for line in ax.lines if line.get_marker() in "os")
    assert (first.get_ydata() < second.get_ydata()).all() and (second.get_xdata() == 0.5).all()


def test_draws_into_the_axes_given(table, tmp_path):
    _, ax = plt.subplots()
    assert scmoe.pl.per_class(table, ax=ax, save=tmp_path / "a.png") is ax
    assert (tmp_path / "a.png").stat().st_size > 0


def test_bad_requests(table):
    with pytest.raises(ValueError, match="score must be one of"):
        scmoe.pl.per_class(table, score="accuracy")
    with pytest.raises(ValueError, match="1 to 6; found 0"):
        scmoe.pl.per_class({})
    with pytest.raises(ValueError, match="'b' has others"):
        scmoe.pl.per_class({"a": table, "b": table.iloc[:2]})
    with pytest.raises(ValueError, match="No label has a cell"):
        scmoe.pl.per_class(table.assign(support=0))


def test_tables_are_matched_by_their_labels(table):
    first, second = (
        [
            line.get_xdata()
            for line in scmoe.pl.per_class({"one": table, "two": other}).lines
            if line.get_marker() in "os"
        ]
        for other in (table, table[::-1])
    )
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="same labels and cells"):
        scmoe.pl.per_class({"one": table, "two": table.rename(index={"B": "b"})})
    with pytest.raises(ValueError, match="same labels and cells"):
        scmoe.pl.per_class({"one": table.iloc[1:], "two": table})
