"""Losses that keep the experts of a router in use (Shazeer et al. 2017; z-loss: Zoph et al. 2022)."""

import torch
from torch import Tensor

from scmoe.nn._router import Routing


def squared_cv(x_E: Tensor) -> Tensor:
    """Squared coefficient of variation Var(x) / mean(x)², unbiased variance; 0 for a single expert."""
    if len(x_E) == 1:
        return x_E.new_zeros(())
    return x_E.var() / (x_E.mean().square() + 1e-10)


def importance(routing: Routing) -> Tensor:
    """Sum of the weights that each expert got, (E,)."""
    return routing.gates().sum(0)


def load(routing: Routing) -> Tensor:
    """How many tokens each expert got, (E,).

    In training: the differentiable expectation Σ_t Φ((c_te - τ_te) / σ_te), with τ_te the (k+1)-th largest noisy logit
    if e is chosen and the k-th largest if not. In evaluation, or when every expert is chosen: the count.
    """
    n_experts, top_k = routing.logits.shape[1], routing.expert.shape[1]
    if routing.sigma is None or top_k == n_experts:
        return (routing.gates() > 0).sum(0).to(routing.logits.dtype)
    top = routing.noisy.topk(top_k + 1, dim=-1).values
    inside, outside = top[:, top_k - 1, None], top[:, top_k, None]
    threshold = torch.where(routing.noisy > outside, outside, inside)
    return torch.special.ndtr((routing.logits - threshold) / routing.sigma).sum(0)


def balance_loss(routing: Routing) -> Tensor:
    """CV²(importance) + CV²(load); 0 without tokens."""
    if not len(routing.logits):
        return routing.logits.sum()
    return squared_cv(importance(routing)) + squared_cv(load(routing))


def z_loss(routing: Routing) -> Tensor:
    """Mean squared log-sum-exp of the clean logits: keeps them small; 0 without tokens."""
    return routing.logits.logsumexp(-1).square().sum() / max(len(routing.logits), 1)


def balance_by_modality(routing: Routing, modality_T: Tensor, n_modalities: int) -> Tensor:
    """Sum of the balance losses of each modality's own tokens, as the published code demands it."""
    parts = []
    for modality in range(n_modalities):
        mask = modality_T == modality
        own = (None if x is None else x[mask] for x in routing)
        parts.append(balance_loss(Routing(*own)))  # type: ignore[arg-type]
    return torch.stack(parts).sum()
