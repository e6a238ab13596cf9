"""Windows: cells that are read from an atlas at once, with all their modalities."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe._matrix import Matrix
from scmoe.datasets.atlas._atlas import Atlas
from scmoe.io._quiet import quiet_mudata

REMEDY = "The stores may have changed since the training began. Begin anew."


class Window(NamedTuple):
    """Some cells of an atlas."""

    cells: np.ndarray
    """(n,) positions in the atlas."""
    matrices: dict[str, Matrix]
    """Of each modality the values of the cells that have it, in their order; absent where none has it."""

    def mudata(self, atlas: Atlas, obs: pd.DataFrame) -> MuData:
        """As a MuData; `obs` has a row for each cell, by name."""
        with quiet_mudata():
            modalities = {
                name: AnnData(
                    matrix,
                    obs=pd.DataFrame(index=atlas.names[self.cells[atlas.rows[name][self.cells] >= 0]]),
                    var=pd.DataFrame(index=atlas.features[name]),
                )
                for name, matrix in self.matrices.items()
            }
            mdata = MuData(modalities)
            mdata.obs = obs.loc[mdata.obs_names]
        return mdata


def check_annbatch() -> None:
    """Raise if the package that reads an atlas is not there."""
    if find_spec("annbatch") is None:
        raise ImportError(
            "An atlas is read with the package annbatch, which needs Python 3.12 or newer: pip install 'scmoe[atlas]'. "
            "Without it, data that fit on a disk can be read: scmoe.datasets.read(path, on_disk=True)."
        )


def read_windows(atlas: Atlas, windows: Sequence[np.ndarray]) -> Iterator[Window]:
    """Read the cells at these positions, an array at a time.

    One order holds for all modalities: each is asked for the rows of the same cells. What comes is compared with what
    was asked for, cell by cell.

    Raises
    ------
    ImportError
        annbatch is not installed.
    ValueError
        A row is of another cell than the one that was asked for.
    """
    check_annbatch()
    from scmoe.datasets.atlas._rows import read_rows

    streams = {}
    for name, rows in atlas.rows.items():
        requests = [rows[cells][rows[cells] >= 0] for cells in windows]
        streams[name] = read_rows(atlas.parts[name], [each for each in requests if len(each)])
    for cells in windows:
        matrices = {}
        for name, stream in streams.items():
            own = cells[atlas.rows[name][cells] >= 0]
            if len(own):
                matrices[name], names = next(stream)
                check_cells(name, atlas.names[own].to_numpy(), names)
        yield Window(cells, matrices)


def check_cells(name: str, expected: np.ndarray, cells: np.ndarray) -> None:
    """Raise if rows of a modality are of other cells than those that were asked for."""
    if len(cells) != len(expected):
        raise ValueError(f"{len(expected)} rows of {name!r} were asked for, and {len(cells)} came. {REMEDY}")
    differs = cells != expected
    if differs.any():
        first = int(differs.argmax())
        raise ValueError(
            f"A row of {name!r} is of the cell {cells[first]!r}, and {expected[first]!r} was asked for: modalities of "
            f"different cells would be paired. {REMEDY}"
        )


def blocks_of(sizes: Sequence[int], length: int) -> list[np.ndarray]:
    """Positions of all cells, in runs of at most `length`, none of which is in two stores."""
    ends = np.cumsum(sizes)
    stores = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    return [block for store in stores for block in np.split(store, np.arange(length, len(store), length))]
