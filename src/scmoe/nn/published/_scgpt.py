"""scGPT (Cui et al. 2024): genes and the bins of their counts, behind one token of the cell."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.nn._modules import Modules
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import GeneStates
from scmoe.nn.published._encoder import PublishedEncoder, Rows, State, renamed, torch_layers
from scmoe.nn.published._layers import PostNormLayer

LARGEST = 512
"""Values above it are cut."""
VALUE_NAMES = {"linear1": "first", "linear2": "second", "norm": "norm"}
"""Stored names of the modules that embed values."""


class ValueMap(nn.Module):
    """A number as a vector: two linear maps with a rectifier between them, and a normalization.

    Parameters
    ----------
    width
        Of the vector.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(1, width), nn.Linear(width, width), nn.LayerNorm(width)

    def forward(self, value: Tensor) -> Tensor:
        """Values (...) to vectors (..., d)."""
        return self.norm(self.second(F.relu(self.first(value.clamp(max=LARGEST)[..., None]))))


class ScGPT(PublishedEncoder):
    """The encoder of scGPT. A cell's vector is the state of its token, scaled to length 1.

    Parameters
    ----------
    n_genes, config
        See `PublishedEncoder`.
    """

    def __init__(self, n_genes: int, config: GeneConfig) -> None:
        super().__init__(n_genes, config)
        d = config.encoder_width
        self.norm_gene, self.cls, self.value = nn.LayerNorm(d), nn.Parameter(torch.randn(d)), ValueMap(d)
        layers = [
            PostNormLayer(d, config.encoder_heads, self.form.hidden, config.dropout)
            for _ in range(config.encoder_layers)
        ]
        self.blocks = Modules[PostNormLayer](layers)

    def encode(self, gene: Tensor, value: Tensor, seen: Tensor) -> GeneStates:
        """See `Encoder.encode`."""
        identity = self.norm_gene(self.gene[gene])
        cell = self.norm_gene(self.cls) + self.value(value.new_full((), self.form.cls_value))
        h = torch.cat([cell.expand(len(gene), 1, -1), identity + self.value(value)], 1)
        exists = F.pad(seen, (1, 0), value=True)
        for block in self.blocks:
            h = block(h, exists)
        return GeneStates(h[:, 1:], seen, self.amounts(gene, value, seen), identity, (), F.normalize(h[:, 0], dim=1))

    @staticmethod
    def read(tensors: Mapping[str, Tensor], rows: Rows, n_layers: int) -> State:
        """See `PublishedEncoder.read`."""
        table = tensors["encoder.embedding.weight"]
        names = {f"value_encoder.{stored}": f"value.{own}" for stored, own in VALUE_NAMES.items()}
        return {
            "gene": table[rows.genes],
            "cls": table[rows.special["<cls>"]],
            **renamed(tensors, {"encoder.enc_norm": "norm_gene"} | names),
            **torch_layers(tensors, "transformer_encoder.layers", n_layers),
        }
