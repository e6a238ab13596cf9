"""Which cells of a batch have which modalities, as indices made on the host, so that no GPU has to be asked."""

from typing import NamedTuple

from torch import Tensor


class Presence(NamedTuple):
    """Of B cells and V modalities."""

    mask: Tensor
    """(B, V): which modalities a cell has."""
    cells: list[Tensor | None]
    """Of each modality the cells that have it, (n_v,) positions in the batch; None: all B."""
    pairs: Tensor | None
    """(n,): the existing (cell, modality) pairs as cell · V + modality, in order; None: all B·V."""

    def select(self, x_B: Tensor, modality: int) -> Tensor:
        """The rows (n_v, ...) of (B, ...) that belong to the cells with a modality."""
        cells = self.cells[modality]
        return x_B if cells is None else x_B.index_select(0, cells)

    def scatter(self, x_n: Tensor, modality: int) -> Tensor:
        """Rows (n_v, ...) back among all cells (B, ...), zeros elsewhere; `select`'s transpose."""
        cells = self.cells[modality]
        if cells is None:
            return x_n
        return x_n.new_zeros(len(self.mask), *x_n.shape[1:]).index_copy(0, cells, x_n)


def locate(mask: Tensor) -> Presence:
    """The presence of a mask (B, V) on the host."""
    complete = mask.all(0).tolist()
    cells = [None if all_here else mask[:, v].nonzero()[:, 0] for v, all_here in enumerate(complete)]
    return Presence(mask, cells, None if all(complete) else mask.flatten().nonzero()[:, 0])
