"""scFoundation (Hao et al. 2024): expressed genes with continuous values, and two tokens of the depth."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from scmoe.data.genes._dataset import N_DEPTH
from scmoe.nn._modules import Modules
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import GeneStates, pool
from scmoe.nn.genes._values import AutoDiscretization
from scmoe.nn.published._encoder import PublishedEncoder, Rows, State, renamed, torch_layers
from scmoe.nn.published._layers import PostNormLayer


class ScFoundation(PublishedEncoder):
    """The encoder of scFoundation.

    A cell's vector has the states of its depth tokens (the input's S and the target's T), the maximum and the mean of
    the states of its genes side by side; without depth tokens the latter two.

    Parameters
    ----------
    n_genes, config
        See `PublishedEncoder`.
    """

    def __init__(self, n_genes: int, config: GeneConfig) -> None:
        super().__init__(n_genes, config)
        d = config.encoder_width
        self.value = AutoDiscretization(config.n_bins, d, self.form.alpha)
        layers = [
            PostNormLayer(d, config.encoder_heads, self.form.hidden, config.dropout)
            for _ in range(config.encoder_layers)
        ]
        self.blocks = Modules[PostNormLayer](layers)
        self.norm = nn.LayerNorm(d)

    @property
    def pooled_width(self) -> int:
        """Length of a cell's vector."""
        return (2 + self.config.n_depth) * self.config.encoder_width

    def encode(self, gene: Tensor, value: Tensor, seen: Tensor) -> GeneStates:
        """See `Encoder.encode`."""
        identity = self.gene[gene]
        h = self.value(value) + identity
        for block in self.blocks:
            h = block(h, seen)
        encoded = GeneStates(self.norm(h), seen, self.amounts(gene, value, seen), identity, ())
        parts = (["depth"] if self.config.depth_tokens else []) + ["max", "mean"]
        return encoded._replace(cell=torch.cat([pool(encoded, part) for part in parts], 1))

    def closing(self) -> Iterator[nn.Parameter]:
        """See `PublishedEncoder.closing`."""
        return self.norm.parameters()

    @staticmethod
    def read(tensors: Mapping[str, Tensor], rows: Rows, n_layers: int) -> State:
        """See `PublishedEncoder.read`."""
        table = tensors["pos_emb.weight"]
        depth = table[[rows.special["<S>"], rows.special["<T>"]]]
        assert len(depth) == N_DEPTH
        return {
            "gene": torch.cat([table[rows.genes], depth]),
            "value.table": tensors["token_emb.emb.weight"],
            **renamed(tensors, {"token_emb.mlp": "value.first", "token_emb.mlp2": "value.second"}),
            **renamed(tensors, {"encoder.norm": "norm"}),
            **torch_layers(tensors, "encoder.transformer_encoder", n_layers),
        }
