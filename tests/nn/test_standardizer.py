"""Standardized values, and what stands in for missing ones: against the conditional mean, cell by cell."""

import numpy as np
import pytest
import torch

from scmoe.data._transform import CLIP
from scmoe.nn._standardizer import Standardizer

B, D, K = 7, 6, 3


def make(n_components: int = K, n_features: int = D) -> Standardizer:
    standardizer = Standardizer(n_features, n_components)
    standardizer.mean.copy_(torch.arange(1.0, n_features + 1))
    standardizer.std.copy_(2.0 ** torch.arange(n_features))
    standardizer.loadings.copy_(torch.randn(n_features, n_components))
    standardizer.penalty.copy_(torch.linspace(0.5, 2, n_components))
    return standardizer


@pytest.fixture
def observed() -> torch.Tensor:
    """Some cells lack the same features; one lacks none, one all."""
    observed = torch.rand(B, D) < 0.6
    observed[1], observed[2], observed[3] = observed[0], True, False
    return observed


def slow_fill(standardizer: Standardizer, z: torch.Tensor, observed: torch.Tensor) -> np.ndarray:
    """Of each cell alone: E[z_m | z_O] of z = L s + noise, with cov(s) = diag(1 / penalty), noise of variance one."""
    loadings, penalty = standardizer.loadings.double().numpy(), standardizer.penalty.double().numpy()
    covariance = loadings @ np.diag(1 / penalty) @ loadings.T
    out = z.double().numpy().copy()
    for cell, seen in zip(out, observed.numpy(), strict=True):
        noisy = covariance[np.ix_(seen, seen)] + np.eye(seen.sum())
        cell[~seen] = covariance[np.ix_(~seen, seen)] @ np.linalg.solve(noisy, cell[seen])
    return out


def test_missing_values_are_what_the_observed_ones_let_expect(observed):
    standardizer, x = make(), torch.randn(B, D)
    expected = slow_fill(standardizer, standardizer(x, None), observed)
    np.testing.assert_allclose(standardizer(x, observed), expected, rtol=1e-4, atol=1e-4)


def test_observed_values_are_untouched(observed):
    standardizer, x = make(), torch.randn(B, D)
    assert torch.equal(standardizer(x, observed)[observed], standardizer(x, None)[observed])


def test_what_stands_where_a_value_is_missing_does_not_matter(observed):
    standardizer, x = make(), torch.randn(B, D)
    other = torch.where(observed, x, 1e9)
    assert torch.equal(standardizer(x, observed), standardizer(other, observed))


@pytest.mark.parametrize("n_components", [0, K])
def test_a_cell_without_any_value_is_the_mean(n_components):
    assert not make(n_components)(torch.randn(B, D), torch.zeros(B, D, dtype=torch.bool)).any()


def test_without_programs_missing_values_are_the_mean(observed):
    found = make(n_components=0)(torch.randn(B, D), observed)
    assert not found[~observed].any() and found[observed].all()


@pytest.mark.parametrize("n_components", [0, K])
def test_no_cells(n_components):
    assert make(n_components)(torch.zeros(0, D), torch.zeros(0, D, dtype=torch.bool)).shape == (0, D)


def test_programs_beyond_the_rank_say_nothing(observed):
    standardizer, wider, x = make(), make(K + 2), torch.randn(B, D)
    wider.loadings.copy_(torch.cat([standardizer.loadings, torch.zeros(D, 2)], 1))
    wider.penalty[:K] = standardizer.penalty
    torch.testing.assert_close(wider(x, observed), standardizer(x, observed))


def test_standardized_values_are_clipped():
    z = make(0, 3)(torch.tensor([[2.0, 0, 1e6], [-1e6, 2, 7]]), None)
    assert z.tolist() == [[1, -1, CLIP], [-CLIP, 0, 1]]


def test_inverse_returns_to_the_units_of_the_data():
    standardizer, x = make(), torch.randn(4, D)
    torch.testing.assert_close(standardizer.inverse(standardizer(x, None)), x)
