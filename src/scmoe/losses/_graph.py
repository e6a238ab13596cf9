"""Keeping the neighbors of a graph."""

import torch
from torch import Tensor


def graph_loss(u_Bd: Tensor, similarity_BB: Tensor, mask_B: Tensor) -> Tensor:
    """Cross-entropy of the neighbors in the map u against those of the graph.

    -Σ_i Σ_j p_ij log q_ij / n, with q_ij ∝ 1 / (1 + ‖u_i - u_j‖²) over j ≠ i, p the rows of the graph scaled to sum to
    one, and n the number of cells that have a neighbor in the batch (as t-SNE does it, with a graph in place of
    perplexities).

    Parameters
    ----------
    u_Bd
        Points (B, d).
    similarity_BB
        Graph of the batch (B, B), non-negative, zero diagonal.
    mask_B
        Which cells take part.

    Returns
    -------
    Tensor
        Scalar; 0 if no cell has a neighbor.
    """
    u_Bd = u_Bd.to(torch.promote_types(u_Bd.dtype, torch.float32))
    if not u_Bd.is_cuda:  # a GPU's host would wait for the number of cells; half of them take part
        rows = mask_B.nonzero()[:, 0]
        u_Bd, similarity_BB, mask_B = u_Bd[rows], similarity_BB[rows][:, rows], mask_B[rows]
    # Squared distances need more digits than mixed precision has, and near the origin they lose the fewest.
    with torch.autocast(u_Bd.device.type, enabled=False):
        distance = squared_distances(u_Bd - u_Bd.mean(0))
    pair = (mask_B[:, None] & mask_B).to(distance.dtype).fill_diagonal_(0)
    p = similarity_BB * pair
    total = p.sum(1)
    # -Σ_j p_ij log q_ij, with the sums over j taken apart: no matrix of log q is made.
    attraction = (p * distance.log1p()).sum(1) / total.clamp(min=1e-12)
    repulsion = (pair / (1 + distance)).sum(1).clamp(min=1e-30).log()
    has_neighbor = total > 0
    return torch.where(has_neighbor, attraction + repulsion, 0).sum() / has_neighbor.sum().clamp(min=1)


def squared_distances(u_Bd: Tensor) -> Tensor:
    """‖u_i - u_j‖² (B, B) from the Gram matrix; of these, no root is taken, so equal points have finite gradients."""
    norm = u_Bd.square().sum(1)
    return torch.addmm(norm[:, None] + norm, u_Bd, u_Bd.T, alpha=-2).clamp(min=0)
