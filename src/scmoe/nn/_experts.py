"""Experts, and the sparse feed-forward layer made of them."""

import math

import torch
from torch import Tensor, nn

from scmoe.nn._config import NetworkConfig
from scmoe.nn._dispatch import dispatch
from scmoe.nn._mixture import Mixture, Weights
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
        """Weighted sum of the chosen experts' outputs, (T, d); only the chosen experts compute."""
        weights = Weights(self.w1, self.b1, self.w2, self.b2)
        kind = x_Td.device.type
        if torch.is_autocast_enabled(kind):  # autocast does not reach into our own operation
            dtype = torch.get_autocast_dtype(kind)
            x_Td, weights = x_Td.to(dtype), Weights(*(weight.to(dtype) for weight in weights))
        gate = routing.weight.to(x_Td.dtype)
        return Mixture.apply(x_Td.contiguous(), gate, dispatch(routing.expert, len(self.w1)), *weights)


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

    def forward(self, x_Td: Tensor, modality_T: Tensor, context_Td: Tensor | None = None) -> tuple[Tensor, Routing]:
        """Tokens (T, d) of all modalities, and what the router reads beside them; returns (T, d) and the routing."""
        routing = self.router(x_Td if context_Td is None else torch.cat([x_Td, context_Td], 1), modality_T)
        return self.experts(x_Td, routing), routing
