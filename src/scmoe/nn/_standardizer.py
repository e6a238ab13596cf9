"""Values of a modality in standard deviations of the training cells."""

import torch
from torch import Tensor, nn

from scmoe.data._transform import fill_missing
from scmoe.data.sparse._features import Features, SparseFeatures, standardize
from scmoe.data.sparse._rows import Values


class Standardizer(nn.Module):
    """z = clip((x - mean) / std), with the training cells' statistics; a missing value is what the others let expect.

    See `fill_missing`.

    Parameters
    ----------
    n_features, n_components
        D and K; K may be 0.
    """

    mean: Tensor
    std: Tensor
    loadings: Tensor
    penalty: Tensor

    def __init__(self, n_features: int, n_components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))
        self.register_buffer("loadings", torch.zeros(n_features, n_components))
        self.register_buffer("penalty", torch.ones(n_components))

    def forward(self, x_BD: Values, observed: Tensor | None) -> Features:
        """Values (B, D) and which of them are observed to standardized values; of sparse ones all are observed."""
        z = standardize(x_BD, self.mean, self.std)
        if observed is None or isinstance(z, SparseFeatures):
            return z
        return fill_missing(torch.where(observed, z, 0), observed, self.loadings, self.penalty)

    def inverse(self, z_BD: Tensor) -> Tensor:
        """Standardized values back to the units of the data."""
        return z_BD * self.std + self.mean
