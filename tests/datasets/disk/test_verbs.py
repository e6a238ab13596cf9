"""All verbs take data on disk, and give the results that they give for data in memory."""

from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe.io._mapped import folder_of
from scmoe.io._quiet import quiet_mudata


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("disk") / "cells.h5mu"
    scmoe.datasets.write(scmoe.datasets.bmmc_cite()[:250].copy(), path)
    return path


def _used(path: Path, on_disk: bool) -> tuple[mudata.MuData, Any]:
    """Data that all verbs have written to, and the model."""
    mdata = scmoe.datasets.read(path, on_disk=on_disk)
    scmoe.pp.prepare(mdata, batch_key="batch", n_top_features=300)
    model = scmoe.tl.train(
        mdata,
        batch_key="batch",
        labels_key="cell_type",
        max_epochs=1,
        n_hidden=16,
        train_kwargs={"enable_progress_bar": False},
    )
    scmoe.tl.impute(mdata, model, source="rna", target="adt", sd=True)
    scmoe.tl.denoise(mdata, model, modality="adt")
    scmoe.tl.map_query(mdata, model, key_added="query")
    scmoe.tl.expert_cards(mdata, model)
    scmoe.tl.attention(mdata, model, groupby="cell_type")
    scmoe.tl.ablation(mdata, model)
    return mdata, model


@pytest.fixture(scope="module")
def both(path: Path) -> tuple[mudata.MuData, mudata.MuData]:
    return _used(path, False)[0], _used(path, True)[0]


@pytest.mark.slow
def test_results_are_equal(both: tuple[mudata.MuData, mudata.MuData]) -> None:
    memory, disk = both
    pd.testing.assert_frame_equal(disk.obs, memory.obs)
    assert list(disk.obsm) == list(memory.obsm) and len(memory.obsm) > 5
    for key, values in memory.obsm.items():
        np.testing.assert_array_equal(np.asarray(disk.obsm[key]), np.asarray(values))
    for name, adata in memory.mod.items():
        for key, values in adata.obsm.items():
            np.testing.assert_array_equal(np.asarray(disk[name].obsm[key]), np.asarray(values))
    for table in ("expert_cards", "attention", "ablation"):
        pd.testing.assert_frame_equal(disk.uns["scmoe"][table], memory.uns["scmoe"][table])


@pytest.mark.slow
def test_the_data_stay_on_disk(both: tuple[mudata.MuData, mudata.MuData], path: Path) -> None:
    for adata in both[1].mod.values():
        assert folder_of(adata.X) is not None and folder_of(adata.layers["counts"]) is not None
    folder = path.with_name("cells.h5mu.scmoe-cache")
    assert [entry.name for entry in folder.iterdir()] == ["matrices"]  # what was computed has no name


@pytest.mark.slow
def test_data_on_disk_are_written(both: tuple[mudata.MuData, mudata.MuData], tmp_path: Path) -> None:
    for suffix in (".h5mu", ".zarr"):
        scmoe.datasets.write(both[1], tmp_path / f"result{suffix}")
        back = scmoe.datasets.read(tmp_path / f"result{suffix}")
        np.testing.assert_array_equal(back.obsm["X_scmoe"], both[0].obsm["X_scmoe"])
        assert (back["rna"].X != both[0]["rna"].X).nnz == 0


@pytest.mark.slow
def test_gene_models_read_from_disk(path: Path) -> None:
    embeddings = []
    for on_disk in (False, True):
        adata = scmoe.datasets.read(path, on_disk=on_disk)["rna"]
        assert (folder_of(scmoe.tokens.read_cells(adata).counts) is not None) == on_disk
        scmoe.tl.pretrain(adata, max_epochs=1, train_kwargs={"enable_progress_bar": False})
        embeddings.append(adata.obsm["X_xtrimogene"])
    np.testing.assert_array_equal(*embeddings)


def _backed(path: Path) -> ad.AnnData:
    return ad.read_h5ad(path, backed="r")


def _lazy(path: Path) -> ad.AnnData:
    return ad.AnnData(ad.io.sparse_dataset(h5py.File(path)["X"]))


@pytest.mark.parametrize("make", [_backed, _lazy])
@pytest.mark.parametrize("verb", [scmoe.pp.prepare, scmoe.pp.split, scmoe.tl.train, scmoe.tl.pretrain])
def test_other_ways_of_leaving_data_on_disk_are_told_of_this_one(path: Path, tmp_path: Path, make, verb) -> None:
    scmoe.datasets.write(scmoe.datasets.read(path)["rna"], tmp_path / "rna.h5ad")
    adata = make(tmp_path / "rna.h5ad")
    if make is _lazy and verb is scmoe.pp.split:
        pytest.skip("a split reads no values")
    with pytest.raises(ValueError, match=r"datasets.read\(path, on_disk=True\)"):
        verb(adata)


def test_a_backed_mudata_is_told_of_it_too(path: Path) -> None:
    with quiet_mudata(), pytest.raises(ValueError, match=r"datasets.read\(path, on_disk=True\)"):
        scmoe.pp.prepare(mudata.read_h5mu(path, backed="r"))
