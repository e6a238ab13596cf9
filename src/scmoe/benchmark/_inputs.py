"""What a method of the comparison is given: the run, the facts of the data, and the cells that it may see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe.benchmark._cells import subset

EMBED, MAP, PREDICT, ANNOTATE, MOSAIC = TASKS = ("embed", "map", "predict", "annotate", "mosaic")
FOLDS, BATCHES = "folds", "batches"
"""Cases of `ANNOTATE`: random cells held out, or whole batches (donors); also, "{modality} only"."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One fit (or the folds of one) in a process of its own.

    Parameters
    ----------
    task, method, seed
        What to do.
    case
        The modalities, the kind of folds, "all cells" or "new cells".
    data
        Path of the file.
    labels, batch
        Columns of ``mdata.obs``.
    source, target
        Modalities of a prediction; those of a mosaic; the one modality that an annotation sees, empty for all.
    n_cells
        Largest number of cells to fit on; None: all but those that are held out.
    labels_per_type
        Largest number of training cells of each label that keep it in `ANNOTATE`; None: all.
    kinds
        Kinds of modalities that `scmoe.pp.prepare` is told.
    """

    task: str
    method: str
    seed: int
    case: str
    data: str
    labels: str | None = None
    batch: str | None = None
    source: str = ""
    target: str = ""
    n_cells: int | None = None
    labels_per_type: int | None = None
    kinds: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """For files."""
        return "-".join((self.task, *self.case.replace("→", "to").split(), self.method, f"seed{self.seed}"))


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What decides which methods can be run on the data.

    Parameters
    ----------
    kinds
        Kind of each modality (see `scmoe.pp.prepare`).
    n_cells
        Number of cells.
    complete
        Whether every cell has every modality.
    n_labels, n_batches
        Numbers of different ones.
    """

    kinds: dict[str, str]
    n_cells: int
    complete: bool
    n_labels: int
    n_batches: int


def mosaic_pair(kinds: Mapping[str, str]) -> list[str]:
    """The modalities in their order, RNA first."""
    return sorted(kinds, key=lambda name: kinds[name] != "rna")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Cells to learn labels from, and cells to label.

    Parameters
    ----------
    cells
        Both.
    train, test
        Their positions in `cells`.
    labels
        Label of each cell as text, under the name of its column; None in the cells to label, and in training cells that
        have lost theirs.
    """

    cells: MuData
    train: NDArray[Any]
    test: NDArray[Any]
    labels: pd.Series

    @property
    def labeled(self) -> NDArray[Any]:
        """Positions of the training cells that have a label."""
        return self.train[self.labels.iloc[self.train].notna()]

    def training_labels(self) -> NDArray[np.str_]:
        """Labels of the `labeled` cells."""
        return self.labels.iloc[self.labeled].to_numpy(dtype=str)

    def training_cells(self) -> MuData:
        """The cells to learn from, with the labels that may be seen in ``obs``."""
        cells = subset(self.cells, self.cells.obs_names[self.train], list(self.cells.mod))
        cells.obs[self.labels.name] = self.labels.iloc[self.train]
        return cells

    def test_cells(self) -> MuData:
        """The cells to label, without ``obs``: labels are hidden, and the batches of held-out donors are new."""
        return subset(self.cells, self.cells.obs_names[self.test], list(self.cells.mod), obs=False)


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """Cells of which some lack a modality.

    Parameters
    ----------
    cells
        All cells.
    paired, first_only, second_only
        The cells with both modalities, and with one.
    """

    cells: MuData
    paired: MuData
    first_only: MuData
    second_only: MuData
