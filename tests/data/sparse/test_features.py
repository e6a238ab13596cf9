"""Products of sparse features against the same of dense ones."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from torch.nn import functional as F

from scmoe.data.sparse._features import row_squares, sparse_product
from scmoe.data.sparse._rows import SparseRows
from scmoe.nn._noise import hide
from scmoe.nn._standardizer import Standardizer

D, K = 12, 3


def values(n: int, density: float, seed: int = 0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    x = rng.gamma(2, size=(n, D)) * (rng.random((n, D)) < density)
    return sparse.csr_matrix(x.astype(np.float32))


@pytest.fixture
def standardizer() -> Standardizer:
    made = Standardizer(D, K)
    made.mean.uniform_(0, 2)
    made.std.uniform_(0.05, 1)  # so that some values are clipped
    return made


@given(st.integers(0, 7), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 5))
def test_rows_are_the_matrix(n, density, seed):
    x = values(n, density, seed)
    assert (SparseRows.of(x).dense().numpy() == x.toarray()).all()


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_standardized_as_dense_values(standardizer, density):
    x = values(6, density)
    z, expected = standardizer(SparseRows.of(x), None), standardizer(torch.from_numpy(x.toarray()), None)
    weight = torch.randn(D, K)
    torch.testing.assert_close(z.dense(), expected)
    torch.testing.assert_close(z @ weight, expected @ weight)
    torch.testing.assert_close(row_squares(z), row_squares(expected))


@pytest.mark.parametrize("n", [0, 6])
def test_gradient_of_a_product(n):
    x, weight, upstream = values(n, 0.3), torch.randn(D, K, requires_grad=True), torch.randn(n, K)
    expected = torch.autograd.grad(torch.from_numpy(x.toarray()) @ weight, weight, upstream)
    torch.testing.assert_close(
        torch.autograd.grad(sparse_product(SparseRows.of(x), weight), weight, upstream), expected
    )


def test_hidden_features_have_the_moments_of_dropout(standardizer):
    """Mean and variance of products over many draws, in cells alike in what they lack."""
    p, n_draws = 0.3, 4000
    rng = np.random.default_rng(0)
    row = np.where(np.arange(D) < 4, rng.gamma(2, size=D), 0).astype(np.float32)
    x = sparse.csr_matrix(np.tile(row, (n_draws, 1)))
    weight = torch.from_numpy(rng.normal(size=(D, K)).astype(np.float32))
    z = standardizer(SparseRows.of(x), None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hidden = torch.cat([hide(z, p) @ weight for _ in range(20)])  # the directions are drawn anew each time
        dense = torch.cat([F.dropout(z.dense(), p) @ weight for _ in range(20)])
    torch.testing.assert_close(hidden.mean(0), dense.mean(0), atol=0.05 * float(dense.std()), rtol=0)
    torch.testing.assert_close(hidden.T.cov(), dense.T.cov(), atol=0.15 * float(dense.var()), rtol=0)


def test_features_without_zeros_get_no_noise(standardizer):
    z = hide(standardizer(SparseRows.of(values(6, 1.0)), None), 0.3)
    assert not z.noise.directions.any()
    shown = z.dense()
    assert {
        round(float(r), 4) for r in (shown / standardizer(torch.from_numpy(values(6, 1.0).toarray()), None)).flatten()
    } <= {
        0.0,
        round(1 / 0.7, 4),
    }


def test_mixed_precision_keeps_small_differences():
    """The constant part of sparse features is far larger than what tells cells apart."""
    made = Standardizer(D, K)
    made.mean.fill_(1)
    made.std.fill_(0.2)
    rng = np.random.default_rng(0)
    x = sparse.csr_matrix(1 + 0.2 * rng.normal(size=(6, D)).astype(np.float32))
    weight = torch.from_numpy(rng.normal(size=(D, K)).astype(np.float32))
    expected = made(torch.from_numpy(x.toarray()), None) @ weight
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(made(SparseRows.of(x), None) @ weight, expected, atol=1e-4, rtol=1e-4)
