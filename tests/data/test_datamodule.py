"""Which cells come when."""

import numpy as np
import pytest
import torch

from scmoe.data._datamodule import EpochBatches, MosaicDataModule, split_cells
from scmoe.data._dataset import MosaicDataset
from scmoe.data._graph import NeighborGraph
from scmoe.data._setup import Setup
from scmoe.data._shard import Shard, check_shard
from scmoe.data.statistics._statistics import fit_scale, fit_statistics


def epoch(sampler, number):
    sampler.set_epoch(number)
    return list(sampler)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 100, 1000])
def test_every_cell_once_an_epoch(batch_size):
    cells = np.arange(5, 105)
    batches = epoch(EpochBatches(cells, batch_size, seed=0), 3)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), cells)
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1


def test_length_is_the_number_of_batches():
    sampler = EpochBatches(np.arange(10), 4, seed=0)
    assert len(sampler) == len(list(sampler)) == 3


def test_order_depends_on_the_epoch_and_the_seed_alone():
    cells = np.arange(50)
    first, second = EpochBatches(cells, 8, seed=1), EpochBatches(cells, 8, seed=1)
    epoch(second, 0)
    for a, b in zip(epoch(first, 5), epoch(second, 5), strict=True):
        np.testing.assert_array_equal(a, b)
    orders = {np.concatenate(epoch(EpochBatches(cells, 8, seed), e)).tobytes() for seed in (1, 2) for e in (0, 1)}
    assert len(orders) == 4


def test_without_a_seed_in_order():
    np.testing.assert_array_equal(np.concatenate(epoch(EpochBatches(np.arange(9), 4, None), 1)), np.arange(9))


@pytest.mark.parametrize("n_processes", [2, 3, 7])
@pytest.mark.parametrize("batch_size", [8, 32, 1000])
def test_processes_share_every_shuffled_batch(batch_size, n_processes):
    cells = np.arange(5, 105)
    shards = [Shard(rank, n_processes) for rank in range(n_processes)]
    parts = [epoch(EpochBatches(cells, batch_size, 0, shard=shard), 3) for shard in shards]
    for batch, *of_batch in zip(epoch(EpochBatches(cells, batch_size, 0), 3), *parts, strict=True):
        np.testing.assert_array_equal(np.sort(np.concatenate(of_batch)), np.sort(batch))
        sizes = [len(part) for part in of_batch]
        assert max(sizes) - min(sizes) <= 1 and min(sizes)


@pytest.mark.parametrize("n_processes", [2, 3, 7])
def test_a_batch_in_order_counts_in_one_process(n_processes):
    whole = list(EpochBatches(np.arange(20), 4, None))
    samplers = [EpochBatches(np.arange(20), 4, None, shard=Shard(rank, n_processes)) for rank in range(n_processes)]
    assert len({len(list(sampler)) for sampler in samplers} | {len(sampler) for sampler in samplers}) == 1
    own = [batch for sampler in samplers for batch in list(sampler)[: sampler.n_own]]
    assert sorted(map(tuple, own)) == list(map(tuple, whole))


def test_partners_stay_with_their_cells(paired):
    dataset = MosaicDataset(paired, Setup.from_mudata(paired))
    train = np.arange(100)
    covariates = fit_scale(dataset, train)
    graph = NeighborGraph(dataset, train, [fit_statistics(dataset, train, 0, 5, covariates, 0)], covariates, 0)
    parts = [epoch(EpochBatches(train, 30, 0, graph, shard), 1) for shard in (Shard(), Shard(0, 2), Shard(1, 2))]
    own = [epoch(EpochBatches(train, 30, 0, shard=shard), 1) for shard in (Shard(0, 2), Shard(1, 2))]
    for whole, first, second, *cells in zip(*parts, *own, strict=True):
        np.testing.assert_array_equal(np.union1d(first, second), whole)
        for with_partners, without in zip((first, second), cells, strict=True):
            assert np.isin(without, with_partners).all() and len(with_partners) <= 2 * len(without)


@pytest.mark.parametrize(("n_cells", "batch_size", "n_processes"), [(10, 4, 3), (10, 10, 10), (7, 128, 7)])
def test_a_batch_with_a_cell_for_each_process(n_cells, batch_size, n_processes):
    check_shard(n_cells, batch_size, n_processes)
    with pytest.raises(ValueError, match=rf"batch_size={batch_size} .* {n_cells} training cells make batches of \d"):
        check_shard(n_cells, batch_size, n_processes + 1)


@pytest.mark.parametrize(
    ("train_size", "validation_size", "sizes"),
    [
        (0.001, None, (1, 100, 0)),
        (0.5, None, (50, 51, 0)),
        (1.0, None, (101, 0, 0)),
        (0.8, 0.1, (81, 10, 10)),
        (0.9, 0.1, (91, 10, 0)),
        (0.9, 0, (91, 0, 10)),
    ],
)
def test_split_is_disjoint_and_complete(train_size, validation_size, sizes):
    parts = split_cells(101, train_size, validation_size, seed=0)
    assert tuple(map(len, parts)) == sizes
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(101))
    assert all((np.diff(part) > 0).all() for part in parts)


def test_split_depends_on_the_seed():
    assert not np.array_equal(split_cells(100, 0.5, None, seed=0)[0], split_cells(100, 0.5, None, seed=1)[0])


def test_a_test_set_leaves_the_training_cells_as_they_are():
    np.testing.assert_array_equal(split_cells(100, 0.8, 0.1, seed=0)[0], split_cells(100, 0.8, None, seed=0)[0])


@pytest.mark.parametrize(
    ("train_size", "validation_size", "match"),
    [
        (0, None, r"train_size must be in \(0, 1\]; found 0"),
        (-0.1, None, r"train_size must be in \(0, 1\]"),
        (1.1, None, r"train_size must be in \(0, 1\]"),
        (float("nan"), None, r"train_size must be in \(0, 1\]"),
        (0.8, 0.3, "validation_size must be between 0 and what train_size=0.8 leaves; found 0.3"),
        (0.8, -0.1, "validation_size must be between 0"),
        (0.8, float("nan"), "validation_size must be between 0"),
    ],
)
def test_a_share_that_is_none_is_refused(train_size, validation_size, match):
    with pytest.raises(ValueError, match=match):
        split_cells(10, train_size, validation_size, seed=0)


def test_loaders_read_whole_batches(paired):
    dataset = MosaicDataset(paired, Setup.from_mudata(paired))
    train, validation, _ = split_cells(len(dataset), 0.75, None, seed=0)
    module = MosaicDataModule(dataset, train, validation, batch_size=40, seed=0)
    assert [len(batch.presence.mask) for batch in module.train_dataloader()] == [30, 30, 30]
    (batch,) = module.val_dataloader()
    assert torch.equal(batch.values[1], dataset[validation].values[1])


def test_no_validation_cells_no_loader(paired):
    dataset = MosaicDataset(paired, Setup.from_mudata(paired))
    assert MosaicDataModule(dataset, np.arange(120), np.arange(0), batch_size=40, seed=0).val_dataloader() == []
