"""The whole network: standardize, tokenize, attend and mix, pool, decode."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.data._presence import Presence
from scmoe.data._transform import CLIP
from scmoe.nn._block import Block, Tokens
from scmoe.nn._config import NetworkConfig
from scmoe.nn._decoder import Decoder
from scmoe.nn._modules import Modules
from scmoe.nn._router import Routing
from scmoe.nn._tokenizer import PatchTokenizer, ProgramTokenizer, modality_frames

GRAPH_WIDTH = 16
"""Width of the map in which cells are compared with their neighbor graph."""


class Encoded(NamedTuple):
    """What the encoder says about a batch of cells."""

    states: Tensor
    """(B, V, d): state of each modality; zeros where absent."""
    joint: Tensor
    """(B, d): mean of the states of the modalities that the cell has."""
    routing: tuple[Routing, ...]
    """Routing of each block, over the tokens that exist."""
    tokens: Tokens
    """Where these tokens are."""
    attention: tuple[Tensor, ...]
    """(B, H, N, N) of each block, when asked for; else empty."""


class Standardizer(nn.Module):
    """z = clip((x - mean) / std), with the training cells' statistics; a missing entry becomes 0, the mean.

    Parameters
    ----------
    n_features
        D.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))

    def forward(self, x_BD: Tensor, observed: Tensor | None) -> Tensor:
        """Values (B, D) and which of them are observed to standardized values."""
        z = ((x_BD - self.mean) / self.std).clamp(-CLIP, CLIP)
        return z if observed is None else torch.where(observed, z, 0)

    def inverse(self, z_BD: Tensor) -> Tensor:
        """Standardized values back to the units of the data."""
        return z_BD * self.std + self.mean


class Network(nn.Module):
    """The scMoE network over V modalities.

    Parameters
    ----------
    n_features
        Features of each modality.
    likelihoods
        Likelihood of each modality.
    n_batches
        Batches (1 when there is no batch covariate).
    n_labels
        Label classes; 0: no label head.
    config
        See `NetworkConfig`.
    """

    def __init__(
        self,
        n_features: Sequence[int],
        likelihoods: Sequence[str],
        n_batches: int,
        n_labels: int,
        config: NetworkConfig,
    ) -> None:
        super().__init__()
        self.config = config
        self.n_modalities, self.n_batches = len(n_features), n_batches
        d = config.n_hidden
        programs = [min(config.n_programs, D) if config.tokenizer == "program" else None for D in n_features]
        self.standardizers = Modules[Standardizer]([Standardizer(D) for D in n_features])
        self.tokenizers = Modules[PatchTokenizer | ProgramTokenizer](
            [
                PatchTokenizer(D, config.n_tokens, d)
                if K is None
                else ProgramTokenizer(D, K, config.n_tokens, frame, train_programs=config.train_programs)
                for D, K, frame in zip(n_features, programs, modality_frames(self.n_modalities, d), strict=True)
            ]
        )
        self.blocks = Modules[Block]([Block(self.n_modalities, config) for _ in range(config.n_layers)])
        self.decoders = Modules[Decoder](
            [
                Decoder(
                    likelihood,
                    n_features=D,
                    n_hidden=d,
                    width=config.decoder_hidden,
                    n_batches=n_batches,
                    n_programs=K,
                    dropout=config.decoder_dropout,
                )
                for likelihood, D, K in zip(likelihoods, n_features, programs, strict=True)
            ]
        )
        self.graph_head = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, GRAPH_WIDTH))
        if n_labels:
            self.label_head = nn.Sequential(nn.LayerNorm(d), nn.Dropout(config.decoder_dropout), nn.Linear(d, n_labels))
        if config.n_clusters is not None:
            self.cluster_head = nn.Linear(d, config.n_clusters, bias=False)
            self.cluster_projection = nn.Linear(d * self.n_modalities, d, bias=False)

    def standardize(self, values: Sequence[Tensor], observed: Sequence[Tensor | None]) -> list[Tensor]:
        """Standardized features (n_v, D) of each modality, from its values and which of them are observed."""
        return [s(x, o) for s, x, o in zip(self.standardizers, values, observed, strict=True)]

    def encode(
        self, z: Sequence[Tensor], presence: Presence, group: Tensor | None = None, *, return_attention: bool = False
    ) -> Encoded:
        """Encode a batch.

        Parameters
        ----------
        z
            Standardized features (n_v, D) of each modality, of the cells that have it.
        presence
            Which cells these are. The other cells get no token: it is not computed, not routed, and nobody attends to it.
        group
            (B, V) integers: modalities of a cell attend to each other only within a group; None: all do.
        return_attention
            Whether to compute the attention weights as well.

        Returns
        -------
        Encoded
        """
        B, V, P = len(presence.mask), self.n_modalities, self.config.n_tokens
        embedded = [
            presence.scatter(tokenizer(self._hide_features(x)), v)
            for v, (tokenizer, x) in enumerate(zip(self.tokenizers, z, strict=True))
        ]
        h = torch.cat(embedded, dim=1)
        tokens = locate_tokens(presence, group, P)
        routing, attention = [], []
        for block in self.blocks:
            if return_attention:
                attention.append(block.attention_weights(h, tokens))
            h, chosen = block(h, tokens)
            routing.append(chosen)
        states = h.view(B, V, P, -1).mean(2) * presence.mask[..., None]
        joint = states.sum(1) / presence.mask.sum(1, keepdim=True).clamp(min=1)
        return Encoded(states, joint, tuple(routing), tokens, tuple(attention))

    def _hide_features(self, z: Tensor) -> Tensor:
        p = self.config.feature_dropout if self.training else 0.0
        if z.is_cuda or not p:
            return F.dropout(z, p, self.training)
        return z * keep_mask(z.shape, p).to(z.dtype).div_(1 - p)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.standardizers[0].mean.device

    def batch_weights(self, batch: Tensor) -> Tensor:
        """One-hot (B, n_batches) of batch codes (B); a code of -1 (unseen batch) becomes the mean of all batches."""
        known = F.one_hot(batch.clamp(min=0), self.n_batches).to(self.standardizers[0].mean.dtype)
        return torch.where(batch[:, None] >= 0, known, 1 / self.n_batches)

    def cluster_logits(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Logits (B, C) and kernel input u (B, d) of the clustering head."""
        return self.cluster_head(encoded.joint), self.cluster_projection(encoded.states.flatten(1))


def keep_mask(shape: torch.Size, p: float) -> Tensor:
    """Boolean mask that is false with probability `p` (to one part in 65536).

    One 64-bit random number decides four entries: on a CPU, a Bernoulli draw for each would be a fifth of a training step.
    """
    n = shape.numel()
    drawn = torch.randint(-(2**63), 2**63 - 1, (-(-n // 4),)).view(torch.int16)[:n]
    return (drawn >= round(p * 2**16) - 2**15).view(shape)


def locate_tokens(presence: Presence, group: Tensor | None, n_tokens: int) -> Tokens:
    """Find the tokens that exist, their modality, and who may attend to whom."""
    (B, V), device = presence.mask.shape, presence.mask.device
    pairs, row = presence.pairs, None
    if pairs is None:
        modality = torch.arange(V, device=device).repeat(B)
    else:
        modality = pairs % V
        row = (pairs[:, None] * n_tokens + torch.arange(n_tokens, device=device)).flatten()
    modality = modality.repeat_interleave(n_tokens, output_size=len(modality) * n_tokens)
    if pairs is None and group is None:
        return Tokens(row, modality, None)
    pair = presence.mask[:, None, :].expand(B, V, V)
    if group is not None:
        pair = pair & (group[:, :, None] == group[:, None, :])
    N = V * n_tokens
    allowed = pair[:, :, None, :, None].expand(B, V, n_tokens, V, n_tokens).reshape(B, 1, N, N)
    return Tokens(row, modality, allowed)
