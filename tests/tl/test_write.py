"""Results of cells in a MuData and in its modalities: written, pulled by mudata, read again, removed."""

from collections.abc import Callable

import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from mudata import MuData

import scmoe
from scmoe.datasets._write import write
from scmoe.tl._write import drop_results, write_obs, write_obsm


def of_scmoe(mdata: MuData) -> set[str]:
    """Names of columns and arrays that came from scmoe."""
    tables = [table for data in (mdata, *mdata.mod.values()) for table in (data.obs, data.obsm)]
    return {str(name) for table in tables for name in table if "scmoe" in str(name)}


def test_columns_reach_the_cells_of_each_modality(mosaic):
    values = pd.Categorical([str(i % 3) for i in range(mosaic.n_obs)])
    write_obs(mosaic, "scmoe", {"scmoe_cluster": values})
    expected = pd.Series(values, mosaic.obs_names).astype(str)
    for adata in mosaic.mod.values():
        assert adata.obs["scmoe_cluster"].astype(str).equals(expected[adata.obs_names].rename("scmoe_cluster"))


def test_a_modality_has_no_category_without_cells(mosaic):
    """Cells 0, 3, 6 ... have no RNA: `sc.tl.rank_genes_groups` would fail on their cluster."""
    number = mosaic.obs_names.str.removeprefix("cell").astype(int)
    write_obs(mosaic, "scmoe", {"scmoe_cluster": pd.Categorical((number % 3).astype(str))})
    assert list(mosaic["rna"].obs["scmoe_cluster"].cat.categories) == ["1", "2"]
    assert list(mosaic.obs["scmoe_cluster"].cat.categories) == ["0", "1", "2"]


@pytest.mark.filterwarnings("ignore")
def test_scanpy_works_on_a_modality_right_after_training(mosaic, tl_train):
    tl_train(mosaic, max_epochs=10)
    scmoe.tl.umap(mosaic)
    rna = mosaic["rna"]
    sc.tl.rank_genes_groups(rna, "scmoe_cluster", method="t-test")
    sc.pl.umap(rna, color=["scmoe_cluster", "gene3"], show=False)
    groups = rna.obs["scmoe_cluster"].cat.categories
    assert list(rna.uns["rank_genes_groups"]["names"].dtype.names) == list(groups)
    rows = mosaic.obs_names.get_indexer(rna.obs_names)
    np.testing.assert_array_equal(rna.obsm["X_umap"], mosaic.obsm["X_umap"][rows])


def pulled(mdata: MuData) -> MuData:
    """As after ``mdata.update()``: mudata before 0.4 copies columns of modalities unless told otherwise."""
    mdata.update()
    if hasattr(mdata, "pull_obs"):
        mdata.pull_obs()
    return mdata


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("again", [pulled, lambda mdata: pulled(mdata[:80].copy())], ids=["all cells", "some cells"])
def test_what_mudata_copies_is_neither_doubled_nor_left(
    paired: MuData, tl_train: Callable, again: Callable[[MuData], MuData]
):
    tl_train(paired, labels_key="cell_type")
    mdata = again(paired)
    scmoe.tl.cluster(mdata, n_clusters=2)
    assert not [name for name in mdata.obs if name.endswith(":scmoe_cluster")]
    assert mdata.obs["scmoe_cluster"].nunique() == 2
    drop_results(mdata, "scmoe")
    assert of_scmoe(mdata) == set()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
@pytest.mark.parametrize("read", [scmoe.datasets.read, mudata.read], ids=["scmoe", "mudata"])
def test_files_keep_results_apart(paired, tl_train, tmp_path, suffix, read):
    model = tl_train(paired, labels_key="cell_type")
    names = of_scmoe(paired)
    write(paired, path := tmp_path / f"data.{suffix}")
    mdata = read(path) if suffix == "h5mu" or read is scmoe.datasets.read else mudata.read_zarr(path)
    scmoe.tl.map_query(mdata, model)
    assert of_scmoe(mdata) == names - {"scmoe_cluster", "scmoe_split"} | {"scmoe_mapping_score"}
    drop_results(mdata, "scmoe")
    assert of_scmoe(mdata) == set()


def test_results_that_are_not_noted_stay(paired, capsys):
    """As joining data leaves them: nobody knows whose they are."""
    paired.obsm["X_scmoe"] = np.zeros((120, 4))
    paired.obs["scmoe_label"] = "corrected by hand"
    drop_results(paired, "scmoe", ["obsm/X_scmoe"])
    assert of_scmoe(paired) == {"X_scmoe", "scmoe_label"}
    said = capsys.readouterr().err
    assert "obs['scmoe_label']" in said and "X_scmoe" not in said


def test_what_was_not_measured_stays_listed_after_training(raw, tl_train):
    in_second = (raw.obs["batch"].loc[raw["adt"].obs_names] == "donor2").to_numpy()
    raw["adt"].X[in_second, :4] = 0
    scmoe.pp.prepare(raw)
    before = raw.uns["scmoe"]["missing"].copy()
    assert set(before["feature"]) == {f"protein{j}" for j in range(4)}
    tl_train(raw)
    assert raw.uns["scmoe"]["missing"].equals(before)
    assert "prepare" in raw.uns["scmoe"]


def test_arrays_are_copied_only_where_cells_differ(mosaic, paired):
    for mdata in (mosaic, paired):
        values = np.random.default_rng(0).random((mdata.n_obs, 3))
        write_obsm(mdata, "a", "X_a", values)
        for adata in mdata.mod.values():
            rows = mdata.obs_names.get_indexer(adata.obs_names)
            np.testing.assert_array_equal(adata.obsm["X_a"], values[rows])
            assert np.shares_memory(adata.obsm["X_a"], values) == adata.obs_names.equals(mdata.obs_names)
