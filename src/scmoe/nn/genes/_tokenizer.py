"""Tokens of an RNA modality: gene programs, and what a gene encoder makes of the expressed genes."""

import torch
from torch import Tensor, nn

from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.nn.genes._classifier import N_AXES, POOLING
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import GeneEncoder, pool

CELLS_ALIKE = 16
"""Cells, sorted by their number of expressed genes, that are padded to one length: half the time of a step on a CPU."""


class GeneTokenizer(ProgramTokenizer):
    """Program tokens, plus a linear map of the pooled states of a gene encoder.

    token_p = s W_p + b_p + (r - m) A U_p, where the first two terms are `ProgramTokenizer`'s, r (2e) is the ``"joint"``
    pooling of an encoder of width e, m and A (2e x k) center and whiten r in the training cells, and U_p (k x d) is
    zero at the start, so that training starts from PCA as with program tokens.

    Parameters
    ----------
    n_features, n_components, n_tokens, n_covariates, frame, train_programs
        See `ProgramTokenizer`.
    encoder
        Settings of the encoder.
    """

    mean: Tensor
    whiten: Tensor

    def __init__(
        self,
        n_features: int,
        n_components: int,
        n_tokens: int,
        n_covariates: int,
        frame: Tensor,
        *,
        train_programs: bool,
        encoder: GeneConfig,
    ) -> None:
        super().__init__(n_features, n_components, n_tokens, n_covariates, frame, train_programs=train_programs)
        with torch.random.fork_rng(devices=[]):  # the rest of the network starts as with program tokens
            self.encoder = GeneEncoder(n_features, None, encoder)
        width = 2 * encoder.encoder_width
        n_axes = min(N_AXES, width)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whiten", torch.eye(width, n_axes))
        self.readout = nn.Parameter(torch.zeros(n_tokens, n_axes, len(frame)))
        self.is_pretrained = False

    def pooled(self, x_BD: Tensor, read_BD: Tensor) -> Tensor:
        """Pooled states r (B, 2e) of cells.

        Parameters
        ----------
        x_BD
            (B, D) values ln(1 + 1e4 c / total).
        read_BD
            (B, D) boolean: which genes are read. A cell may have none, and gets zeros.
        """
        if not len(x_BD):
            return self.mean.expand(0, -1)
        order = read_BD.sum(1).argsort()
        parts = [self._pooled_alike(x_BD[cells], read_BD[cells]) for cells in order.split(CELLS_ALIKE)]
        return torch.cat(parts)[order.argsort()]

    def _pooled_alike(self, x_BD: Tensor, read_BD: Tensor) -> Tensor:
        """As `pooled`, padded to the longest cell."""
        gene, seen = packed(read_BD)
        value = x_BD.gather(1, gene).clamp(min=0) * seen
        return pool(self.encoder.encode(gene, value, seen), POOLING)

    def from_genes(self, x_BD: Tensor, read_BD: Tensor) -> Tensor:
        """What expressed genes add to the tokens (B, P, d); see `pooled`."""
        score_Bk = (self.pooled(x_BD, read_BD) - self.mean) @ self.whiten
        return torch.einsum("bk,pkd->bpd", score_Bk, self.readout)

    @torch.no_grad()
    def set_axes(self, mean: Tensor, whiten: Tensor) -> None:
        """Take over center m and whitening A of the training cells' pooled states."""
        self.mean.copy_(mean)
        self.whiten.copy_(whiten)


def packed(read_BD: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (B, m) of the genes read, padded to the longest cell, and which of them exist; m is 1 at least."""
    length = read_BD.sum(1)
    row, gene = read_BD.nonzero(as_tuple=True)
    place = torch.arange(len(row), device=row.device) - (length.cumsum(0) - length)[row]
    seen = torch.arange(max(int(length.max()), 1), device=row.device) < length[:, None]
    return torch.zeros_like(seen, dtype=torch.long).index_put((row, place), gene), seen
