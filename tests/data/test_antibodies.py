"""Names of antibodies: what vendors add, CD numbers, and what must stay apart."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from scmoe.data._antibodies import antibody_name
from scmoe.data._features import match_features, names_in_model
from scmoe.data._match import find_features, query_notes
from scmoe.data._setup import Setup

MODEL = ["CD3", "CD8", "CD279", "adt:CD69", "CD45RA", "CD31", "HLA-DR"]


def panel(names):
    return AnnData(np.zeros((1, len(names)), np.float32), var=pd.DataFrame(index=pd.Index(names, dtype=object)))


@pytest.mark.parametrize(
    "form", ["{}_TotalSeqB", "{}-TotalSeqC", "{}_TotalA", "Hu.{}", "anti-{}", "adt_{}", "{}-ACGTACGTACGTACG"]
)
@pytest.mark.parametrize("name", MODEL)
def test_what_vendors_add_does_not_matter(form, name):
    assert antibody_name(form.format(name.removeprefix("adt:"))) == antibody_name(name)


@given(st.sampled_from(["CD3", "HLA-DR", "CD45RA", "PD-1", "TCRVa7.2"]), st.sampled_from(["", "_TotalSeqB"]))
def test_a_name_is_its_own_name(name, suffix):
    assert antibody_name(antibody_name(name + suffix)) == antibody_name(name)


@pytest.mark.parametrize(
    ("one", "other"), [("CD3-1", "CD31"), ("CD45.1", "CD451"), ("CD158e1", "CD158"), ("CD8b", "CD8")]
)
def test_other_antibodies_stay_apart(one, other):
    assert antibody_name(one) != antibody_name(other)


def test_a_panel_is_matched_by_what_its_antibodies_bind():
    data = panel(["PD-1_TotalSeqB", "CD8a_TotalSeqB", "CD3_TotalSeqB", "CD69", "CD999_TotalSeqB"])
    match = match_features(MODEL, data, is_protein=True)
    assert match.columns.tolist() == [2, 1, 0, 3, -1, -1, -1]
    assert match.synonyms["PD-1_TotalSeqB"] == "CD279"
    assert names_in_model(MODEL, data, is_protein=True).tolist() == [
        "CD279",
        "CD8",
        "CD3",
        "adt:CD69",
        "CD999_TotalSeqB",
    ]
    assert match_features(MODEL, data).n_found == 0  # of genes, only the same name is the same


def test_two_clones_of_one_antibody_are_not_guessed():
    assert match_features(["CD8"], panel(["CD8a", "CD8_TotalSeqB"]), is_protein=True).n_found == 0
    assert match_features(["CD8"], panel(["CD8a", "CD8"]), is_protein=True).columns.tolist() == [1]


def test_a_small_panel_of_antibodies_is_read_and_listed(paired):
    setup = Setup.from_mudata(paired)
    wanted = [*setup.feature_names["adt"], *(f"other{i}" for i in range(100))]
    setup.feature_names["adt"] = wanted
    small = paired.copy()
    small.mod["adt"] = paired["adt"][:, [f"protein{i}" for i in range(6)]].copy()
    small.mod["adt"].var_names = [f"Protein{i}_TotalSeqB" for i in range(6)]
    assert (find_features(small, "adt", setup) >= 0).sum() == 6
    notes = "\n".join(query_notes(small, setup))
    assert (
        "Protein0_TotalSeqB (protein0)" in notes and "6 of the model's 112 features found (protein0, protein1" in notes
    )
    small.mod["adt"] = small["adt"][:, :4].copy()
    with pytest.raises(ValueError, match="has 4 of the model's 112 features"):
        find_features(small, "adt", setup)
