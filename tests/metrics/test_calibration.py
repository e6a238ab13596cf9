import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from scmoe.metrics import calibration_table, coverage_accuracy
from scmoe.metrics._calibration import calibration_error

LABELS = ["B", "T"]


def test_error_by_hand():
    """Two bins: .9 twice, once right (gap .4); .6 once, right (gap .4)."""
    assert calibration_error(np.array([0.9, 0.9, 0.6]), np.array([True, False, True])) == pytest.approx(0.4)
    assert np.isnan(calibration_error(np.array([]), np.array([], dtype=bool)))


@pytest.fixture
def cells():
    """Truth, prediction, probabilities and confidence of 400 cells."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 400)
    predicted = rng.choice(LABELS, 400)
    truth = np.where(rng.random(400) < p**2, predicted, np.where(predicted == "B", "T", "B"))
    probability = np.where((predicted == "B")[:, None], np.stack([p, 1 - p], 1), np.stack([1 - p, p], 1))
    return truth, predicted, probability, p


def test_table_holds_the_error(cells):
    truth, predicted, probability, p = cells
    table = calibration_table(truth, predicted, probability, labels=LABELS)
    assert table["ece"].unique() == pytest.approx([calibration_error(p, truth == predicted)])
    assert (table["low"] <= table["confidence"]).all() and (table["confidence"] <= table["high"] + 1e-12).all()


def test_bins_hold_as_many_cells_and_their_means(cells):
    truth, predicted, probability, p = cells
    table = calibration_table(truth, predicted, probability, labels=LABELS)
    assert table["n_cells"].tolist() == [40] * 10
    order = np.argsort(p).reshape(10, 40)
    np.testing.assert_allclose(table["confidence"], p[order].mean(axis=1))
    np.testing.assert_allclose(table["accuracy"], (truth == predicted)[order].mean(axis=1))


def test_intervals_are_those_of_statsmodels(cells):
    table = calibration_table(*cells[:3], labels=LABELS)
    ends = proportion_confint(table["accuracy"] * table["n_cells"], table["n_cells"], method="wilson")
    np.testing.assert_allclose(table[["accuracy_low", "accuracy_high"]].T, ends)


def test_few_or_equal_cells_have_fewer_bins():
    probability = [[0.9, 0.1]] * 60
    table = calibration_table(["B"] * 60, ["B"] * 60, probability, labels=LABELS)
    assert table["n_cells"].tolist() == [60]
    few = np.linspace(0.5, 1, 25)
    table = calibration_table(["B"] * 25, ["B"] * 25, np.stack([few, 1 - few], 1), labels=LABELS)
    assert len(table) == 2 and table["n_cells"].sum() == 25


def test_cells_are_grouped_by_their_true_label():
    truth, predicted = ["B", "B", "T", "T"], ["B", "T", "T", "Unknown"]
    probability = pd.DataFrame([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.5, 0.5]], columns=LABELS)
    table = calibration_table(truth, predicted, probability, labels=LABELS, n_train={"B": 90, "T": 3})
    assert table.groupby("group")["n_cells"].sum().to_dict() == {"all cells": 3, "head": 2, "tail": 1}
    assert table[table["group"] == "head"]["accuracy"].tolist() == [0.5]


def test_coverage_keeps_cells_of_equal_confidence_together():
    truth, predicted = list("BBTTB"), ["B", "T", "T", "Unknown", "B"]
    table = coverage_accuracy(truth, predicted, [0.9, 0.8, 0.8, 0.99, 0.1], labels=LABELS)
    assert table["threshold"].tolist() == [0.9, 0.8, 0.1]
    assert table["coverage"].tolist() == [0.2, 0.6, 0.8]
    assert table["accuracy"].tolist() == pytest.approx([1, 2 / 3, 3 / 4])


@pytest.mark.parametrize(
    ("probability", "match"),
    [
        ([[0.5, 0.5]], r"shape \(2 cells, 2 labels\); found \(1, 2\)"),
        ([[0.5, 0.5], [0.5, 0.6]], "sum to 1"),
        ([[1.5, -0.5], [0.5, 0.5]], "sum to 1"),
        ([[np.nan, 0.5], [0.5, 0.5]], "sum to 1"),
        (pd.DataFrame([[0.5, 0.5]] * 2, columns=["T", "NK"]), "2 labels, by name; it lacks 1, the first is 'B'"),
        (pd.DataFrame([[0.5, 0.5]] * 2, columns=["B", "B"]), "'B' more than once"),
    ],
)
def test_bad_probabilities(probability, match):
    with pytest.raises(ValueError, match=match):
        calibration_table(["B", "T"], ["B", "B"], probability, labels=LABELS)


def test_stored_names_of_labels_are_known():
    stored = pd.DataFrame([[0.9, 0.1]], columns=["G_M prog", "T"])
    assert len(calibration_table(["G/M prog"], ["G/M prog"], stored, labels=["G/M prog", "T"])) == 1


def test_bad_confidence():
    with pytest.raises(ValueError, match="a number for each of the 2 cells"):
        coverage_accuracy(["B", "T"], ["B", "B"], [0.5, np.nan], labels=LABELS)
