"""Batch correction of component scores: cells of one kind are moved together, each kind by shifts of its own."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

MAX_CENTERS, CELLS_A_CENTER = 30, 20
N_ROUNDS = 5
"""Of clustering the corrected scores and fitting the shifts."""
N_STEPS = 3
"""Of assigning a cell to centers and shifting it, so that it is assigned as what it is after the correction."""
PENALTY = 1.0
"""On a shift, in cells: a kind of cell that a batch has few of is shifted little, one that it lacks not at all."""
FAR = 1e6
"""Where centers are that are not used: no cell is assigned to them."""


class Correction(NamedTuple):
    """Of the K component scores of one modality, for J covariates."""

    centers: Tensor
    """(C, K) centers of kinds of cells, in corrected scores."""
    width: Tensor
    """() squared distance at which the assignment to a center falls to 1/e."""
    shifts: Tensor
    """(C, J, K) what a covariate adds to the scores of a kind of cell."""


def no_correction(n_covariates: int, n_components: int) -> Correction:
    """A correction that changes nothing."""
    return Correction(
        torch.full((MAX_CENTERS, n_components), FAR),
        torch.ones(()),
        torch.zeros(MAX_CENTERS, n_covariates, n_components),
    )


def assign(scores_nK: Tensor, centers_CK: Tensor, width: Tensor) -> Tensor:
    """Share of each center in each cell (n, C): softmax over the centers of -distance² / width."""
    # |s - c|² without |s|², which all centers share: no array of cells x centers x components.
    return ((2 * scores_nK @ centers_CK.T - centers_CK.square().sum(1)) / width).softmax(1)


def offset(scores_nK: Tensor, covariates_nJ: Tensor, correction: Correction) -> Tensor:
    """What the covariates add to scores (n, K): to be subtracted, of the same shape.

    Parameters
    ----------
    scores_nK
        Scores as measured.
    covariates_nJ
        One-hot batch and further covariates, as in training.
    correction
        See `fit_correction`.
    """
    corrected, effect = scores_nK, torch.zeros_like(scores_nK)
    for _ in range(N_STEPS):
        share = assign(corrected, correction.centers, correction.width)
        effect = torch.einsum("nc,nj,cjk->nk", share, covariates_nJ, correction.shifts)
        corrected = scores_nK - effect
    return effect


def fit_correction(scores: np.ndarray, covariates: np.ndarray, seed: int) -> Correction:
    """Fit the shifts.

    As Harmony does (Korsunsky et al. 2019), with two differences: clusters are not forced to hold all batches, so that
    a kind of cell that one batch lacks is not mixed with another; and the result is a function of a cell's scores and
    covariates, so that it applies to cells that come later. In turn, the corrected scores are clustered (k-means, then
    soft assignments), and in each cluster the scores are regressed on the covariates, with a ridge penalty and a free
    intercept; what the covariates explain is subtracted.

    Parameters
    ----------
    scores
        Component scores of training cells, (n, K).
    covariates
        (n, J).
    seed
        Of the clustering.
    """
    x, phi = torch.from_numpy(scores).double(), torch.from_numpy(covariates).double()
    n_centers = min(max(len(x) // CELLS_A_CENTER, 1), MAX_CENTERS, len(np.unique(x, axis=0)))
    correction = no_correction(phi.shape[1], x.shape[1])
    corrected = x
    for _ in range(N_ROUNDS):
        kmeans = KMeans(n_centers, n_init=3, random_state=seed).fit(corrected.numpy())
        centers = torch.from_numpy(kmeans.cluster_centers_)
        nearest = torch.cdist(corrected, centers).square().amin(1)
        width = nearest.median().clamp(min=1e-12)
        shifts = _regress(x, phi, assign(corrected, centers, width))
        correction = Correction(centers, width, shifts)
        corrected = x - offset(x, phi, correction)
    full = no_correction(phi.shape[1], x.shape[1])
    full.centers[:n_centers], full.shifts[:n_centers] = correction.centers.float(), correction.shifts.float()
    return full._replace(width=correction.width.float())


def _regress(x: Tensor, phi: Tensor, share: Tensor) -> Tensor:
    """Ridge regression of x on the covariates within each soft cluster, without the intercept: (C, J, K)."""
    design = torch.cat([torch.ones_like(phi[:, :1]), phi], 1)
    penalty = torch.diag(torch.tensor([1e-6] + [PENALTY] * phi.shape[1], dtype=x.dtype))
    shifts = []
    for weight in share.T:
        weighted = (weight[:, None] * design).T
        shifts.append(torch.linalg.solve(weighted @ design + penalty, weighted @ x)[1:])
    return torch.stack(shifts)


def fit_shift(scores: np.ndarray, correction: Correction) -> Tensor:
    """The shifts (C, K) of a batch that came after the fit, from its cells' scores (n, K) alone.

    As in Symphony (Kang et al. 2021): the kinds of cells stay where they are, and the batch's cells of each kind are
    moved to its center, the fewer the cells the less.
    """
    x, centers, width = torch.from_numpy(scores).double(), correction.centers.double(), correction.width.double()
    corrected, shifts = x, torch.zeros_like(centers)
    for _ in range(N_ROUNDS):
        share = assign(corrected, centers, width)
        total = share.sum(0)[:, None]
        shifts = (share.T @ x - total * centers) / (total + PENALTY)
        shifts = torch.where(centers < FAR / 2, shifts, 0)
        corrected = x - share @ shifts
    return shifts.float()
