"""How cells are dealt out to processes that train together."""

import math
from typing import NamedTuple

from lightning.pytorch import Trainer


class Shard(NamedTuple):
    """The part of one process: all cells if there is no other."""

    rank: int = 0
    """Number of the process."""
    n_processes: int = 1

    @property
    def cells(self) -> slice:
        """Which cells of a training batch: the processes take turns, so that their numbers differ by one at most."""
        return slice(self.rank, None, self.n_processes)

    def batches(self, n_batches: int) -> list[int]:
        """Which validation batches: as many for each process, so that some may be given to several; see `n_own`."""
        return [(self.rank + i * self.n_processes) % n_batches for i in range(math.ceil(n_batches / self.n_processes))]

    def n_own(self, n_batches: int) -> int:
        """How many of `batches` count here. All that follow count in another process."""
        return len(range(self.rank, n_batches, self.n_processes))


WHOLE = Shard()
"""That of a process without others."""


def shard_of(trainer: Trainer | None) -> Shard:
    """The part of this process in a training; None: there is no trainer."""
    return WHOLE if trainer is None else Shard(trainer.global_rank, trainer.world_size)


def check_shard(n_cells: int, batch_size: int, n_processes: int) -> None:
    """Raise if a batch of the training cells has fewer cells than there are processes."""
    smallest = n_cells // math.ceil(n_cells / batch_size)
    if smallest < n_processes:
        raise ValueError(
            f"batch_size={batch_size} is the number of cells of all processes together: {n_cells} training cells make "
            f"batches of {smallest}, fewer than the {n_processes} processes. Raise batch_size or lower devices."
        )
