"""Which cells of an atlas come when."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scmoe.data._shard import Shard

WINDOW = 4096
"""Cells that a process holds at once, about: batches, and the neighbors of their cells, are drawn among them."""
BLOCK = 256
"""Cells that lie together and are read at once. Of fewer, each would be decompressed with all around it."""


class AtlasOrder(NamedTuple):
    """Windows and batches of an epoch, as a function of seed and epoch alone.

    Blocks are shuffled and dealt out to the processes, so that each reads its own cells and no others. There are as
    many batches for any number of processes.
    """

    blocks: Sequence[np.ndarray]
    """Positions of the training cells, those together that lie together."""
    batch_size: int
    """Cells a batch at most, of all processes."""
    seed: int

    @property
    def n_cells(self) -> int:
        """Training cells."""
        return sum(map(len, self.blocks))

    @property
    def n_batches(self) -> int:
        """Batches of an epoch."""
        return math.ceil(self.n_cells / self.batch_size)

    def windows(self, epoch: int, shard: Shard) -> list[list[np.ndarray]]:
        """The batches of each window of one process: each of its cells once, in shares that differ by one cell."""
        rng = np.random.default_rng([self.seed, epoch])
        cells = np.concatenate([self.blocks[i] for i in rng.permutation(len(self.blocks))])
        parts = np.array_split(np.array_split(cells, shard.n_processes)[shard.rank], self.n_batches)
        n_windows = math.ceil(self.n_cells / shard.n_processes / WINDOW)
        windows = [parts[i[0] : i[-1] + 1] for i in np.array_split(np.arange(self.n_batches), n_windows) if len(i)]
        return [np.array_split(rng.permutation(np.concatenate(window)), len(window)) for window in windows]
