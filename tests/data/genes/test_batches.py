"""Batches of cells of like length."""

import numpy as np
import pytest
import torch
from scipy import sparse

from scmoe.data._shard import Shard
from scmoe.data.genes._batches import BucketBatches, GeneDataModule, in_order
from scmoe.data.genes._dataset import GeneDataset
from scmoe.tokens._counts import Cells
from scmoe.tokens._make import make_tokenizer
from scmoe.tokens._masking import MaskingPolicy
from scmoe.tokens._vocabulary import Vocabulary

LENGTHS = np.random.default_rng(0).integers(10, 1000, 103)
CELLS = 1000 + np.random.default_rng(1).permutation(103)


def batches(epoch: int = 0, seed: int = 0, batch_size: int = 8, **kwargs) -> list:
    sampler = BucketBatches(CELLS, LENGTHS, batch_size, seed, **kwargs)
    sampler.set_epoch(epoch)
    found = list(sampler)
    assert len(found) == len(sampler)
    return found


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 8, 100, 200])
def test_every_cell_once_an_epoch_in_batches_of_nearly_equal_size(batch_size, shuffle):
    found = [draw.cells for draw in batches(3, batch_size=batch_size, shuffle=shuffle)]
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.sort(CELLS))
    sizes = [len(part) for part in found]
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1


def same(first: list, second: list) -> bool:
    return all(np.array_equal(a.cells, b.cells) and a.seed == b.seed for a, b in zip(first, second, strict=True))


def test_an_epoch_is_a_function_of_seed_and_epoch():
    assert same(batches(2), batches(2))
    assert not same(batches(2), batches(3)) and not same(batches(2), batches(2, seed=1))


def test_masks_are_new_in_each_batch_and_epoch():
    seeds = [draw.seed for epoch in range(5) for draw in batches(epoch)]
    seeds += [draw.seed for draw in batches(shuffle=False)]
    assert len(set(seeds)) == len(seeds)


def test_unshuffled_batches_and_their_masks_stay():
    assert same(batches(0, shuffle=False), batches(7, shuffle=False))


def test_drawn_cells_are_as_many_come_in_proportion_and_anew():
    probability = np.where(np.arange(103) < 3, 0.2, 0.4 / 100)
    drawn = [np.concatenate([draw.cells for draw in batches(epoch, probability=probability)]) for epoch in range(30)]
    assert {len(cells) for cells in drawn} == {103}
    assert np.isin(np.concatenate(drawn), CELLS[:3]).mean() == pytest.approx(0.6, abs=0.03)
    assert same(batches(2, probability=probability), batches(2, probability=probability))
    assert not np.array_equal(np.sort(drawn[0]), np.sort(drawn[1]))


def test_the_epoch_is_read_with_the_first_batch():
    sampler = BucketBatches(CELLS, LENGTHS, 8, 0)
    iterator = iter(sampler)
    sampler.set_epoch(4)
    assert same(list(iterator), batches(4))


def test_cells_of_a_batch_are_of_like_length():
    length = dict(zip(CELLS.tolist(), LENGTHS.tolist(), strict=True))

    def padding(parts) -> float:
        lengths = [[length[cell] for cell in part.tolist()] for part in parts]
        return 1 - sum(map(sum, lengths)) / sum(max(part) * len(part) for part in lengths)

    random = padding(np.array_split(np.random.default_rng(0).permutation(CELLS), 13))
    assert padding([draw.cells for draw in batches()]) < random / 2
    assert padding([draw.cells for draw in batches(shuffle=False)]) < random / 4
    assert padding([CELLS[part] for part in in_order(LENGTHS, 8)]) < random / 4


def test_long_and_short_batches_take_turns():
    found = [draw.cells for draw in batches()]
    means = np.array([np.mean([LENGTHS[np.flatnonzero(CELLS == cell)[0]] for cell in part]) for part in found])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.6


def test_processes_share_every_shuffled_batch_with_masks_of_their_own():
    parts = [batches(2, batch_size=35, shard=Shard(rank, 2)) for rank in range(2)]
    for whole, *shards in zip(batches(2, batch_size=35), *parts, strict=True):
        np.testing.assert_array_equal(np.sort(np.concatenate([draw.cells for draw in shards])), np.sort(whole.cells))
        assert shards[0].seed == whole.seed != shards[1].seed


def test_an_unshuffled_batch_and_its_masks_count_in_one_process():
    whole = batches(2, batch_size=35, shuffle=False)
    parts = [batches(2, batch_size=35, shuffle=False, shard=Shard(rank, 2)) for rank in range(2)]
    assert same([*parts[0], parts[1][0]], [whole[0], whole[2], whole[1]])
    assert BucketBatches(CELLS, LENGTHS, 35, 0, shuffle=False, shard=Shard(1, 2)).n_own == 1


@pytest.mark.parametrize("batch_size", [1, 8, 200])
def test_in_order_has_every_cell_once(batch_size):
    np.testing.assert_array_equal(np.sort(np.concatenate(list(in_order(LENGTHS, batch_size)))), np.arange(103))


@pytest.fixture
def module() -> GeneDataModule:
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, (20, 15)).astype(np.float32))
    vocabulary = Vocabulary(tuple(f"g{i}" for i in range(15)))
    cells = Cells(counts, np.asarray(counts.sum(1)).ravel(), vocabulary.match(vocabulary.names))
    data = GeneDataset(cells, make_tokenizer("continuous"), policy=MaskingPolicy(), label=np.arange(20))
    return GeneDataModule(data, np.arange(14), np.arange(14, 18), batch_size=4, seed=0)


def test_loaders_have_their_own_cells(module):
    assert sorted(int(i) for batch in module.train_dataloader() for i in batch.label) == list(range(14))
    assert sorted(int(i) for batch in module.val_dataloader() for i in batch.label) == list(range(14, 18))
    module.validation = module.validation[:0]
    assert module.val_dataloader() == []


def test_loading_leaves_the_global_generator_alone(module):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    list(module.train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)
