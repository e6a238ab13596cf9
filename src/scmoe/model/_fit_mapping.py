"""Fitting the mapping score: how far cells are that nothing was learned from, even where few were held out."""

from collections.abc import Mapping

import numpy as np

from scmoe.data._dataset import MosaicDataset
from scmoe.data.statistics._statistics import component_scores, fit_scale, fit_statistics
from scmoe.model._fitted import Fitted
from scmoe.model._subset_passes import FittingCells, SubsetPass
from scmoe.readout._mapping_score import MAX_COMPONENTS, MappingScore, distance_of_new, fit_mapping_score
from scmoe.readout._subsets import Subset

MIN_REFERENCE = 500
"""Distances of this many new cells are looked for: the share of ordinary cells below .05 has a standard deviation of
.01 then."""
N_FOLDS = 10
"""Training cells are set aside in this many parts, about as many at a time as are held out by default."""


def fit_mapping_scores(
    fitted: Fitted, dataset: MosaicDataset, cells: FittingCells, passes: Mapping[Subset, SubsetPass]
) -> dict[Subset, MappingScore]:
    """Of each modality, where its cells are, and how far new ones."""
    found: dict[Subset, MappingScore] = {}
    for v in range(len(fitted.modalities)):
        rows = cells.having((v,))
        scores = passes[(v,)].programs_at(v, rows)
        if scores.shape[1] and (~cells.held_out[rows]).any():
            reference = _reference(fitted, dataset, cells, rows, scores, v)
            found[(v,)] = fit_mapping_score(scores, reference, fitted.seed)
    return found


def _reference(
    fitted: Fitted, dataset: MosaicDataset, cells: FittingCells, rows: np.ndarray, scores: np.ndarray, modality: int
) -> np.ndarray:
    """Distances of cells from a fit of components, centers and covariance to others.

    Validation cells are new to the model's components. Where they are few, parts of the training cells are set aside in
    turn, until there are enough: components are fitted again to the others, for they fit their own cells too well.
    """
    held_out, size = cells.held_out[rows], min(MAX_COMPONENTS, scores.shape[1])
    distances = [distance_of_new(scores[~held_out], scores[held_out], fitted.seed)] if held_out.any() else []
    training = rows[~held_out]
    for part in np.array_split(training, min(N_FOLDS, len(training))):
        if sum(map(len, distances)) >= MIN_REFERENCE or len(part) == len(rows):
            break
        others = np.setdiff1d(rows, part)
        covariates = fit_scale(dataset, cells.at[others])
        statistics = fit_statistics(dataset, cells.at[others], modality, size, covariates, fitted.seed)
        known, new = (
            component_scores(dataset, cells.at[some], modality, statistics, covariates) for some in (others, part)
        )
        distances.append(distance_of_new(known, new, fitted.seed))
    if not distances:  # a single cell: nothing tells how far another may be
        return distance_of_new(scores, scores, fitted.seed)
    return np.concatenate(distances)
