"""An independent reader of the rules by which R's readers take HDF5 files, as their code has them."""

import re

import h5py
import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe.datasets.exports._columns import GAP, as_text_or_number, converted


def column(group: h5py.Group, name: str) -> list:
    """As SeuratDisk reads a column: a data set of 32-bit numbers, booleans or text; no group."""
    entry = group[name]
    assert isinstance(entry, h5py.Dataset), f"{name} is a group, which SeuratDisk cannot load"
    assert entry.attrs["encoding-type"] in ("array", "string-array")  # all that anndataR takes for a plain vector
    assert entry.dtype.kind in "Of?bi" and (entry.dtype.kind != "i" or entry.dtype.itemsize <= 4)
    values = entry[()]
    return [value.decode() for value in values] if entry.dtype.kind == "O" else values.tolist()


def table(group: h5py.Group) -> dict[str, list]:
    assert group.attrs["encoding-type"] == "dataframe" and group.attrs["encoding-version"] == "0.2.0"  # anndataR
    assert "__categories" not in group
    names = [group.attrs["_index"], *group.attrs["column-order"]]
    assert set(names) == set(group)
    return {name: column(group, name) for name in names}


def matrix(group: h5py.Group) -> np.ndarray:
    """As SeuratDisk reads a matrix: cells are its columns, whatever the encoding says."""
    assert group.attrs["encoding-type"] == "csr_matrix"
    shape, pointers = group.attrs["shape"], group["indptr"][()]
    assert group["indices"].dtype == group["indptr"].dtype == np.int32 and len(pointers) == shape[0] + 1
    out = np.zeros(shape)
    for cell in range(shape[0]):
        own = slice(pointers[cell], pointers[cell + 1])
        out[cell, group["indices"][own]] = group["data"][own]
    return out


def assay(group: h5py.Group, cells: pd.Index) -> dict[str, list]:
    obs = table(group["obs"])
    assert obs[group["obs"].attrs["_index"]] == list(cells)
    for name, entry in group["obsm"].items():
        assert isinstance(entry, h5py.Dataset) and entry.ndim == 2 and entry.dtype.kind == "f"
        assert re.fullmatch(r"X_[A-Za-z][A-Za-z0-9]*", name), name  # of which R makes a key
    assert not [name for name, entry in group["uns"].items() if entry.shape == ()]  # which SeuratDisk cannot load
    return obs


def test_h5ad_is_as_seuratdisk_anndatar_and_zellkonverter_read_it(result, tmp_path):
    assert scmoe.datasets.export(result, tmp_path / "x.h5ad", to="seurat") == []
    rna = result["rna"]
    with h5py.File(tmp_path / "x.h5ad") as file:
        obs = assay(file, rna.obs_names)
        np.testing.assert_allclose(matrix(file["X"]), rna.X.toarray())
        np.testing.assert_allclose(matrix(file["raw/X"]), rna.layers["counts"].toarray())
        np.testing.assert_allclose(matrix(file["layers/raw_counts"]), rna.layers["counts"].toarray())
        assert not {"counts", "data", "scale.data"} & set(file["layers"])  # SeuratDisk: ambiguous assays
        assert table(file["raw/var"])["_index"] == table(file["var"])["_index"] == list(rna.var_names)
        assert {"X_umap", "X_scmoe"} <= set(file["obsm"])
        np.testing.assert_array_equal(file["obsm/X_umap"], rna.obsm["X_umap"])
        order = file["obs"].id.get_create_plist().get_link_creation_order()
        assert order & h5py.h5p.CRT_ORDER_TRACKED  # what HDF5 1.10 can copy
    cells = result.obs.loc[rna.obs_names]
    assert obs["strange"] == list(cells["strange"])
    assert obs["gap"] == list(cells["gap"].astype(object).fillna(GAP))
    np.testing.assert_array_equal(obs["whole"], cells["whole"].astype(float))
    np.testing.assert_array_equal(obs["large"], cells["large"])
    assert obs["flag"] == list(cells["flag"])
    assert not h5py.get_config().track_order


def test_h5mu_has_all_modalities_and_predictions(result, tmp_path):
    missing = scmoe.datasets.export(result, tmp_path / "x.h5mu", to="seurat")
    assert len(missing) == 1 and "mdata['ephys'] has no layer 'counts'" in missing[0]
    assert (tmp_path / "x.h5mu").read_bytes()[:6] == b"MuData"
    with h5py.File(tmp_path / "x.h5mu") as file:
        assert {"rna", "adt", "ephys", "adt_from_rna"} <= set(file["mod"])
        for name, adata in result.mod.items():
            group = file["mod"][name]
            assay(group, adata.obs_names)
            assert "raw" not in group
        np.testing.assert_allclose(matrix(file["mod/rna/layers/counts"]), result["rna"].layers["counts"].toarray())
        frame = result.obsm["scmoe_adt_from_rna"].dropna(how="all")
        own = file["mod/adt_from_rna"]
        assert table(own["obs"])["_index"] == list(frame.index) and table(own["var"])["_index"] == list(frame.columns)
        np.testing.assert_allclose(matrix(own["X"]), frame, rtol=1e-6)
        assert {"X_umap", "X_scmoe"} <= set(file["obsm"]) and "X_umap" not in file["mod/rna/obsm"]
        columns = [set(table(file["mod"][name]["obs"])) - {"_index"} for name in result.mod]
        assert not columns[0] & columns[1]  # MuDataSeurat would give the second ones other names


def test_a_column_without_a_type_of_its_own_is_text():
    frame = pd.DataFrame({"when": pd.to_datetime(["2024-01-01", None]), "z": [1j, 2]}, index=["a", "b"])
    text = converted(frame, as_text_or_number)
    assert list(text["when"]) == ["2024-01-01 00:00:00", GAP] and list(text["z"]) == ["1j", "(2+0j)"]


def test_arrays_whose_names_would_be_the_same_are_left_out(result, tmp_path, caplog):
    mdata = result.copy()
    mdata["rna"].obsm["X_sc_moe"] = np.ones((mdata["rna"].n_obs, 2))
    mdata["rna"].obsm["9"] = np.ones((mdata["rna"].n_obs, 2))
    scmoe.datasets.export(mdata, tmp_path / "x.h5ad", to="seurat")
    with h5py.File(tmp_path / "x.h5ad") as file:
        assert file["obsm/X_scmoe"].shape[1] > 2
    assert "obsm['X_sc_moe'] is left out" in caplog.text and "obsm['9'] is left out" in caplog.text


@pytest.mark.parametrize("name", ["x.rds", "x.zarr"])
def test_other_suffixes_are_refused(result, tmp_path, name):
    with pytest.raises(ValueError, match=r"Files for Seurat end in \.h5ad or \.h5mu"):
        scmoe.datasets.export(result, tmp_path / name, to="seurat")
