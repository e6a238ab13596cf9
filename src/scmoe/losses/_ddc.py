"""Deep divergence-based clustering (DDC; Kampffmeyer et al. 2019, in the form of SiMVC, Trosten et al. 2021)."""

from typing import NamedTuple

import torch
from torch import Tensor

KERNEL_WIDTH = 0.15
"""σ² of the kernel as a share of the median squared distance."""
FLOOR = 1e-9
ROUNDING = 16
"""Squared distances below this many roundings of the squares that they are differences of count as zero."""


class DDC(NamedTuple):
    """The three terms of the loss; their sum is minimized."""

    separation: Tensor
    """L1: Cauchy-Schwarz similarity of the clusters, small when they are apart and compact."""
    orthogonality: Tensor
    """L2: mean agreement of the assignments of two cells; guards against one cluster taking all."""
    simplex: Tensor
    """L3: as L1, with the closeness to the corners of the simplex as assignment."""


def gaussian_kernel(u_Bd: Tensor) -> Tensor:
    """K_ab = exp(-‖u_a - u_b‖² / 2σ²), σ² = 0.15 median over all B² pairs (lower median, with the zero diagonal)."""
    u_Bd = u_Bd - u_Bd.mean(0)  # the kernel does not see a shift, but the digits of the squares do
    norm = u_Bd.square().sum(1)
    sums = norm[:, None] + norm[None]
    squared = (sums - 2 * u_Bd @ u_Bd.T).clamp(min=0)
    # Between copies of a cell, what is left is rounding; where the median is zero, it would decide the kernel.
    squared = squared.where(squared > ROUNDING * torch.finfo(squared.dtype).eps * sums, torch.zeros_like(squared))
    sigma2 = (KERNEL_WIDTH * squared.detach().median()).clamp(min=FLOOR)
    return (-squared / (2 * sigma2)).exp()


def cauchy_schwarz(assignment_BC: Tensor, kernel_BB: Tensor) -> Tensor:
    """2 / (C (C-1)) Σ_{i<j} n_ij / √(n_ii n_jj), n = Mᵀ K M."""
    C = assignment_BC.shape[1]
    n = (assignment_BC.T @ kernel_BB @ assignment_BC).clamp(min=FLOOR)
    norm = (n.diagonal()[:, None] * n.diagonal()[None]).clamp(min=FLOOR**2).sqrt()
    return 2 / (C * (C - 1)) * (n / norm).triu(diagonal=1).sum()


def ddc(logits_BC: Tensor, u_Bd: Tensor) -> DDC:
    """The terms of the DDC loss.

    Parameters
    ----------
    logits_BC
        Cluster logits (B, C), C ≥ 2.
    u_Bd
        Input of the kernel (B, d).

    Returns
    -------
    DDC
        Scalars L1, L2 and L3 (UnitedNet and scMoE leave L2 out).
    """
    with torch.autocast(logits_BC.device.type, enabled=False):
        if logits_BC.dtype != torch.float64:
            logits_BC, u_Bd = logits_BC.float(), u_Bd.float()
        return _terms(logits_BC, u_Bd)


def _terms(logits_BC: Tensor, u_Bd: Tensor) -> DDC:
    B, C = logits_BC.shape
    assignment = logits_BC.softmax(1)
    kernel = gaussian_kernel(u_Bd)
    agreement = (assignment @ assignment.T).triu(diagonal=1).sum() * 2 / max(B * (B - 1), 1)
    corners = torch.eye(C, dtype=logits_BC.dtype, device=logits_BC.device)
    closeness = (-(assignment[:, None] - corners[None]).square().sum(-1)).exp()
    return DDC(cauchy_schwarz(assignment, kernel), agreement, cauchy_schwarz(closeness, kernel))
