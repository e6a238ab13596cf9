import anndata as ad
import numpy as np
import pytest
from mudata import MuData

from scmoe.io._quiet import quiet_mudata
from scmoe.tl._umap import umap


def make(n_cells: int) -> MuData:
    rng = np.random.default_rng(0)
    with quiet_mudata():
        mdata = MuData({"rna": ad.AnnData(rng.normal(size=(n_cells, 3)))})
    mdata.obsm["X_scmoe"] = rng.normal(size=(n_cells, 8)) + 10 * (np.arange(n_cells) % 2)[:, None]
    return mdata


def test_writes_only_the_coordinates():
    mdata = make(40)
    umap(mdata)
    assert mdata.obsm["X_umap"].shape == (40, 2)
    assert set(mdata.obsm) == {"X_scmoe", "X_umap", "scmoe_umap", "rna"}
    assert set(mdata.uns) == {"scmoe"} and len(mdata.obsp) == 0


def test_separates_separate_clusters():
    mdata = make(40)
    umap(mdata)
    even, odd = mdata.obsm["X_umap"][::2], mdata.obsm["X_umap"][1::2]
    gap = np.linalg.norm(even.mean(axis=0) - odd.mean(axis=0))
    assert gap > 2 * max(even.std(axis=0).max(), odd.std(axis=0).max())


def test_same_seed_same_map():
    first, second = make(30), make(30)
    umap(first, seed=3)
    umap(second, seed=3)
    np.testing.assert_array_equal(first.obsm["X_umap"], second.obsm["X_umap"])


def test_bad_input():
    with pytest.raises(KeyError, match=r"scmoe\.tl\.embed"):
        umap(make(10), key_added="other")
    with pytest.raises(ValueError, match="at least 4 cells; found 3"):
        umap(make(3))


def test_a_map_that_somebody_else_made_is_kept(capsys):
    mdata = make(20)
    own = np.arange(40.0).reshape(20, 2)
    mdata["rna"].obsm["X_umap"] = own
    umap(mdata)
    umap(mdata, seed=1)  # replaces scmoe's own map, and keeps nothing of it
    np.testing.assert_array_equal(mdata["rna"].obsm["X_umap_before"], own)
    np.testing.assert_array_equal(mdata["rna"].obsm["X_umap"], mdata.obsm["X_umap"])
    assert capsys.readouterr().err.count("X_umap_before") == 1
