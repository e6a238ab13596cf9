"""Rows of stores come as they were asked for, all modalities of a cell together."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scmoe
from scmoe.datasets.atlas import _windows
from scmoe.datasets.atlas._atlas import open_atlas
from scmoe.datasets.atlas._windows import check_cells, read_windows
from scmoe.io._quiet import quiet_mudata

WHY = "annbatch is not installed: pip install 'scmoe[atlas]'"


@pytest.fixture
def annbatch():
    return pytest.importorskip("annbatch", reason=WHY)


def write_stores(mdata, folder, n=2):
    """Cells in turns, so that names are in no store's order; each modality in an order of its own."""
    rng = np.random.default_rng(3)
    for i in range(n):
        with quiet_mudata():
            part = mdata[mdata.obs_names[i::n]].copy()
            for name in list(part.mod):
                part.mod[name] = part[name][rng.permutation(part[name].n_obs)].copy()
        scmoe.datasets.write(part, folder / f"s{i}.zarr")


def plain(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def entries(table):
    """Names and columns, whichever type of text."""
    return list(map(str, table.index)), {key: list(table[key]) for key in table}


@pytest.mark.parametrize("n_stores", [1, 3])
def test_windows_hold_what_slicing_by_name_gives(annbatch, mosaic, tmp_path, n_stores):
    write_stores(mosaic, tmp_path, n_stores)
    atlas = open_atlas(tmp_path)
    assert len(atlas.names) == mosaic.n_obs and set(atlas.parts) == set(mosaic.mod)
    rng = np.random.default_rng(0)
    windows = [rng.permutation(mosaic.n_obs)[:size] for size in (1, 50, 7)]
    for cells, window in zip(windows, read_windows(atlas, windows), strict=True):
        names = [name.rsplit("-", 1)[0] if n_stores > 1 else name for name in atlas.names[cells]]
        for modality, adata in mosaic.mod.items():
            own = [name for name in names if name in adata.obs_names]
            if not own:
                assert modality not in window.matrices
                continue
            source = adata.layers["counts"] if "counts" in adata.layers else adata.X
            expected = plain(source[adata.obs_names.get_indexer(own)])
            np.testing.assert_array_equal(plain(window.matrices[modality]), expected)


@pytest.mark.parametrize("block", [1, 3])
def test_dense_matrices_in_chunks_of_some_columns(annbatch, raw, tmp_path, block):
    adata = raw["adt"]
    adata.write_zarr(tmp_path / "a.zarr", chunks=(16, 5))
    cells = np.random.default_rng(0).permutation(adata.n_obs // block)[:20, None] * block + np.arange(block)
    (window,) = read_windows(open_atlas(tmp_path, "adt"), [cells.ravel()])
    np.testing.assert_array_equal(window.matrices["adt"], adata.X[cells.ravel()])


def test_rows_of_other_cells_are_refused(annbatch, mosaic, tmp_path):
    write_stores(mosaic, tmp_path)
    atlas = open_atlas(tmp_path)
    rows = atlas.rows["adt"]
    rows[rows >= 0] = np.roll(rows[rows >= 0], 1)  # an order of its own, as two loaders would have it
    with pytest.raises(ValueError, match=r"row of 'adt' is of the cell 'cell\d+-s\d', and 'cell\d+-s\d' was asked"):
        list(read_windows(atlas, [np.arange(mosaic.n_obs)]))


def test_a_wrong_number_of_rows_is_refused():
    with pytest.raises(ValueError, match="3 rows of 'rna' were asked for, and 2 came"):
        check_cells("rna", np.array(["a", "b", "c"]), np.array(["a", "b"]))


def test_a_sample_is_a_mudata_like_any_other(annbatch, raw, tmp_path):
    raw["rna"].var["gene_ids"] = [f"ENSG{i}" for i in range(raw["rna"].n_vars)]
    raw["rna"].obs["percent"] = np.arange(raw.n_obs) / 10
    scmoe.datasets.write(raw, tmp_path / "all.zarr")
    sample = scmoe.datasets.sample_atlas(tmp_path, n_cells=50, seed=1)
    assert sample.n_obs == 50 and list(sample.mod) == ["rna", "adt"]
    for name, adata in sample.mod.items():
        whole = raw[name][adata.obs_names]
        np.testing.assert_array_equal(plain(adata.X), plain(whole.X))
        assert entries(adata.var) == entries(whole.var) and entries(adata.obs) == entries(whole.obs)
    columns = ["cell_type", "batch"]
    assert entries(sample.obs[columns]) == entries(raw.obs.loc[sample.obs_names, columns])
    assert all(isinstance(sample.obs[key].dtype, pd.CategoricalDtype) for key in columns)
    again = scmoe.datasets.sample_atlas(tmp_path / "all.zarr", n_cells=50, seed=1)
    assert list(again.obs_names) == list(sample.obs_names)
    everything = scmoe.datasets.sample_atlas(tmp_path, n_cells=1000)
    assert everything.n_obs == raw.n_obs


def test_stores_of_one_modality(annbatch, raw, tmp_path):
    scmoe.datasets.write(raw["rna"], tmp_path / "a.zarr")
    assert list(scmoe.datasets.sample_atlas(tmp_path, modality="genes").mod) == ["genes"]


def csc(mdata):
    mdata["rna"].X = sparse.csc_matrix(mdata["rna"].X)


def dense(mdata):
    mdata["rna"].X = mdata["rna"].X.toarray()


def renamed(mdata):
    mdata["rna"].var_names = [f"x{i}" for i in range(mdata["rna"].n_vars)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (csc, r"'rna' in .*b\.zarr is stored as csc_matrix.*tocsr"),
        (dense, r"'rna' is by rows \(CSR\) in .*a\.zarr and dense in .*b\.zarr"),
        (renamed, r"a\.zarr and .*b\.zarr differ in the features of 'rna', such as"),
    ],
)
def test_stores_that_differ_are_named(raw, fresh, tmp_path, change, message):
    scmoe.datasets.write(raw, tmp_path / "a.zarr")
    other = fresh("raw")
    change(other)
    scmoe.datasets.write(other, tmp_path / "b.zarr")
    with pytest.raises(ValueError, match=message):
        open_atlas(tmp_path)


def test_what_is_no_atlas_is_named(raw, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        open_atlas(tmp_path / "none")
    with pytest.raises(ValueError, match="found nothing"):
        open_atlas(tmp_path)
    scmoe.datasets.write(raw["rna"], tmp_path / "a.h5ad")
    for path in (tmp_path, tmp_path / "a.h5ad"):
        with pytest.raises(ValueError, match=r"stores that end in \.zarr, found a\.h5ad.*scmoe\.datasets\.write"):
            open_atlas(path)


def test_names_that_repeat_are_refused(raw, tmp_path):
    scmoe.datasets.write(raw, tmp_path / "a-b.zarr")
    with quiet_mudata():
        other = raw[["cell0", "cell1"]].copy()
    for adata in other.mod.values():
        adata.obs_names = [f"{name}-a" for name in adata.obs_names]
    with quiet_mudata():
        scmoe.datasets.write(type(other)(dict(other.mod)), tmp_path / "b.zarr")
    with pytest.raises(ValueError, match="found 'cell0-a-b' twice"):
        open_atlas(tmp_path)


def test_without_annbatch_the_extra_is_named(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(_windows, "find_spec", lambda name: None)
    scmoe.datasets.write(raw, tmp_path / "a.zarr")
    with pytest.raises(ImportError, match=r"Python 3\.12 or newer: pip install 'scmoe\[atlas\]'.*on_disk=True"):
        scmoe.datasets.sample_atlas(tmp_path)
