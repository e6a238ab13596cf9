"""The asymmetric encoder-decoder of xTrimoGene: the encoder reads expressed genes, a thin decoder all of them.

B cells, m tokens (expressed and visible genes, padded to the longest cell of the batch), N genes, d and c the widths of encoder and
decoder, A genes asked for.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from scmoe.data._gene_dataset import N_DEPTH
from scmoe.nn._block import Block, Tokens
from scmoe.nn._gene_config import EXPANSION, GeneConfig
from scmoe.nn._modules import Modules
from scmoe.nn._performer import DecoderLayer, Positions
from scmoe.nn._router import Routing
from scmoe.nn._values import AutoDiscretization, BinnedValue, LinearValue, code_boundaries

MAX_VALUE = 10
"""No ln(1 + 1e4 p) of a proportion p is larger."""


class GeneStates(NamedTuple):
    """What the encoder says about the tokens of a batch."""

    states: Tensor
    """(B, m, d)."""
    seen: Tensor
    """(B, m): which of them exist; the others are padding."""
    weight: Tensor
    """(B, m): how much each counts in the weighted mean: the value of its gene, where values are amounts; 0 of padding."""
    identity: Tensor
    """(B, m, d): of the genes, as they went in."""
    routing: tuple[Routing, ...]
    """Of each layer, over the tokens that exist."""


class GeneNetwork(nn.Module):
    """The network of `scmoe.model.XTRIMOGENE`.

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
        super().__init__()
        self.config, self.n_genes = config, n_genes
        d, c = config.encoder_width, config.decoder_width
        n_tokens = n_genes + N_DEPTH * config.depth_tokens
        self.gene = nn.Parameter(torch.randn(n_tokens, d))
        self.value = make_value_embedding(config, n_codes)
        self.masked = nn.Parameter(torch.randn(d))
        self.blocks = Modules[Block]([Block(1, config.block) for _ in range(config.encoder_layers)])
        self.norm = nn.LayerNorm(d)
        self.project = nn.Linear(d, c)
        exact = config.decoder_attention == "exact"
        self.decoder = Modules[DecoderLayer](
            [DecoderLayer(c, config.decoder_heads, EXPANSION * c, exact=exact) for _ in range(config.decoder_layers)]
        )
        self.norm_out = nn.LayerNorm(c)
        n_outputs = 1 if config.target == "value" else MAX_VALUE + 1
        self.head = nn.Linear(c, n_outputs)
        nn.init.zeros_(self.head.weight)
        # A linear path from the mean state of a cell to its genes, through their identities: what programs of genes say.
        self.program = nn.Linear(d, d * n_outputs, bias=False)
        nn.init.zeros_(self.program.weight)
        # What is expected of a gene before anything is known of the cell.
        self.expected = nn.Parameter(torch.zeros(n_tokens, n_outputs))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.masked.device

    def encode(self, gene: Tensor, value: Tensor, seen: Tensor) -> GeneStates:
        """Encode the visible expressed genes.

        Parameters
        ----------
        gene
            (B, m) positions in the vocabulary; any where not `seen`.
        value
            (B, m) what the tokenizer says of them.
        seen
            (B, m) boolean: which tokens exist. A cell may have none: its states are those of padding and nobody reads them.
        """
        identity = self.gene[gene]
        h = self.value(value) + identity
        tokens = locate(seen)
        routing = []
        for block in self.blocks:
            h, chosen = block(h, tokens)
            routing.append(chosen)
        amount = torch.ones_like(value) if self.config.tokenizer == "rank" else value
        weight = amount * (seen & (gene < self.n_genes))
        return GeneStates(self.norm(h), seen, weight, identity, tuple(routing))

    def decode(
        self, encoded: GeneStates, gene: Tensor, asked: Tensor, hidden: Tensor, unknown: Tensor | None = None
    ) -> Tensor:
        """States (B, A, c) of genes that the encoder has not seen.

        Layers compute no query where nothing is asked, as far as no later layer needs it.

        Parameters
        ----------
        encoded, gene
            Of `encode`, and its genes.
        asked
            (B, A) positions in the vocabulary, none of them visible.
        hidden
            (B, A) boolean: which of these are masked, that is, not known to be zero; false for padding as well.
        unknown
            (N,) boolean: genes that were not measured, and so not known to be zero; None: all were.
        """
        x, masked = self._decoder_input(encoded, gene, asked, hidden, unknown)
        queries = torch.where(hidden[..., None], masked, x.common[asked])
        first, *others = self.decoder
        context = first.read(x)
        if not others:
            return first(queries, context)
        states = first(x.dense(), context)
        for layer in others[:-1]:
            states = layer(states, layer.read(states))
        queries = states.gather(1, asked[..., None].expand(-1, -1, states.shape[-1]))
        return others[-1](queries, others[-1].read(states))

    def contexts(self, encoded: GeneStates, gene: Tensor, unknown: Tensor | None = None) -> Tensor:
        """States (B, N, c) of all genes, visible or not, in each cell."""
        nothing = gene.new_zeros(len(gene), 0)
        x, _ = self._decoder_input(encoded, gene, nothing, nothing.bool(), unknown)
        states = x.dense()
        for layer in self.decoder:
            states = layer(states, layer.read(states))
        return states

    def outputs(self, encoded: GeneStates, states: Tensor, asked: Tensor) -> Tensor:
        """Values (B, A, 1) or logits of classes (B, A, classes) from the states (B, A, c) of `decode`."""
        identity = self.gene[asked]
        score = self.program(pool(encoded, "weighted")).unflatten(-1, (identity.shape[-1], -1)) / identity.shape[-1]
        return self.head(self.norm_out(states)) + identity @ score + self.expected[asked]

    def values(self, outputs: Tensor) -> Tensor:
        """Predicted values (B, A); of classes, which are whole numbers, the mean."""
        if self.config.target == "value":
            return outputs[..., 0]
        return outputs.softmax(-1) @ torch.arange(outputs.shape[-1], dtype=outputs.dtype, device=outputs.device)

    def _decoder_input(
        self, encoded: GeneStates, gene: Tensor, asked: Tensor, hidden: Tensor, unknown: Tensor | None
    ) -> tuple[Positions, Tensor]:
        """Genes that are zero, visible or masked, each with its identity; and the asked ones (B, A, c) as masked genes.

        The projection is linear, so it is applied to identities once, and to states only where there are any.
        """
        identity, weight = self.project(self.gene), self.project.weight
        zero, unseen = self.value(self.masked.new_zeros(())) @ weight.T, self.masked @ weight.T
        common = identity + (zero if unknown is None else torch.where(unknown[:, None], unseen, zero))
        masked = identity[asked] + unseen
        visible = encoded.states @ weight.T + identity[gene]
        place, real = torch.cat([asked, gene], 1), torch.cat([hidden, encoded.seen], 1)
        return Positions(common, place, torch.cat([masked, visible], 1), real), masked


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
        ``"weighted"``: the mean over genes, by their values; ``"mean"``, ``"max"``; ``"joint"``: the weighted means of the genes'
        identities and of their states side by side; ``"depth"``: the two depth tokens side by side.

    Returns
    -------
    Tensor (B, d), or (B, 2 d) of two side by side; zeros for a cell without genes.
    """
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
