"""Seeded index batches for Lightning."""

import math
from collections.abc import Collection, Iterator

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from scmoe.data._dataset import Batch, MosaicDataset
from scmoe.data._graph import NeighborGraph
from scmoe.data._shard import WHOLE, Shard, shard_of


class EpochBatches(Sampler[np.ndarray]):
    """Arrays of cell positions, shuffled anew in each epoch as a function of seed and epoch alone.

    So a run that is interrupted and resumed sees the batches that it would have seen. Of several processes, each gets
    its cells of every shuffled batch, and whole batches of those in order: training takes as many steps as with one
    process, and the losses of batches that are not trained on are those of one process.

    Parameters
    ----------
    cells
        Positions to draw from.
    batch_size
        Cells a batch at most, of all processes; the batches of an epoch are of (nearly) equal size.
    seed
        Of the shuffling; None: in order.
    graph
        If given, every cell of a batch brings a random similar cell along, so that a batch holds neighbors at all.
    shard
        The part of this process.
    """

    def __init__(
        self,
        cells: np.ndarray,
        batch_size: int,
        seed: int | None,
        graph: NeighborGraph | None = None,
        shard: Shard = WHOLE,
    ) -> None:
        self.cells, self.seed, self.graph, self.shard, self.epoch = cells, seed, graph, shard, 0
        self.n_batches = math.ceil(len(cells) / batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    @property
    def n_own(self) -> int:
        """How many of the batches in order count here, see `scmoe.data._shard.Shard.n_own`."""
        return self.shard.n_own(self.n_batches)

    def __len__(self) -> int:
        return len(self.shard.batches(self.n_batches)) if self.seed is None else self.n_batches

    def __iter__(self) -> Iterator[np.ndarray]:
        # A generator, so that the epoch is read with the first batch: a resumed Lightning makes the iterator before it
        # tells the epoch.
        if self.seed is None:
            batches = np.array_split(self.cells, self.n_batches)
            yield from (batches[i] for i in self.shard.batches(self.n_batches))
            return
        rng, own = np.random.default_rng([self.seed, self.epoch]), self.shard.cells
        batches = np.array_split(rng.permutation(self.cells), self.n_batches)
        if self.graph is None:
            yield from (batch[own] for batch in batches)
            return
        partners = [self.graph.draw(batch, rng) for batch in batches]
        yield from (np.union1d(batch[own], partner[own]) for batch, partner in zip(batches, partners, strict=True))


TRAIN_SIZE = 0.9
"""Share of the cells to train on by default: the others judge the training, and weigh the parts of predictions."""


def split_cells(
    n_cells: int, train_size: float, validation_size: float | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random training, validation and test cells: sorted positions, disjoint, together all.

    Parameters
    ----------
    n_cells
        Number of cells.
    train_size, validation_size
        Shares; None: all that is not for training.
    seed
        Of the split.
    """
    if not 0 < train_size <= 1:
        raise ValueError(f"train_size must be in (0, 1]; found {train_size}.")
    if validation_size is not None and not 0 <= validation_size <= 1 - train_size + 1e-9:
        raise ValueError(
            f"validation_size must be between 0 and what train_size={train_size} leaves; found {validation_size}."
        )
    n_train = max(round(train_size * n_cells), 1)
    n_learned = n_cells if validation_size is None else min(n_train + round(validation_size * n_cells), n_cells)
    order = np.random.default_rng(seed).permutation(n_cells)
    return tuple(np.sort(part) for part in np.split(order, [n_train, n_learned]))  # type: ignore[return-value]


class FittingDataset(Dataset[Batch]):
    """A data set as training and validation read it.

    Parameters
    ----------
    dataset
        The data.
    sparse
        Positions of modalities whose values may be sparse rows.
    graph
        Of the training cells: their batches know the similarities of their cells.
    label
        (n,) codes of labels of the data set's cells, which batches are to bring.
    """

    def __init__(
        self,
        dataset: MosaicDataset,
        sparse: Collection[int],
        graph: NeighborGraph | None = None,
        label: np.ndarray | None = None,
    ) -> None:
        self.dataset, self.sparse, self.graph, self.label = dataset, sparse, graph, label

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, cells: np.ndarray) -> Batch:
        """Read the cells at these positions."""
        similarity = None if self.graph is None else torch.from_numpy(self.graph.similarity(cells))
        label = None if self.label is None else torch.from_numpy(self.label[cells])
        return self.dataset.read(cells, self.sparse)._replace(similarity=similarity, label=label)


class MosaicDataModule(LightningDataModule):
    """Training and validation batches of a `MosaicDataset`.

    Parameters
    ----------
    dataset
        The data.
    train, validation
        Positions of the cells; validation may be empty.
    batch_size
        Cells a batch, of all processes.
    seed
        Of the shuffling.
    graph
        Neighbor graph of the training cells, if it is to be taught.
    sparse
        Positions of modalities whose values may come as sparse rows, on a CPU.
    learn_labels
        Whether training batches bring the labels of their cells; validation batches never do.
    """

    def __init__(
        self,
        dataset: MosaicDataset,
        train: np.ndarray,
        validation: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        graph: NeighborGraph | None = None,
        sparse: Collection[int] = (),
        learn_labels: bool = False,
    ) -> None:
        super().__init__()
        self.dataset, self.train, self.validation = dataset, train, validation
        self.batch_size, self.seed, self.graph, self.sparse = batch_size, seed, graph, sparse
        self.learn_labels = learn_labels

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training cells, with neighbors if there is a graph."""
        label = self.dataset.label if self.learn_labels else None
        dataset = FittingDataset(self.dataset, self.sparse, self.graph, label)
        shard = shard_of(self.trainer)
        return index_loader(dataset, EpochBatches(self.train, self.batch_size, self.seed, self.graph, shard))

    def val_dataloader(self) -> DataLoader[Batch] | list:
        """Batches of the validation cells, in order."""
        if not len(self.validation):
            return []
        batches = EpochBatches(self.validation, self.batch_size, None, shard=shard_of(self.trainer))
        return index_loader(FittingDataset(self.dataset, self.sparse), batches)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch to a GPU; on a CPU it is there, and looking at all its parts would take longer than a copy.

        Sparse values travel as such, and are made dense there, where dense products are fast.
        """
        if device.type == "cpu":
            return batch
        there: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return there.dense()


def index_loader(dataset: Dataset[Batch], batches: EpochBatches) -> DataLoader[Batch]:
    """A loader that reads a whole index batch at once."""
    # The loader draws a seed for workers, which there are none of: not from the generator of the dropout.
    return DataLoader(dataset, sampler=batches, batch_size=None, generator=torch.Generator())
