"""A network in the form of scBERT (Yang et al. 2022), small and from random weights: masked genes, then labels."""

from collections.abc import Callable, Iterator
from itertools import chain, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from scmoe.model.genes._start import start_encoder
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.published._form import PublishedForm
from scmoe.nn.published._scbert import N_CODES, ScBERT
from scmoe.tokens._tokens import Tokens

N_LAYERS, N_HEADS, WIDTH = 2, 2, 32
HIDDEN = (512, 100)
"""Widths of the head's hidden layers, as published."""
MASKED, MASK_RATE, DROPOUT = N_CODES - 1, 0.15, 0.1
"""The level that says that a gene is masked, and the share of expressed genes that are."""
LEARNING_RATE, BATCH_SIZE, CELLS_AT_ONCE = 1e-3, 32, 256
N_PRETRAINING, N_STEPS = 200, 200


class LabelNetwork(nn.Module):
    """The encoder, what it says of masked genes, and the published head of labels.

    Parameters
    ----------
    encoder
        Of N genes.
    n_labels
        L.
    """

    def __init__(self, encoder: ScBERT, n_labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.level, self.number = nn.Linear(WIDTH, MASKED), nn.Linear(WIDTH, 1)
        widths = (encoder.n_genes, *HIDDEN)
        layers = [(nn.Linear(n, m), nn.ReLU(), nn.Dropout(DROPOUT)) for n, m in pairwise(widths)]
        self.head = nn.Sequential(*chain(*layers), nn.Linear(HIDDEN[-1], n_labels))

    def states(self, level: Tensor) -> Tensor:
        """(B, N, d) of levels (B, N)."""
        gene = torch.arange(level.shape[1]).expand_as(level)
        return self.encoder.read_cells(gene, level, torch.ones_like(level, dtype=torch.bool)).states

    def forward(self, level: Tensor) -> Tensor:
        """Logits (B, L) of labels: one number of each gene, then a perceptron."""
        return self.head(functional.relu(self.number(self.states(level))).squeeze(-1))

    @torch.no_grad()
    def probabilities(self, level: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of labels (cells, L), from levels (cells, N)."""
        return torch.cat([self(part).softmax(1) for part in torch.from_numpy(level).split(CELLS_AT_ONCE)]).numpy()

    def weights(self) -> Iterator[nn.Parameter]:
        """What learns: all but the vectors of genes."""
        heads = (self.level, self.number, self.head)
        return chain(self.encoder.trained(last=False), *(part.parameters() for part in heads))


def masked_loss(network: LabelNetwork, level: Tensor, generator: torch.Generator) -> Tensor:
    """Cross-entropy of the levels of expressed genes that the encoder does not see."""
    mask = (level > 0) & (torch.rand(level.shape, generator=generator) < MASK_RATE)
    logits = network.level(network.states(level.masked_fill(mask, MASKED))[mask])
    return functional.cross_entropy(logits, level[mask], reduction="sum") / mask.sum().clamp(min=1)


def descend(
    network: LabelNetwork, loss: Callable[[Tensor], Tensor], n_cells: int, n_steps: int, generator: torch.Generator
) -> None:
    """Steps down a loss of the positions of random cells."""
    optimizer = torch.optim.Adam(network.weights(), lr=LEARNING_RATE)
    network.train()
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss(torch.randperm(n_cells, generator=generator)[:BATCH_SIZE]).backward()
        optimizer.step()
    network.eval()


def fit(
    values: NDArray[np.float64],
    level: NDArray[np.int64],
    labeled: NDArray[np.bool_],
    codes: NDArray[np.integer],
    seed: int,
) -> LabelNetwork:
    """A network that has learned masked genes of all cells, and then the labels of some.

    Parameters
    ----------
    values, level
        Log-normalized values and their levels, (cells, N).
    labeled
        Which cells have a label, (cells,).
    codes
        Their labels, from 0.
    seed
        Of first weights, masks and batches.
    """
    form = PublishedForm(kind="scbert", hidden=4 * WIDTH, head_width=WIDTH // N_HEADS)
    config = GeneConfig(
        tokenizer="integer", published=form, encoder_layers=N_LAYERS, encoder_heads=N_HEADS, encoder_width=WIDTH
    )
    cells, generator = torch.from_numpy(level), torch.Generator().manual_seed(seed)
    known, label = cells[torch.from_numpy(labeled)], torch.from_numpy(np.asarray(codes, np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LabelNetwork(ScBERT(level.shape[1], config), int(codes.max()) + 1)
        start_encoder(network.encoder, _tokens(values), None, seed)
        descend(network, lambda i: masked_loss(network, cells[i], generator), len(cells), N_PRETRAINING, generator)
        descend(
            network, lambda i: functional.cross_entropy(network(known[i]), label[i]), len(known), N_STEPS, generator
        )
    return network


def _tokens(values: NDArray[np.float64]) -> Tokens:
    """One token a gene with a value, for the components that genes start from, where the authors take gene2vec."""
    rows = sparse.csr_matrix(values.astype(np.float32))
    return Tokens(rows.indices, rows.data, rows.indptr.astype(np.int64), np.zeros(len(values), np.int64))
