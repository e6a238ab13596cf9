"""Values of a modality in units of the training cells' spread."""

import torch
from torch import Tensor, nn

from scmoe.data._transform import CLIP


class Standardizer(nn.Module):
    """z = clip((x - mean) / std), with the training cells' statistics; a missing value is what the others let expect.

    With O the features that a cell has, its program scores are s = (L_Oᵀ L_O + diag(penalty))⁻¹ L_Oᵀ z_O and a missing value is
    z_m = L_m s: the conditional mean under probabilistic PCA (Tipping & Bishop 1999). Without programs, or without any
    observed value, it is 0, the mean.

    Parameters
    ----------
    n_features, n_programs
        D and K; K may be 0.
    """

    mean: Tensor
    std: Tensor
    loadings: Tensor
    penalty: Tensor

    def __init__(self, n_features: int, n_programs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))
        self.register_buffer("loadings", torch.zeros(n_features, n_programs))
        self.register_buffer("penalty", torch.ones(n_programs))

    def forward(self, x_BD: Tensor, observed: Tensor | None) -> Tensor:
        """Values (B, D) and which of them are observed to standardized values."""
        z = ((x_BD - self.mean) / self.std).clamp(-CLIP, CLIP)
        if observed is None or not len(z):
            return z
        return self._fill(torch.where(observed, z, 0), observed)

    def _fill(self, z_BD: Tensor, observed: Tensor) -> Tensor:
        L = self.loadings
        if observed.is_cuda:  # looking for equal patterns would make the host wait
            gram_BKK = (observed[:, None] * L.T) @ L
        else:  # a query's cells mostly lack the same features; one pattern at a time takes less memory
            patterns, which = observed.unique(dim=0, return_inverse=True)
            gram_BKK = torch.stack([(L * seen[:, None]).T @ L for seen in patterns])[which]
        score_BK = torch.linalg.solve(gram_BKK + self.penalty.diag(), z_BD @ L)
        return torch.where(observed, z_BD, score_BK @ L.T)

    def inverse(self, z_BD: Tensor) -> Tensor:
        """Standardized values back to the units of the data."""
        return z_BD * self.std + self.mean
