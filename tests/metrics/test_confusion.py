import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from scmoe.metrics import (
    calibration_table,
    classification_scores,
    confusion_table,
    coverage_accuracy,
    frequency_groups,
    per_class_scores,
)

LABELS = ["B", "NK", "T"]


def test_as_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.choice(LABELS, 60), rng.choice(LABELS, 60)
    labels = ["T", "pDC", "B", "NK"]
    table = confusion_table(truth, pd.Categorical(predicted), labels=labels)
    assert table.index.tolist() == table.columns.tolist() == labels
    np.testing.assert_array_equal(table, confusion_matrix(truth, predicted, labels=labels))


@pytest.mark.parametrize("labels", [[0, 1], np.array([0.0, 1.0]), pd.Categorical(["0", "1"])])
def test_labels_may_be_numbers_and_categories(labels):
    table = confusion_table([0, 1, 1], np.array([0, 1, 0]), labels=labels)
    assert table.to_numpy().tolist() == [[1, 0], [1, 1]]
    assert table.index.tolist() == ["0", "1"]


def test_declined_predictions_have_a_column():
    table = confusion_table(["B", "T", "T"], ["Unknown", "T", "Unknown"], labels=LABELS)
    assert table.columns.tolist() == [*LABELS, "Unknown"]
    assert table["Unknown"].tolist() == [1, 0, 1]


EVEN = np.full((2, 3), 1 / 3)


@pytest.mark.parametrize(
    "function",
    [
        confusion_table,
        per_class_scores,
        classification_scores,
        lambda truth, predicted, labels: calibration_table(truth, predicted, EVEN, labels=labels),
        lambda truth, predicted, labels: coverage_accuracy(truth, predicted, [0.5, 0.4], labels=labels),
    ],
    ids=["confusion", "per_class", "classification", "calibration", "coverage"],
)
@pytest.mark.parametrize(
    ("truth", "predicted", "labels", "match"),
    [
        (["B", "T"], ["B"], LABELS, "2 and 1 entries"),
        ([], [], LABELS, "at least one cell"),
        (["B", None], ["B", "B"], LABELS, "truth has no entry for 1 of 2 cells"),
        (["B", "T"], ["B", np.nan], LABELS, "predicted has no entry for 1 of 2 cells"),
        (["B", "Unknown"], ["B", "B"], LABELS, "truth has the label 'Unknown' in 1 cells.* Leave those cells out"),
        (["B", "pDC"], ["B", "B"], LABELS, "truth has the label 'pDC'.* Add it to labels"),
        (["B", "T"], ["B", "pDC"], LABELS, "predicted has the label 'pDC'"),
        (["B", "T"], ["B", "T"], ["B", "T", "Unknown"], "without 'Unknown'"),
        (["B", "T"], ["B", "T"], ["B", "T", "B"], "each label once"),
        (["B", "T"], ["B", "T"], [], "each label once"),
    ],
)
def test_bad_labels(function, truth, predicted, labels, match):
    with pytest.raises(ValueError, match=match):
        function(truth, predicted, labels=labels)


def test_messages_name_what_was_given_in_few_words():
    with pytest.raises(ValueError, match=r"found 900: B, B, B, B, B, \.\.\.\.$"):
        confusion_table(["B"], ["B"], labels=["B"] * 900)
    with pytest.raises(ValueError, match="if it is a declined answer, call it 'Unknown'"):
        confusion_table(["B"], ["unassigned"], labels=LABELS)
    with pytest.raises(
        ValueError, match="n_train must say how many training cells each label has.*found values like 'B'"
    ):
        classification_scores(["B"], ["B"], labels=LABELS, n_train=pd.Series(["B", "T"]))
    with pytest.raises(ValueError, match="found nothing"):
        frequency_groups({})
