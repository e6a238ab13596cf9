"""Attention of a decoder whose positions are the same in most cells, at a cost linear in their number.

B cells, N positions, of which C differ from cell to cell and A are asked; H heads of width h, r random features.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-4
"""Added to the random features, so that no sum of weights is zero."""


class Positions(NamedTuple):
    """B cells of N positions that start from one common state each."""

    common: Tensor
    """(N, d): the state of each position where a cell has none of its own."""
    place: Tensor
    """(B, C): positions with a state of the cell's own; no position twice in a cell."""
    own: Tensor
    """(B, C, d): these states."""
    real: Tensor
    """(B, C): which of these exist; the others are padding."""

    def map(self, function: nn.Module) -> "Positions":
        """The same positions with a function applied to each state."""
        return self._replace(common=function(self.common), own=function(self.own))

    def dense(self) -> Tensor:
        """(B, N, d): all states."""
        B, N = len(self.place), len(self.common)
        here = self.real.flatten().nonzero()[:, 0]
        row = (self.place + torch.arange(B, device=self.place.device)[:, None] * N).flatten()[here]
        return self.common.repeat(B, 1).index_copy(0, row, self.own.flatten(0, 1)[here]).view(B, N, -1)


class Context(NamedTuple):
    """What queries need of the positions they read."""

    sums: Tensor
    """Performer: (B, H, r, h) sums of feature and value over the positions; exact: keys (B, H, N, h)."""
    total: Tensor
    """Performer: (B, H, r) sums of the features; exact: values (B, H, N, h)."""


class Attention(nn.Module):
    """Softmax attention, quadratic in the positions; its subclass is linear in them.

    Parameters
    ----------
    width
        d of the positions.
    n_heads
        H.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width, bias=False)
        self.key, self.value = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)

    def summarize(self, x_BNd: Tensor) -> Context:
        """Read dense positions."""
        return Context(self.heads(self.key(x_BNd)), self.heads(self.value(x_BNd)))

    def summarize_common(self, x: Positions) -> Context:
        """Read positions that are mostly common to the cells."""
        return self.summarize(x.dense())

    def forward(self, x_BAd: Tensor, context: Context) -> Tensor:
        """What queries (B, A, d) get from the positions; returns (B, A, d)."""
        return self.out(self.look_up(self.heads(self.query(x_BAd)), context).transpose(-2, -3).flatten(-2))

    def look_up(self, q_BHAh: Tensor, context: Context) -> Tensor:
        """Weighted means of the values."""
        return F.scaled_dot_product_attention(q_BHAh, context.sums, context.total)

    def heads(self, x_Nd: Tensor) -> Tensor:
        """(..., N, d) to (..., H, N, h)."""
        return x_Nd.unflatten(-1, (self.n_heads, -1)).transpose(-2, -3)


class PerformerAttention(Attention):
    """Attention through positive orthogonal random features (FAVOR+, Choromanski et al. 2021).

    exp(q·k) = E φ(q)·φ(k) with φ(x) = exp(ω x - |x|²/2), so sums over the positions can be taken before the queries are
    known. Those of common positions are taken once for all cells, and each cell replaces what differs: the result is
    that of dense positions, at the cost of N + B C instead of B N. The r = h ln h features are drawn once: the trained
    maps adapt to them, and a saved model computes what was trained.
    """

    features: Tensor

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__(width, n_heads)
        self.register_buffer("features", orthogonal_features(width // n_heads))

    def summarize(self, x_BNd: Tensor) -> Context:
        """Read dense positions."""
        log, v = self._log_features(self.key(x_BNd)), self.heads(self.value(x_BNd))
        k = features_of(log, log.amax((-1, -2), keepdim=True))
        return Context(k.transpose(-1, -2) @ v, k.sum(-2))

    def summarize_common(self, x: Positions) -> Context:
        """Read positions that are mostly common to the cells."""
        common, own = self._log_features(self.key(x.common)), self._log_features(self.key(x.own))
        # The constant of a cell is that of its dense positions: neither padding nor the other cells of a batch matter.
        highest = x._replace(common=common.detach().amax(-1).T, own=own.detach().amax(-1).transpose(1, 2))
        largest = highest.dense().amax(1)[..., None, None]
        shared = common.detach().amax((-1, -2), keepdim=True)
        k_common, scale, real = (common - shared).exp(), (shared - largest).exp(), x.real[:, None, :, None]
        k_own = (own - largest).masked_fill(~real, -torch.inf).exp()
        k = torch.cat([k_own, k_common[:, x.place].transpose(0, 1) * (-scale * real)], -2)
        v_common, v_own = self.heads(self.value(x.common)), self.heads(self.value(x.own))
        v_replaced = v_common[:, x.place].transpose(0, 1)
        v = torch.cat([v_own, v_replaced], -2)
        sums = scale * (k_common.transpose(-1, -2) @ v_common) + k.transpose(-1, -2) @ v
        # What `features_of` adds to each feature.
        values = v_common.sum(-2, keepdim=True) + ((v_own - v_replaced) * real).sum(-2, keepdim=True)
        total = scale[..., 0] * k_common.sum(-2) + k.sum(-2) + EPSILON * len(x.common)
        return Context(sums + EPSILON * values, total)

    def look_up(self, q_BHAh: Tensor, context: Context) -> Tensor:
        """Weighted means of the values."""
        log = self._project(q_BHAh)
        q = features_of(log, log.amax(-1, keepdim=True))
        return q @ context.sums / (q @ context.total[..., None])

    def _log_features(self, x_Nd: Tensor) -> Tensor:
        return self._project(self.heads(x_Nd))

    def _project(self, x_HNh: Tensor) -> Tensor:
        x = x_HNh * x_HNh.shape[-1] ** -0.25
        return x @ self.features.T - x.square().sum(-1, keepdim=True) / 2


def features_of(log: Tensor, largest: Tensor) -> Tensor:
    """Random features from their logarithms; a constant, which cancels in the end, keeps them finite."""
    return (log - largest.detach()).exp() + EPSILON


def n_features(width: int) -> int:
    """Random features r of a head of width h: h ln h."""
    return max(int(width * math.log(width)), 1)


def orthogonal_features(width: int) -> Tensor:
    """Directions (r, h) of the random features: orthogonal in blocks, as long as Gaussian vectors."""
    count = n_features(width)
    blocks = [nn.init.orthogonal_(torch.empty(width, width)) for _ in range(-(-count // width))]
    return torch.cat(blocks)[:count] * torch.randn(count, width).norm(dim=1, keepdim=True)


class DecoderLayer(nn.Module):
    """Pre-norm attention and feed-forward layer (GELU).

    Parameters
    ----------
    width, n_heads
        See `Attention`.
    hidden
        Width of the feed-forward layer.
    exact
        Whether the attention is quadratic.
    """

    def __init__(self, width: int, n_heads: int, hidden: int, *, exact: bool) -> None:
        super().__init__()
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = (Attention if exact else PerformerAttention)(width, n_heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def read(self, x: Tensor | Positions) -> Context:
        """What queries need of the positions."""
        if isinstance(x, Positions):
            return self.attention.summarize_common(x.map(self.norm_attention))
        return self.attention.summarize(self.norm_attention(x))

    def forward(self, x_BAd: Tensor, context: Context) -> Tensor:
        """States (B, A, d) of positions to states, after reading the others."""
        x_BAd = x_BAd + self.attention(self.norm_attention(x_BAd), context)
        return x_BAd + self.feed_forward(self.norm_forward(x_BAd))
