"""What the network says of cells when it sees some of their modalities: each set is read once, for all readouts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scmoe.data._dataset import MosaicDataset
from scmoe.model._features import cross_scores, label_views, program_scores, to_numpy
from scmoe.model._fitted import Fitted, Reading
from scmoe.readout._readouts import Readouts
from scmoe.readout._subsets import Subset, nearest_subset

MAX_CELLS = 20_000
"""That a readout is fitted to; of more, a random subset."""
OF_EACH_LABEL = 50
"""Cells that each label keeps in such a subset at least, if it has as many: a random one may have none of a rare
label."""


@dataclass(frozen=True)
class FittingCells:
    """Training and validation cells in random order, so that the first of them are a sample."""

    at: np.ndarray
    """Positions in the data set."""
    held_out: np.ndarray
    """Which of them nothing was learned from."""
    present: np.ndarray
    """(n, V) which modalities they have."""
    label: np.ndarray
    """Their labels; -1: none."""

    @classmethod
    def in_random_order(
        cls, dataset: MosaicDataset, train: np.ndarray, validation: np.ndarray, seed: int
    ) -> "FittingCells":
        """Both, shuffled."""
        index = np.concatenate([train, validation])
        held_out = np.arange(len(index)) >= len(train)
        order = np.random.default_rng(seed).permutation(len(index))
        at = index[order]
        return cls(at, held_out[order], dataset.present[at], dataset.label[at])

    def having(self, modalities: Subset, *, label: bool = False) -> np.ndarray:
        """Which cells (rows here) have all these modalities, and with `label` a label; at most `MAX_CELLS`."""
        rows = np.flatnonzero(self.present[:, list(modalities)].all(1))
        if label:
            rows = rows[self.label[rows] >= 0]
            if len(rows) > MAX_CELLS:
                codes = self.label[rows]
                first = pd.Series(codes).groupby(codes).cumcount().to_numpy() < OF_EACH_LABEL
                rows = rows[np.sort(np.argsort(~first, kind="stable")[:MAX_CELLS])]
        return rows[:MAX_CELLS]


@dataclass(frozen=True)
class SubsetPass:
    """Outputs of the network for cells that have all modalities of a subset, of which it sees no other."""

    subset: Subset
    rows: np.ndarray
    """Which of the `FittingCells`, ascending."""
    counts: dict[int, np.ndarray]
    """Of each modality of the subset, which of its programs reproduce, as 1 and 0."""
    programs: dict[int, np.ndarray]
    """Of each, program scores (n, K)."""
    states: dict[int, np.ndarray]
    """Of each, its state (n, d), read with fixed loadings."""
    joint: np.ndarray
    """(n, d), read with fixed loadings."""
    covariates: np.ndarray
    """(n, J); of width 0 where there are none."""
    views: list[np.ndarray]
    """What labels are read from."""
    predicted: dict[int, tuple[np.ndarray, np.ndarray]]
    """Of each other modality, rows and the network's prediction of its program scores."""

    def programs_at(self, modality: int, rows: np.ndarray) -> np.ndarray:
        """Program scores of some of the cells."""
        return self.programs[modality][np.searchsorted(self.rows, rows)]

    def linear_inputs(self, sources: Subset, rows: np.ndarray) -> np.ndarray:
        """Inputs of the linear member of a prediction from `sources`, which are of the subset."""
        here = np.searchsorted(self.rows, rows)
        return np.concatenate([*(self.programs[v][here] for v in sources), self.covariates[here]], axis=1)

    def predicted_scores(self, target: int, rows: np.ndarray) -> np.ndarray:
        """The network's prediction of a modality's program scores."""
        all_rows, scores = self.predicted[target]
        return scores[np.searchsorted(all_rows, rows)]

    def embedding_inputs(self, subset: Subset, rows: np.ndarray) -> list[np.ndarray]:
        """States of some modalities of the subset, then their program scores."""
        here = np.searchsorted(self.rows, rows)
        return [self.states[v][here] for v in subset] + [self.programs[v][here] * self.counts[v] for v in subset]

    def label_views(self, rows: np.ndarray) -> list[np.ndarray]:
        """What labels are read from."""
        here = np.searchsorted(self.rows, rows)
        return [view[here] for view in self.views]

    def embedded(self, readouts: Readouts, rows: np.ndarray) -> np.ndarray:
        """The joint embedding; the joint state where there was too little to fit more."""
        subset = nearest_subset(self.subset, readouts.embeddings)
        if subset is None:
            return self.joint[np.searchsorted(self.rows, rows)]
        return readouts.embeddings[subset].predict(np.hstack(self.embedding_inputs(subset, rows)))


def run_subset(
    fitted: Fitted,
    dataset: MosaicDataset,
    cells: FittingCells,
    subset: Subset,
    needed: tuple[np.ndarray, dict[int, np.ndarray]],
) -> SubsetPass:
    """Read cells once.

    Parameters
    ----------
    fitted, dataset, cells
        The network, its data, and the cells.
    subset
        The modalities that it sees; with the empty one, all that a cell has, and labels are read from the joint state
        alone.
    needed
        Which cells, ascending; and of each other modality, for which of them it is predicted.
    """
    rows, targets = needed
    if not len(rows):
        nothing = np.zeros((0, 0), np.float32)
        blocks = dict.fromkeys(subset, nothing)
        predicted = dict.fromkeys(targets, (rows, nothing))
        return SubsetPass(subset, rows, {}, blocks, blocks, nothing, nothing, [], predicted)
    readings = fitted.read(dataset, cells.at[rows], only=subset or None)
    sorted_targets = {t: np.unique(some) for t, some in targets.items()}
    parts = [
        _outputs(fitted, reading, subset, {t: np.isin(rows[reading.rows], some) for t, some in sorted_targets.items()})
        for reading in readings
    ]
    stacked = [np.concatenate(blocks) for blocks in zip(*parts, strict=True)]
    take = iter(stacked)
    return SubsetPass(
        subset=subset,
        rows=rows,
        counts={v: fitted.readouts.counts(v) for v in subset},
        programs={v: next(take) for v in subset},
        states={v: next(take) for v in subset},
        joint=next(take),
        covariates=next(take),
        predicted={t: (some, next(take)) for t, some in sorted_targets.items()},
        views=list(take),
    )


def _outputs(fitted: Fitted, reading: Reading, subset: Subset, targets: dict[int, np.ndarray]) -> list[np.ndarray]:
    """Outputs of a batch, in the order in which `run_subset` takes them."""
    network = fitted.network
    chunk = fitted.encode_reading(reading, loadings="fixed")
    trained = fitted.encode_reading(reading, loadings="trained") if any(map(np.any, targets.values())) else chunk
    covariates = to_numpy(chunk.covariates)
    views = label_views(network, chunk, subset) if fitted.setup.labels else []
    predicted = {
        t: to_numpy(cross_scores(network, trained, subset, t, chunk.covariates))[rows] if rows.any() else None
        for t, rows in targets.items()
    }
    return [
        *(to_numpy(program_scores(network, chunk, v)) for v in subset),
        *(to_numpy(chunk.encoded.states[:, v]) for v in subset),
        to_numpy(chunk.encoded.joint),
        covariates if network.n_covariates > 1 else covariates[:, :0],
        *(_or_empty(scores, network.decoders[t].cross.out.out_features) for t, scores in predicted.items()),
        *map(to_numpy, views),
    ]


def _or_empty(scores: np.ndarray | None, width: int) -> np.ndarray:
    return np.zeros((0, width), np.float32) if scores is None else scores


def read_ideal_scores(
    fitted: Fitted, dataset: MosaicDataset, cells: FittingCells, rows: np.ndarray, target: int
) -> np.ndarray:
    """Program scores (n, K) that come nearest to the cells' own values of a modality; the network is not run."""
    decoder = fitted.network.decoders[target]
    readings = fitted.read(dataset, cells.at[rows], only=[target])
    return np.concatenate([to_numpy(decoder.ideal_scores(reading.z[target])) for reading in readings])
