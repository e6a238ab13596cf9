"""How a model reads cells: batched, without gradients."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from lightning.fabric.utilities import move_data_to_device
from mudata import MuData
from torch import Tensor

from scmoe.data._dataset import Batch, MosaicDataset
from scmoe.data._setup import Setup
from scmoe.model._base import BaseModel
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Encoded, Network
from scmoe.nn._threads import threads_for
from scmoe.readout._readouts import Readouts
from scmoe.readout._subsets import Subset

BATCH_SIZE = 512
Part = Literal["mixture", "network", "linear"]
"""What the network and a linear model say together, or one of them alone."""
PARTS = get_args(Part)


class Reading(NamedTuple):
    """Some cells, as the encoder sees them."""

    rows: slice
    """Which of the cells asked for."""
    batch: Batch
    """What the encoder sees of them."""
    z: list[Tensor]
    """Standardized features (n_v, D) of each modality."""
    covariates: Tensor
    """(B, J) scaled covariates."""


class Chunk(NamedTuple):
    """Some cells, encoded."""

    rows: slice
    """Which of the cells asked for."""
    batch: Batch
    """What the encoder saw of them."""
    z: list[Tensor]
    """Standardized features (n_v, D) of each modality."""
    covariates: Tensor
    """(B, J) scaled covariates."""
    encoded: Encoded
    """What it made of it."""

    def groups(self) -> Iterator[tuple[Subset, np.ndarray]]:
        """The sets of modalities that cells have, with the positions of these cells in the chunk."""
        mask = self.batch.presence.mask.cpu().numpy()
        patterns, which = np.unique(mask, axis=0, return_inverse=True)
        for i, pattern in enumerate(patterns):
            yield tuple(np.flatnonzero(pattern).tolist()), np.flatnonzero(which.ravel() == i)


class Encoding(BaseModel):
    """What all methods that use the trained network rest on."""

    module: Network
    """The network, a `torch.nn.Module`."""
    config: NetworkConfig
    """The network's settings."""
    setup: Setup
    """Where the model finds its data in a MuData, and the names of features, batches and labels."""
    readouts: Readouts
    """What was fitted to the network's outputs after its training."""

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in the model's order."""
        return self.setup.modalities

    @property
    def feature_names(self) -> dict[str, list[str]]:
        """Features of each modality, in the model's order."""
        return self.setup.feature_names

    @staticmethod
    def _check_part(part: str) -> None:
        if part not in PARTS:
            raise ValueError(f"part must be one of {', '.join(map(repr, PARTS))}; found {part!r}.")

    def _query(self, adata: MuData | None, indices: Sequence[int] | None) -> tuple[MosaicDataset, np.ndarray]:
        if not self.is_trained_:
            raise RuntimeError("This model is not trained yet. Call model.train() first.")
        dataset = self._dataset(adata)
        cells = np.arange(len(dataset))
        if indices is None:
            return dataset, cells
        return dataset, cells[np.asarray(indices)] if len(indices) else cells[:0]

    def _position(self, modality: str) -> int:
        if modality not in self.modalities:
            raise KeyError(f"This model has no modality {modality!r}; it has {', '.join(self.modalities)}.")
        return self.modalities.index(modality)

    def _encode(
        self,
        dataset: MosaicDataset,
        cells: np.ndarray,
        batch_size: int = BATCH_SIZE,
        only: Sequence[int] | None = None,
        return_attention: bool = False,
    ) -> Iterator[Chunk]:
        """Batches of the cells, encoded; with `only`, the modalities elsewhere are hidden."""
        for reading in self._read(dataset, cells, batch_size, only):
            yield self._encode_reading(reading, return_attention)

    def _encode_reading(self, reading: Reading, return_attention: bool = False) -> Chunk:
        _, batch, z, covariates = reading
        encoded = self.module.encode(
            z, batch.presence, covariates, values=batch.values, return_attention=return_attention
        )
        return Chunk(*reading, encoded)

    def _read(
        self, dataset: MosaicDataset, cells: np.ndarray, batch_size: int, only: Sequence[int] | None
    ) -> Iterator[Reading]:
        """Batches of the cells, standardized, with the network ready to evaluate them."""
        network = self.module
        network.eval()
        with threads_for(network.config.n_hidden):
            for start in range(0, len(cells), batch_size):
                rows = slice(start, min(start + batch_size, len(cells)))
                batch = dataset[cells[rows]]
                batch = move_data_to_device(batch if only is None else batch.only(only), network.device)
                z = network.standardize(batch.values, batch.observed)
                yield Reading(rows, batch, z, network.scale_covariates(batch.covariates))

    def _dataset(self, mdata: MuData | None) -> MosaicDataset:
        """The model's own data or a query's; nothing is written to either."""
        if mdata is None:
            mdata = self.adata
        if mdata is None:
            raise ValueError("This model was loaded without data. Pass the MuData: adata=mdata.")
        return MosaicDataset(mdata, self.setup)


def nan_where_absent(here: Tensor, values: Tensor) -> Tensor:
    """Values on the CPU, NaN where `here` is false."""
    here = here.reshape(here.shape + (1,) * (values.ndim - here.ndim))
    return values.float().masked_fill(~here, float("nan")).cpu()
