import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scmoe.pl
from scmoe.metrics import confusion_table

LABELS = ["B", "T", "NK"]


@pytest.fixture
def table():
    return confusion_table(list("BBBBTT"), ["B", "B", "B", "T", "T", "Unknown"], labels=LABELS)


def texts(labels) -> list[str]:
    return [label.get_text() for label in labels]


def test_rows_are_shares_of_the_true_label(table):
    ax = scmoe.pl.confusion(table)
    np.testing.assert_array_equal(ax.images[0].get_array(), [[0.75, 0.25, 0], [0, 0.5, 0.5]])
    assert texts(ax.get_yticklabels()) == ["B (4)", "T (2)"]
    assert texts(ax.get_xticklabels()) == ["B", "T", "Unknown"]
    assert ax.get_aspect() == 1 and ax.get_xlabel() == "predicted label\nno cell: NK"


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_square_without_empty_rows_and_nothing_is_lost(seed):
    rng = np.random.default_rng(seed)
    labels = [f"l{i}" for i in range(rng.integers(1, 9))]
    truth = rng.choice(labels, rng.integers(1, 30))
    predicted = rng.choice([*labels, "Unknown"], len(truth))
    ax = scmoe.pl.confusion(confusion_table(truth, predicted, labels=labels))
    shares, rows = np.asarray(ax.images[0].get_array()), texts(ax.get_yticklabels())
    columns = texts(ax.get_xticklabels())
    names = [row.rsplit(" ", 1)[0] for row in rows]
    assert set(names) == set(truth) and columns[: len(names)] == names
    assert set(columns[len(names) :]) <= {"other labels", "Unknown"}
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    for name, share in zip(names, shares.diagonal(), strict=True):
        assert share == pytest.approx((predicted[truth == name] == name).mean())
    plt.close("all")


def test_labels_that_are_taken_for_each_other_are_neighbors():
    truth = np.repeat(["A", "C", "B", "D"], 4)
    predicted = np.array([*"AABB", *"CCDD", *"BBAA", *"DDCC"])
    ax = scmoe.pl.confusion(confusion_table(truth, predicted, labels=["A", "C", "B", "D"]))
    order = texts(ax.get_xticklabels())
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset("AB"), frozenset("CD")}


def test_labels_of_a_lineage_stand_together_in_a_frame():
    parents = {"A": "x", "C": "y", "B": "x", "x": "x"}
    ax = scmoe.pl.confusion(confusion_table(list("ACB"), list("ACB"), labels=list("ACB")), hierarchy=parents)
    assert texts(ax.get_xticklabels()) == ["A", "B", "C"]
    assert [(frame.get_x(), frame.get_width()) for frame in ax.patches] == [(-0.5, 2), (1.5, 1)]


def test_the_bar_marks_the_balanced_accuracy(table):
    bar = scmoe.pl.confusion(table).figure.axes[1]
    assert "0.625" in bar.get_ylabel() and 0.625 in bar.lines[-1].get_ydata()


def test_draws_into_the_axes_given(table):
    _, ax = plt.subplots()
    assert scmoe.pl.confusion(table, ax=ax) is ax


def test_other_tables_are_refused(table):
    for other in (table * 0, table[["T", "B", "NK"]], table[["B"]]):
        with pytest.raises(ValueError, match="scmoe.metrics.confusion_table"):
            scmoe.pl.confusion(other)
