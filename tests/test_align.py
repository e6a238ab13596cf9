"""Arguments about cells: what is matched by name, what goes by position, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmoe._align import in_one_order, in_order_of, mask_of, positions_of

NAMES = pd.Index([f"c{i}" for i in range(6)])
MASK = np.array([True, False, False, True, True, False])
ORDER = [3, 5, 0, 1, 4, 2]
permuted = st.permutations(range(6))


@given(order=permuted, extra=st.lists(st.sampled_from(["x", "y", "z"]), unique=True))
def test_named_entries_are_found_whatever_their_order_and_what_else_is_there(order, extra):
    values = pd.Series(np.arange(6.0), index=NAMES).iloc[order]
    values = pd.concat([pd.Series(np.nan, index=extra), values])
    np.testing.assert_array_equal(in_order_of(values, NAMES, "values"), np.arange(6))
    frame = pd.DataFrame({name: [value] for name, value in values.items()})
    np.testing.assert_array_equal(in_order_of(frame, NAMES, "values", axis=1), [np.arange(6)])


@pytest.mark.parametrize(
    "values", [np.arange(6), list(range(6)), pd.Series(range(6)), pd.DataFrame({"a": range(6)}), None]
)
def test_what_has_no_names_goes_by_position(values):
    assert in_order_of(values, NAMES, "values") is values


@pytest.mark.parametrize(
    ("index", "match"),
    [
        (
            ["c0", "c1", "c2", "c3", "c4", "cell5"],
            "values must have .* 6 cells, by name; it lacks 1, the first is 'c5'; found 'c0'",
        ),
        (NAMES[:4], "it lacks 2, the first is 'c4'"),
        ([3, 1, 2, 0, 5, 4], "it lacks 6, the first is 'c0'; found 3, 1, 2 and others"),
        ([*NAMES, "c1"], "values has 'c1' more than once"),
    ],
)
def test_names_that_do_not_fit_are_refused(index, match):
    with pytest.raises(ValueError, match=match):
        in_order_of(pd.Series(0, index=index), NAMES, "values")


def test_names_that_occur_twice_are_fine_where_the_order_is_the_same():
    index = pd.Index(["a", "a", "b"])
    one, two = in_one_order({"one": pd.Series([1, 2, 3], index), "two": pd.Series([4, 5, 6], index)})
    assert [*one, *two] == [1, 2, 3, 4, 5, 6]


MASKS = {
    "array": MASK,
    "list": MASK.tolist(),
    "objects": MASK.astype(object),
    "nullable": pd.array(MASK, dtype="boolean"),
    "numbered": pd.Series(MASK),
    "shuffled": pd.Series(MASK, index=NAMES).iloc[ORDER],
    "of more cells": pd.Series([True, *MASK], index=["other", *NAMES], dtype="boolean"),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_masks(mask):
    np.testing.assert_array_equal(mask_of(mask, NAMES, "cells"), MASK)
    np.testing.assert_array_equal(positions_of(mask, NAMES), [0, 3, 4])


@pytest.mark.parametrize(
    "cells",
    [
        *([3, 0, -1], range(3, -3, -3), np.array([3, 0, 5], np.uint8), pd.Series([3, 0, 5], index=["x", "y", "z"])),
        *(pd.Index([3, 0, 5]), pd.array([3, 0, 5], dtype="Int64"), np.array([3, 0, 5], dtype=object)),
        *(["c3", "c0", "c5"], np.array(["c3", "c0", "c5"]), pd.Index(["c3", "c0", "c5"])),
        *(pd.Series(["c3", "c0", "c5"], dtype="string"), pd.Categorical(["c3", "c0", "c5"])),
    ],
)
def test_positions_and_names_keep_their_order(cells):
    expected = [3, 0] if isinstance(cells, range) else [3, 0, 5]
    np.testing.assert_array_equal(positions_of(cells, NAMES), expected)


@pytest.mark.parametrize("nothing", [[], np.array([]), pd.Index([]), pd.Series([], dtype=object)])
def test_no_cell(nothing):
    assert positions_of(nothing, NAMES).tolist() == []


def test_a_cell_may_be_named_twice():
    assert positions_of(["c1", "c1"], NAMES).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("cells", "error", "match"),
    [
        ([0, 6], IndexError, "indices has the position 6; there are 6 cells, at 0 to 5"),
        ([-7], IndexError, "position -7"),
        (
            ["c1", "d1", "d2"],
            KeyError,
            "names 2 cells that are not there, the first is 'd1'; found 'c0', 'c1', 'c2' and others",
        ),
        ([0.0, 1.0], TypeError, r"found values like .*0.0.* \(float64\)"),
        (
            np.array([1, "c1"], dtype=object),
            TypeError,
            "must list positions of cells .* their names, or True and False for each of the 6 cells",
        ),
        (["c1", None], TypeError, "found values like"),
        ([0, None], TypeError, "found values like"),
        (3, TypeError, "found a int, which is no list"),
        ("c3", TypeError, "found a str, which is no list"),
        (slice(3), TypeError, "found a slice, which is no list"),
        ([[0, 1]], TypeError, r"found the shape \(1, 2\)"),
        (MASK[:5], ValueError, r"True or False for each of the 6 cells; found bool of the shape \(5,\)"),
        (pd.Series(MASK[:5]), ValueError, r"shape \(5,\)"),
        (pd.Series(MASK[:5], index=NAMES[:5]), ValueError, "lacks 1, the first is 'c5'"),
        (pd.Series([True, None] * 3, dtype="boolean"), ValueError, "found 3 that are missing"),
        (MASK.astype(int), ValueError, r"0 and 1 only, one for each of the 6 cells.*astype\(bool\)"),
    ],
)
def test_what_is_no_choice_of_cells(cells, error, match):
    with pytest.raises(error, match=match):
        positions_of(cells, NAMES)


def test_names_of_cells_that_occur_twice_say_nothing():
    with pytest.raises(ValueError, match="several are called 'a'. Pass positions"):
        positions_of(["b"], pd.Index(["a", "a", "b"]))
