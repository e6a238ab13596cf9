"""One transformer block: attention, then the sparse mixture of experts."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from scmoe.nn._attention import SelfAttention
from scmoe.nn._config import NetworkConfig
from scmoe.nn._experts import SparseMoE
from scmoe.nn._router import Routing


class Tokens(NamedTuple):
    """Where the tokens of a batch are, the same for all blocks."""

    row: Tensor | None
    """(T,): rows of the flattened (B·N) tokens that exist; None: all do."""
    modality: Tensor
    """(T,): modality of each of them."""
    allowed: Tensor | None
    """(B, 1, N, N): which key a query may attend to; None: all."""


class Block(nn.Module):
    """Attention and experts, joined by one of three residual forms.

    - ``prenorm``: h' = h + A(LN h); y = h' + M(LN h')
    - ``paper`` (Algorithm 1): h' = LN h + A(LN h); y = LN h' + M(LN h')
    - ``reference`` (published code): a = A(LN h), h' = a + dropout(a); y = h' + M(LN h')

    A is attention and M the sparse mixture of experts, each followed by dropout. With ``prenorm`` both start at zero,
    so that an untrained network is the identity on the tokens.

    Parameters
    ----------
    n_modalities
        Number of modalities.
    config
        See `NetworkConfig`.
    """

    def __init__(self, n_modalities: int, config: NetworkConfig) -> None:
        super().__init__()
        self.residual = config.residual
        self.norm_attention = nn.LayerNorm(config.n_hidden)
        self.attention = SelfAttention(config.n_hidden, config.n_heads)
        self.norm_experts = nn.LayerNorm(config.n_hidden)
        self.moe = SparseMoE(n_modalities, config)
        self.dropout = nn.Dropout(config.dropout)
        self.reads_cell = config.router_input == "cell"
        if config.residual == "prenorm":
            for parameter in (self.attention.out.weight, self.attention.out.bias, self.moe.experts.w2):
                nn.init.zeros_(parameter)

    def forward(self, h_BNd: Tensor, tokens: Tokens) -> tuple[Tensor, Routing]:
        """Tokens (B, N, d) to tokens (B, N, d), and how they were routed."""
        normed = self.norm_attention(h_BNd)
        attended = self.attention(normed, tokens.allowed)
        skip = {"prenorm": h_BNd, "paper": normed, "reference": attended}[self.residual]
        h_BNd = skip + self.dropout(attended)
        normed = self.norm_experts(h_BNd)
        mixed, routing = self._mix(normed, tokens)
        skip = normed if self.residual == "paper" else h_BNd
        return skip + self.dropout(mixed), routing

    def attention_weights(self, h_BNd: Tensor, tokens: Tokens) -> Tensor:
        """Attention (B, H, N, N) that `forward` uses on the same tokens."""
        return self.attention.weights(self.norm_attention(h_BNd), tokens.allowed)

    def _mix(self, x_BNd: Tensor, tokens: Tokens) -> tuple[Tensor, Routing]:
        flat = x_BNd.flatten(0, 1)
        context = mean_in_reach(x_BNd, tokens.allowed).flatten(0, 1) if self.reads_cell else None
        if tokens.row is None:
            mixed, routing = self.moe(flat, tokens.modality, context)
            return mixed.view_as(x_BNd), routing
        context = None if context is None else context[tokens.row]
        mixed, routing = self.moe(flat[tokens.row], tokens.modality, context)
        full = torch.zeros_like(flat, dtype=mixed.dtype).index_copy(0, tokens.row, mixed)
        return full.view_as(x_BNd), routing


def mean_in_reach(x_BNd: Tensor, allowed: Tensor | None) -> Tensor:
    """Of each token (B, N, d) the mean of those that it may attend to: a target that is hidden from it stays hidden."""
    if allowed is None:
        return x_BNd.mean(1, keepdim=True).expand_as(x_BNd)
    share = allowed.squeeze(1).to(x_BNd.dtype)
    return share @ x_BNd / share.sum(-1, keepdim=True).clamp(min=1)
