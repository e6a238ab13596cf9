"""Names of results: each stands for one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmoe._keys import Keys, column_names

KEYS = Keys()


@pytest.mark.parametrize(
    ("target", "sources", "modalities"),
    [
        ("adt", ["rna", "atac"], ["rna", "atac", "adt", "rna+atac"]),
        ("adt", ["rna+atac"], ["rna", "atac", "adt", "rna+atac"]),
        ("adt", ["rna_from_flow"], ["rna_from_flow", "adt", "adt_from_rna", "flow"]),
        ("adt", ["rna"], ["rna", "adt", "rna_sd"]),
        ("adt", ["rna_sd"], ["rna", "adt", "rna_sd"]),
        ("adt", ["rna"], ["rna", "adt", "rna_lower"]),
        ("adt", ["rna_upper"], ["rna", "adt", "rna_upper"]),
    ],
)
def test_predictions_of_two_things_have_no_common_key(target, sources, modalities):
    with pytest.raises(ValueError, match=r"would stand for .* and for .* Rename a modality"):
        KEYS.check_imputed(target, sources, modalities)


@pytest.mark.parametrize(
    ("target", "sources", "modalities"),
    [
        ("adt", ["rna"], ["rna", "adt", "rna+adt"]),
        ("adt_from_rna", ["rna"], ["rna", "adt", "adt_from_rna"]),
        ("adt", ["rna", "atac"], ["rna", "atac", "adt"]),
        ("rna_sd", ["rna"], ["rna", "rna_sd"]),
    ],
)
def test_names_that_only_look_like_it_are_taken(target, sources, modalities):
    KEYS.check_imputed(target, sources, modalities)


def test_columns_of_a_name_without_a_slash_are_its_own():
    assert column_names(["CD16/32", "CD16_32", "HLA-A/B/C"]) == ["CD16_32_", "CD16_32", "HLA-A_B_C"]


@given(st.lists(st.text("a/_", min_size=1, max_size=4), unique=True, max_size=8))
def test_columns_differ_where_names_do(names):
    columns = column_names(names)
    assert len(set(columns)) == len(names) and not any("/" in column for column in columns)
    assert all(column == name for column, name in zip(columns, names, strict=True) if "/" not in name)
