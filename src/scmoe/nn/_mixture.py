"""The sparse mixture of experts as one differentiable operation that costs what the chosen experts cost.

Forward: gather the rows of each expert, two matrix products with a GELU between, weighted sum by token. The backward
pass is written by hand, because automatic differentiation would copy the weights' gradients once an expert. The
products run in one of two ways, which differ only in speed; see `use_grouped`.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from scmoe.nn._dispatch import Dispatch

GROUPED_ROWS = 256
"""Up to this many rows an expert on average, one grouped product beats a loop of products on a CPU."""
BLOCK = 2048
"""Rows of a product in the loop: its activations (2048 x 4d x 4 bytes at d=64: 2 MB) stay in the processor's cache."""


class Weights(NamedTuple):
    """The parameters of all experts."""

    w1: Tensor
    """(E, h, d)"""
    b1: Tensor
    """(E, h)"""
    w2: Tensor
    """(E, d, h)"""
    b2: Tensor
    """(E, d)"""


def use_grouped(x_Td: Tensor, n_rows: int, weights: Weights) -> bool:
    """The rule that chooses between one grouped product and a loop over the experts.

    On CUDA the grouped product always: it needs no count on the host. On a CPU while the experts' shares are small
    (measured: it saves the loop's overhead below `GROUPED_ROWS` rows an expert, above it the loop's larger products
    win). It knows no float64, and wants rows of a multiple of 16 bytes.
    """
    n_experts, hidden, d = weights.w1.shape
    if x_Td.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return False
    aligned = d * x_Td.element_size() % 16 == 0 and hidden * x_Td.element_size() % 16 == 0
    return aligned and n_rows > 0 and (x_Td.is_cuda or n_rows <= GROUPED_ROWS * n_experts)


class Mixture(torch.autograd.Function):
    """y_t = Σ_j g_tj f_{e_tj}(x_t) with f_e(x) = W2_e gelu(W1_e x + b1_e) + b2_e."""

    @staticmethod
    def forward(ctx: Any, x_Td: Tensor, gate_Tk: Tensor, where: Dispatch, *parameters: Tensor) -> Tensor:
        """Tokens (T, d), gates (T, k), their dispatch, and the weights; returns (T, d)."""
        weights = Weights(*parameters)
        ctx.grouped = use_grouped(x_Td, len(where.token), weights)
        x = where.gather(x_Td)
        hidden, y = (grouped_forward if ctx.grouped else blocked_forward)(x, where, weights)
        ctx.where = where
        ctx.save_for_backward(gate_Tk, x, y, *weights, *hidden)
        return where.combine(y, gate_Tk)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of tokens, gates and weights."""
        gate_Tk, x, y, w1, b1, w2, b2, *hidden = ctx.saved_tensors
        where, weights = ctx.where, Weights(w1, b1, w2, b2)
        gy = where.gather(grad[0])
        g_gate = (gy * y).sum(1).index_select(0, where.row.flatten()).view_as(gate_Tk)
        gy *= gate_Tk.flatten().index_select(0, where.order)[:, None]
        gx, g_weights = (grouped_backward if ctx.grouped else blocked_backward)(gy, x, hidden, where, weights)
        return where.combine(gx), g_gate, None, *g_weights


def grouped_forward(x: Tensor, where: Dispatch, weights: Weights) -> tuple[list[Tensor], Tensor]:
    """What the backward pass needs and the outputs (N, d) of the sorted rows, all experts in one product each.

    At the sizes this is used for on a CPU, keeping the activations is cheaper than computing them again.
    """
    hidden = F.grouped_mm(x, weights.w1.transpose(1, 2), offs=where.ends)
    hidden += weights.b1.index_select(0, where.expert)
    active = F.gelu(hidden)
    y = F.grouped_mm(active, weights.w2.transpose(1, 2), offs=where.ends)
    y += weights.b2.index_select(0, where.expert)
    return [hidden, active], y


def grouped_backward(
    gy: Tensor, x: Tensor, hidden: list[Tensor], where: Dispatch, weights: Weights
) -> tuple[Tensor, Weights]:
    """Gradients of the rows and of the weights."""
    pre, active = hidden
    g_w2 = F.grouped_mm(gy.t(), active, offs=where.ends)
    g_pre = gelu_backward(F.grouped_mm(gy, weights.w2, offs=where.ends), pre)
    g_w1 = F.grouped_mm(g_pre.t(), x, offs=where.ends)
    g_b1 = torch.zeros_like(weights.b1).index_add_(0, where.expert, g_pre)
    g_b2 = torch.zeros_like(weights.b2).index_add_(0, where.expert, gy)
    return F.grouped_mm(g_pre, weights.w1, offs=where.ends), Weights(g_w1, g_b1, g_w2, g_b2)


def blocks(where: Dispatch) -> tuple[list[int], list[int]]:
    """Expert and number of rows of each block: an expert's rows in pieces of at most `BLOCK`."""
    experts, sizes = [], []
    start = 0
    for e, end in enumerate(where.ends.tolist()):
        for first in range(start, end, BLOCK):
            experts.append(e)
            sizes.append(min(BLOCK, end - first))
        start = end
    return experts, sizes


def blocked_forward(x: Tensor, where: Dispatch, weights: Weights) -> tuple[list[Tensor], Tensor]:
    """As `grouped_forward`, block by block; each block's pre-activations are a tensor of their own.

    (One large tensor would be mapped anew by the C library at each step, which costs more than the products.)
    """
    experts, sizes = blocks(where)
    y = torch.empty_like(x)
    hidden = []
    w1, w2 = weights.w1.transpose(1, 2).unbind(), weights.w2.transpose(1, 2).unbind()
    b1, b2 = weights.b1.unbind(), weights.b2.unbind()
    for e, x_block, y_block in zip(experts, x.split(sizes), y.split(sizes), strict=True):
        pre = torch.addmm(b1[e], x_block, w1[e])
        torch.addmm(b2[e], F.gelu(pre), w2[e], out=y_block)
        hidden.append(pre)
    return hidden, y


def blocked_backward(
    gy: Tensor, x: Tensor, hidden: list[Tensor], where: Dispatch, weights: Weights
) -> tuple[Tensor, Weights]:
    """As `grouped_backward`, block by block; experts without rows keep a zero gradient."""
    experts, sizes = blocks(where)
    gx = torch.empty_like(x)
    grad = Weights(*(torch.zeros_like(weight) for weight in weights))
    w1, w2 = weights.w1.unbind(), weights.w2.unbind()
    g_w1, g_b1, g_w2, g_b2 = (part.unbind() for part in grad)
    parts = zip(experts, hidden, x.split(sizes), gy.split(sizes), gx.split(sizes), strict=True)
    for e, pre, x_block, gy_block, gx_block in parts:
        g_pre = gelu_backward(gy_block @ w2[e], pre)
        g_w2[e].addmm_(gy_block.t(), F.gelu(pre))
        g_w1[e].addmm_(g_pre.t(), x_block)
        g_b2[e].add_(gy_block.sum(0))
        g_b1[e].add_(g_pre.sum(0))
        torch.mm(g_pre, w1[e], out=gx_block)
    return gx, grad


def gelu_backward(grad: Tensor, pre: Tensor) -> Tensor:
    """Gradient of GELU at `pre`."""
    return torch.ops.aten.gelu_backward(grad, pre)
