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
    u_Bd = u_Bd.float()  # squared distances need more digits than mixed precision has
    pair = mask_B[:, None] & mask_B[None] & ~torch.eye(len(u_Bd), dtype=torch.bool, device=u_Bd.device)
    p = similarity_BB * pair
    total = p.sum(1, keepdim=True)
    # The difference form, not cdist: its gradient is finite for equal points.
    log_q = -torch.log1p((u_Bd[:, None] - u_Bd[None]).square().sum(-1))
    log_q = log_q.masked_fill(~pair, -1e9).log_softmax(1)
    has_neighbor = total[:, 0] > 0
    entropy = -(p / total.clamp(min=1e-12) * log_q).sum(1)
    return (entropy * has_neighbor).sum() / has_neighbor.sum().clamp(min=1)
