"""Values of some cells of which most are zero."""

from typing import NamedTuple, Protocol, Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


class SparseRows(NamedTuple):
    """A matrix (n, D) in compressed rows, as tensors that move to a GPU like any other."""

    indptr: Tensor
    """(n + 1,) int32: where the entries of each row start, and where the last ends."""
    column: Tensor
    """(m,) int32: column of each entry."""
    value: Tensor
    """(m,) float32: its value."""
    n_columns: int
    """D."""

    @classmethod
    def of(cls, matrix: sparse.csr_matrix) -> Self:
        """Of a SciPy matrix with fewer than 2³¹ entries."""
        indptr, column = (torch.from_numpy(np.asarray(part, np.int32)) for part in (matrix.indptr, matrix.indices))
        return cls(indptr, column, torch.from_numpy(np.asarray(matrix.data, np.float32)), matrix.shape[1])

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.indptr) - 1

    @property
    def row(self) -> Tensor:
        """(m,) int64: row of each entry."""
        rows = torch.arange(self.n_rows, device=self.indptr.device)
        return rows.repeat_interleave(self.indptr.diff(), output_size=len(self.column))

    def dense(self) -> Tensor:
        """The whole matrix, (n, D)."""
        out = self.value.new_zeros(self.n_rows, self.n_columns)
        return out.index_put_((self.row, self.column.long()), self.value)


Values = Tensor | SparseRows
"""Values (n, D) of some cells."""


class _Sparse(Protocol):
    def dense(self) -> Tensor: ...


def dense(x: Tensor | _Sparse) -> Tensor:
    """A matrix in full."""
    return x if isinstance(x, Tensor) else x.dense()
