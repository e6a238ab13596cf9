"""Tokens of an RNA modality: gene programs, and what a gene encoder makes of the expressed genes."""

from typing import Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.nn.genes._classifier import N_AXES
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import pool
from scmoe.nn.published._make import make_encoder
from scmoe.tokens._make import make_tokenizer
from scmoe.tokens._rank import RankTokenizer
from scmoe.tokens._tokenizer import TARGET_SUM, Tokenizer

CELLS_ALIKE = 16
"""Cells, sorted by their number of expressed genes, that are padded to one length: half the time of a step on a CPU."""


class GeneTokenizer(ProgramTokenizer):
    """Program tokens, plus a linear map of the pooled states of a gene encoder.

    token_p = s W_p + b_p + (r - m) A U_p, where the first two terms are `ProgramTokenizer`'s, r (w) is what an encoder
    makes of a cell (its `pooling`), m and A (w x k) center and whiten r in the training cells, and U_p (k x d) is zero
    at the start, so that training starts from PCA as with program tokens. An encoder whose tokens are ranks, bins or
    levels gets them from its own scheme; they have no gradient.

    Parameters
    ----------
    n_features, n_components, n_tokens, n_covariates, frame, train_programs
        See `ProgramTokenizer`.
    encoder
        Settings of the encoder.
    train_encoder
        Whether the encoder learns.
    """

    mean: Tensor
    whiten: Tensor
    known: Tensor
    medians: Tensor

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
        train_encoder: bool = True,
    ) -> None:
        super().__init__(n_features, n_components, n_tokens, n_covariates, frame, train_programs=train_programs)
        with torch.random.fork_rng(devices=[]):  # the rest of the network starts as with program tokens
            self.encoder = make_encoder(n_features, None, encoder).requires_grad_(False)
        for weight in self.encoder.trained(last=False) if train_encoder else ():
            weight.requires_grad_(True)
        width = self.encoder.pooled_width
        n_axes = min(N_AXES, width)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whiten", torch.eye(width, n_axes))
        self.readout = nn.Parameter(torch.zeros(n_tokens, n_axes, len(frame)))
        self.is_pretrained = False
        # Genes that are read: all, but for published encoders, which read those that they know.
        self.register_buffer("known", torch.ones(n_features, dtype=torch.bool), persistent=encoder.form is not None)
        self.scheme: Tokenizer | None = None
        if encoder.tokenizer != "continuous":
            self.scheme = make_tokenizer(encoder.tokenizer, **encoder.token_settings)
        if isinstance(self.scheme, RankTokenizer):
            self.register_buffer("medians", torch.ones(n_features, dtype=torch.double))

    def train(self, mode: bool = True) -> Self:
        """Set the mode; an encoder that does not learn is evaluated, without dropout and noise."""
        super().train(mode)
        self.encoder.train(mode and any(weight.requires_grad for weight in self.encoder.parameters()))
        return self

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
        return pool(self.encoder.encode(*self.tokens(x_BD, read_BD)), self.encoder.pooling)

    def tokens(self, x_BD: Tensor, read_BD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Genes, what the encoder reads of them, and which of these places exist (B, m)."""
        read_BD = read_BD & self.known
        if self.scheme is not None:
            return self.coded(x_BD, read_BD, self.scheme)
        gene, seen = packed(read_BD)
        return gene, x_BD.gather(1, gene).clamp(min=0) * seen, seen

    def coded(self, x_BD: Tensor, read_BD: Tensor, scheme: Tokenizer) -> tuple[Tensor, Tensor, Tensor]:
        """As `tokens`, by a scheme of `scmoe.tokens`, which reads counts: here shares of `TARGET_SUM`."""
        if isinstance(scheme, RankTokenizer):
            scheme.medians = self.medians.cpu().numpy()
        counts = sparse.csr_matrix((x_BD.detach().clamp(min=0).expm1() * read_BD).cpu().numpy())
        read = scheme.transform(counts, np.full(len(x_BD), TARGET_SUM))
        arrays = read.padded(max(int(read.lengths.max(initial=0)), 1))
        gene, value, seen = (torch.from_numpy(array).to(x_BD.device) for array in arrays)
        return gene.long(), value, seen

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
