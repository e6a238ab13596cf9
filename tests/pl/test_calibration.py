import matplotlib.pyplot as plt
import numpy as np
import pytest

import scmoe.pl
from scmoe.metrics import calibration_table, classification_scores

LABELS, N_TRAIN = ["B", "T"], {"B": 50, "T": 5}


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet([1, 1], 200)
    return rng.choice(LABELS, 200), np.array(LABELS)[probability.argmax(axis=1)], probability


def test_dots_are_bins_and_the_legend_has_the_errors_of_the_scores(cells):
    table = calibration_table(*cells, labels=LABELS, n_train=N_TRAIN)
    ax = scmoe.pl.calibration(table)
    drawn = np.concatenate([np.asarray(dots.get_offsets()) for dots in ax.collections])
    expected = table.set_index("group").loc[["all cells", "head", "tail"], ["confidence", "accuracy"]]
    np.testing.assert_array_equal(drawn, expected)
    scores = classification_scores(*cells, labels=LABELS, n_train=N_TRAIN)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [float(text.split()[-1]) for text in texts] == pytest.approx(
        [scores.ece, scores.ece_head, scores.ece_tail], abs=5e-4
    )


def test_larger_bins_have_larger_dots(cells):
    table = calibration_table(*cells, labels=LABELS)
    areas = scmoe.pl.calibration(table).collections[0].get_sizes()
    assert (np.argsort(areas, kind="stable") == np.argsort(table["n_cells"], kind="stable")).all()


def test_draws_into_the_axes_given(cells):
    _, ax = plt.subplots()
    assert scmoe.pl.calibration(calibration_table(*cells, labels=LABELS), ax=ax) is ax


def test_empty_table_is_refused(cells):
    table = calibration_table(*cells, labels=LABELS)
    with pytest.raises(ValueError, match="table has no row"):
        scmoe.pl.calibration(table.iloc[:0])
