"""What data set and network do to standardized values alike."""

import torch
from torch import Tensor

CLIP = 10.0
"""Standardized values are clipped here, in standard deviations."""


def fill_missing(z_BD: Tensor, observed: Tensor, loadings: Tensor, penalty: Tensor) -> Tensor:
    """Missing standardized values as the observed ones let expect.

    With O the features that a cell has, its component scores are s = (L_Oᵀ L_O + diag(penalty))⁻¹ L_Oᵀ z_O and a
    missing value is z_m = L_m s: the conditional mean under probabilistic PCA (Tipping & Bishop 1999). Without
    components, or without any observed value, it is 0, the mean.

    Parameters
    ----------
    z_BD
        Standardized values (B, D), 0 where missing.
    observed
        (B, D) which are there.
    loadings, penalty
        L (D, K) and (K,); K may be 0.
    """
    if not len(z_BD):
        return z_BD
    L = loadings
    if observed.is_cuda:  # looking for equal patterns would make the host wait
        gram_BKK = (observed[:, None] * L.T) @ L
    else:  # a query's cells mostly lack the same features; one pattern at a time takes less memory
        patterns, which = observed.unique(dim=0, return_inverse=True)
        gram_BKK = torch.stack([(L * seen[:, None]).T @ L for seen in patterns])[which]
    score_BK = torch.linalg.solve(gram_BKK + penalty.diag(), z_BD @ L)
    return torch.where(observed, z_BD, score_BK @ L.T)
