"""Concepts: which cells have what a concept stands for, and which cells they are compared with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import COUNTS_LAYER
from scmoe._log import logger
from scmoe.data._covariates import names_or_missing
from scmoe.data._setup import Setup, values_of
from scmoe.explain.concepts._checks import MIN_CONCEPT

MAX_CONCEPT = 100
"""Cells that stand for a concept; of more, a random part."""
TOP_SHARE, REST_SHARE = 0.1, 0.5
"""Cells with the highest scores have a concept; those not among the higher half do not."""
MAX_BATCHES = 3
"""The largest batches, which are run as controls."""
CONTROL = "control"

Mask = NDArray[np.bool_]
Activations = NDArray[np.float32]


class View(NamedTuple):
    """Cells as one layer sees them."""

    mdata: MuData
    """The cells."""
    setup: Setup
    """Where the model finds what in them."""
    activations: Activations
    """(n_cells, F)."""
    encode: Callable[[MuData], Activations]
    """Activations (n, F) of altered cells."""
    n_pool: int
    """Cells of the pool for each cell of the concept, where there are as many."""


class Sets(NamedTuple):
    """Activations of a concept's cells and of those they are compared with, in random order."""

    positives: Activations
    pool: Activations


class Concept(Protocol):
    """Anything that sets of cells can be made from."""

    @property
    def name(self) -> str:
        """In tables and figures."""

    @property
    def kind(self) -> str:
        """``"modality"``, ``"missing rate"``, ``"markers"``, ``"cells"`` or ``"control"``."""

    @property
    def by_target(self) -> bool:
        """Whether its sets depend on the target."""

    def sets(self, view: View, target: Mask, rng: np.random.Generator) -> Sets:
        """Sets of cells; `target` says which cells belong to the target."""


@dataclass(frozen=True, kw_only=True)
class MaskConcept:
    """Some cells against all others.

    Parameters
    ----------
    name, kind
        See `Concept`.
    mask
        (n_cells,) which cells have it.
    """

    name: str
    kind: str
    mask: Mask
    by_target: bool = field(default=False, init=False)

    def sets(self, view: View, target: Mask, rng: np.random.Generator) -> Sets:
        """See `Concept`."""
        return draw(view, self.name, np.flatnonzero(self.mask), np.flatnonzero(~self.mask), rng)


@dataclass(frozen=True, kw_only=True)
class ScoreConcept:
    """Cells with a high score against cells with a low one.

    Parameters
    ----------
    name, kind
        See `Concept`.
    scores
        (n_cells,); NaN in cells that cannot have one.
    by_target
        Whether the target's own cells are left out of both sets. Otherwise the concept would be the target itself
        where its cells score high.
    matched
        Scores of random concepts of the same make, (n_matched, n_cells).
    """

    name: str
    kind: str
    scores: NDArray[np.float64]
    by_target: bool
    matched: NDArray[np.float64] | None = None

    def sets(self, view: View, target: Mask, rng: np.random.Generator) -> Sets:
        """See `Concept`."""
        eligible = np.isfinite(self.scores) & ~(target & self.by_target)
        cells = np.flatnonzero(eligible)
        # Without the shuffle, cells of one score would be chosen by their place in the data.
        cells = rng.permutation(cells)
        cells = cells[np.argsort(-self.scores[cells], kind="stable")]
        n_top = max(round(TOP_SHARE * len(cells)), MIN_CONCEPT)
        return draw(view, self.name, cells[:n_top], cells[max(round(REST_SHARE * len(cells)), n_top) :], rng)


def draw(view: View, name: str, positives: NDArray[np.intp], pool: NDArray[np.intp], rng: np.random.Generator) -> Sets:
    """Random ones of the cells, at most `MAX_CONCEPT` and `n_pool` times as many."""
    if len(positives) < MIN_CONCEPT or len(pool) < MIN_CONCEPT:
        raise ValueError(
            f"Concept {name!r} needs at least {MIN_CONCEPT} cells, and as many others to compare with; found "
            f"{len(positives)} and {len(pool)}. Widen the concept, or use more cells."
        )
    # A test needs at least as many cells in the pool as in the concept.
    positives = rng.permutation(positives)[: min(MAX_CONCEPT, len(pool))]
    pool = rng.permutation(pool)[: view.n_pool * len(positives)]
    return Sets(view.activations[positives], view.activations[pool])


def cells_with(mdata: MuData, modality: str) -> Mask:
    """Which cells have a modality; none if the data lack it."""
    if modality not in mdata.mod:
        return np.zeros(mdata.n_obs, dtype=bool)
    return mdata.obs_names.isin(mdata.mod[modality].obs_names)


def depth_control(mdata: MuData, setup: Setup) -> list[ScoreConcept]:
    """Total counts of the first modality that has counts; nothing if none has."""
    for name in setup.modalities:
        matrix = raw_counts(mdata, setup, name)
        if matrix is not None:
            totals = pd.Series(np.asarray(matrix.sum(axis=1), np.float64).ravel(), index=mdata.mod[name].obs_names)
            scores = totals.reindex(mdata.obs_names).to_numpy()
            if len(totals) < 2 * MIN_CONCEPT:
                logger.warning("%s has too few cells, %d, for a control of depth", name, len(totals))
                return []
            return [ScoreConcept(name=f"depth of {name}", kind=CONTROL, scores=scores, by_target=False)]
    return []


def batch_controls(mdata: MuData, setup: Setup) -> list[MaskConcept]:
    """The largest batches that can be told from the others; of two batches, one says all."""
    if setup.batch_key is None:
        return []
    batch = names_or_missing(mdata, setup.batch_key)
    sizes = batch.value_counts()
    usable = sizes.index[(sizes >= MIN_CONCEPT) & (len(batch) - sizes >= MIN_CONCEPT)]
    return [
        MaskConcept(name=f"{setup.batch_key} {name}", kind=CONTROL, mask=(batch == name).to_numpy())
        for name in usable[: min(MAX_BATCHES, len(sizes) - 1)]
    ]


def raw_counts(mdata: MuData, setup: Setup, modality: str) -> "NDArray[np.floating] | None":
    """The counts of a modality, as they are stored; None if it has none."""
    if modality not in mdata.mod:
        return None
    if setup.likelihood(modality).reads_counts:
        return values_of(mdata, modality, setup.layers[modality])
    return mdata.mod[modality].layers[COUNTS_LAYER] if COUNTS_LAYER in mdata.mod[modality].layers else None
