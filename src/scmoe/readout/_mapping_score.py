"""How well a cell fits the cells that a model was trained on."""

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans

MAX_COMPONENTS = 20
"""Leading components that distances are measured in: the later ones are mostly noise, which hides a new state."""
MAX_CENTERS = 20
MAX_REFERENCE = 1001
"""Reference distances that are stored: a thousandth is as fine as a score needs to be."""
MIN_REFERENCE = 20
"""Fewer held-out cells cannot tell one cell in twenty; the training cells are added then."""


@dataclass(frozen=True, kw_only=True)
class MappingScore:
    """Where the training cells are in the components of a modality, and how far from there a cell may be.

    Parameters
    ----------
    centers
        (C, d) whitened centers of the training cells.
    whitening
        (d, d) map from scores to standard deviations around the centers.
    reference
        (R,) sorted distances of reference cells to their nearest center; at most `MAX_REFERENCE` quantiles of them.
    """

    centers: np.ndarray
    whitening: np.ndarray
    reference: np.ndarray

    def distance(self, scores: np.ndarray) -> np.ndarray:
        """Mahalanobis distance (n,) of cells with component scores (n, K) to the nearest center."""
        points = scores[:, : len(self.whitening)].astype(np.float64) @ self.whitening
        squares = [np.square(points - center).sum(1) for center in self.centers]
        return np.sqrt(np.min(squares, axis=0))

    def score(self, scores: np.ndarray) -> np.ndarray:
        """The share of reference cells that are at least as far from their nearest center.

        Parameters
        ----------
        scores
            (n, K) component scores of the cells, K as at the fit.

        Returns
        -------
        (n,) in (0, 1]: (1 + number of such cells) / (1 + R), so that no cell is called impossible. Even among cells
        like the training cells, one in twenty is below .05.
        """
        nearer = np.searchsorted(self.reference, self.distance(scores), side="left")
        return (1 + len(self.reference) - nearer) / (1 + len(self.reference))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs."""
        return {"centers": self.centers, "whitening": self.whitening, "reference": self.reference}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "MappingScore":
        """The inverse of `to_arrays`."""
        return cls(**arrays)


def fit_mapping_score(train_scores: np.ndarray, held_out_scores: np.ndarray, seed: int) -> MappingScore:
    """Describe where the training cells of a modality are.

    k-means finds clip(√n / 2, 1, 20) centers; one covariance matrix Σ, pooled over the clusters, measures distances to
    them: x is as far away as min_c √((x - c) Σ⁻¹ (x - c)ᵀ). No label is involved.

    Parameters
    ----------
    train_scores
        (n, K) component scores of the training cells, leading components first.
    held_out_scores
        (m, K) those of cells that nothing was learned from, m may be 0. Their distances become the reference:
        components fit the cells that they were computed from too well, so the distances of these are not those of new
        cells.
    seed
        Of k-means.
    """
    points = train_scores[:, :MAX_COMPONENTS].astype(np.float64)
    n_centers = min(int(np.clip(round(np.sqrt(len(points)) / 2), 1, MAX_CENTERS)), len(np.unique(points, axis=0)))
    clusters = KMeans(n_centers, random_state=seed).fit(points)
    whitening = whiten(points - clusters.cluster_centers_[clusters.labels_])
    fitted = MappingScore(centers=clusters.cluster_centers_ @ whitening, whitening=whitening, reference=np.empty(0))
    few = len(held_out_scores) < MIN_REFERENCE
    distance = fitted.distance(np.concatenate([held_out_scores, train_scores]) if few else held_out_scores)
    # With as many quantiles as cells, these are the distances themselves.
    levels = np.linspace(0, 1, min(len(distance), MAX_REFERENCE))
    return MappingScore(centers=fitted.centers, whitening=whitening, reference=np.quantile(distance, levels))


def whiten(residuals: np.ndarray) -> np.ndarray:
    """The map W (d, d) with W Wᵀ = Σ⁻¹, Σ the covariance of residuals (n, d) around zero.

    Σ is shrunk by d imaginary cells that vary alike in all directions, so that few cells do.
    """
    n, d = residuals.shape
    scatter = residuals.T @ residuals
    if not scatter.any():
        return np.eye(d)
    variance, directions = np.linalg.eigh((scatter + np.eye(d) * np.trace(scatter) / n) / (n + d))
    return directions / np.sqrt(variance)
