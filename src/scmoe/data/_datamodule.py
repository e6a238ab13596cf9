"""Seeded index batches for Lightning."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Sampler

from scmoe.data._dataset import Batch, MosaicDataset


class EpochBatches(Sampler[np.ndarray]):
    """Arrays of cell positions, shuffled anew in each epoch as a function of seed and epoch alone.

    So a run that is interrupted and resumed sees the batches that it would have seen.

    Parameters
    ----------
    cells
        Positions to draw from.
    batch_size
        Cells a batch at most; the batches of an epoch are of (nearly) equal size.
    seed
        Of the shuffling; None: in order.
    """

    def __init__(self, cells: np.ndarray, batch_size: int, seed: int | None) -> None:
        self.cells, self.seed, self.epoch = cells, seed, 0
        self.n_batches = math.ceil(len(cells) / batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._mine())

    def __iter__(self) -> Iterator[np.ndarray]:
        cells = self.cells
        if self.seed is not None:
            cells = np.random.default_rng([self.seed, self.epoch]).permutation(cells)
        batches = np.array_split(cells, self.n_batches)
        return (batches[i] for i in self._mine())

    def _mine(self) -> list[int]:
        """Batches of this process: every n-th of n processes, the same number for each."""
        if not torch.distributed.is_available() or not torch.distributed.is_initialized():
            return list(range(self.n_batches))
        rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        return [(rank + i * world) % self.n_batches for i in range(math.ceil(self.n_batches / world))]


def split_cells(n_cells: int, train_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random training and validation cells: sorted positions, disjoint, together all."""
    if not 0 < train_size <= 1:
        raise ValueError(f"train_size must be in (0, 1]; found {train_size}.")
    n_train = max(round(train_size * n_cells), 1)
    order = np.random.default_rng(seed).permutation(n_cells)
    return np.sort(order[:n_train]), np.sort(order[n_train:])


class MosaicDataModule(LightningDataModule):
    """Training and validation batches of a `MosaicDataset`.

    Parameters
    ----------
    dataset
        The data.
    train, validation
        Positions of the cells; validation may be empty.
    batch_size
        Cells a batch.
    seed
        Of the shuffling.
    """

    def __init__(
        self, dataset: MosaicDataset, train: np.ndarray, validation: np.ndarray, *, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.dataset, self.train, self.validation = dataset, train, validation
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training cells."""
        return index_loader(self.dataset, EpochBatches(self.train, self.batch_size, self.seed))

    def val_dataloader(self) -> DataLoader[Batch] | list:
        """Batches of the validation cells, in order."""
        if not len(self.validation):
            return []
        return index_loader(self.dataset, EpochBatches(self.validation, self.batch_size, None))


def index_loader(dataset: MosaicDataset, batches: EpochBatches) -> DataLoader[Batch]:
    """A loader that reads a whole index batch at once."""
    return DataLoader(dataset, sampler=batches, batch_size=None)
