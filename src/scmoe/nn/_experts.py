"""Experts, and the dispatch of tokens to them."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.nn._config import NetworkConfig
from scmoe.nn._router import Routing, TopKRouter


class Experts(nn.Module):
    """E two-layer perceptrons: f_e(t) = W2_e gelu(W1_e t + b1_e) + b2_e.

    Parameters
    ----------
    config
        Width, number of experts and their hidden width.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        E, d, hidden = config.n_experts, config.n_hidden, config.expert_hidden
        # The bound of nn.Linear for each expert; torch's initializers would take E for a part of the fan-in.
        self.w1 = nn.Parameter(torch.empty(E, hidden, d).uniform_(-1, 1) / math.sqrt(d))
        self.b1 = nn.Parameter(torch.zeros(E, hidden))
        self.w2 = nn.Parameter(torch.empty(E, d, hidden).uniform_(-1, 1) / math.sqrt(hidden))
        self.b2 = nn.Parameter(torch.zeros(E, d))

    def forward(self, x_Td: Tensor, routing: Routing) -> Tensor:
        """Weighted sum of the chosen experts' outputs, (T, d).

        The slots (token, choice) are sorted by expert, so that each expert sees one contiguous block of rows and only
        the chosen experts compute.
        """
        n_experts, top_k = len(self.w1), routing.expert.shape[1]
        order = routing.expert.flatten().argsort(stable=True)
        token = order // top_k
        counts = torch.bincount(routing.expert.flatten(), minlength=n_experts).tolist()
        blocks = x_Td[token].split(counts)
        y = torch.cat([self._expert(e, block) for e, block in enumerate(blocks)])
        weight = routing.weight.flatten()[order, None].to(y.dtype)
        return torch.zeros_like(x_Td, dtype=y.dtype).index_add(0, token, weight * y)

    def _expert(self, e: int, x: Tensor) -> Tensor:
        return F.linear(F.gelu(F.linear(x, self.w1[e], self.b1[e])), self.w2[e], self.b2[e])


class SparseMoE(nn.Module):
    """The sparse feed-forward layer: (1) route every token, (2) run the chosen experts, (3) sum by weight.

    No capacity limit: no token is ever dropped.

    Parameters
    ----------
    n_modalities
        Number of modalities (for a router per modality).
    config
        See `NetworkConfig`.
    """

    def __init__(self, n_modalities: int, config: NetworkConfig) -> None:
        super().__init__()
        self.router = TopKRouter(n_modalities, config)
        self.experts = Experts(config)

    def forward(self, x_Td: Tensor, modality_T: Tensor) -> tuple[Tensor, Routing]:
        """Tokens (T, d) of all modalities in one call; returns (T, d) and the routing."""
        routing = self.router(x_Td, modality_T)
        return self.experts(x_Td, routing), routing
