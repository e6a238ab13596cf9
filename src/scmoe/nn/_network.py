"""The whole network: standardize, tokenize, attend and mix, pool, decode."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.data._presence import Presence
from scmoe.data.sparse._features import Features, SparseFeatures
from scmoe.data.sparse._rows import Values, dense
from scmoe.nn._block import Block, Tokens
from scmoe.nn._config import NetworkConfig
from scmoe.nn._decoder import Decoder
from scmoe.nn._modules import Modules
from scmoe.nn._noise import hide, keep_mask
from scmoe.nn._router import Routing
from scmoe.nn._standardizer import Standardizer
from scmoe.nn._tokenizer import PatchTokenizer, ProgramTokenizer, modality_frames
from scmoe.nn.genes._config import encoder_config
from scmoe.nn.genes._tokenizer import GeneTokenizer

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


class Network(nn.Module):
    """The scMoE network over V modalities.

    Parameters
    ----------
    n_features
        Features of each modality.
    likelihoods
        Likelihood of each modality.
    n_covariates
        J, covariates of a cell (1, the same for all cells, when there are none).
    config
        See `NetworkConfig`.
    rna
        Positions of the modalities that get a gene encoder with ``tokenizer="genes"``.
    n_labels
        Labels that the head for them tells apart, if `config` gives them a weight.
    """

    covariate_mean: Tensor
    covariate_std: Tensor
    has_label: Tensor

    def __init__(
        self,
        n_features: Sequence[int],
        likelihoods: Sequence[str],
        n_covariates: int,
        config: NetworkConfig,
        rna: Collection[int] = (),
        n_labels: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.n_modalities, self.n_covariates = len(n_features), n_covariates
        d = config.n_hidden
        n_components = [min(config.n_programs, D) if config.tokenizer != "patch" else None for D in n_features]
        self.standardizers = Modules[Standardizer](
            [Standardizer(D, K or 0) for D, K in zip(n_features, n_components, strict=True)]
        )
        self.tokenizers = Modules[PatchTokenizer | ProgramTokenizer](
            [
                make_tokenizer(D, K, n_covariates, frame, config, reads_genes=v in rna)
                for v, (D, K, frame) in enumerate(
                    zip(n_features, n_components, modality_frames(self.n_modalities, d), strict=True)
                )
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
                    n_covariates=n_covariates,
                    n_components=K,
                    dropout=config.decoder_dropout,
                )
                for likelihood, D, K in zip(likelihoods, n_features, n_components, strict=True)
            ]
        )
        self.register_buffer("covariate_mean", torch.zeros(n_covariates))
        self.register_buffer("covariate_std", torch.ones(n_covariates))
        self.graph_head = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, GRAPH_WIDTH))
        if config.n_clusters is not None:
            self.cluster_head = nn.Linear(d, config.n_clusters, bias=False)
            self.cluster_projection = nn.Linear(d * self.n_modalities, d, bias=False)
        if config.label_weight:
            self.label_head = nn.Sequential(nn.LayerNorm(d), nn.Dropout(config.decoder_dropout), nn.Linear(d, n_labels))
            self.register_buffer("has_label", torch.ones(n_labels, dtype=torch.bool))

    @property
    def sparse_inputs(self) -> list[int]:
        """Modalities of whose features nothing but products with matrices is asked for in training."""
        return [
            v
            for v, (tokenizer, decoder) in enumerate(zip(self.tokenizers, self.decoders, strict=True))
            if type(tokenizer) is ProgramTokenizer and decoder.has_components and decoder.likelihood.is_squared_error
        ]

    @overload
    def standardize(self, values: Sequence[Tensor], observed: Sequence[Tensor | None]) -> list[Tensor]: ...
    @overload
    def standardize(self, values: Sequence[Values], observed: Sequence[Tensor | None]) -> list[Features]: ...
    def standardize(self, values: Sequence[Any], observed: Sequence[Tensor | None]) -> list[Any]:
        """Standardized features (n_v, D) of each modality, from its values and which of them are observed."""
        return [s(x, o) for s, x, o in zip(self.standardizers, values, observed, strict=True)]

    def encode(
        self,
        z: Sequence[Features],
        presence: Presence,
        covariates: Tensor,
        group: Tensor | None = None,
        *,
        values: Sequence[Values] | None = None,
        n_fixed: Sequence[int] | None = None,
        return_attention: bool = False,
    ) -> Encoded:
        """Encode a batch.

        Parameters
        ----------
        z
            Standardized features (n_v, D) of each modality, of the cells that have it.
        presence
            Which cells these are. The other cells get no token: it is not computed, not routed, and nobody attends to
            it.
        covariates
            (B, J), scaled by `scale_covariates`; what they add to the component scores is taken away.
        group
            (B, V) integers: modalities of a cell attend to each other only within a group; None: all do.
        values
            Of each modality, what `z` was made of; needed where there is a gene encoder.
        n_fixed
            Of each modality, how many leading components are read, with the loadings that the training started from;
            None: all of them, with the loadings that it ended with.
        return_attention
            Whether to compute the attention weights as well.

        Returns
        -------
        Encoded
        """
        B, V, P = len(presence.mask), self.n_modalities, self.config.n_tokens
        fixed = [None] * V if n_fixed is None else n_fixed
        embedded = [
            presence.scatter(
                tokenizer(self._hide_features(x), self._offset(tokenizer, x, covariates, presence, v), fixed[v]), v
            )
            for v, (tokenizer, x) in enumerate(zip(self.tokenizers, z, strict=True))
        ]
        for v, tokenizer in enumerate(self.tokenizers):
            if isinstance(tokenizer, GeneTokenizer):
                if values is None:
                    raise ValueError("A gene encoder reads values: pass values=, those that z was made of.")
                embedded[v] = embedded[v] + presence.scatter(
                    self._from_genes(tokenizer, dense(z[v]), dense(values[v]), v), v
                )
        h = torch.cat(embedded, dim=1)
        tokens = locate_tokens(presence, group, P)
        routing, attention = [], []
        for block in self.blocks:
            if return_attention:
                attention.append(block.attention_weights(h, tokens))
            h, block_routing = block(h, tokens)
            routing.append(block_routing)
        states = h.view(B, V, P, -1).mean(2) * presence.mask[..., None]
        joint = states.sum(1) / presence.mask.sum(1, keepdim=True).clamp(min=1)
        return Encoded(states, joint, tuple(routing), tokens, tuple(attention))

    def _from_genes(self, tokenizer: GeneTokenizer, z: Tensor, values: Tensor, v: int) -> Tensor:
        """What the expressed genes add to the tokens (n_v, P, d) of modality `v`."""
        standardizer, expressed = self.standardizers[v], values > 0
        # The values themselves, for z has no exact zeros and is clipped; and what was changed in z since, with its
        # gradient.
        x = values + standardizer.std * (z - standardizer(values, None))
        p = self.config.feature_dropout if self.training else 0.0
        return tokenizer.from_genes(x, expressed & (torch.rand_like(x) >= p) if p else expressed)

    def _hide_features(self, z: Features) -> Features:
        p = self.config.feature_dropout if self.training else 0.0
        if isinstance(z, SparseFeatures):
            return hide(z, p) if p else z
        if z.is_cuda or not p:
            return F.dropout(z, p, self.training)
        return z * keep_mask(z.shape, p).to(z.dtype).div_(1 - p)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.standardizers[0].mean.device

    def scale_covariates(self, covariates: Tensor) -> Tensor:
        """Covariates (B, J) with the numbers among them standardized as in the training cells."""
        return (covariates - self.covariate_mean) / self.covariate_std

    def _offset(
        self, tokenizer: ProgramTokenizer | PatchTokenizer, z: Features, covariates: Tensor, presence: Presence, v: int
    ) -> Tensor | float:
        if self.n_covariates == 1 or isinstance(tokenizer, PatchTokenizer):
            return 0.0
        return tokenizer.offset(z, presence.select(covariates, v))

    def cluster_logits(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Logits (B, C) and kernel input u (B, d) of the clustering head."""
        return self.cluster_head(encoded.joint), self.cluster_projection(encoded.states.flatten(1))

    def label_logits(self, joint: Tensor) -> Tensor:
        """Logits (B, labels) of the head for labels; -inf for labels that no training cell has."""
        return self.label_head(joint).masked_fill(~self.has_label, -torch.inf)


def make_tokenizer(
    n_features: int,
    n_components: int | None,
    n_covariates: int,
    frame: Tensor,
    config: NetworkConfig,
    *,
    reads_genes: bool,
) -> PatchTokenizer | ProgramTokenizer:
    """The tokenizer of one modality; without components, patches."""
    if n_components is None:
        return PatchTokenizer(n_features, config.n_tokens, config.n_hidden)
    sizes = n_features, n_components, config.n_tokens, n_covariates, frame
    if not reads_genes:
        return ProgramTokenizer(*sizes, train_programs=config.train_programs)
    return GeneTokenizer(
        *sizes,
        train_programs=config.train_programs,
        encoder=encoder_config(config.gene_encoder),
        train_encoder=config.train_gene_encoder,
    )


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
