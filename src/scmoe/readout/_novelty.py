"""How unlike all labeled cells a cell is: a distance in the embedding, for types that the training cells lack."""

from dataclasses import dataclass, field, fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from scmoe.readout._axes import fit_axes
from scmoe.readout._held_out import N_FOLDS, split_labels
from scmoe.readout._mapping_score import whiten

N_AXES = 20
"""Leading principal axes that distances are measured in: the later ones are mostly noise, which hides a new type."""


@dataclass(frozen=True, kw_only=True)
class Novelty:
    """Where the labeled cells are in a representation, each type by itself and all together.

    The distance of x is min_c (x - μ_c) Σ⁻¹ (x - μ_c)ᵀ + (x - μ) Σ₀⁻¹ (x - μ)ᵀ: squared Mahalanobis distances to the
    nearest type, with the covariance Σ within types, and to all cells, with their covariance Σ₀. Types that training
    lacks tend to be far from both; close to a type that a few cells describe, but far from all others, is less strange
    than far from both.

    Parameters
    ----------
    within
        (d, k) map from the representation to standard deviations within types.
    overall
        (d, k) map to standard deviations of all cells.
    centers
        (C, k) means of the types, mapped by `within`.
    origin
        (k,) mean of all cells, mapped by `overall`.
    held_out
        (R,) distances of held-out labeled cells, in the order of those of `scmoe.readout._annotator.Annotator`; none if
        no label has two cells.
    held_out_unknown
        (R,) their distances if the nearest type may not be their own: as if it were unknown. None in models that were
        saved without.
    """

    within: NDArray[np.float64]
    overall: NDArray[np.float64]
    centers: NDArray[np.float64]
    origin: NDArray[np.float64]
    held_out: NDArray[np.float64]
    held_out_unknown: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def distance(self, values: np.ndarray, without: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Squared distance (n,) of cells with the representation (n, d).

        `without`, (n,), names a type for each cell that is not to be the nearest.
        """
        points = values.astype(np.float64)
        of_types = np.stack([np.square(points @ self.within - center).sum(1) for center in self.centers])
        if without is not None:
            of_types[without, np.arange(len(points))] = np.inf
        return np.asarray(of_types.min(0) + np.square(points @ self.overall - self.origin).sum(1))

    def rank(self, distance: np.ndarray) -> NDArray[np.float64]:
        """Rank of distances among those of held-out cells of known types.

        Parameters
        ----------
        distance
            (n,) of `distance`.

        Returns
        -------
        (n,) in (0, 1]: (1 + number of held-out cells that are nearer) / (1 + R). Among cells like these, one in twenty
        is above .95. NaN without held-out cells.
        """
        if not len(self.held_out):
            return np.full(len(distance), np.nan)
        nearer = np.searchsorted(np.sort(self.held_out), distance, side="left")
        return np.asarray((1 + nearer) / (1 + len(self.held_out)))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Novelty":
        """The inverse of `to_arrays`."""
        return cls(**arrays)


def fit_novelty(values: np.ndarray, labels: np.ndarray, seed: int, judges: NDArray[np.bool_] | None = None) -> Novelty:
    """Describe where the labeled cells are.

    Distances of held-out cells come from fits to the other four of five folds, with the folds of the annotator.

    Parameters
    ----------
    values
        (n, d) representation of the cells.
    labels
        (n,) codes; -1 for cells without a label, which are not looked at.
    seed
        Of the folds.
    judges
        (n,) cells that may be held out; None: all. Cells whose representation has seen their labels are none.

    Notes
    -----
    Class-conditional distances with one covariance: Lee et al. 2018, `doi:10.48550/arXiv.1807.03888
    <https://doi.org/10.48550/arXiv.1807.03888>`__. The distance to all cells is added, not subtracted as in relative
    distances: see the user guide for what was compared.
    """
    known = np.asarray(labels) >= 0
    points, codes = values[known].astype(np.float64), np.unique(np.asarray(labels)[known], return_inverse=True)[1]
    folds = split_labels(codes, seed, None if judges is None else judges[known])
    held_out = np.full((2, len(codes)), np.nan)
    for fold in range(N_FOLDS):
        own = folds == fold
        if own.any():
            others = _describe(points[~own], codes[~own])
            without = np.searchsorted(np.unique(codes[~own]), codes[own])
            held_out[:, own] = others.distance(points[own]), others.distance(points[own], without)
    found, unknown = held_out[:, folds >= 0]
    return replace(_describe(points, codes), held_out=found, held_out_unknown=unknown)


def detection(novelty: Novelty, truth: NDArray[np.integer]) -> pd.DataFrame:
    """How well the distance would find the cells of each type if the type were unknown.

    Parameters
    ----------
    novelty
        Fitted to at least two types.
    truth
        (R,) codes of the held-out cells.

    Returns
    -------
    With the codes as index, ``n_cells``, held-out cells of the type, and ``auroc``, area under the receiver operating
    curve that tells them, as if of no known type, from those of all other types. No rows if nothing is known of it.
    """
    rows = {}
    for code in np.unique(truth) if len(novelty.held_out_unknown) else ():
        own = truth == code
        distance = np.where(own, novelty.held_out_unknown, novelty.held_out)
        auroc = roc_auc_score(own, distance) if not own.all() else np.nan
        rows[code] = {"n_cells": int(own.sum()), "auroc": float(auroc)}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["n_cells", "auroc"])
    return table.astype({"n_cells": np.int64, "auroc": np.float64})


def _describe(points: np.ndarray, codes: np.ndarray) -> Novelty:
    """Means and covariances of labeled cells (n, d)."""
    axes = fit_axes(points, n_axes=min(N_AXES, points.shape[1])).directions.astype(np.float64)
    turned = points @ axes
    centers = np.stack([turned[codes == code].mean(0) for code in np.unique(codes)])
    nearest = centers[np.searchsorted(np.unique(codes), codes)]
    within, overall = whiten(turned - nearest), whiten(turned - turned.mean(0))
    return Novelty(
        within=axes @ within,
        overall=axes @ overall,
        centers=centers @ within,
        origin=turned.mean(0) @ overall,
        held_out=np.empty(0),
    )
