"""The two kinds of layers that the published gene models are made of.

B cells, m tokens, d the width, H heads of width h, r random features.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.nn.genes._performer import EPSILON, n_features


class PostNormLayer(nn.Module):
    """Softmax attention and a feed-forward layer (ReLU), each followed by a normalization (Vaswani et al. 2017).

    Attention is torch's own, fused where the hardware can.

    Parameters
    ----------
    width, n_heads
        d and H.
    hidden
        Width of the feed-forward layer.
    dropout
        Of what is added to the states.
    eps
        Of the normalizations.
    """

    def __init__(self, width: int, n_heads: int, hidden: int, dropout: float = 0.0, eps: float = 1e-5) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm_attention, self.norm_forward = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_Bmd: Tensor, seen_Bm: Tensor) -> Tensor:
        """States (B, m, d) to states; tokens that are not `seen` are not attended to.

        A cell without any attends to its padding, so that nothing is divided by zero.
        """
        mask = seen_Bm | ~seen_Bm.any(1, keepdim=True)
        q, k, v = self.qkv(x_Bmd).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        x_Bmd = self.norm_attention(x_Bmd + self.dropout(self.out(mixed.transpose(1, 2).flatten(2))))
        return self.norm_forward(x_Bmd + self.dropout(self.down(F.relu(self.up(x_Bmd)))))


class PerformerLayer(nn.Module):
    """Attention through random features (Choromanski et al. 2021) and a feed-forward layer (GELU), norms before each.

    With features φ(x) = exp(ω x - |x|²/2 - c) + ε of scaled queries and keys, attention is φ(q) Σ φ(k) v / φ(q) Σ φ(k).
    The constant c is the largest ω x, of keys over positions, heads and features of a cell. So a cell has the states
    that the published code gives it alone, whichever cells are beside it.

    Parameters
    ----------
    width, n_heads, head_width
        d, H and h; H h may be wider than d.
    hidden
        Width of the feed-forward layer.
    dropout
        Of what is added to the states.
    """

    features: Tensor

    def __init__(self, width: int, n_heads: int, head_width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.n_heads, inner = n_heads, n_heads * head_width
        self.query, self.key = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.value, self.out = nn.Linear(width, inner, bias=False), nn.Linear(inner, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("features", torch.randn(n_features(head_width), head_width))

    def forward(self, x_Bmd: Tensor) -> Tensor:
        """States (B, m, d) of all positions to states."""
        x_Bmd = x_Bmd + self.dropout(self.attend(self.norm_attention(x_Bmd)))
        return x_Bmd + self.dropout(self.down(F.gelu(self.up(self.norm_forward(x_Bmd)))))

    def attend(self, x_Bmd: Tensor) -> Tensor:
        """What each position gets from all of them."""
        q, k, v = (self.heads(layer(x_Bmd)) for layer in (self.query, self.key, self.value))
        q, k = self.kernel(q, (-1,)), self.kernel(k, (-1, -2, -3))
        mixed = q @ (k.transpose(-1, -2) @ v) / (q @ k.sum(-2, keepdim=True).transpose(-1, -2))
        return self.out(mixed.transpose(1, 2).flatten(2))

    def heads(self, x: Tensor) -> Tensor:
        """(B, m, H h) to (B, H, m, h)."""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)

    def kernel(self, x_BHmh: Tensor, over: tuple[int, ...]) -> Tensor:
        """Random features (B, H, m, r), kept finite by their largest exponent over some dimensions."""
        x_BHmh = x_BHmh * x_BHmh.shape[-1] ** -0.25
        exponent = x_BHmh @ self.features.T
        largest = exponent.detach().amax(over, keepdim=True)
        return (exponent - x_BHmh.square().sum(-1, keepdim=True) / 2 - largest).exp() + EPSILON
