"""Features of a query under other names: versions, columns of var, and what is not to be guessed."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from scmoe.data._features import match_features, mismatch_reason, names_in_model

IDS = [f"ENSG{i:011}" for i in range(8)]
SYMBOLS = [f"GENE{i}" for i in range(8)]


def named(names, **columns):
    return AnnData(
        np.zeros((1, len(names)), np.float32), var=pd.DataFrame(columns, index=pd.Index(names, dtype=object))
    )


def positions(wanted, adata):
    return match_features(wanted, adata).columns.tolist()


@given(st.permutations(range(8)), st.integers(1, 30), st.booleans())
def test_versions_do_not_matter_on_either_side(order, version, of_model):
    with_version = [f"{name}.{version + i}" for i, name in enumerate(IDS)]
    model, data = (with_version, IDS) if of_model else (IDS, with_version)
    match = match_features(model, named([data[i] for i in order]))
    assert match.columns.tolist() == np.argsort(order).tolist() and match.n_versions == 8 and match.source is None


def test_two_versions_of_one_gene_are_not_guessed():
    assert positions([IDS[0]], named([f"{IDS[0]}.1", f"{IDS[0]}.2"])) == [-1]
    assert positions([f"{IDS[0]}.1", f"{IDS[0]}.2"], named([IDS[0]])) == [-1, -1]
    assert positions([IDS[0], f"{IDS[0]}.2"], named([IDS[0]])) == [0, -1]  # the second is no other name of the first
    assert positions([f"{IDS[0]}.1", f"{IDS[0]}.2"], named([f"{IDS[0]}.2", f"{IDS[0]}.1"])) == [1, 0]


def test_numbers_at_the_end_of_symbols_are_no_versions():
    assert positions(["AC004556.1"], named(["AC004556.3"])) == [-1]
    assert positions(["ENSG00000182378"], named(["ENSG00000182378.14_PAR_Y", "ENSG00000182378.14"])) == [1]


@pytest.mark.parametrize("dtype", [object, "category", "string"])
@pytest.mark.parametrize("column", ["gene_ids", "feature_name", "anything"])
def test_a_column_of_var_with_the_names_is_used(dtype, column):
    order = np.arange(8)[::-1]
    data = named(SYMBOLS, type=["Gene Expression"] * 8, **{column: pd.array([IDS[i] for i in order], dtype=dtype)})
    match = match_features(IDS, data)
    assert match.columns.tolist() == order.tolist() and match.source == column
    assert names_in_model(IDS, data).tolist() == [IDS[i] for i in order]


def test_names_come_before_columns():
    assert match_features(SYMBOLS, named(SYMBOLS, gene_ids=SYMBOLS[::-1])).columns.tolist() == list(range(8))


def test_a_column_with_versions_fits_and_repeats_in_it_are_left_out():
    ids = [f"{name}.{i}" for i, name in enumerate(IDS)]
    ids[3] = ids[2] = f"{IDS[2]}.9"
    match = match_features(IDS, named(SYMBOLS, gene_ids=ids))
    assert match.columns.tolist() == [0, 1, -1, -1, 4, 5, 6, 7] and match.n_versions == 6


def test_a_feature_that_is_another_one_does_not_pass_for_it():
    data = named(["a", "b", "c"], symbol=["x", "a", "y"])  # "a" of the data is the model's "x"
    assert match_features(["x", "a", "y"], data).columns.tolist() == [0, 1, 2]
    assert names_in_model(["x", "a", "z"], data).tolist() == ["x", "a", "c"]


@pytest.mark.parametrize("dtype", [object, "category"])
def test_names_that_repeat_in_a_column_are_the_reason(dtype):
    data = named([f"feature{i}" for i in range(2 * len(IDS))])
    data.var["gene_ids"] = pd.Series([name for name in IDS for _ in range(2)], data.var_names, dtype=dtype)
    assert "stand for several features" in mismatch_reason(IDS, data, "rna")


@pytest.mark.parametrize(
    ("model", "data", "reason"),
    [
        (
            IDS,
            SYMBOLS,
            "data seem to hold symbols, and the model Ensembl identifiers. Put the Ensembl identifiers into",
        ),
        (SYMBOLS, IDS, "data seem to hold Ensembl identifiers, and the model symbols"),
        (IDS, [name.replace("ENSG", "ENSMUSG") for name in IDS], r"different species \(ENSMUSG and ENSG\)"),
        (SYMBOLS, [name.capitalize() for name in SYMBOLS], "only in upper and lower case, as symbols of human"),
        (IDS, [f"{name}.{i}" for name in IDS for i in (1, 2)], "stand for several features .*Keep one feature of each"),
        (SYMBOLS, ["a", "b"], "Check that mdata"),
    ],
)
def test_the_reason_is_told_from_the_names(model, data, reason):
    assert (match_features(model, named(data)).columns < 0).all()
    with pytest.raises(ValueError, match=reason):
        raise ValueError(mismatch_reason(model, named(data), "rna"))
