"""The engine: both ways of computing it, against one expert at a time."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scmoe.nn import _mixture
from scmoe.nn._dispatch import MANY_SLOTS, dispatch
from scmoe.nn._mixture import Mixture, Weights, use_grouped

E, d, HIDDEN, K = 5, 8, 12, 2
ROUTINGS = {
    "spread": lambda T: torch.rand(T, E).topk(K).indices,
    "skewed": lambda T: torch.tensor([[3, 1]]).expand(T, K),
    "twice the same": lambda T: torch.full((T, K), 4),
}


def inputs(T: int, expert: Tensor, dtype: torch.dtype, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor, Weights]:
    """Tokens, gates, choices and weights; the same numbers in every precision and place."""
    torch.manual_seed(0)
    x, gate = torch.randn(T, d, dtype=torch.float64), torch.rand(T, K, dtype=torch.float64)
    weights = [
        torch.randn(shape, dtype=torch.float64) for shape in ((E, HIDDEN, d), (E, HIDDEN), (E, d, HIDDEN), (E, d))
    ]
    x, gate, *weights = (tensor.to(device, dtype).requires_grad_() for tensor in (x, gate, *weights))
    return x, gate, expert.to(device), Weights(*weights)


def slow(x: Tensor, gate: Tensor, expert: Tensor, weights: Weights) -> Tensor:
    every = torch.stack(
        [F.linear(F.gelu(F.linear(x, weights.w1[e], weights.b1[e])), weights.w2[e], weights.b2[e]) for e in range(E)], 1
    )
    return (gate[..., None] * every[torch.arange(len(x), device=x.device)[:, None], expert]).sum(1)


def result(function, x: Tensor, gate: Tensor, expert: Tensor, weights: Weights) -> list[Tensor]:
    """Output and all gradients."""
    y = function(x, gate, expert, weights)
    direction = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view(y.shape).to(y)
    return [y, *torch.autograd.grad((y * direction).sum(), [x, gate, *weights])]


def engine(x: Tensor, gate: Tensor, expert: Tensor, weights: Weights) -> Tensor:
    return Mixture.apply(x, gate, dispatch(expert, E), *weights)


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize(
    ("dtype", "grouped", "tolerance"), [(torch.float64, False, 1e-12), (torch.float32, True, 1e-4)]
)
@pytest.mark.parametrize("block", [3, 2048])
def test_output_and_gradients_equal_the_slow_loop(routing, dtype, grouped, tolerance, block, monkeypatch):
    monkeypatch.setattr(_mixture, "BLOCK", block)
    found = inputs(9, ROUTINGS[routing](9), dtype)
    assert use_grouped(found[0], 9 * K, found[3]) == grouped
    expected = result(slow, *inputs(9, found[2], torch.float64))
    for mine, theirs in zip(result(engine, *found), expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, atol=tolerance, rtol=tolerance)


def test_large_single_precision_batches_take_the_loop(monkeypatch):
    monkeypatch.setattr(_mixture, "GROUPED_ROWS", 2)
    found = inputs(9, ROUTINGS["spread"](9), torch.float32)
    assert not use_grouped(found[0], 9 * K, found[3])
    for mine, theirs in zip(result(engine, *found), result(slow, *found), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_rows_of_odd_width_take_the_loop():
    weights = Weights(*(torch.zeros(shape) for shape in ((E, 3, d), (E, 3), (E, d, 3), (E, d))))
    assert not use_grouped(torch.zeros(4, d), 8, weights)


def test_numerical_gradient():
    x, gate, expert, weights = inputs(4, ROUTINGS["spread"](4), torch.float64)
    assert torch.autograd.gradcheck(lambda *p: engine(p[0], p[1], expert, Weights(*p[2:])), (x, gate, *weights))


def test_views_may_come_in():
    x, gate, expert, weights = inputs(6, ROUTINGS["spread"](6), torch.float64)
    for form in (x.t().contiguous().t(), torch.stack([x, x], 1)[:, 0]):
        torch.testing.assert_close(engine(form, gate, expert, weights), engine(x, gate, expert, weights))


@pytest.mark.parametrize("n_tokens", [1, 7, MANY_SLOTS // K + 1])
def test_dispatch_sorts_stably_and_finds_the_way_back(n_tokens):
    expert = torch.randint(0, E, (n_tokens, K))
    where = dispatch(expert, E)
    slots = sorted(range(n_tokens * K), key=lambda slot: int(expert.flatten()[slot]))
    assert where.order.tolist() == slots
    assert where.token.tolist() == [slot // K for slot in slots]
    assert torch.equal(where.order[where.row.flatten()], torch.arange(n_tokens * K))
    assert where.ends.tolist() == torch.bincount(expert.flatten(), minlength=E).cumsum(0).tolist()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-3), (torch.bfloat16, 5e-2)]
)
@pytest.mark.parametrize("n_tokens", [1, 50])
def test_cuda_equals_cpu(dtype, tolerance, n_tokens):
    expert = ROUTINGS["spread"](n_tokens)
    expected = result(slow, *inputs(n_tokens, expert, torch.float64))
    for mine, theirs in zip(result(engine, *inputs(n_tokens, expert, dtype, "cuda")), expected, strict=True):
        scale = theirs.abs().max().clamp(min=1).item()
        torch.testing.assert_close(mine.double().cpu(), theirs, atol=tolerance * scale, rtol=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_bf16_on_cuda_never_waits_for_the_device():
    x, gate, expert, weights = inputs(64, ROUTINGS["spread"](64), torch.bfloat16, "cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        engine(x, gate, expert, weights).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
