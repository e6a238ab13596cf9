import numpy as np
import pandas as pd
import pytest

import scmoe


@pytest.fixture
def table():
    tree = pd.DataFrame({"lineage": ["T", "T", "B"], "type": ["CD4", "CD8", "B1"]})
    return scmoe.metrics.level_accuracy(
        ["CD4", "CD8", "B1", "CD4"], ["CD4", "T", "T", "Unknown"], [0.9, 0.95, 0.92, 0.5], hierarchy=tree,
        labels=["CD4", "CD8", "B1"],
    )  # fmt: skip


def test_bars_and_dots_are_the_table(table):
    ax = scmoe.pl.level_accuracy(table)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], table["coverage"])
    dots = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(dots["of these right"], table["accuracy"])
    np.testing.assert_allclose(dots["their probability"], table["confidence_named"])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["type\n(1 named)", "lineage\n(2 named)"]


def test_an_empty_table_is_refused(table):
    with pytest.raises(ValueError, match="no row"):
        scmoe.pl.level_accuracy(table.iloc[:0])
