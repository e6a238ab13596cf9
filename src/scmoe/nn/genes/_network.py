"""The asymmetric encoder-decoder of xTrimoGene: the encoder reads expressed genes, a thin decoder all of them.

B cells, m tokens (expressed and visible genes, padded to the longest cell of the batch), N genes, d and c the widths of
encoder and decoder, A genes asked for.
"""

import torch
from torch import Tensor, nn

from scmoe.nn._modules import Modules
from scmoe.nn.genes._config import EXPANSION, GeneConfig
from scmoe.nn.genes._encoder import MAX_VALUE, GeneEncoder, GeneStates, pool
from scmoe.nn.genes._performer import DecoderLayer, Positions


class GeneNetwork(GeneEncoder):
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
        super().__init__(n_genes, n_codes, config)
        d, c = config.encoder_width, config.decoder_width
        self.masked = nn.Parameter(torch.randn(d))
        self.project = nn.Linear(d, c)
        exact = config.decoder_attention == "exact"
        self.decoder = Modules[DecoderLayer](
            [DecoderLayer(c, config.decoder_heads, EXPANSION * c, exact=exact) for _ in range(config.decoder_layers)]
        )
        self.norm_out = nn.LayerNorm(c)
        n_outputs = 1 if config.target == "value" else MAX_VALUE + 1
        self.head = nn.Linear(c, n_outputs)
        nn.init.zeros_(self.head.weight)
        # A linear path from the mean state of a cell to its genes, through their identities: what genes that vary
        # together say.
        self.program = nn.Linear(d, d * n_outputs, bias=False)
        nn.init.zeros_(self.program.weight)
        # What is expected of a gene before anything is known of the cell.
        self.expected = nn.Parameter(torch.zeros(len(self.gene), n_outputs))

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
