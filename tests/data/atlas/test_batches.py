"""Batches of an atlas are those of the same cells in memory."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import scmoe
from scmoe.data._shard import WHOLE
from scmoe.data.atlas import _order
from scmoe.data.atlas._batches import AtlasBatches
from scmoe.data.atlas._open import open_cells
from scmoe.data.atlas._order import AtlasOrder
from scmoe.data.sparse._rows import dense
from scmoe.datasets.atlas._windows import read_windows
from scmoe.io._quiet import quiet_mudata

pytest.importorskip("annbatch", reason="annbatch is not installed: pip install 'scmoe[atlas]'")
NUMBER = "number"
"""Column of obs by which a test knows a cell in a batch."""


def numbered(mdata):
    mdata.obs[NUMBER] = np.arange(mdata.n_obs, dtype=float)
    return mdata


def write_stores(mdata, folder):
    """One a batch; `adt` in another order than `rna`."""
    rng = np.random.default_rng(0)
    for batch in mdata.obs["batch"].unique():
        with quiet_mudata():
            part = mdata[mdata.obs_names[mdata.obs["batch"] == batch]].copy()
            part.mod["adt"] = part["adt"][rng.permutation(part["adt"].n_obs)].copy()
        scmoe.datasets.write(part, folder / f"{batch}.zarr")


def opened(folder, tiny, n_cells=1000, **prepare):
    """The sample, its model, and the training cells of the atlas: those of the first two thirds of the sample."""
    sample = scmoe.datasets.sample_atlas(folder, n_cells=n_cells)
    scmoe.pp.prepare(sample, batch_key="batch", **prepare)
    scmoe.model.SCMOE.setup_mudata(sample, batch_key="batch", continuous_covariate_keys=[NUMBER])
    dataset = scmoe.model.SCMOE(sample, **tiny)._dataset(None)
    return sample, dataset, open_cells(folder, sample, dataset, np.arange(2 * sample.n_obs // 3))


def without_panel(mdata):
    """Genes that a whole batch lacks, so that totals range over the others."""
    counts = mdata["rna"].X.toarray()
    is_lacking = (mdata.obs.loc[mdata["rna"].obs_names, "batch"] == "donor1").to_numpy()
    counts[np.ix_(is_lacking, np.arange(0, 60, 2))] = 0
    mdata["rna"].X = type(mdata["rna"].X)(counts)


@pytest.mark.parametrize("simulation", ["raw", "mosaic", "panels"])
def test_cells_are_read_as_in_memory(fresh, tiny, tmp_path, simulation):
    mdata = numbered(fresh("mosaic" if simulation == "mosaic" else "raw"))
    if simulation == "panels":
        without_panel(mdata)
    write_stores(mdata, tmp_path)
    sample, dataset, cells = opened(tmp_path, tiny)
    if simulation == "panels":
        assert len(sample.uns["scmoe"]["missing"])
    one_store = np.arange(40)  # of one batch: what others lack cannot be seen in it
    for window in read_windows(cells.atlas, [one_store, np.arange(20, mdata.n_obs)]):
        other = cells.dataset(window)
        expected = dataset.read(dataset.obs_names.get_indexer(other.obs_names))
        batch = other.read(np.arange(len(other)))
        for field in ("values", "observed", "counts"):
            for ours, theirs in zip(getattr(batch, field), getattr(expected, field), strict=True):
                assert (ours is None) == (theirs is None), field
                assert ours is None or torch.equal(dense(ours), dense(theirs)), field
        assert torch.equal(batch.presence.mask, expected.presence.mask)
        assert torch.equal(batch.covariates, expected.covariates)


@pytest.mark.parametrize("n_processes", [1, 2, 3])
def test_each_training_cell_comes_once_an_epoch(fresh, tiny, tmp_path, monkeypatch, n_processes):
    monkeypatch.setattr(_order, "WINDOW", 16)
    write_stores(numbered(fresh("mosaic")), tmp_path)
    sample, _, cells = opened(tmp_path, tiny, n_cells=60)
    order = AtlasOrder(cells.blocks(4), 12, seed=0)
    numbers = []
    for rank in range(n_processes):
        trainer = SimpleNamespace(current_epoch=1, global_rank=rank, world_size=n_processes)
        own = AtlasBatches(cells, order, (), None, trainer)
        batches = list(own)
        assert len(batches) == len(own)
        numbers += [float(x) for batch in batches for x in batch.covariates[:, -1]]
    held_out = sample.obs[NUMBER].to_numpy()[2 * sample.n_obs // 3 :]
    assert len(held_out) == 20 and len(numbers) == len(set(numbers)) == 100
    assert not set(held_out) & set(numbers)


def test_neighbors_come_from_the_window(fresh, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(_order, "WINDOW", 30)
    write_stores(numbered(fresh("raw")), tmp_path)
    sample, dataset, cells = opened(tmp_path, tiny)
    from scmoe.data._graph import NeighborGraph
    from scmoe.data.statistics._statistics import fit_scale, fit_statistics

    train = np.arange(80)
    covariates = fit_scale(dataset, train)
    statistics = [fit_statistics(dataset, train, v, 4, covariates, 0) for v in range(2)]
    order = AtlasOrder(cells.blocks(4), 10, seed=0)
    trainer = SimpleNamespace(current_epoch=0, global_rank=0, world_size=1)
    batches = list(
        AtlasBatches(cells, order, (), lambda d, at: NeighborGraph(d, at, statistics, covariates, 0), trainer)
    )
    number = pd.Series(cells.obs[NUMBER].to_numpy(), index=range(len(cells.obs)))
    windows = [set(number[np.concatenate(window)]) for window in order.windows(0, WHOLE)]
    assert len(windows) > 1
    of_window = [windows[i] for i, window in enumerate(order.windows(0, WHOLE)) for _ in window]
    for batch, allowed in zip(batches, of_window, strict=True):
        assert set(batch.covariates[:, -1].tolist()) <= allowed and batch.n_cells > 10
        assert batch.similarity.shape == (batch.n_cells, batch.n_cells) and batch.similarity.sum() > 0


def test_what_the_model_reads_must_be_there(fresh, tiny, tmp_path):
    mdata = numbered(fresh("raw"))
    write_stores(mdata, tmp_path)
    sample, dataset, _ = opened(tmp_path, tiny)
    with pytest.raises(ValueError, match=r"120 of the 120 cells of the data are not in .*'cell\d+'.*sample_atlas"):
        scmoe.pp.prepare(mdata)
        scmoe.model.SCMOE.setup_mudata(mdata)
        open_cells(tmp_path, mdata, scmoe.model.SCMOE(mdata, **tiny)._dataset(None), np.arange(5))
    sample.obs["mine"] = "a"
    scmoe.model.SCMOE.setup_mudata(sample, batch_key="mine")
    other = scmoe.model.SCMOE(sample, **tiny)._dataset(None)
    with pytest.raises(KeyError, match=r"reads obs\['mine'\], which .*donor\d\.zarr lacks"):
        open_cells(tmp_path, sample, other, np.arange(5))
    sample["rna"].layers["other"] = sample["rna"].X
    scmoe.model.SCMOE.setup_mudata(sample, layers={"rna": "other"})
    other = scmoe.model.SCMOE(sample, **tiny)._dataset(None)
    with pytest.raises(ValueError, match=r"reads layers\['other'\] of 'rna'"):
        open_cells(tmp_path, sample, other, np.arange(5))


def test_batches_that_no_cell_of_the_sample_has_are_named(fresh, tiny, tmp_path, caplog):
    write_stores(numbered(fresh("raw")), tmp_path)
    sample = scmoe.datasets.sample_atlas(tmp_path)
    with quiet_mudata():
        sample = sample[sample.obs_names[sample.obs["batch"] == "donor1"]].copy()
    sample.obs["batch"] = sample.obs["batch"].cat.remove_unused_categories()
    scmoe.pp.prepare(sample)
    scmoe.model.SCMOE.setup_mudata(sample, batch_key="batch")
    open_cells(tmp_path, sample, scmoe.model.SCMOE(sample, **tiny)._dataset(None), np.arange(5))
    assert any("no cell of the data has: 'donor2'" in message for message in caplog.messages)
