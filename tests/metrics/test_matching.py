"""What a table says does not depend on the order of its rows and columns, as long as these have names."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from scmoe.metrics import (
    calibration_table,
    classification_scores,
    confusion_table,
    coverage_accuracy,
    feature_scores,
    frequency_groups,
    hub_ratio,
    matched_accuracy,
    per_class_scores,
    recall_slope,
)

N = 12
LABELS = ["a/b", "T", "7"]
CELLS = [f"cell{i}" for i in range(N)]
rng = np.random.default_rng(0)
PROBABILITY = rng.dirichlet([1, 1, 1], N)
TRUTH = np.array(LABELS)[np.r_[0, 1, 2, rng.integers(0, 3, N - 3)]]
PREDICTED = np.array(LABELS)[PROBABILITY.argmax(axis=1)]
CONFIDENCE, DONOR = PROBABILITY.max(axis=1), rng.choice(["d1", "d2"], N)
VALUES = rng.normal(size=(2, N, 3))

METRICS = {
    "confusion": (lambda t, p: confusion_table(t, p, labels=LABELS), (TRUTH, PREDICTED)),
    "classification": (lambda *each: classification_scores(*each, labels=LABELS), (TRUTH, PREDICTED, PROBABILITY)),
    "calibration": (lambda *each: calibration_table(*each, labels=LABELS), (TRUTH, PREDICTED, PROBABILITY)),
    "coverage": (lambda *each: coverage_accuracy(*each, labels=LABELS), (TRUTH, PREDICTED, CONFIDENCE)),
    "per class": (
        lambda t, p, g: per_class_scores(t, p, labels=LABELS, groups=g, n_boot=20),
        (TRUTH, PREDICTED, DONOR),
    ),
    "clusters": (lambda t, p: matched_accuracy(t, p)[1], (TRUTH, PREDICTED)),
    "features": (feature_scores, tuple(VALUES)),
    "hubs": (lambda x, g: hub_ratio(x, g, n_neighbors=3), (VALUES[0], DONOR == "d1")),
}


def named(values, cells=CELLS):
    if values.ndim == 1:
        return pd.Series(values, index=cells)
    return pd.DataFrame(values, index=cells, columns=LABELS)


def same(one, other):
    one, other = (pd.Series(each._asdict()).to_frame() if isinstance(each, tuple) else each for each in (one, other))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=25)
@given(order=st.permutations(range(N)), column_order=st.permutations(range(3)), nameless=st.booleans())
def test_order_of_named_cells_and_columns_changes_nothing(name, order, column_order, nameless):
    function, arguments = METRICS[name]
    first, *others = map(named, arguments)
    if nameless:  # an array goes by position, and so does an index of numbers from 0
        first, others = first.to_numpy(), [others[0], *(each.reset_index(drop=True) for each in others[1:])]
    else:
        others = [each.iloc[order] for each in others]
        others = [each.iloc[:, column_order] if each.ndim == 2 else each for each in others]
    same(function(first, *others), function(*arguments))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    "cells", [CELLS[1:] + ["other"], CELLS[:-1], [*CELLS[:-1], CELLS[0]]], ids=["other", "fewer", "twice"]
)
def test_other_cells_are_refused(name, cells):
    function, arguments = METRICS[name]
    tables = [*map(named, arguments[:-1]), named(arguments[-1][: len(cells)], cells)]
    with pytest.raises(
        ValueError,
        match=r"'other' of \w+ is not in (truth|embedding)|it lacks 1, the first is 'cell11'|'cell0' more than once",
    ):
        function(*tables)


@pytest.mark.parametrize("name", METRICS)
def test_lengths_that_differ_are_refused(name):
    function, arguments = METRICS[name]
    with pytest.raises(ValueError, match=r"11"):
        function(*arguments[:-1], arguments[-1][:-1])


@pytest.mark.parametrize("name", METRICS)
def test_a_shuffled_index_of_numbers_could_mean_either(name):
    function, arguments = METRICS[name]
    tables = [named(arguments[0], range(N)), *(named(each, range(N)[::-1]) for each in arguments[1:])]
    with pytest.raises(ValueError, match="by position or by name"):
        function(*tables)


def test_columns_under_the_names_that_files_hold_come_in_any_order():
    frame = pd.DataFrame(PROBABILITY, columns=["a_b", "T", 7])[["T", 7, "a_b"]]
    expected = classification_scores(TRUTH, PREDICTED, PROBABILITY, labels=LABELS)
    same(classification_scores(TRUTH, PREDICTED, frame, labels=LABELS), expected)
    same(classification_scores(TRUTH, PREDICTED, pd.DataFrame(PROBABILITY), labels=LABELS), expected)


def test_labels_that_files_call_alike_keep_their_columns():
    labels = ["a/b", "a_b", "T"]
    names = dict(zip(LABELS, labels, strict=True))
    truth, predicted = pd.Series(TRUTH).map(names), pd.Series(PREDICTED).map(names)
    expected = classification_scores(truth, predicted, PROBABILITY, labels=labels)
    for columns in (labels, ["a_b_", "a_b", "T"]):
        frame = pd.DataFrame(PROBABILITY, columns=columns)[columns[::-1]]
        same(classification_scores(truth, predicted, frame, labels=labels), expected)


@pytest.mark.parametrize("name", ["confusion", "per class", "clusters", "coverage"])
def test_categories_without_a_cell_and_missing_types_of_pandas_change_nothing(name):
    function, arguments = METRICS[name]
    categorical = [pd.Categorical(each, categories=[*LABELS, "unused"]) for each in arguments[:2]]
    text = [pd.Series(each, dtype="string") for each in arguments[:2]]
    for first_two in (categorical, text):
        same(function(*first_two, *arguments[2:]), function(*arguments))


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"features", "hubs"}))
def test_one_label_only(name):
    function, arguments = METRICS[name]
    sure = np.tile([0.0, 1.0, 0.0], (N, 1))
    ones = [np.repeat("T", N), np.repeat("T", N), *(sure if each.ndim == 2 else each for each in arguments[2:])]
    result = function(*ones)
    right = {
        "confusion": lambda: result.loc["T", "T"] == N and result.to_numpy().sum() == N,
        "classification": lambda: result[:3] == (1, 1, 1) and result.macro_auprc == 1 and result.ece == 0,
        "calibration": lambda: result["accuracy"].tolist() == [1],
        "coverage": lambda: (result["accuracy"] == 1).all() and result["coverage"].iloc[-1] == 1,
        "per class": lambda: result.loc["T", "f1"] == 1 and result.loc["7"].isna().sum() == 9,
        "clusters": lambda: result.to_numpy().tolist() == [[N]],
    }
    assert right[name]()


def test_sizes_of_labels_are_matched_by_name_whatever_type_names_have():
    numbers = pd.Series([500, 9, 900], index=[1.0, 2.0, 3.0])
    text = frequency_groups({"1": 500, "2": 9, "3": 900})
    pd.testing.assert_series_equal(frequency_groups(numbers), text)
    recall = pd.Series([0.9, 0.1, 0.95], index=["1", "2", "3"])
    assert recall_slope(recall[::-1], numbers) == recall_slope(recall, numbers.sample(frac=1, random_state=0)) == 1
    with pytest.raises(ValueError, match="n_train names '1' twice"):
        frequency_groups(pd.Series([3, 4], index=["1", 1]))


@pytest.mark.parametrize("dtype", ["Float64", "float32", object])
def test_numbers_of_any_type_of_pandas(dtype):
    first, second = (pd.DataFrame(values, columns=LABELS).astype(dtype) for values in VALUES)
    plain = [each.to_numpy(float) for each in (first, second)]
    same(feature_scores(first, second), feature_scores(*plain))
    same(feature_scores(*map(csr_matrix, plain)), feature_scores(*plain))
    frame, confidence = named(PROBABILITY).astype(dtype), named(CONFIDENCE).astype(dtype)
    np.testing.assert_allclose(
        classification_scores(named(TRUTH), PREDICTED, frame, labels=LABELS).ece,
        classification_scores(TRUTH, PREDICTED, PROBABILITY, labels=LABELS).ece,
        rtol=1e-5,
    )
    assert len(coverage_accuracy(TRUTH, PREDICTED, confidence, labels=LABELS)) == N


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: feature_scores(pd.Series(VALUES[0][:, 0]), pd.Series(VALUES[1][:, 0])), "cells x features"),
        (lambda: feature_scores(VALUES[0].astype(str) + "x", VALUES[1]), "truth must hold numbers"),
        (lambda: feature_scores([[1.0], [2.0, 3.0]], VALUES[1]), "truth must hold numbers"),
        (
            lambda: confusion_table(named(TRUTH).to_frame(), TRUTH, labels=LABELS),
            r"one entry a cell; found .* \(12, 1\)",
        ),
        (lambda: coverage_accuracy(TRUTH, TRUTH, TRUTH, labels=LABELS), "confidence must hold numbers"),
        (
            lambda: coverage_accuracy(
                TRUTH, TRUTH, named(CONFIDENCE).mask(CONFIDENCE < 0.5).astype("Float64"), labels=LABELS
            ),
            r"each of the 12 cells; found 12 of the shape \(12,\), \d of them not finite",
        ),
        (
            lambda: classification_scores(TRUTH, TRUTH, pd.DataFrame("x", CELLS, LABELS), labels=LABELS),
            "probabilities must hold numbers",
        ),
        (
            lambda: per_class_scores(TRUTH, TRUTH, labels=LABELS, groups=named(DONOR).to_frame()),
            "groups must have one entry a cell",
        ),
    ],
    ids=range(8),
)
def test_what_is_no_number_or_no_column_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
