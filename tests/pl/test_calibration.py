import matplotlib.pyplot as plt
import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

import scmoe.pl
from scmoe.metrics import calibration_table, classification_scores

LABELS, N_TRAIN = ["B", "T"], {"B": 50, "T": 5}


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet([1, 1], 200)
    return rng.choice(LABELS, 200), np.array(LABELS)[probability.argmax(axis=1)], probability


def series(ax) -> dict[str, np.ndarray]:
    """Dots of each group, (bins, 2)."""
    return {line.get_label().split(":")[0]: line.get_xydata() for line in ax.lines if line.get_marker() in "osD^"}


def test_dots_are_bins_and_the_legend_has_the_errors_of_the_scores(cells):
    table = calibration_table(*cells, labels=LABELS, n_train=N_TRAIN)
    ax = scmoe.pl.calibration(table)
    for name in ("all cells", "head", "tail"):
        expected = table[table["group"] == name][["confidence", "accuracy"]].to_numpy()
        np.testing.assert_array_equal(series(ax)[name][:, 1], expected[:, 1])
        np.testing.assert_allclose(series(ax)[name][:, 0], expected[:, 0], atol=0.01)  # beside each other
    scores = classification_scores(*cells, labels=LABELS, n_train=N_TRAIN)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [float(text.split()[-1]) for text in texts] == pytest.approx(
        [scores.ece, scores.ece_head, scores.ece_tail], abs=5e-4
    )


def test_bins_hold_as_many_cells_and_their_intervals_are_drawn(cells):
    table = calibration_table(*cells, labels=LABELS)
    assert table["n_cells"].tolist() == [20] * 10
    (bars,) = scmoe.pl.calibration(table).collections
    ends = proportion_confint(table["accuracy"] * 20, 20, method="wilson")
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], np.transpose(ends))


def test_nothing_is_drawn_of_groups_of_a_handful(cells):
    table = calibration_table(*cells, labels=LABELS, n_train=N_TRAIN)
    tail = table["group"] == "tail"
    table.loc[tail, "n_cells"] = [19, *[0] * (tail.sum() - 1)]
    ax = scmoe.pl.calibration(table)
    assert set(series(ax)) == {"all cells", "head"} and ax.get_xlabel().endswith("fewer than 20 cells: tail (19)")
    with pytest.raises(ValueError, match=r"No group has 20 cells.*'tail': 19"):
        scmoe.pl.calibration(table[tail])


def test_draws_into_the_axes_given(cells):
    _, ax = plt.subplots()
    assert scmoe.pl.calibration(calibration_table(*cells, labels=LABELS), ax=ax) is ax


def test_empty_table_is_refused(cells):
    table = calibration_table(*cells, labels=LABELS)
    with pytest.raises(ValueError, match="table has no row"):
        scmoe.pl.calibration(table.iloc[:0])
