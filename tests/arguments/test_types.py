"""Values against annotations: what fits, and the sentence about what does not."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from scmoe.arguments._ranges import RANGES, Range
from scmoe.arguments._types import check

FITS = [
    ("max_epochs", 3, int),
    ("max_epochs", np.int64(3), int),
    ("max_epochs", None, int | None),
    ("lr", 1, float),
    ("lr", np.float32(0.5), float),
    ("copy", np.True_, bool),
    ("how", "hide", Literal["hide", "permute"]),
    ("keys", ["a", "b"], Sequence[str]),
    ("keys", ("a",), Sequence[str]),
    ("keys", pd.Index(["a"]), Sequence[str]),
    ("keys", np.array(["a"]), Sequence[str]),
    ("keys", pd.Series(["a", "a"], dtype="category").unique(), Sequence[str]),
    ("keys", pd.array(["a"], dtype="string"), str | Sequence[str]),
    ("keys", "a", str | Sequence[str]),
    ("keys", iter("ab"), Iterable[str]),
    ("indices", ["cell1"], Sequence[int]),  # their own check says more
    ("layers", {"rna": None}, Mapping[str, str | None]),
    ("sets", {"a": ["x"]}, Mapping[str, Sequence[str]]),
    ("path", Path("x"), str | Path),
    ("truth", [1, 2], ArrayLike),
    ("truth", pd.Series([1]), NDArray[np.floating]),
    ("anything", object(), Any),
]


@pytest.mark.parametrize(("name", "value", "hint"), FITS)
def test_what_fits_passes(name: str, value: Any, hint: Any) -> None:
    check(name, value, hint)


MISFITS = [
    ("max_epochs", "3", int, TypeError, "max_epochs must be a whole number of at least 1; found '3'. Pass a number"),
    ("max_epochs", 0, int | None, ValueError, "max_epochs must be a whole number of at least 1 or None; found 0."),
    ("max_epochs", True, int, TypeError, "found True"),
    ("max_epochs", 2.0, int, TypeError, "found 2.0"),
    ("lr", float("nan"), float, ValueError, "lr must be a number above 0; found nan."),
    ("lr", float("inf"), float, ValueError, "found inf"),
    ("dropout", 1, float, ValueError, "dropout must be a number of at least 0 and below 1; found 1."),
    ("seed", -1, int, ValueError, "seed must be a whole number from 0 to 2**32 - 1; found -1."),
    ("copy", 1, bool, TypeError, "copy must be True or False; found 1."),
    ("copy", None, bool, TypeError, "found None"),
    ("how", "hidden", Literal["hide", "permute"], ValueError, "one of 'hide', 'permute'; found 'hidden'. Did you mean"),
    ("how", True, Literal["hide", "permute"], TypeError, "found True"),
    ("keys", "donor", Sequence[str], TypeError, "a list of names; found 'donor'. Put it into a list: ['donor']."),
    ("keys", ["a", 3], Sequence[str], TypeError, "keys[1] must be text; found 3. Pass text, in quotes: '3'."),
    ("layers", "counts", Mapping[str, str], TypeError, "layers must be a dict; found 'counts'. Say what it is for"),
    (
        "layers",
        pd.Series({"rna": "counts"}),
        Mapping[str, str],
        TypeError,
        "a Series. Convert it with to_dict().",
    ),
    (
        "layers",
        {"rna": 3},
        Mapping[str, str | None],
        TypeError,
        "layers['rna'] must be text or None; found 3. Pass text",
    ),
    ("sets", {"a": "CD3"}, Mapping[str, Sequence[str]], TypeError, "sets['a'] must be a list of names; found 'CD3'"),
    ("fractions", [0.5, float("nan")], Sequence[float], ValueError, "fractions[1] must be a number from 0 to 1"),
    ("truth", None, ArrayLike, TypeError, "truth must be an array, list or Series; found None."),
    ("truth", "kind", ArrayLike, TypeError, "truth must be an array, list or Series; found 'kind'."),
    ("path", 3, str | Path, TypeError, "path must be text or a Path; found 3."),
    ("table", {"a": 1}, pd.DataFrame, TypeError, "table must be a DataFrame; found {'a': 1}."),
    ("model", None, "SCMOE", TypeError, "model must be an SCMOE; found None. Train one with scmoe.tl.train(mdata)"),
    ("labels", pd.Series(range(99)), str, TypeError, "labels must be text; found a Series."),
]


@pytest.mark.parametrize(("name", "value", "hint", "kind", "text"), MISFITS)
def test_a_misfit_is_said_in_one_form(name: str, value: Any, hint: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as error:
        check(name, value, hint)
    assert text in str(error.value)


@given(st.sampled_from(sorted(RANGES)), st.floats() | st.integers())
def test_a_number_passes_exactly_if_it_is_in_range(name: str, value: float) -> None:
    span = RANGES[name]
    low = -np.inf if span.low is None else span.low
    high = np.inf if span.high is None else span.high
    inside = low <= value <= high and abs(value) != np.inf
    inside = inside and not (span.open_low and value == low) and not (span.open_high and value == high)
    assert span.holds(value) == inside


def test_classes_known_to_type_checkers_alone_are_compared_by_name() -> None:
    class SCMOE:
        pass

    class Refined(SCMOE):
        pass

    check("model", Refined(), "SCMOE")
    check("model", None, "SCMOE | None")
    check("models", {"a": SCMOE()}, Mapping[str, "SCMOE"])


def test_bounds_are_words() -> None:
    assert str(Range()) == ""
    assert str(Range(0, 1, open_low=True)) == "above 0 and at most 1"
