"""Geneformer (Theodoris et al. 2023): genes in the order of their expression, read by BERT (Devlin et al. 2019)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.nn._modules import Modules
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import GeneStates
from scmoe.nn.published._encoder import PublishedEncoder, Rows, State, renamed
from scmoe.nn.published._layers import PostNormLayer

EPS = 1e-12
"""Of BERT's normalizations."""
LAYER_NAMES = {
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm_attention",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm_forward",
}
"""Stored names of the modules of a layer, but for queries, keys and values."""


class Geneformer(PublishedEncoder):
    """The encoder of Geneformer. A cell's vector is the mean of the states of its genes.

    Values are ranks, from 1. Models of the second series have a token before and one behind the genes.

    Parameters
    ----------
    n_genes, config
        See `PublishedEncoder`.
    """

    def __init__(self, n_genes: int, config: GeneConfig) -> None:
        super().__init__(n_genes, config)
        d, n_special = config.encoder_width, 2 * self.form.special_tokens
        assert self.form.max_length is not None
        self.position = nn.Parameter(torch.randn(self.form.max_length + n_special, d))
        self.segment, self.special = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.randn(n_special, d))
        self.norm = nn.LayerNorm(d, EPS)
        layers = [
            PostNormLayer(d, config.encoder_heads, self.form.hidden, config.dropout, EPS)
            for _ in range(config.encoder_layers)
        ]
        self.blocks = Modules[PostNormLayer](layers)

    def encode(self, gene: Tensor, value: Tensor, seen: Tensor) -> GeneStates:
        """See `Encoder.encode`."""
        identity = self.gene[gene]
        place = (value.long() - 1).clamp(min=0)
        if self.form.special_tokens:
            h, exists = self.between_specials(identity + self.position[place + 1], seen)
        else:
            h, exists = identity + self.position[place], seen
        h = self.norm(h + self.segment)
        for block in self.blocks:
            h = block(h, exists)
        states = h[:, 1:-1] if self.form.special_tokens else h
        weight = self.amounts(gene, value, seen)
        total = weight.sum(1, keepdim=True)
        cell = (weight[:, None] @ states)[:, 0] / torch.where(total > 0, total, 1)
        return GeneStates(states, seen, weight, identity, (), cell)

    def between_specials(self, h: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens with the first and the last one, whose place is behind the genes of its cell."""
        first, last = self.special
        first = (first + self.position[0]).expand(len(h), 1, -1)
        last = (last + self.position[seen.sum(1) + 1])[:, None]
        return torch.cat([first, h, last], 1), F.pad(seen, (1, 1), value=True)

    @staticmethod
    def read(tensors: Mapping[str, Tensor], rows: Rows, n_layers: int) -> State:
        """See `PublishedEncoder.read`."""
        start = "bert.embeddings"
        table = tensors[f"{start}.word_embeddings.weight"]
        specials = [rows.special[name] for name in ("<cls>", "<eos>") if name in rows.special]
        state = {
            "gene": table[rows.genes],
            "special": table[specials],
            "position": tensors[f"{start}.position_embeddings.weight"],
            "segment": tensors[f"{start}.token_type_embeddings.weight"][0],
            **renamed(tensors, {f"{start}.LayerNorm": "norm"}),
        }
        for i in range(n_layers):
            layer = f"bert.encoder.layer.{i}"
            for kind in ("weight", "bias"):
                qkv = [tensors[f"{layer}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
                state[f"blocks.{i}.qkv.{kind}"] = torch.cat(qkv)
            names = {f"{layer}.{stored}": f"blocks.{i}.{own}" for stored, own in LAYER_NAMES.items()}
            state |= renamed(tensors, names)
        return state
