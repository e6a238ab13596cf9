"""Embeddings of expression values."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.1
"""Of the leaky rectifier (scFoundation's code; the paper does not state it)."""
ALPHA = 1.0
"""Weight of the skip connection over the second map."""


class AutoDiscretization(nn.Module):
    """A value as a soft mixture of b learned vectors (xTrimoGene, equation 1; biases as in scFoundation's code).

    v1 = LeakyReLU(v w1 + b1), v2 = W2 v1 + b2 + α v1, e = softmax(v2) T: smooth in the value, so that values that
    differ by little are embedded nearly alike, which no hard bins can do. Zero is a value like any other.

    Parameters
    ----------
    n_bins
        b.
    width
        d.
    alpha
        α.
    """

    def __init__(self, n_bins: int, width: int, alpha: float = ALPHA) -> None:
        super().__init__()
        self.alpha = alpha
        self.first = nn.Linear(1, n_bins)
        self.second = nn.Linear(n_bins, n_bins)
        self.table = nn.Parameter(torch.randn(n_bins, width))

    def weights(self, value: Tensor) -> Tensor:
        """Shares of the bins (..., b) of values (...)."""
        v = F.leaky_relu(self.first(value[..., None]), SLOPE)
        return (self.second(v) + self.alpha * v).softmax(-1)

    def forward(self, value: Tensor) -> Tensor:
        """Values (...) to vectors (..., d)."""
        return self.weights(value) @ self.table


class LinearValue(nn.Module):
    """A value times one vector, plus another: the simplest embedding, which the others have to beat.

    Parameters
    ----------
    width
        d.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(1, width)

    def forward(self, value: Tensor) -> Tensor:
        """Values (...) to vectors (..., d)."""
        return self.linear(value[..., None])


class BinnedValue(nn.Module):
    """One learned vector for each of the bins between ascending boundaries; bin i holds boundary_i-1 < v <= boundary_i.

    Parameters
    ----------
    boundaries
        (b - 1,) of b bins.
    width
        d.
    """

    boundaries: Tensor

    def __init__(self, boundaries: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("boundaries", boundaries)
        self.table = nn.Parameter(torch.randn(len(boundaries) + 1, width))

    def bin(self, value: Tensor) -> Tensor:
        """Bins of values."""
        return torch.bucketize(value, self.boundaries)

    def forward(self, value: Tensor) -> Tensor:
        """Values (...) to vectors (..., d)."""
        return F.embedding(self.bin(value), self.table)


def code_boundaries(n_codes: int) -> Tensor:
    """Boundaries that make each of the whole numbers 0 to n - 1 a bin, and round what is between."""
    return torch.arange(n_codes - 1) + 0.5
