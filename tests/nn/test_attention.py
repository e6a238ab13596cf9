import pytest
import torch
from torch import Tensor

from scmoe.nn._attention import SelfAttention

B, N, d, H = 3, 5, 8, 2


@pytest.fixture
def attention() -> SelfAttention:
    return SelfAttention(d, H)


@pytest.fixture
def allowed() -> Tensor:
    """Random, but every query has a key."""
    return (torch.rand(B, 1, N, N) < 0.5) | torch.eye(N, dtype=torch.bool)


def slow_attention(attention: SelfAttention, x: Tensor, allowed: Tensor) -> Tensor:
    """One query of one head of one cell at a time."""
    width = d // H
    query, key, value = (x @ attention.qkv.weight.T).split(d, dim=-1)
    y = torch.zeros_like(x)
    for b in range(B):
        for h in range(H):
            own = slice(h * width, (h + 1) * width)
            for n in range(N):
                keys = [m for m in range(N) if allowed[b, 0, n, m]]
                score = torch.stack([query[b, n, own] @ key[b, m, own] / width**0.5 for m in keys]).exp()
                for share, m in zip(score / score.sum(), keys, strict=True):
                    y[b, n, own] += share * value[b, m, own]
    return y @ attention.out.weight.T + attention.out.bias


def test_slow_loop(attention, allowed):
    x = torch.randn(B, N, d)
    with torch.no_grad():
        torch.testing.assert_close(attention(x, allowed), slow_attention(attention, x, allowed), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_fused_attention_uses_the_reported_weights(attention, allowed, masked):
    x, mask = torch.randn(B, N, d), allowed if masked else None
    value = (x @ attention.qkv.weight[2 * d :].T).view(B, N, H, d // H).transpose(1, 2)
    mixed = (attention.weights(x, mask) @ value).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(x, mask), attention.out(mixed), atol=1e-5, rtol=0)


def test_weights_sum_to_one_over_allowed_keys(attention, allowed):
    weights = attention.weights(torch.randn(B, N, d), allowed)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, N))
    assert not weights[~allowed.expand_as(weights)].any()


def test_masked_key_is_not_read(attention):
    x, changed = torch.randn(B, N, d), torch.randn(B, N, d)
    changed[:, 1:] = x[:, 1:]
    allowed = torch.ones(B, 1, N, N, dtype=torch.bool)
    allowed[..., 1:, 0] = False
    torch.testing.assert_close(attention(x, allowed)[:, 1:], attention(changed, allowed)[:, 1:])


@pytest.fixture
def keyless() -> Tensor:
    """Nobody attends, except in the first cell."""
    allowed = torch.zeros(B, 1, N, N, dtype=torch.bool)
    allowed[0] = True
    return allowed


def test_query_without_keys_gets_zeros(attention, keyless):
    x = torch.randn(B, N, d)
    assert not attention.weights(x, keyless)[1:].any()
    torch.testing.assert_close(attention(x, keyless)[1:], attention.out.bias.expand(B - 1, N, d))


@pytest.mark.parametrize("path", ["forward", "weights"])
def test_query_without_keys_leaves_gradients_finite(attention, keyless, path):
    x = torch.randn(B, N, d, requires_grad=True)
    getattr(attention, path)(x, keyless).square().sum().backward()
    assert x.grad[0].any()
    assert not x.grad[1:].any()
    assert attention.qkv.weight.grad.isfinite().all()
