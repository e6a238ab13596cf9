"""Standardized features of sparse values, and their products, without a matrix of cells x features.

A zero is not zero in standard deviations: z = base + difference, where base (D) are the features of a zero, and the
difference is zero but where a value is stored.
"""

from dataclasses import dataclass
from typing import Any, final

import torch
from scipy import sparse
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from scmoe.data._transform import CLIP
from scmoe.data.sparse._rows import SparseRows, Values


@dataclass(frozen=True)
class Noise:
    """What hiding zeros at random adds to cells: coefficients (n, R) times directions (R, D)."""

    coefficients: Tensor
    directions: Tensor


@final
@dataclass(frozen=True)
class SparseFeatures:
    """Standardized features (n, D), on a CPU; a product with a matrix is all that most of the network asks of them."""

    base: Tensor
    """(D,) what a zero is."""
    difference: SparseRows
    """What a stored value is, less `base`."""
    noise: Noise | None = None
    """Of hidden features."""

    def __len__(self) -> int:
        return self.difference.n_rows

    def __matmul__(self, weight_DK: Tensor) -> Tensor:
        """The product with a matrix (D, K); in full precision, for its two parts nearly cancel."""
        with torch.autocast("cpu", enabled=False):
            product = self.base @ weight_DK + sparse_product(self.difference, weight_DK)
            if self.noise is None:
                return product
            return product + self.noise.coefficients @ (self.noise.directions @ weight_DK)

    def transposed_product(self, weight_nK: Tensor) -> Tensor:
        """The product (D, K) of the transposed features with a matrix (n, K), without noise."""
        return self.base[:, None] * weight_nK.sum(0) + transposed_product(self.difference, weight_nK)

    def scaled(self, weight_D: Tensor) -> "SparseFeatures":
        """Features times weights (D,), without noise."""
        rows = self.difference
        value = rows.value * weight_D.index_select(0, rows.column)
        return SparseFeatures(self.base * weight_D, rows._replace(value=value))

    def row_squares(self) -> Tensor:
        """Sum of the squares of each cell's features, (n,)."""
        base, rows = self.base.index_select(0, self.difference.column), self.difference
        change = rows.value * (rows.value + 2 * base)  # (base + difference)² - base²
        return self.base.square().sum() + change.new_zeros(len(self)).index_add_(0, rows.row, change)

    def dense(self) -> Tensor:
        """The features (n, D) without noise."""
        return self.base + self.difference.dense()


Features = Tensor | SparseFeatures
"""Standardized features (n, D)."""


def standardize(x: Values, mean: Tensor, std: Tensor) -> Features:
    """clip((x - mean) / std) of values (n, D); mean and std are (D,)."""
    if isinstance(x, Tensor):
        return ((x - mean) / std).clamp(-CLIP, CLIP)
    base, at = (-mean / std).clamp(-CLIP, CLIP), x.column
    z = ((x.value - mean.index_select(0, at)) / std.index_select(0, at)).clamp(-CLIP, CLIP)
    return SparseFeatures(base, x._replace(value=z - base.index_select(0, at)))


def row_squares(z: Features) -> Tensor:
    """Sum of the squares of each row, (n,)."""
    return z.row_squares() if isinstance(z, SparseFeatures) else z.square().sum(-1)


def sparse_product(rows: SparseRows, weight_DK: Tensor) -> Tensor:
    """Product of a sparse (n, D) and a dense matrix (D, K), on a CPU, with a gradient for the dense one."""
    return _SparseProduct.apply(rows, weight_DK)


def transposed_product(rows: SparseRows, weight_nK: Tensor) -> Tensor:
    """Product (D, K) of the transpose of a sparse (n, D) and a dense matrix (n, K), on a CPU."""
    parts = tuple(part.numpy() for part in (rows.value, rows.column, rows.indptr))
    transposed = sparse.csc_matrix(parts, shape=(rows.n_columns, rows.n_rows))
    return torch.from_numpy(transposed @ weight_nK.contiguous().numpy())


class _SparseProduct(torch.autograd.Function):
    """torch's sparse tensors have this product too; its gradient is ten times slower than a dense one."""

    @staticmethod
    def forward(ctx: Any, rows: SparseRows, weight_DK: Tensor) -> Tensor:
        ctx.rows = rows
        return F.embedding_bag(
            rows.column,
            weight_DK,
            rows.indptr,
            mode="sum",
            per_sample_weights=rows.value.to(weight_DK.dtype),
            include_last_offset=True,
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_nK: Tensor) -> tuple[None, Tensor]:
        return None, transposed_product(ctx.rows, grad_nK)
