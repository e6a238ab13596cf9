"""The encoder of xTrimoGene, which reads the genes that a cell expresses, and what may be made of its states.

B cells, m tokens (expressed and visible genes, padded to the longest cell of the batch), N genes, d the width.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from scmoe.data.genes._dataset import N_DEPTH
from scmoe.nn._block import Block, Tokens
from scmoe.nn._modules import Modules
from scmoe.nn._router import Routing
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._values import AutoDiscretization, BinnedValue, LinearValue, code_boundaries

MAX_VALUE = 10
"""No ln(1 + 1e4 p) of a proportion p is larger."""


class GeneStates(NamedTuple):
    """What the encoder says about the tokens of a batch."""

    states: Tensor
    """(B, m, d)."""
    seen: Tensor
    """(B, m): which of them exist; the others are padding."""
    weight: Tensor
    """(B, m): weight of each in the weighted mean: the value of its gene, where values are amounts; 0 of padding."""
    identity: Tensor
    """(B, m, d): of the genes, as they went in."""
    routing: tuple[Routing, ...]
    """Of each layer, over the tokens that exist."""
    cell: Tensor | None = None
    """(B, k): the vector that a published network gives a cell."""


class Encoder(nn.Module, ABC):
    """What reads the genes that a cell expresses, and makes states of them.

    Parameters
    ----------
    n_genes
        Genes of the vocabulary.
    config
        See `GeneConfig`.
    """

    pooling: ClassVar[str] = "joint"
    """How the states of a cell become one vector, for labels and for the tokens of an `SCMOE`; see `pool`."""
    gene: nn.Parameter
    """(N, d), with the depth tokens last: identities of the genes."""

    def __init__(self, n_genes: int, config: GeneConfig) -> None:
        super().__init__()
        self.config, self.n_genes = config, n_genes

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.gene.device

    @property
    def pooled_width(self) -> int:
        """Length of that vector."""
        return 2 * self.config.encoder_width

    @abstractmethod
    def encode(self, gene: Tensor, value: Tensor, seen: Tensor) -> GeneStates:
        """Encode the visible expressed genes.

        Parameters
        ----------
        gene
            (B, m) positions in the vocabulary; any where not `seen`.
        value
            (B, m) what the tokenizer says of them.
        seen
            (B, m) boolean: which tokens exist. A cell may have none: its states are those of padding and nobody reads
            them.
        """

    @abstractmethod
    def trained(self, *, last: bool) -> Iterator[nn.Parameter]:
        """The weights that learn when labels are learned: those of the last layer and its norm, or all."""

    def amounts(self, gene: Tensor, value: Tensor, seen: Tensor) -> Tensor:
        """(B, m): weight of each gene in a weighted mean; 0 of padding and of depth tokens. Ranks are no amounts."""
        amount = torch.ones_like(value) if self.config.tokenizer == "rank" else value
        return amount * (seen & (gene < self.n_genes))


class GeneEncoder(Encoder):
    """Blocks over the expressed genes of a cell, each the sum of its identity and its value's embedding.

    Parameters
    ----------
    n_genes
        Genes of the vocabulary.
    n_codes
        Codes of the tokenizer; None: its values are continuous.
    config
        See `GeneConfig`.
    """

    def __init__(self, n_genes: int, n_codes: int | None, config: GeneConfig) -> None:
        super().__init__(n_genes, config)
        d = config.encoder_width
        self.gene = nn.Parameter(torch.randn(n_genes + N_DEPTH * config.depth_tokens, d))
        self.value = make_value_embedding(config, n_codes)
        self.blocks = Modules[Block]([Block(1, config.block) for _ in range(config.encoder_layers)])
        self.norm = nn.LayerNorm(d)

    def encode(self, gene: Tensor, value: Tensor, seen: Tensor) -> GeneStates:
        """See `Encoder.encode`."""
        identity = self.gene[gene]
        h = self.value(value) + identity
        tokens = locate(seen)
        routing = []
        for block in self.blocks:
            h, block_routing = block(h, tokens)
            routing.append(block_routing)
        return GeneStates(self.norm(h), seen, self.amounts(gene, value, seen), identity, tuple(routing))

    def trained(self, *, last: bool) -> Iterator[nn.Parameter]:
        """See `Encoder.trained`."""
        if last:
            return chain(self.norm.parameters(), self.blocks[-1].parameters())
        return chain(self.norm.parameters(), self.blocks.parameters(), self.value.parameters(), [self.gene])


def make_value_embedding(config: GeneConfig, n_codes: int | None) -> nn.Module:
    """The module that embeds values; ``"equal"`` gets its boundaries from the training cells."""
    d = config.encoder_width
    if n_codes is not None:
        return BinnedValue(code_boundaries(n_codes), d)
    if config.value_embedding == "auto":
        return AutoDiscretization(config.n_bins, d)
    if config.value_embedding == "linear":
        return LinearValue(d)
    if config.value_embedding == "equal":
        return BinnedValue(torch.zeros(config.n_bins - 1), d)
    whole = torch.arange(MAX_VALUE, dtype=torch.float32)
    return BinnedValue(whole if config.value_embedding == "up" else whole + 0.5, d)


def locate(seen: Tensor) -> Tokens:
    """Which tokens exist, for the blocks: padding is not routed, and nobody attends to it."""
    row = seen.flatten().nonzero()[:, 0]
    return Tokens(row, torch.zeros_like(row), seen[:, None, None, :])


def pool(encoded: GeneStates, how: str) -> Tensor:
    """One vector for a cell from the states of its genes; padding takes no part.

    Parameters
    ----------
    encoded
        Of B cells.
    how
        ``"weighted"``: the mean over genes, by their values; ``"mean"``, ``"max"``; ``"joint"``: the weighted means of
        the genes' identities and of their states side by side; ``"depth"``: the two depth tokens side by side;
        ``"cell"``: the vector of a published network.

    Returns
    -------
    Tensor (B, d), or (B, 2 d) of two side by side; zeros for a cell without genes.
    """
    if how == "cell":
        assert encoded.cell is not None
        return encoded.cell
    states, is_gene = encoded.states, encoded.weight > 0
    if how == "joint":
        states = torch.cat([encoded.identity, states], -1)
    if how == "depth":
        return states[:, :N_DEPTH].flatten(1)
    if how == "max":
        highest = states.masked_fill(~is_gene[..., None], -torch.inf).amax(1)
        return torch.where(is_gene.any(1, keepdim=True), highest, 0)
    weight = is_gene.to(states.dtype) if how == "mean" else encoded.weight
    total = weight.sum(1, keepdim=True)
    return (weight[:, None] @ states)[:, 0] / torch.where(total > 0, total, 1)
