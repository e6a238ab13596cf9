"""Training batches from an atlas."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd
from lightning.pytorch import Trainer
from mudata import MuData

from scmoe.data._datamodule import FittingDataset
from scmoe.data._dataset import Batch, MosaicDataset
from scmoe.data._graph import NeighborGraph
from scmoe.data._setup import Setup
from scmoe.data._shard import shard_of
from scmoe.data.atlas._alike import Preparation
from scmoe.data.atlas._order import AtlasOrder
from scmoe.datasets.atlas._atlas import Atlas
from scmoe.datasets.atlas._windows import Window, blocks_of, read_windows

T = TypeVar("T")


@dataclass(frozen=True)
class AtlasCells:
    """Training cells of an atlas, as a model reads them.

    Parameters
    ----------
    atlas
        With the model's modalities.
    obs
        Of all its cells, the columns that the model reads.
    cells
        (n,) positions of the training cells.
    setup
        What the model expects.
    preparation
        How the sample was prepared that the model was set up with.
    """

    atlas: Atlas
    obs: pd.DataFrame
    cells: np.ndarray
    setup: Setup
    preparation: Preparation

    def blocks(self, length: int) -> list[np.ndarray]:
        """The cells, those together that lie together."""
        is_train = np.zeros(len(self.atlas.names), bool)
        is_train[self.cells] = True
        blocks = (block[is_train[block]] for block in blocks_of(self.atlas.sizes, length))
        return [block for block in blocks if len(block)]

    def dataset(self, window: Window) -> MosaicDataset:
        """The cells of a window as batches are read from: a MuData in memory, like any other."""
        mdata: MuData = window.mudata(self.atlas, self.obs.iloc[window.cells])
        self.preparation.apply(mdata)
        # What was not measured the sample says: a window may hold a few kinds of cells, of which many genes are zero.
        return MosaicDataset(mdata, replace(self.setup, detection={}))


class AtlasBatches:
    """Training batches of an epoch, read window by window; Lightning iterates over it.

    Parameters
    ----------
    cells
        The training cells.
    order
        Which of them come when.
    sparse
        Positions of modalities whose values may be sparse rows.
    graph
        Makes the neighbor graph of some cells of a data set, for each window; None: no graph is taught.
    trainer
        Says the epoch, and which process this is.
    """

    def __init__(
        self,
        cells: AtlasCells,
        order: AtlasOrder,
        sparse: Collection[int],
        graph: Callable[[MosaicDataset, np.ndarray], NeighborGraph] | None,
        trainer: Trainer,
    ) -> None:
        self.cells, self.order, self.sparse, self.graph, self.trainer = cells, order, sparse, graph, trainer

    def __len__(self) -> int:
        return self.order.n_batches

    def __iter__(self) -> Iterator[Batch]:
        # A generator, so that the epoch is read with the first batch, see `EpochBatches`.
        epoch, shard = self.trainer.current_epoch, shard_of(self.trainer)
        rng = np.random.default_rng([self.order.seed, epoch, shard.rank])
        windows = self.order.windows(epoch, shard)
        read = read_windows(self.cells.atlas, [np.sort(np.concatenate(batches)) for batches in windows])
        for fitting, batches in zip(ahead(map(self._fitting, read)), windows, strict=True):
            for batch in batches:
                cells = fitting.dataset.obs_names.get_indexer(self.cells.atlas.names[batch])
                yield fitting[cells if fitting.graph is None else np.union1d(cells, fitting.graph.draw(cells, rng))]

    def _fitting(self, window: Window) -> FittingDataset:
        dataset = self.cells.dataset(window)
        graph = None if self.graph is None else self.graph(dataset, np.arange(len(dataset)))
        return FittingDataset(dataset, self.sparse, graph)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; a thread makes the next one while one is used."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = thread.submit(next, items, None)
            yield item
