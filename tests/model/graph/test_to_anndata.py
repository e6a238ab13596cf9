import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import scmoe


def test_what_is_stored_is_taken_and_scanpy_works_on_it(mosaic, tl_train, contents):
    model = tl_train(mosaic, labels_key="cell_type", umap=True)
    scmoe.tl.annotate(mosaic, model, coverage=0.5)
    scmoe.tl.impute(mosaic, model, source="rna", target="adt")
    scmoe.tl.markers(mosaic, groupby="scmoe_cluster", modality="rna")
    before = contents(mosaic)
    adata = model.to_anndata(modality="rna")
    assert contents(mosaic) == before
    rna = mosaic["rna"]
    assert list(adata.obs_names) == list(rna.obs_names) and list(adata.var_names) == list(rna.var_names)
    for name in ("scmoe_cluster", "scmoe_label", "cell_type"):
        assert list(adata.obs[name].astype(str)) == list(mosaic.obs.loc[rna.obs_names, name].astype(str))
    np.testing.assert_array_equal(adata.obsm["X_umap"], rna.obsm["X_umap"])
    frame = adata.obsm["scmoe_adt_from_rna"]
    pd.testing.assert_frame_equal(frame, mosaic.obsm["scmoe_adt_from_rna"].loc[rna.obs_names])
    assert not np.shares_memory(adata.X.data, rna.X.data)
    assert "scmoe_markers" in adata.uns
    sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)  # finds the graph
    ax = sc.pl.umap(adata, color=["scmoe_cluster", "gene0", "scmoe_label"], show=False)
    assert len(ax) == 3


def test_what_is_not_stored_is_computed(mosaic, trained_mosaic, contents):
    before = contents(mosaic)
    adata = trained_mosaic.to_anndata(mosaic, modality="adt", predict=True)
    assert contents(mosaic) == before
    rows = mosaic.obs_names.get_indexer(adata.obs_names)
    expected = trained_mosaic.get_latent_representation(mosaic)[rows]
    np.testing.assert_allclose(adata.obsm["X_scmoe"], expected, rtol=1e-4, atol=1e-5)
    expected = trained_mosaic.impute("adt", "rna", mosaic)[rows]
    np.testing.assert_allclose(adata.obsm["scmoe_rna_from_adt"], expected, rtol=1e-4, atol=1e-4)
    assert adata.obsm["X_umap"].shape == (adata.n_obs, 2) and "scmoe_label" not in adata.obs
    distances = np.linalg.norm(adata.obsm["X_scmoe"][:, None] - adata.obsm["X_scmoe"], axis=2)
    nearest = np.sort(distances, axis=1)[:, 1:15]
    stored = np.array([np.sort(row[row > 0]) for row in adata.obsp["distances"].toarray()])
    np.testing.assert_allclose(stored, nearest, rtol=1e-4)  # by comparing all with all
    assert adata.uns["neighbors"]["params"]["use_rep"] == "X_scmoe"


def test_labels_are_the_model_s(paired, trained):
    paired.obsm["X_umap"] = mine = np.ones((paired.n_obs, 2))
    adata = trained.to_anndata(paired)
    assert list(adata.obs["scmoe_label"]) == list(trained.predict(paired))
    np.testing.assert_allclose(
        adata.obs["scmoe_label_confidence"], adata.obsm["scmoe_label_probability"].max(axis=1), rtol=1e-6
    )
    np.testing.assert_array_equal(adata.obsm["X_umap_before"], mine)


def test_an_anndata_and_another_name(single, fit_model):
    adata = single["rna"]
    model = fit_model(adata)
    out = model.to_anndata(key_added="mine")
    assert {"X_mine", "X_umap"} <= set(out.obsm) and "mine_cluster" in out.obs and "X_mine" not in adata.obsm


def test_the_result_can_be_written_and_exported(mosaic, trained_mosaic, tmp_path):
    scmoe.datasets.write(trained_mosaic.to_anndata(mosaic, predict=True), tmp_path / "x.h5ad")
    assert scmoe.datasets.read(tmp_path / "x.h5ad").n_mod == 1


def test_refuses(paired, trained, tmp_path):
    with pytest.raises(KeyError, match="no modality 'ephys'"):
        trained.to_anndata(paired, modality="ephys")
    trained.save(tmp_path / "model")
    with pytest.raises(ValueError, match="no data attached"):
        scmoe.model.SCMOE.load(tmp_path / "model").to_anndata()
    with pytest.raises(ValueError, match="at least 4 cells"):
        trained.to_anndata(paired[:3].copy())
