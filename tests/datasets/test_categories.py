"""One category has one name, whatever type a table gave its column."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmoe.datasets._categories import category_codes, category_names, label_names, names_of, report_unlabeled

WHOLE = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))  # pandas ends text at a null character


@given(st.lists(WHOLE, min_size=1))
def test_whole_numbers_have_one_name_in_every_type(numbers):
    expected = [str(n) for n in numbers]
    for dtype in ("int64", "int32", "float64", "Int64", "Float64", object, "category"):
        assert category_names(pd.Series(numbers, dtype=dtype)).tolist() == expected
    assert category_names(pd.Series(numbers).astype("float64").astype("category")).tolist() == expected
    assert category_names(pd.Series([float(n) for n in numbers], dtype=object)).tolist() == expected


@given(st.lists(TEXT, min_size=1))
def test_text_stays_as_it_is(texts):
    for dtype in (object, "category"):
        assert category_names(pd.Series(texts, dtype=dtype)).tolist() == texts


@given(st.lists(st.one_of(WHOLE, st.none()), min_size=1))
def test_a_gap_changes_no_other_name(numbers):
    names = category_names(pd.Series(numbers, dtype="float64"))
    assert [None if pd.isna(name) else name for name in names] == [None if n is None else str(n) for n in numbers]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0.5, 2.0], ["0.5", "2"]),
        (np.array([0.1, 2.0], dtype=np.float32), ["0.1", "2"]),
        ([True, False], ["True", "False"]),
        ([1, True, "1"], None),
        ([np.inf, -0.0], ["inf", "0"]),
        ([1e20, 10.0**20], ["1" + "0" * 20] * 2),
        ([Fraction(1, 2), 1], ["1/2", "1"]),
        (["01", "1.0", " 1"], ["01", "1.0", " 1"]),
    ],
)
def test_names_of_other_values(values, names):
    found = category_names(pd.Series(values, index=range(5, 5 + len(values)), name="batch"))
    assert found.index.tolist() == list(range(5, 5 + len(values))) and found.name == "batch"
    if names is not None:
        assert found.tolist() == names


@given(st.lists(st.text(alphabet="01.-a", max_size=4), unique=True))
def test_known_names_are_found_where_they_are(known):
    assert category_codes(pd.Series(known, dtype=object), known).tolist() == list(range(len(known)))


@pytest.mark.parametrize(
    ("names", "known", "codes"),
    [
        (["1.0", "2", "3"], ["1", "2"], [0, 1, -1]),
        (["1", "2.00"], ["1.0", "2.0"], [0, 1]),
        (["1", "1.0", "1.00"], ["1", "1.0"], [0, 1, -1]),  # the last could be either
        (["-1.0", "01", "1e0", "1.5"], ["-1", "1"], [0, -1, -1, -1]),
        ([None, "a"], ["a"], [-1, 0]),
        (["1."], ["1"], [-1]),
    ],
)
def test_one_and_one_point_zero_are_one_name_unless_both_are_known(names, known, codes):
    assert category_codes(pd.Series(names, dtype=object), known).tolist() == codes


@pytest.mark.parametrize(
    ("categories", "names"),
    [
        ("T", ["T"]),
        (3, ["3"]),
        (np.float64(3), ["3"]),
        (True, ["True"]),
        (np.array([True, False]), ["True", "False"]),
        (pd.Categorical(["b", "a"]), ["b", "a"]),
        ([0, 1.0, 0.5], ["0", "1", "0.5"]),
    ],
)
def test_one_category_or_several_have_the_names_of_their_column(categories, names):
    assert names_of(categories) == names
    assert category_names(pd.Series(np.atleast_1d(categories))).tolist() == names


def test_labels_without_a_name_are_missing(capsys):
    column = pd.Series(["T", None, "to do", "unassigned", "N/A", ""], name="type", dtype="category")
    labels = label_names(column, "to do")
    assert [name for name in labels if isinstance(name, str)] == ["T", "unassigned", "N/A"]
    assert labels.isna().tolist() == [False, True, True, False, False, True]
    report_unlabeled(column, "to do")
    missing, suspects = capsys.readouterr().err.splitlines()
    assert missing.endswith("obs['type']: 2 of 6 cells have no entry and count as unlabeled")
    for name in ("'unassigned' (1 cells)", "'N/A' (1 cells)"):
        assert name in suspects
    report_unlabeled(pd.Series(["Unknown", "T", "NK"], name="type"))
    report_unlabeled(pd.Series(["unassigned", "T"], name="type"), "unassigned")
    assert capsys.readouterr().err == ""


def test_a_number_can_be_the_unlabeled_category():
    assert label_names(pd.Series([-1.0, 0.0, 2.0]), "-1").dropna().tolist() == ["0", "2"]
    assert label_names(pd.Series([-1, 0, 2]), -1).dropna().tolist() == ["0", "2"]
