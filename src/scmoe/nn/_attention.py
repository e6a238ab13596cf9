"""Multi-head self-attention over the tokens of a cell."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    """softmax(q kᵀ / √(d/H)) v over H heads, then a linear map.

    Parameters
    ----------
    n_hidden
        Width d.
    n_heads
        Heads H.
    """

    def __init__(self, n_hidden: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(n_hidden, 3 * n_hidden, bias=False)
        self.out = nn.Linear(n_hidden, n_hidden)

    def _split(self, x_BNd: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        B, N, d = x_BNd.shape
        q, k, v = self.qkv(x_BNd).view(B, N, 3, self.n_heads, d // self.n_heads).permute(2, 0, 3, 1, 4)
        return q, k, v

    def forward(self, x_BNd: Tensor, allowed: Tensor | None) -> Tensor:
        """Attend.

        Parameters
        ----------
        x_BNd
            Tokens (B, N, d).
        allowed
            Boolean, broadcastable to (B, 1, N, N): which key a query may look at; None: all. A query without any
            key gets zeros, hence the bias of the linear map.

        Returns
        -------
        Tensor (B, N, d).
        """
        q, k, v = self._split(x_BNd)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.out(y.transpose(1, 2).flatten(2))

    def weights(self, x_BNd: Tensor, allowed: Tensor | None) -> Tensor:
        """Attention weights (B, H, N, N) of the same computation; rows sum to one, or are zero without any key."""
        q, k, _ = self._split(x_BNd)
        score = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if allowed is not None:
            score = score.masked_fill(~allowed, float("-inf"))
        return torch.nan_to_num(score.softmax(-1))
