"""What the gene network is compared with: networks that read every gene, and the decoder as it was published."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scmoe.data.genes._dataset import GeneBatch
from scmoe.nn._modules import Modules
from scmoe.nn.genes._config import EXPANSION, GeneConfig
from scmoe.nn.genes._encoder import GeneEncoder
from scmoe.nn.genes._network import GeneNetwork
from scmoe.nn.genes._performer import DecoderLayer
from scmoe.nn.genes._values import AutoDiscretization

TOLERANCE = 0.03
"""Largest relative difference of numbers of parameters that are called equal."""


@dataclass(frozen=True, kw_only=True)
class RivalSize:
    """Of a network that reads every gene."""

    layers: int
    width: int
    n_heads: int
    n_bins: int

    @property
    def n_parameters(self) -> int:
        """Without the identities of genes."""
        d, b = self.width, self.n_bins
        layer = (4 + 2 * EXPANSION) * d**2 + (6 + EXPANSION) * d
        return b**2 + 3 * b + b * d + d + self.layers * layer + 2 * d + d + 1


def equal_size(n_parameters: int, *, layers: int, n_heads: int, n_bins: int) -> RivalSize:
    """The width at which a network that reads every gene has as many parameters.

    Parameters
    ----------
    n_parameters
        Without the identities of genes.
    layers, n_heads, n_bins
        Of the network; the width is a multiple of `n_heads`.

    Returns
    -------
    RivalSize
        Its number of parameters differs by at most 3 %.

    Raises
    ------
    ValueError
        There is no such width.
    """
    sizes = []
    for head in range(1, n_parameters):
        sizes.append(RivalSize(layers=layers, width=head * n_heads, n_heads=n_heads, n_bins=n_bins))
        if sizes[-1].n_parameters > n_parameters:
            break
    best = min(sizes, key=lambda size: abs(size.n_parameters - n_parameters))
    if abs(best.n_parameters / n_parameters - 1) > TOLERANCE:
        raise ValueError(
            f"No width that is a multiple of {n_heads} heads gives {layers} layer(s) about {n_parameters} parameters; "
            f"the nearest, {best.width}, gives {best.n_parameters}. Change layers or n_heads."
        )
    return best


def rival_size(config: GeneConfig) -> RivalSize:
    """Of the rivals of a gene network: as many layers and heads as its encoder, as many parameters as the whole."""
    size = n_parameters(GeneNetwork(0, None, config))
    return equal_size(size, layers=config.encoder_layers, n_heads=config.encoder_heads, n_bins=config.n_bins)


def n_parameters(module: nn.Module) -> int:
    """Entries of all trained tensors."""
    return sum(parameter.numel() for parameter in module.parameters())


class EveryGene(nn.Module):
    """Transformer or Performer over all genes of a cell, without a decoder.

    Parameters
    ----------
    n_genes
        Genes of the vocabulary.
    size
        See `RivalSize`.
    exact
        Softmax attention (torch's fused kernel); else random features.
    """

    def __init__(self, n_genes: int, size: RivalSize, *, exact: bool) -> None:
        super().__init__()
        d = size.width
        self.gene = nn.Parameter(torch.randn(n_genes, d))
        self.value, self.masked = AutoDiscretization(size.n_bins, d), nn.Parameter(torch.randn(d))
        self.layers = Modules[DecoderLayer](
            [DecoderLayer(d, size.n_heads, EXPANSION * d, exact=exact) for _ in range(size.layers)]
        )
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, 1)

    def forward(self, batch: GeneBatch) -> Tensor:
        """Predicted values (B, A) of the masked genes."""
        zero = self.value(self.masked.new_zeros(())).expand(len(batch.gene), len(self.gene), -1)
        x = replaced(zero, batch, self.masked, self.value(batch.value)) + self.gene
        for layer in self.layers:
            x = layer(x, layer.read(x))
        return self.head(self.norm(x))[..., 0].gather(1, batch.asked)


class Published(GeneEncoder):
    """The asymmetric network with the decoder as published: every gene of each cell goes through all of its layers.

    Parameters
    ----------
    n_genes
        Genes of the vocabulary.
    config
        See `GeneConfig`.
    """

    def __init__(self, n_genes: int, config: GeneConfig) -> None:
        super().__init__(n_genes, None, config)
        d, c = config.encoder_width, config.decoder_width
        self.masked, self.project = nn.Parameter(torch.randn(d)), nn.Linear(d, c)
        self.decoder = Modules[DecoderLayer](
            [DecoderLayer(c, config.decoder_heads, EXPANSION * c, exact=False) for _ in range(config.decoder_layers)]
        )
        self.norm_out, self.head = nn.LayerNorm(c), nn.Linear(c, 1)

    def forward(self, batch: GeneBatch) -> Tensor:
        """Predicted values (B, A) of the masked genes."""
        states = self.encode(batch.gene, batch.value, batch.seen).states
        zeros = self.value(states.new_zeros(len(states), len(self.gene)))
        x = self.project(replaced(zeros, batch, self.masked, states) + self.gene)
        for layer in self.decoder:
            x = layer(x, layer.read(x))
        return self.head(self.norm_out(x))[..., 0].gather(1, batch.asked)


def replaced(x_BNd: Tensor, batch: GeneBatch, masked: Tensor, visible_Bmd: Tensor) -> Tensor:
    """All genes of cells, with the vector of masked genes (d,) and the states of visible ones in their places."""
    row = torch.arange(len(x_BNd))[:, None] * x_BNd.shape[1]
    flat = x_BNd.flatten(0, 1).index_copy(0, (batch.gene + row)[batch.seen], visible_Bmd[batch.seen])
    hidden = (batch.asked + row)[batch.hidden]
    return flat.index_copy(0, hidden, masked.expand(len(hidden), -1)).view_as(x_BNd)
