"""Input checks: what is refused, and that the message names the place."""

import re

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

import scmoe
from scmoe._check import check_mdata
from scmoe._matrix import check_counts, check_values, looks_like_counts
from scmoe.io._quiet import quiet_mudata

FORMATS = [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix, sparse.lil_matrix, sparse.csr_array]
CELLS, GENES = ["c0", "c1", "c2"], ["CD3E", "CD4"]


def modality(cells: list[str], features: list[str]) -> ad.AnnData:
    values = np.arange(len(cells) * len(features), dtype=np.float32).reshape(len(cells), len(features))
    return ad.AnnData(values, obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=features))


def mosaic(**mods: ad.AnnData) -> mudata.MuData:
    with quiet_mudata():
        return mudata.MuData(mods or {"rna": modality(["c0", "c1"], GENES), "adt": modality(["c1", "c2"], ["CD4"])})


def test_names_come_in_the_order_asked_for() -> None:
    mdata = mosaic()
    assert check_mdata(mdata) == ["rna", "adt"]
    assert check_mdata(mdata, ["adt", "rna"]) == ["adt", "rna"]


def test_the_same_feature_name_in_two_modalities_is_fine() -> None:
    mdata = mosaic(rna=modality(CELLS, ["CD4", "CD8A"]), adt=modality(CELLS, ["CD4"]))
    assert check_mdata(mdata) == ["rna", "adt"]


def test_one_modality_may_be_given_as_text() -> None:
    assert check_mdata(mosaic(rna=modality(CELLS, GENES)), "rna") == ["rna"]


def without_cells() -> mudata.MuData:
    return mosaic(rna=modality([], GENES))


def duplicated(axis: str) -> mudata.MuData:
    mdata = mosaic(rna=modality(CELLS, GENES))
    if axis == "obs":
        mdata.mod["rna"].obs_names = ["c0", "c1", "c1"]
    else:
        mdata.mod["rna"].var_names = ["CD4", "CD4"]
    return mdata


def stale() -> mudata.MuData:
    mdata = mosaic(rna=modality(CELLS, GENES))
    mdata.mod["rna"].obs_names = ["c0", "c1", "new"]
    return mdata


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize(
    ("make", "modalities", "error", "match"),
    [
        (lambda: modality(CELLS, GENES), None, TypeError, r"from_anndata\(adata\)"),
        (lambda: "file.h5mu", None, TypeError, "found str"),
        (lambda: mudata.MuData({}), None, ValueError, "at least one modality, found none"),
        (mosaic, [], ValueError, "at least one modality in modalities"),
        (mosaic, ["atac"], KeyError, r"no modality 'atac'; it has rna, adt"),
        (mosaic, ["rna", "rna"], ValueError, "asked for twice"),
        (mosaic, ["rna"], ValueError, r"1 cells are in none of the modalities \['rna'\], the first is 'c2'"),
        (without_cells, None, ValueError, "at least one cell"),
        (lambda: mosaic(rna=modality(CELLS, []), adt=modality(CELLS, ["CD4"])), None, ValueError, "no features"),
        (
            lambda: mosaic(rna=modality(CELLS, GENES), adt=modality([], ["CD4"])),
            None,
            ValueError,
            "'adt'] has no cells",
        ),
        (lambda: mosaic(**{"a.b": modality(CELLS, GENES)}), None, ValueError, "Rename the modality, e.g. to 'a_b'"),
        (lambda: mosaic(**{"a/b": modality(CELLS, GENES)}), None, ValueError, "'a/b' holds"),
        (lambda: duplicated("obs"), None, ValueError, "cell name 'c1' more than once"),
        (lambda: duplicated("var"), None, ValueError, "feature name 'CD4' more than once"),
        (stale, None, ValueError, r"Cell 'new' .* Call mdata.update\(\)"),
    ],
)
def test_unusable_mudata_is_refused(make, modalities, error, match) -> None:
    with pytest.raises(error, match=match):
        check_mdata(make(), modalities)


@pytest.mark.parametrize("convert", FORMATS)
@pytest.mark.parametrize(
    ("values", "match"),
    [
        ([[1, 0], [0, np.inf], [0, 1]], r"mdata\['rna'\].X .* found inf for feature 'CD4' in cell 'c1'"),
        ([[1, np.nan], [0, np.nan], [1, np.nan]], "Feature 'CD4' of .* NaN throughout"),
        ([[1, 0], [np.nan, np.nan], [1, 1]], "Cell 'c1' of .* NaN throughout"),
    ],
)
def test_bad_values_are_named(convert, values, match) -> None:
    with pytest.raises(ValueError, match=match):
        check_values(convert(np.array(values)), "rna", "X", CELLS, GENES)


@pytest.mark.parametrize("convert", FORMATS)
def test_single_nan_passes(convert) -> None:
    check_values(convert(np.array([[np.nan, 0], [0, np.nan], [1, 1]])), "ephys", "X", CELLS, GENES)


@pytest.mark.parametrize("convert", FORMATS)
@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan, np.inf])
def test_bad_counts_are_named(convert, value) -> None:
    matrix = convert(np.array([[1, 0], [0, value], [0, 3]]))
    with pytest.raises(ValueError, match=rf"layers\['counts'\] .* found {value:.6g} for feature 'CD4' in cell 'c1'"):
        check_counts(matrix, "rna", "layers['counts']", CELLS, GENES)


@pytest.mark.parametrize("matrix", [None, [[1, 2]], np.array([["a"]]), np.array([[1]], dtype=object)])
def test_what_is_no_matrix_of_numbers_is_refused(matrix) -> None:
    with pytest.raises(ValueError, match=r"mdata\['rna'\].X"):
        check_values(matrix, "rna", "X", ["c0"], ["CD4"])


def test_text_is_told_where_to_go() -> None:
    with pytest.raises(ValueError, match=r"Move text to mdata\['rna'\].obs.* = mdata\['rna'\].X.astype\(\"float32\"\)"):
        check_values(np.array([["1", "2"]]), "rna", "X", ["c0"], GENES)


@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 50)))
def test_whole_numbers_pass_in_every_format(values: np.ndarray) -> None:
    cells, features = range(values.shape[0]), range(values.shape[1])
    for convert in FORMATS:
        for dtype in (np.int32, np.uint16, np.float32):
            matrix = convert(values.astype(dtype))
            check_counts(matrix, "rna", "X", cells, features)
            assert looks_like_counts(matrix) == (values.max() > 1)


@pytest.mark.parametrize("values", [[[0, 1.5]], [[-1, 3]], [[np.nan, 3]], [[0, 1]], [[0, 0]]])
def test_other_numbers_do_not_look_like_counts(values) -> None:
    assert not looks_like_counts(np.array(values, dtype=float))


@pytest.mark.parametrize("owner", ["mdata", "mdata['rna']"])
@pytest.mark.parametrize("change", ["sort_values", "drop"])
def test_tables_that_were_changed_in_their_place_are_refused(owner, change) -> None:
    mdata = mosaic()
    data = mdata if owner == "mdata" else mdata["rna"]
    data.obsm["spatial"] = pd.DataFrame({"x": range(data.n_obs, 0, -1)}, index=data.obs_names.astype(object))
    check_mdata(mdata)
    check_mdata(mdata[1:])
    check_mdata(mdata[1:].copy())
    getattr(data.obsm["spatial"], change)({"sort_values": "x", "drop": "c0"}[change], inplace=True)
    with pytest.raises(
        ValueError, match=rf"{re.escape(owner)}\.obsm.* must have the cells of {re.escape(owner)} as rows"
    ):
        check_mdata(mdata)


@pytest.mark.parametrize(
    "verb",
    [scmoe.pp.prepare, scmoe.pp.split, scmoe.tl.pretrain, lambda adata: scmoe.datasets.write(adata, "never.h5ad")],
    ids=["prepare", "split", "pretrain", "write"],
)
def test_such_tables_of_an_anndata_are_refused_before_anything_is_done(genes, verb) -> None:
    genes.obsm["spatial"] = pd.DataFrame({"x": range(64, 0, -1)}, index=genes.obs_names)
    genes.obsm["spatial"].sort_values("x", inplace=True)
    with pytest.raises(ValueError, match=r"adata\.obsm.* must have the cells of adata as rows, in their order"):
        verb(genes)
