"""A network of the design of UnitedNet (Tang et al. 2023), written from the description in the paper.

Its steps for groups and for predictions alternate, as there; the adversarial and contrastive losses are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from mudata import MuData
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from scmoe._matrix import dense
from scmoe.losses._ddc import ddc
from scmoe.nn._modules import Modules

Array = NDArray[np.float32]
WIDTH, LATENT = 64, 100
"""Of the state of a modality, and of the fused vector that groups are told from."""
DDC_WEIGHT, ENTROPY_WEIGHT = 0.1, 0.1
LEARNING_RATE, CLIP, BATCH_SIZE = 1e-3, 25.0, 64
N_EPOCHS, N_STEPS = 30, 2000
"""At least so many epochs and so many pairs of steps."""


@dataclass(frozen=True)
class Output:
    """What the network says of a batch of B cells with V modalities."""

    states: list[Tensor]
    """(B, 64) of each modality."""
    fused: Tensor
    """(B, 100)."""
    logits: Tensor
    """(B, C) of groups."""


class UnitedNet(nn.Module):
    """One encoder and one decoder a modality, a weighted mean of their states, and a head for groups.

    Parameters
    ----------
    n_features
        Of each modality.
    n_groups
        Clusters, or labels.
    """

    def __init__(self, n_features: Sequence[int], n_groups: int) -> None:
        super().__init__()
        self.encoders = Modules[nn.Sequential](perceptron(n, WIDTH) for n in n_features)
        self.decoders = Modules[nn.Sequential](perceptron(WIDTH, n) for n in n_features)
        self.weight = nn.Parameter(torch.zeros(len(n_features)))
        self.latent = nn.Sequential(nn.Linear(WIDTH, LATENT), nn.LayerNorm(LATENT), nn.ReLU())
        self.head = nn.Linear(LATENT, n_groups, bias=False)

    def forward(self, x: Sequence[Tensor]) -> Output:
        """States, their fusion and groups of z-scored values (B, D) of each modality."""
        states = [encode(values) for encode, values in zip(self.encoders, x, strict=True)]
        fused = self.latent(torch.einsum("v,vbd->bd", self.weight.softmax(0), torch.stack(states)))
        return Output(states, fused, functional.linear(fused, functional.normalize(self.head.weight, dim=1)))

    def translate(self, source: int, target: int, values: Tensor) -> Tensor:
        """One modality (B, D) from another alone."""
        return self.decoders[target](self.encoders[source](values))


def perceptron(n_in: int, n_out: int) -> nn.Sequential:
    """One hidden layer."""
    return nn.Sequential(nn.Linear(n_in, WIDTH), nn.ReLU(), nn.Linear(WIDTH, n_out))


def group_loss(network: UnitedNet, x: Sequence[Tensor], labels: Tensor | None) -> Tensor:
    """Of the step that finds groups: cross-entropy of labels, or clusters apart and of like size; with reconstruction.

    Parameters
    ----------
    network
        See `UnitedNet`.
    x
        Values of each modality.
    labels
        Codes (B,), -1 in cells without a label; None: clusters.
    """
    output = network(x)
    own = reconstruction(network, x, output)
    if labels is not None:
        error = functional.cross_entropy(output.logits, labels, ignore_index=-1, reduction="sum")
        return error / (labels >= 0).sum().clamp(min=1) + own
    terms, share = ddc(output.logits, output.fused), output.logits.softmax(1).mean(0)
    entropy = -torch.xlogy(share, share).sum()
    return DDC_WEIGHT * (terms.separation + terms.simplex) - ENTROPY_WEIGHT * entropy + own


def translation_loss(network: UnitedNet, x: Sequence[Tensor]) -> Tensor:
    """Of the step that predicts: every modality from its own state, and from that of every other one."""
    output = network(x)
    own = reconstruction(network, x, output)
    pairs = list(permutations(range(len(x)), 2))
    if not pairs:
        return own
    errors = [functional.mse_loss(network.decoders[t](output.states[s]), x[t]) for t, s in pairs]
    return own + torch.stack(errors).mean()


def reconstruction(network: UnitedNet, x: Sequence[Tensor], output: Output) -> Tensor:
    """Mean squared error of every modality from its own state."""
    decoded = [decode(state) for decode, state in zip(network.decoders, output.states, strict=True)]
    return torch.stack([functional.mse_loss(y, values) for y, values in zip(decoded, x, strict=True)]).mean()


def train(
    network: UnitedNet, x: Sequence[Tensor], labels: Tensor | None, n_epochs: int, generator: torch.Generator
) -> None:
    """Alternate both steps, batch by batch.

    Parameters
    ----------
    network
        Trained in place.
    x
        Z-scored values of each modality, the same cells in each.
    labels
        See `group_loss`.
    n_epochs
        Passes over all cells.
    generator
        Of the order of the cells.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    network.train()
    for _ in range(n_epochs):
        order = torch.randperm(len(x[0]), generator=generator)
        for cells in order.tensor_split(max(1, len(order) // BATCH_SIZE)):
            batch = [values[cells] for values in x]
            step(network, optimizer, group_loss(network, batch, None if labels is None else labels[cells]))
            step(network, optimizer, translation_loss(network, batch))
    network.eval()


def step(network: UnitedNet, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down a loss."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    optimizer.step()


def epochs_for(n_cells: int) -> int:
    """How many epochs give steps enough."""
    return max(N_EPOCHS, -(-N_STEPS // max(1, n_cells // BATCH_SIZE)))


@dataclass(frozen=True)
class UnitedNetFit:
    """A trained network with what it takes to read cells.

    Parameters
    ----------
    network
        In evaluation mode.
    scalers
        By modality, in the order of the network; fitted on training cells.
    """

    network: UnitedNet
    scalers: dict[str, StandardScaler]

    @torch.no_grad()
    def latent(self, mdata: MuData) -> Array:
        """The fused vectors of cells with all modalities."""
        return self.network(self._values(mdata)).fused.numpy()

    @torch.no_grad()
    def probabilities(self, mdata: MuData) -> Array:
        """Of groups, of cells with all modalities."""
        return self.network(self._values(mdata)).logits.softmax(1).numpy()

    @torch.no_grad()
    def predict(self, mdata: MuData, source: str, target: str) -> Array:
        """The target in its own units, from the source alone."""
        names = list(self.scalers)
        (values,) = self._values(mdata, [source])
        scaled = self.network.translate(names.index(source), names.index(target), values)
        return self.scalers[target].inverse_transform(scaled.numpy())

    def _values(self, mdata: MuData, names: Sequence[str] | None = None) -> list[Tensor]:
        return [_scaled(mdata, name, self.scalers[name]) for name in names or self.scalers]


def _scaled(mdata: MuData, name: str, scaler: StandardScaler) -> Tensor:
    """Z-scores in the order of the cells; 0, the training mean, where nothing was measured."""
    values = scaler.transform(dense(mdata.mod[name][mdata.obs_names].X))
    return torch.from_numpy(np.nan_to_num(values).astype(np.float32))


def fit(
    mdata: MuData, n_groups: int, seed: int, codes: NDArray[np.integer] | None = None, max_epochs: int | None = None
) -> UnitedNetFit:
    """A network trained on cells that have all modalities.

    Parameters
    ----------
    mdata
        Prepared cells.
    n_groups
        Of the head.
    seed
        Of first weights and batches.
    codes
        Label of each cell, from 0, -1 where it has none; None: the head finds clusters.
    max_epochs
        At most so many.
    """
    scalers = {name: StandardScaler().fit(dense(adata.X)) for name, adata in mdata.mod.items()}
    values = [_scaled(mdata, name, scaler) for name, scaler in scalers.items()]
    n_epochs = min(epochs_for(mdata.n_obs), max_epochs or epochs_for(mdata.n_obs))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UnitedNet([part.shape[1] for part in values], n_groups)
        labels = None if codes is None else torch.from_numpy(np.asarray(codes, dtype=np.int64))
        train(network, values, labels, n_epochs, torch.Generator().manual_seed(seed))
    return UnitedNetFit(network, scalers)
