import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from scmoe.nn._config import NetworkConfig
from scmoe.nn._experts import SparseMoE
from scmoe.nn._router import Routing

V, d = 3, 4
GATES = ["softmax_after_topk", "topk_of_softmax"]


def make(n_experts: int, top_k: int, **fields) -> SparseMoE:
    config = NetworkConfig(n_hidden=d, n_heads=1, expert_hidden=6, n_experts=n_experts, top_k=top_k, **fields)
    moe = SparseMoE(V, config).double().eval()
    for bias in (moe.experts.b1, moe.experts.b2):
        torch.nn.init.normal_(bias)
    return moe


def inputs(n_tokens: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n_tokens, d, dtype=torch.float64, requires_grad=True), torch.arange(n_tokens) % V


def slow_moe(moe: SparseMoE, x: Tensor, modality: Tensor) -> Tensor:
    """One token and one expert at a time."""
    router, experts = moe.router, moe.experts
    rows = [x[:0]]
    for token, v in zip(x, modality.tolist(), strict=True):
        logits = token @ router.clean[:, v if router.n_routers > 1 else 0]
        chosen = sorted(range(router.n_experts), key=lambda e, c=logits: -c[e].item())[: router.top_k]
        score = logits.exp()
        total = score.sum() if router.gate == "topk_of_softmax" else score[chosen].sum()
        y = torch.zeros_like(token)
        for e in chosen:
            hidden = F.gelu(experts.w1[e] @ token + experts.b1[e])
            y = y + score[e] / total * (experts.w2[e] @ hidden + experts.b2[e])
        rows.append(y[None])
    return torch.cat(rows)


def gradients(y: Tensor, moe: SparseMoE, x: Tensor) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return torch.autograd.grad((y * weight).sum(), [x, *moe.parameters()], materialize_grads=True)


def assert_equals_slow_moe(moe: SparseMoE, n_tokens: int) -> None:
    x, modality = inputs(n_tokens)
    y, expected = moe(x, modality)[0], slow_moe(moe, x, modality)
    torch.testing.assert_close(y, expected)
    for mine, slow in zip(gradients(y, moe, x), gradients(expected, moe, x), strict=True):
        torch.testing.assert_close(mine, slow)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("router", ["shared", "per_modality"])
@pytest.mark.parametrize("top_k", [1, 2, 3, 4])
def test_outputs_and_gradients_equal_the_slow_loop(top_k, router, gate):
    assert_equals_slow_moe(make(4, top_k, router=router, gate=gate), n_tokens=7)


@pytest.mark.parametrize("n_tokens", [0, 1])
def test_few_tokens(n_tokens):
    assert_equals_slow_moe(make(4, 2), n_tokens)


def test_single_expert_is_a_dense_layer():
    moe, (x, modality) = make(1, 1), inputs(5)
    dense = F.gelu(x @ moe.experts.w1[0].T + moe.experts.b1[0]) @ moe.experts.w2[0].T + moe.experts.b2[0]
    torch.testing.assert_close(moe(x, modality)[0], dense)


@settings(max_examples=20, deadline=None)
@given(n_tokens=st.integers(0, 12), n_experts=st.integers(1, 6), seed=st.integers(0, 99), data=st.data())
def test_any_shape_equals_the_slow_loop(n_tokens, n_experts, seed, data):
    torch.manual_seed(seed)
    assert_equals_slow_moe(make(n_experts, data.draw(st.integers(1, n_experts))), n_tokens)


def test_idle_experts_get_zero_gradient():
    moe, (x, _) = make(4, 2), inputs(6)
    routing = Routing(torch.rand(6, 2).double(), torch.tensor([[0, 2]]).expand(6, 2), *[torch.zeros(6, 4)] * 2, None)
    moe.experts(x, routing).square().sum().backward()
    for parameter in moe.experts.parameters():
        assert parameter.grad[[0, 2]].flatten(1).any(1).all()
        assert not parameter.grad[[1, 3]].any()


def test_tokens_do_not_influence_each_other():
    moe, (x, modality) = make(4, 2), inputs(6)
    alone = torch.cat([moe(x[t : t + 1], modality[t : t + 1])[0] for t in range(6)])
    torch.testing.assert_close(moe(x, modality)[0], alone)


def test_training_uses_the_noisy_choice():
    moe, (x, modality) = make(4, 2).train(), inputs(6)
    y, routing = moe(x, modality)
    every = torch.stack(
        [moe.experts(x, Routing(torch.ones(6, 1), torch.full((6, 1), e), *routing[2:])) for e in range(4)], 1
    )
    torch.testing.assert_close(y, (routing.gates()[..., None] * every).sum(1))
