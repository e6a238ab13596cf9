"""The plain form: one type of text, whichever library wrote it, and no value changed."""

import itertools

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scmoe.io._plain import plain, plain_column, plain_frame, plain_index, plain_uns
from scmoe.io._quiet import quiet_mudata

LETTERS = st.characters(exclude_characters="\0", codec="utf-8")
TEXT = [object, "string", pd.Index(["a"]).dtype]


@pytest.mark.parametrize("dtype", TEXT)
def test_names_have_the_type_that_pandas_gives_strings(dtype: object) -> None:
    names = plain_index(pd.Index(["a", "b"], dtype=dtype, name="cell"))
    assert names.dtype == pd.Index(["a", "b"]).dtype
    assert (list(names), names.name) == (["a", "b"], "cell")


@pytest.mark.parametrize("dtype", TEXT)
@given(values=st.lists(st.none() | st.text(LETTERS, max_size=3), min_size=1, max_size=6))
def test_text_keeps_its_values_and_gaps(dtype: object, values: list[str | None]) -> None:
    column = plain_frame(pd.Series(values, dtype=dtype).to_frame("a"))["a"]
    gaps = [value is None for value in values]
    assert list(pd.isna(column)) == gaps
    assert [value for value in column if not pd.isna(value)] == [value for value in values if value is not None]
    if any(gaps) and not all(gaps):
        assert isinstance(column.dtype, pd.CategoricalDtype)
    elif not any(gaps):
        assert column.dtype == pd.Series(["a"]).dtype


@pytest.mark.parametrize("dtype", TEXT)
def test_categories_are_plain_and_stay_in_order(dtype: object) -> None:
    values = pd.Categorical.from_codes([1, -1, 0], pd.Index(["z", "a"], dtype=dtype), ordered=True)
    column = plain_column(values)
    assert list(column.categories) == ["z", "a"]
    assert column.categories.dtype == pd.Index(["a"]).dtype
    assert column.ordered
    assert list(column.codes) == [1, -1, 0]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None], "Int64"),
        ([True, None], "boolean"),
        ([1, 2], "int64"),
        ([True, False], "bool"),
        ([1.5, None], "float32"),
    ],
)
def test_numbers_stay_what_they_are(values: list, dtype: str) -> None:
    column = pd.Series(values, dtype=dtype)
    pd.testing.assert_series_equal(plain_frame(column.to_frame("a"))["a"], column, check_names=False)


@pytest.mark.parametrize(
    ("values", "dtype"), [([True, None, False], "boolean"), ([1, None, 3], "Int64"), ([1.5, None, 2], "float64")]
)
def test_numbers_that_are_objects_because_of_a_gap_become_numbers(values: list, dtype: str) -> None:
    column = plain_frame(pd.Series(values, dtype=object).to_frame("a"))["a"]
    assert column.dtype == dtype
    assert [None if pd.isna(value) else value for value in column] == values


def test_nullable_decimals_become_ordinary_ones() -> None:
    np.testing.assert_array_equal(plain_column(pd.array([1.5, None], dtype="Float64")), [1.5, np.nan])


def test_frame_without_columns_keeps_its_rows() -> None:
    frame = plain_frame(pd.DataFrame(index=["a", "b"]))
    assert (frame.shape, list(frame.index)) == ((2, 0), ["a", "b"])


def test_columns_of_a_frame_keep_names_and_order() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=pd.Index(["b", "a", "c"], name="protein"))
    pd.testing.assert_frame_equal(plain_frame(frame), frame)


def test_uns_is_plain_at_any_depth() -> None:
    table = pd.DataFrame({"a": pd.array(["x", "y"], dtype="string")})
    result = plain_uns({"deep": {"table": table, "text": pd.array(["x"], dtype="string"), "number": 1}})["deep"]
    assert result["table"]["a"].dtype == pd.Series(["x"]).dtype
    assert type(result["text"]) is np.ndarray
    assert result["number"] == 1


@pytest.fixture
def awkward() -> mudata.MuData:
    """What the newest libraries may read, as far as the installed ones can hold it."""
    names = pd.Index(["a", "b", "c"]).astype("string")
    rna = ad.AnnData(
        sparse.csr_matrix(np.eye(3, 2, dtype=np.float32)),
        obs=pd.DataFrame({"note": pd.array(["u", None, "w"], dtype="string")}, index=names),
        layers={"counts": np.ones((3, 2))},
        obsm={"frame": pd.DataFrame({"x": [1, 2, 3]}, index=names)},
        uns={"table": pd.DataFrame({"t": pd.array(["u"], dtype="string")})},
    )
    rna.raw = rna.copy()
    with quiet_mudata():
        return mudata.MuData({"rna": rna})


def test_the_data_given_are_not_changed(awkward: mudata.MuData) -> None:
    column = awkward["rna"].obs["note"]
    with quiet_mudata():
        result = plain(awkward)
    assert awkward["rna"].obs["note"].dtype == column.dtype
    assert result["rna"].obs["note"].dtype == "category"
    assert result["rna"].X is awkward["rna"].X


def test_every_part_is_plain(awkward: mudata.MuData) -> None:
    with quiet_mudata():
        adata = plain(awkward)["rna"]
    text = pd.Index(["a"]).dtype
    indices = [adata.obs_names, adata.var_names, adata.obsm["frame"].index, adata.raw.var_names]
    assert [index.dtype for index in indices] == [text] * len(indices)
    assert adata.uns["table"]["t"].dtype == text
    assert [name for name in adata.layers if name is not None] == ["counts"]


def test_axis_is_an_integer_of_python(mdata: mudata.MuData) -> None:
    with quiet_mudata():
        odd = mudata.MuData(dict(mdata.mod.items()), axis=np.int64(0))
        assert type(plain(odd).axis) is int


@pytest.mark.parametrize("titles", itertools.product([None, "barcode"], [None, "cell", "barcode"]))
def test_named_cells_with_a_table_come_back(titles: tuple[str | None, str | None]) -> None:
    """mudata before 0.4 cannot join them to modalities whose names have another title."""
    with quiet_mudata():
        mdata = mudata.MuData({"rna": ad.AnnData(np.ones((3, 2))), "adt": ad.AnnData(np.ones((3, 1)))})
        for adata in mdata.mod.values():
            adata.obs.index.name = titles[1]
    mdata.obs = pd.DataFrame({"age": [1.0, 2.0, np.nan]}, index=mdata.obs_names.rename(titles[0]))
    mdata.obsm["whole"] = np.arange(6).reshape(3, 2)
    again = plain(mdata)
    assert again.obs["age"].dtype == np.float64
    assert (again.obs.index.name, again["rna"].obs.index.name) == titles
    np.testing.assert_array_equal(again.obsm["whole"], mdata[again.obs_names].obsm["whole"])


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([1.5, pd.NA], "float64"), ([1, pd.NA], "Int64"), ([True, None], "boolean"), ([2**70, 1], "object")],
)
def test_numbers_that_are_objects_get_a_type_that_holds_them(values: list[object], dtype: str) -> None:
    assert plain_frame(pd.DataFrame({"a": pd.Series(values, dtype=object)}))["a"].dtype == dtype


def test_values_are_not_copied() -> None:
    values = np.random.default_rng(0).random((6, 4)).astype(np.float32)
    adata = ad.AnnData(values)
    adata.layers["other"] = values
    adata.raw = ad.AnnData(values)
    adata.obsm["table"] = pd.DataFrame(values, adata.obs_names, list("abcd"), copy=False)
    with quiet_mudata():
        mdata = mudata.MuData({"rna": adata})
    mdata.obsm["table"] = adata.obsm["table"]
    plainer = plain(mdata)
    found = plainer["rna"]
    for array in (found.X, found.layers["other"], found.raw.X, *(d.obsm["table"].to_numpy() for d in (found, plainer))):
        assert np.shares_memory(array, values)
    plainer.obsm["table"].index = list("uvwxyz")
    assert list(mdata.obsm["table"].index) == list(mdata.obs_names)
