"""Batches of cells of like length, and the data module of the gene network."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Sampler

from scmoe.data._shard import WHOLE, Shard, shard_of
from scmoe.data.genes._dataset import Draw, GeneBatch, GeneDataset

POOL = 8
"""Batches that are sorted by length together: the cells of a batch are of like length, and batches still vary."""


class BucketBatches(Sampler[Draw]):
    """Batches of cells of like length, drawn anew in each epoch as a function of seed and epoch alone.

    Of several processes, each gets its cells of every shuffled batch, with masks of its own, and whole batches of those
    that are not shuffled.

    Parameters
    ----------
    cells
        Positions to draw from.
    lengths
        (len(cells),) expressed genes of each.
    batch_size
        Cells a batch at most, of all processes.
    seed
        Of order and masks.
    shuffle
        Whether order and masks change with the epoch; else the order is by length and the masks stay.
    probability
        (len(cells),) with which each cell is drawn, as many times as there are cells, with replacement; None: each cell
        once.
    shard
        The part of this process.
    """

    def __init__(
        self,
        cells: np.ndarray,
        lengths: np.ndarray,
        batch_size: int,
        seed: int,
        *,
        shuffle: bool = True,
        probability: np.ndarray | None = None,
        shard: Shard = WHOLE,
    ) -> None:
        self.cells, self.lengths, self.probability, self.shard = cells, lengths, probability, shard
        self.seed, self.shuffle, self.epoch = seed, shuffle, 0
        self.n_batches = math.ceil(len(cells) / batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    @property
    def n_own(self) -> int:
        """How many of the batches that are not shuffled count here, see `scmoe.data._shard.Shard.n_own`."""
        return self.shard.n_own(self.n_batches)

    def __len__(self) -> int:
        return self.n_batches if self.shuffle else len(self.shard.batches(self.n_batches))

    def __iter__(self) -> Iterator[Draw]:
        # A generator, so that the epoch is read with the first batch: a resumed Lightning makes the iterator before it
        # tells the epoch.
        epoch = self.epoch if self.shuffle else -1
        rng = np.random.default_rng([self.seed, epoch + 1])
        if self.probability is not None:
            order = rng.choice(len(self.cells), len(self.cells), p=self.probability)
        else:
            order = rng.permutation(len(self.cells)) if self.shuffle else np.arange(len(self.cells))
        n_pools = math.ceil(self.n_batches / POOL) if self.shuffle else 1
        sizes = [len(part) for part in np.array_split(order, self.n_batches)]
        pools = np.array_split(np.arange(self.n_batches), n_pools)
        batches, start = [], 0
        for pool in pools:
            end = start + sum(sizes[i] for i in pool)
            ordered = order[start:end][np.argsort(self.lengths[order[start:end]], kind="stable")]
            batches += np.split(ordered, np.cumsum([sizes[i] for i in pool])[:-1])
            start = end
        if not self.shuffle:
            for i in self.shard.batches(self.n_batches):
                yield Draw(self.cells[batches[i]], (self.seed, epoch + 1, i))
            return
        others = (self.shard.rank,) if self.shard.rank else ()
        for i in rng.permutation(len(batches)):
            yield Draw(self.cells[batches[i][self.shard.cells]], (self.seed, epoch + 1, int(i), *others))


class GeneDataModule(LightningDataModule):
    """Training and validation batches of a `GeneDataset`.

    Parameters
    ----------
    dataset
        The data.
    train, validation
        Positions of the cells; validation may be empty.
    batch_size
        Cells a batch, of all processes.
    seed
        Of order and masks.
    probability
        (len(train),) with which each training cell is drawn, see `BucketBatches`.
    """

    def __init__(
        self,
        dataset: GeneDataset,
        train: np.ndarray,
        validation: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        probability: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.dataset, self.train, self.validation = dataset, train, validation
        self.batch_size, self.seed, self.probability = batch_size, seed, probability

    def train_dataloader(self) -> DataLoader[GeneBatch]:
        """Batches of the training cells, new ones with new masks in each epoch."""
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> DataLoader[GeneBatch] | list:
        """Batches of the validation cells, with the same masks each time."""
        return self._loader(self.validation, shuffle=False) if len(self.validation) else []

    def _loader(self, cells: np.ndarray, *, shuffle: bool) -> DataLoader[GeneBatch]:
        lengths = self.dataset.n_expressed[cells]
        probability = self.probability if shuffle else None
        shard = shard_of(self.trainer)
        batches = BucketBatches(
            cells, lengths, self.batch_size, self.seed, shuffle=shuffle, probability=probability, shard=shard
        )
        # The loader draws a seed for workers, which there are none of: not from the generator of the dropout.
        return DataLoader(self.dataset, sampler=batches, batch_size=None, generator=torch.Generator())


def in_order(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Positions of all cells in batches of like length; scatter results back to these positions."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
