"""How well a cell fits the cells that a model was trained on."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.cluster import KMeans

MAX_COMPONENTS = 20
"""Leading components that distances are measured in: the later ones are mostly noise, which hides a new state."""
MAX_CENTERS = 20
MAX_REFERENCE = 1001
"""Reference distances that are stored: a thousandth is as fine as a score needs to be."""


@dataclass(frozen=True, kw_only=True)
class MappingScore:
    """Where the cells of a modality are in its components, and how far from there a cell may be.

    Parameters
    ----------
    centers
        (C, d) whitened centers of the cells.
    whitening
        (d, d) map from scores to standard deviations around the centers.
    reference
        (R,) sorted distances of cells that were new to a fit like this one, to their nearest center; at most
        `MAX_REFERENCE` quantiles of them.
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


def fit_mapping_score(scores: np.ndarray, reference: np.ndarray, seed: int) -> MappingScore:
    """Describe where the cells of a modality are.

    k-means finds clip(√n / 2, 1, 20) centers; one covariance matrix Σ, pooled over the clusters, measures distances to
    them: x is as far away as min_c √((x - c) Σ⁻¹ (x - c)ᵀ). No label is involved.

    Parameters
    ----------
    scores
        (n, K) component scores of the cells, leading components first.
    reference
        (R,) distances of new cells, as `distance_of_new` gives them: components, centers and covariance fit the cells
        that they were computed from too well, so the distances of these are not those of new cells.
    seed
        Of k-means.
    """
    # With as many quantiles as cells, these are the distances themselves.
    levels = np.linspace(0, 1, min(len(reference), MAX_REFERENCE))
    return replace(_describe(scores, seed), reference=np.quantile(reference, levels))


def distance_of_new(scores: np.ndarray, new_scores: np.ndarray, seed: int) -> np.ndarray:
    """Distances (m,) of cells with component scores (m, K) to the centers of others, with scores (n, K)."""
    return _describe(scores, seed).distance(new_scores)


def _describe(scores: np.ndarray, seed: int) -> MappingScore:
    """Centers and covariance of cells, without a reference."""
    points = scores[:, :MAX_COMPONENTS].astype(np.float64)
    n_centers = min(int(np.clip(round(np.sqrt(len(points)) / 2), 1, MAX_CENTERS)), len(np.unique(points, axis=0)))
    clusters = KMeans(n_centers, random_state=seed).fit(points)
    whitening = whiten(points - clusters.cluster_centers_[clusters.labels_])
    return MappingScore(centers=clusters.cluster_centers_ @ whitening, whitening=whitening, reference=np.empty(0))


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
