"""The noisy top-k router."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.nn._config import NetworkConfig


class Routing(NamedTuple):
    """Which experts the tokens use, and with which weight."""

    weight: Tensor
    """(T, k): weight of each chosen expert."""
    expert: Tensor
    """(T, k): index of each chosen expert, the strongest first."""
    logits: Tensor
    """(T, E): clean logits c."""
    noisy: Tensor
    """(T, E): the logits q that the choice was made on; equal to `logits` in evaluation."""
    sigma: Tensor | None
    """(T, E): standard deviation of the noise; None in evaluation."""

    def gates(self) -> Tensor:
        """Weights as a dense (T, E) matrix, zero off the chosen experts."""
        return torch.zeros_like(self.logits).scatter(1, self.expert, self.weight.to(self.logits.dtype))


def route(noisy: Tensor, top_k: int, gate: str) -> tuple[Tensor, Tensor]:
    """Choose the `top_k` largest logits of (T, E) and weigh them; returns weights and experts, both (T, k)."""
    top, expert = noisy.topk(top_k, dim=-1)
    if gate == "softmax_after_topk":
        return top.softmax(-1), expert
    return noisy.softmax(-1).gather(1, expert), expert


class TopKRouter(nn.Module):
    """Noisy top-k gating (Shazeer et al. 2017).

    q = t W_g + ε σ, σ = softplus(t W_n) + 0.01, ε ~ N(0, 1) in training and 0 in evaluation; the k largest q are kept.

    Parameters
    ----------
    n_modalities
        Routers: 1 when they are shared.
    config
        Width, number of experts, k, gate, and what is read.
    """

    def __init__(self, n_modalities: int, config: NetworkConfig) -> None:
        super().__init__()
        self.n_experts, self.top_k, self.gate = config.n_experts, config.top_k, config.gate
        self.n_routers = n_modalities if config.router == "per_modality" else 1
        width = config.n_hidden * (2 if config.router_input == "cell" else 1)
        bound = width**-0.5  # Kaiming-uniform with a = √5
        shape = (width, self.n_routers, config.n_experts)
        self.clean = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.noise = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    def _logits(self, x_Td: Tensor, weight: Tensor, modality_T: Tensor) -> Tensor:
        y_TRE = (x_Td @ weight.flatten(1)).unflatten(1, (self.n_routers, self.n_experts))
        if self.n_routers == 1:
            return y_TRE[:, 0]
        return y_TRE.gather(1, modality_T[:, None, None].expand(-1, 1, self.n_experts))[:, 0]

    def forward(self, x_Td: Tensor, modality_T: Tensor) -> Routing:
        """Route the tokens x (T, d), or what routers read (T, 2d), of the modalities (T).

        The logits are computed in float32 whatever the precision of the rest: rounding them would change the choice.
        """
        with torch.autocast(x_Td.device.type, enabled=False):
            x_Td = x_Td.to(self.clean.dtype)
            logits = self._logits(x_Td, self.clean, modality_T)
            sigma = None
            noisy = logits
            if self.training:
                sigma = F.softplus(self._logits(x_Td, self.noise, modality_T)) + 0.01
                noisy = logits + torch.randn_like(logits) * sigma
            return Routing(*route(noisy, self.top_k, self.gate), logits, noisy, sigma)
