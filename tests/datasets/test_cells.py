import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

from scmoe.datasets._cells import all_obs, check_cells, class_sizes, column_of, origins, split_columns, take
from scmoe.io._quiet import quiet_mudata
from scmoe.pp import split

CELLS = np.array([5, 5, 0, 90])
NAMES = pd.Index(["a", "b", "c", "d"])


@pytest.mark.parametrize("name", ["raw", "mosaic"])
def test_a_taken_cell_is_the_one_it_was(fresh, name):
    mdata = fresh(name)
    mdata.obsm["X_map"] = np.arange(2 * mdata.n_obs).reshape(-1, 2)
    out = take(mdata, CELLS, NAMES)
    assert out.obs_names.equals(NAMES)
    pd.testing.assert_frame_equal(out.obs, mdata.obs.iloc[CELLS].set_axis(NAMES), check_categorical=False)
    assert out.obsm["X_map"].tolist() == mdata.obsm["X_map"][CELLS].tolist()
    for modality, adata in mdata.mod.items():
        for new, old in zip(NAMES, mdata.obs_names[CELLS], strict=True):
            assert (new in out[modality].obs_names) == (old in adata.obs_names)
            if old in adata.obs_names:
                found, expected = (np.asarray(each.X.sum(0)) for each in (out[modality][new], adata[old]))
                np.testing.assert_array_equal(found, expected)


def test_types_that_no_cell_has_are_no_categories(raw):
    kept = np.flatnonzero(raw.obs["cell_type"] == "B")
    assert take(raw, kept).obs["cell_type"].cat.categories.tolist() == ["B"]


def test_adata_and_graphs_of_cells(raw):
    adata = raw["rna"].copy()
    adata.obsp["distances"] = np.arange(adata.n_obs**2).reshape(adata.n_obs, -1)
    raw.obsp["distances"] = adata.obsp["distances"]
    for data in (adata, raw):
        out = take(data, CELLS, NAMES)
        assert out.obsp["distances"].tolist() == data.obsp["distances"][np.ix_(CELLS, CELLS)].tolist()


def test_sizes_leave_unknown_cells_out():
    labels = pd.Series(["T", "B", "Unknown", "T", "A", "Unknown", "Unknown"])
    assert class_sizes(labels).to_dict() == {"T": 2, "A": 1, "B": 1}
    assert class_sizes(labels).index.tolist() == ["T", "A", "B"]


def test_unusable_columns_and_cells(raw):
    with pytest.raises(KeyError, match="labels_key='type' is not a column of mdata.obs; found cell_type, batch"):
        column_of(raw, "type", "labels_key")
    raw.obs["gaps"] = ["B", *[None] * (raw.n_obs - 1)]
    with pytest.raises(ValueError, match="119 cells have none, the first is 'cell1'"):
        column_of(raw, "gaps", "labels_key")
    with pytest.raises(ValueError, match="No cell has a label"):
        class_sizes(pd.Series(["Unknown"], name="gaps"))
    with pytest.raises(TypeError, match="found list"):
        check_cells([1])
    adata = raw["rna"].copy()
    adata.obs_names = ["a"] * adata.n_obs
    with pytest.raises(ValueError, match="twice 'a'"):
        check_cells(adata)


TEXT = [object, "str", "string", "category"]


@pytest.mark.parametrize("dtype", TEXT)
def test_columns_of_parts_are_known_by_what_they_hold(dtype):
    obs = pd.DataFrame({"part": pd.Series(["train", "test", "train"], dtype=dtype)})
    obs["gaps"] = pd.Series(["train", None, "validation"], dtype=object if dtype == "str" else dtype)
    obs["other"] = pd.Series(["train", "spare", "test"], dtype=dtype)
    obs["one"] = pd.Series(["train"] * 3, dtype=dtype)
    obs["number"], obs["flag"] = [0, 1, 2], [True, False, True]
    assert split_columns(obs) == ["part", "gaps"]


@pytest.mark.parametrize("dtype", TEXT)
def test_a_cell_without_an_origin_is_its_own(dtype):
    obs = pd.DataFrame({"copy_of": pd.Series(["a", None, "a"], dtype=object if dtype == "str" else dtype)})
    obs.index = ["a", "b", "c"]
    assert origins(obs).tolist() == ["a", "b", "a"]
    assert origins(obs, "mixed_with").tolist() == ["a", "b", "c"]


def test_columns_of_a_modality_count_where_the_mudata_has_none() -> None:
    rna = ad.AnnData(np.ones((4, 2)), obs=pd.DataFrame({"copy_of": list("aacc")}, index=list("abcd")))
    rna.obs["part"] = ["train", "train", "test", "test"]
    adt = ad.AnnData(np.ones((2, 1)), obs=pd.DataFrame(index=["c", "e"]))
    with quiet_mudata():
        mdata = mudata.MuData({"rna": rna, "adt": adt})
    assert "copy_of" not in mdata.obs
    obs = all_obs(mdata)
    assert split_columns(obs) == ["rna:part"]
    assert dict(zip(obs.index, origins(obs), strict=True)) == dict(zip("abcde", "aacce", strict=True))
    with pytest.raises(ValueError, match="2 cells come from others"):
        split(mdata)
