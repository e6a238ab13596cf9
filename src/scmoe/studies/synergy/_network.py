"""A graph network of two drugs and a cell line, after the description of DeepDDS (Wang et al. 2022)."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from scmoe.studies.synergy._molecules import Molecules

N_LAYERS, WIDTH, LINE_WIDTH, HEAD_WIDTH = 3, 64, 128, 256
DROPOUT, LEARNING_RATE, BATCH_SIZE = 0.2, 2e-3, 512


class Rows(NamedTuple):
    """Combinations: pairs of drugs (n, 2), and vectors of their cell lines (n, features)."""

    pairs: Tensor
    lines: Tensor


class SynergyNetwork(nn.Module):
    """Log-odds that two drugs are synergistic in a cell line.

    Graph convolutions over the atoms and their maximum make a vector of each drug, one perceptron a vector of the cell
    line, and another one reads the three vectors.

    Parameters
    ----------
    molecules
        The graphs of all drugs.
    n_line_features
        Width of the vectors of cell lines; 0: without cell lines.
    """

    atoms: Tensor
    bonds: Tensor
    mask: Tensor

    def __init__(self, molecules: Molecules, n_line_features: int) -> None:
        super().__init__()
        for name, array in molecules._asdict().items():
            self.register_buffer(name, torch.from_numpy(array))
        widths = [molecules.atoms.shape[2], *[WIDTH] * N_LAYERS]
        self.convolutions = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.line = _perceptron(n_line_features, LINE_WIDTH, WIDTH) if n_line_features else None
        self.head = _perceptron(WIDTH * (2 if self.line is None else 3), HEAD_WIDTH, 1)

    def drugs(self) -> Tensor:
        """(drugs, width)."""
        x = self.atoms
        for convolution in self.convolutions:
            x = torch.relu(convolution(self.bonds @ x))
        return x.masked_fill(~self.mask[..., None], 0).amax(dim=1)  # nothing is below 0

    def forward(self, rows: Rows) -> Tensor:
        """(n,), of the drugs in the order given."""
        parts = [self.drugs()[rows.pairs].flatten(1)]
        if self.line is not None:
            parts.append(self.line(rows.lines))
        return self.head(torch.cat(parts, dim=1)).squeeze(1)


def _perceptron(n_in: int, width: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, width), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(width, n_out))


def make_rows(pairs: NDArray[np.int64], lines: NDArray[np.floating]) -> Rows:
    """Tensors of arrays."""
    return Rows(torch.from_numpy(pairs), torch.from_numpy(lines.astype(np.float32)))


def fit_network(
    molecules: Molecules, rows: Rows, labels: NDArray[np.int64], n_epochs: int, seed: int
) -> SynergyNetwork:
    """Train a network; the drugs of each row come in a random order at each step."""
    target = torch.from_numpy(labels.astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SynergyNetwork(molecules, rows.lines.shape[1])
        optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
        for _ in range(n_epochs):
            for batch in torch.randperm(len(target)).split(BATCH_SIZE):
                turned = torch.rand(len(batch), 1) < 0.5
                pairs = torch.where(turned, rows.pairs[batch].flip(1), rows.pairs[batch])
                loss = binary_cross_entropy_with_logits(network(Rows(pairs, rows.lines[batch])), target[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return network.eval()


@torch.no_grad()
def predict_network(network: SynergyNetwork, rows: Rows) -> NDArray[np.float32]:
    """(n,) log-odds, the mean over both orders of the drugs."""
    both = network(rows) + network(rows._replace(pairs=rows.pairs.flip(1)))
    return (both / 2).numpy()
