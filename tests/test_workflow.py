"""The whole way, with a file between any two steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import matplotlib
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from mudata import MuData

import scmoe
from scmoe.datasets._write import write
from scmoe.io._quiet import quiet_mudata

matplotlib.use("Agg")


def through_h5mu(mdata: MuData, folder: Path) -> MuData:
    write(mdata, folder / "data.h5mu")
    return scmoe.datasets.read(folder / "data.h5mu")


def through_zarr(mdata: MuData, folder: Path) -> MuData:
    with quiet_mudata():
        mdata.write_zarr(folder / "data.zarr")
        return mudata.read_zarr(folder / "data.zarr")


def stay(mdata: MuData, folder: Path) -> MuData:
    return mdata


@pytest.mark.parametrize("between", [stay, through_h5mu, through_zarr])
@pytest.mark.parametrize(("data", "source", "target"), [("single", None, None), ("mosaic", "rna", "adt")])
def test_the_whole_way(
    fresh: Callable[[str], MuData],
    tl_train: Callable[..., Any],
    contents: Callable[[Any], dict[str, Any]],
    tmp_path: Path,
    data: str,
    source: str | None,
    target: str | None,
    between: Callable[[MuData, Path], MuData],
) -> None:
    mdata = between(fresh(data), tmp_path)
    scmoe.pp.prepare(mdata)
    mdata = between(mdata, tmp_path)
    model = tl_train(mdata, labels_key="cell_type", batch_key="batch")
    mdata = between(mdata, tmp_path)
    model.save(tmp_path / "model")
    loaded = scmoe.model.SCMOE.load(tmp_path / "model", mdata)
    np.testing.assert_array_equal(loaded.get_latent_representation(), mdata.obsm["X_scmoe"])
    if source and target:
        scmoe.tl.impute(mdata, loaded, source=source, target=target)
    scmoe.tl.expert_usage(mdata, loaded, groupby="cell_type")
    scmoe.tl.attention(mdata, loaded)
    scmoe.tl.attribute(mdata, loaded, n_steps=2)
    mdata = between(mdata, tmp_path)
    scmoe.tl.deletion(mdata, loaded, n_steps=2, n_cells=5)
    scmoe.tl.expert_cards(mdata, loaded, groupby="cell_type", n_permutations=9)
    scmoe.tl.umap(mdata)
    results = contents(mdata)
    mdata = between(mdata, tmp_path)
    kept = contents(mdata)
    assert [path for path in results if "scmoe" in path and path not in kept] == []
    for draw in (scmoe.pl.history, scmoe.pl.expert_usage, scmoe.pl.attention, scmoe.pl.attribution, scmoe.pl.deletion):
        draw(mdata, show=False)
    scmoe.pl.expert_card(mdata, 0, show=False)
    if source and target:
        scmoe.pl.imputed(mdata, source=source, target=target, features=list(mdata[target].var_names[:2]), show=False)
    sc.pl.umap(mdata, color=["scmoe_cluster", "scmoe_label"], show=False)
    plt.close("all")


@pytest.mark.parametrize("through", [through_h5mu, through_zarr])
def test_every_result_survives_a_file(
    mosaic: MuData, tl_train: Callable[..., Any], tmp_path: Path, through: Callable[[MuData, Path], MuData]
) -> None:
    model = tl_train(mosaic, labels_key="cell_type", likelihoods={"rna": "nb"}, n_clusters=3)
    scmoe.tl.impute(mosaic, model, source=["rna", "ephys"], target="adt", sd=True)
    scmoe.tl.denoise(mosaic, model, modality="adt")
    scmoe.tl.expert_usage(mosaic, model, groupby="cell_type")
    scmoe.tl.attention(mosaic, model, groupby="batch")
    back = through(mosaic, tmp_path)
    for key in mosaic.obsm:
        np.testing.assert_array_equal(np.asarray(back.obsm[key]), np.asarray(mosaic.obsm[key]), err_msg=key)
    for column in ("scmoe_cluster", "scmoe_label", "scmoe_label_confidence"):
        # MuData turns a column of ones, as the confidence is in these data, into whole numbers.
        pd.testing.assert_series_equal(back.obs[column], mosaic.obs[column], check_names=False, check_dtype=False)
    for name in mosaic.mod:
        for key in ("X_scmoe", "scmoe_router"):
            np.testing.assert_array_equal(back[name].obsm[key], mosaic[name].obsm[key])
    for layer in ("scmoe_adt_from_rna+ephys", "scmoe_adt_from_rna+ephys_sd", "scmoe_denoised"):
        np.testing.assert_array_equal(back["adt"].layers[layer], mosaic["adt"].layers[layer])
    for table in ("history", "expert_usage", "attention"):
        stored, kept = mosaic.uns["scmoe"][table], back.uns["scmoe"][table]
        pd.testing.assert_frame_equal(kept, stored, check_index_type=False, check_dtype=False, check_names=False)
    params, kept = mosaic.uns["scmoe"]["params"], back.uns["scmoe"]["params"]
    assert params["network"] == kept["network"] and params["setup"]["likelihoods"] == kept["setup"]["likelihoods"]


def adata_stays(adata: ad.AnnData, folder: Path) -> ad.AnnData:
    return adata


def adata_through_h5ad(adata: ad.AnnData, folder: Path) -> ad.AnnData:
    adata.write_h5ad(folder / "data.h5ad")
    return ad.read_h5ad(folder / "data.h5ad")


def adata_through_zarr(adata: ad.AnnData, folder: Path) -> ad.AnnData:
    adata.write_zarr(folder / "data.zarr")
    return ad.read_zarr(folder / "data.zarr")


@pytest.mark.parametrize("between", [adata_stays, adata_through_h5ad, adata_through_zarr])
def test_the_whole_way_of_a_gene_model(
    genes: ad.AnnData, tmp_path: Path, between: Callable[[ad.AnnData, Path], ad.AnnData]
) -> None:
    fast = {"accelerator": "cpu", "batch_size": 16, "enable_progress_bar": False}
    network = {"encoder_layers": 1, "encoder_width": 16, "decoder_width": 8}
    adata = between(genes, tmp_path)
    model = scmoe.tl.pretrain(adata, max_epochs=5, train_kwargs=fast, **network)
    adata = between(adata, tmp_path)
    model.save(tmp_path / "model")
    loaded = scmoe.model.XTRIMOGENE.load(tmp_path / "model", adata)
    np.testing.assert_array_equal(loaded.get_latent_representation(), adata.obsm["X_xtrimogene"])
    np.testing.assert_array_equal(loaded.get_gene_embeddings(), adata.varm["xtrimogene"])
    adata = between(adata, tmp_path)
    tuned = loaded.fine_tune("cell_type", adata, np.arange(50), max_epochs=2, **fast)
    adata = between(adata, tmp_path)
    tuned.save(tmp_path / "tuned")
    predicted = scmoe.model.XTRIMOGENE.load(tmp_path / "tuned", adata).predict()
    np.testing.assert_array_equal(predicted, tuned.predict(adata))
    assert (predicted == adata.obs["cell_type"]).mean() > 0.8
    adata.obs["predicted"] = pd.Categorical(predicted)
    sc.pp.neighbors(adata, use_rep="X_xtrimogene")
    assert list(between(adata, tmp_path).obs["predicted"]) == list(predicted)
