import matplotlib.pyplot as plt
import numpy as np
import pytest

import scmoe.pl
from scmoe.metrics import confusion_table

LABELS = ["B", "T", "NK"]


@pytest.fixture
def table():
    return confusion_table(list("BBBBTT"), ["B", "B", "B", "T", "T", "Unknown"], labels=LABELS)


def test_rows_are_shares_of_the_true_label(table):
    ax = scmoe.pl.confusion(table)
    drawn = np.ma.filled(ax.images[0].get_array(), np.nan)
    np.testing.assert_array_equal(drawn[:2], [[0.75, 0.25, 0, 0], [0, 0.5, 0, 0.5]])
    assert np.isnan(drawn[2]).all()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["B (4)", "T (2)", "NK (0)"]
    assert [label.get_text() for label in ax.get_xticklabels()] == [*LABELS, "Unknown"]


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
