"""A fitted model: how it reads cells, and what all that is asked of it rests on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from anndata import AnnData
from lightning.fabric.utilities import move_data_to_device
from mudata import MuData
from torch import Tensor

from scmoe._align import Indices, positions_of
from scmoe._check import missing_modality
from scmoe.arguments._checked import checks_arguments
from scmoe.data._dataset import Batch, MosaicDataset
from scmoe.data._match import query_notes
from scmoe.data._setup import Setup
from scmoe.datasets._anndata import as_mudata
from scmoe.model._base import BaseModel
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Encoded, Network
from scmoe.nn._threads import threads_for
from scmoe.readout._readouts import Readouts
from scmoe.readout._subsets import Subset

BATCH_SIZE = 512
Loadings = Literal["fixed", "trained"]
"""Of the components that the network reads: those that reproduce, as found in the training cells, from which labels and
embedding are read; or all of them, as training has changed them, from which modalities are predicted.

What training changes fits the training cells better than others: new cells would be shrunk to the center, and there be
everybody's neighbors."""
Part = Literal["mixture", "network", "linear"]
"""What the network and a linear model say together, or one of them alone."""


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


@dataclass(frozen=True)
class Fitted:
    """A network with what was fitted to it; everything that is said of cells is a function of this and of the cells.

    Parameters
    ----------
    network
        The trained network.
    setup
        Where it finds its data, and the names of features, batches and labels.
    readouts
        What was fitted to the network's outputs.
    seed
        Of what is random when cells are read, such as subsets of very many.
    """

    network: Network
    setup: Setup
    readouts: Readouts
    seed: int

    @property
    def config(self) -> NetworkConfig:
        """The network's settings."""
        return self.network.config

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in the model's order."""
        return self.setup.modalities

    @property
    def feature_names(self) -> dict[str, list[str]]:
        """Features of each modality, in the model's order."""
        return self.setup.feature_names

    def with_readouts(self, readouts: Readouts) -> "Fitted":
        """The same network with other readouts."""
        return replace(self, readouts=readouts)

    def position(self, modality: str) -> int:
        """Where a modality is in the model's order; a KeyError if it has no such modality."""
        if modality not in self.modalities:
            raise missing_modality(modality, "This model", self.feature_names)
        return self.modalities.index(modality)

    def labels(self) -> list[str]:
        """Names of the labels; a ValueError if there are none."""
        if not self.setup.labels:
            raise ValueError("This model was trained without labels. Train one with labels_key=... to annotate cells.")
        return self.setup.labels

    def read(
        self, dataset: MosaicDataset, cells: np.ndarray, batch_size: int = BATCH_SIZE, only: Sequence[int] | None = None
    ) -> Iterator[Reading]:
        """Batches of the cells, standardized, with the network ready to evaluate them.

        Parameters
        ----------
        dataset
            The data.
        cells
            Positions in them.
        batch_size
            Cells at once.
        only
            Positions of modalities; the others are hidden. None: all that a cell has.
        """
        network = self.network
        network.eval()
        with threads_for(network.config.n_hidden):
            for start in range(0, len(cells), batch_size):
                rows = slice(start, min(start + batch_size, len(cells)))
                batch = dataset[cells[rows]]
                batch = move_data_to_device(batch if only is None else batch.only(only), network.device)
                z = network.standardize(batch.dense_values(), batch.observed)
                yield Reading(rows, batch, z, network.scale_covariates(batch.covariates))

    def encode(
        self,
        dataset: MosaicDataset,
        cells: np.ndarray,
        batch_size: int = BATCH_SIZE,
        only: Sequence[int] | None = None,
        *,
        loadings: Loadings,
        return_attention: bool = False,
    ) -> Iterator[Chunk]:
        """Batches of the cells, encoded; see `read`."""
        for reading in self.read(dataset, cells, batch_size, only):
            yield self.encode_reading(reading, loadings=loadings, return_attention=return_attention)

    def encode_reading(self, reading: Reading, *, loadings: Loadings, return_attention: bool = False) -> Chunk:
        """A batch, encoded."""
        _, batch, z, covariates = reading
        encoded = self.network.encode(
            z,
            batch.presence,
            covariates,
            values=batch.values,
            n_fixed=self.readouts.n_fixed(len(self.modalities)) if loadings == "fixed" else None,
            return_attention=return_attention,
        )
        check_finite(encoded.joint)
        return Chunk(*reading, encoded)


class FittedModel(BaseModel):
    """A model of which a trained network can be asked about cells.

    Its methods are functions in the files of their topics, which `scmoe.model.SCMOE` lists. In all of them `adata` is a
    MuData or AnnData (None: the model's own), which stays unchanged. `indices` choose cells (None: all): positions, of
    which negative ones count from the end; names; or a mask of True and False, which a Series brings into the order of
    the cells by its index. A KeyError, IndexError or ValueError says which of them is no cell. n is their number.
    """

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

    @property
    def fitted(self) -> Fitted:
        """Network, setup and readouts as they are now; a RuntimeError before training."""
        if not self.is_trained_:
            raise RuntimeError("This model is not trained yet. Call model.train() first.")
        return Fitted(self.module, self.setup, self.readouts, self.seed)

    def _dataset(self, mdata: MuData | AnnData | None) -> MosaicDataset:
        """The model's own data or a query's; nothing is written to either."""
        mdata = as_mudata(self.adata if mdata is None else mdata, self)
        if mdata is None:
            raise ValueError("This model was loaded without data. Pass the MuData: adata=mdata.")
        dataset = MosaicDataset(mdata, self.setup)
        self._say(next(iter(mdata.mod.values())), [*dataset.notes, *query_notes(mdata, self.setup)])
        return dataset

    @checks_arguments
    def get_anndata_manager(self, adata: MuData | AnnData, required: bool = False) -> Any:
        """As in scvi-tools, which looks for the MuData of an AnnData.

        Parameters
        ----------
        adata
            Data that were set up.
        required
            Whether it is an error if they were not.

        Returns
        -------
        scvi.data.AnnDataManager
            What scvi-tools knows of the data, or None.
        """
        return super().get_anndata_manager(as_mudata(adata, self), required)


class Query(NamedTuple):
    """What a method asks of which cells."""

    fitted: Fitted
    dataset: MosaicDataset
    cells: np.ndarray
    """Positions in the data set."""


def query(model: FittedModel, adata: MuData | AnnData | None, indices: Indices | None) -> Query:
    """A trained model, the data set of the model's own data or another's, and the cells asked for."""
    fitted, dataset = model.fitted, model._dataset(adata)
    cells = np.arange(len(dataset)) if indices is None else positions_of(indices, dataset.obs_names)
    return Query(fitted, dataset, cells)


def check_finite(states: Tensor) -> None:
    """Raise if states of cells are not finite numbers: nothing that is computed from them would be."""
    if not states.isfinite().all():
        raise FloatingPointError(
            "The network's states of some of the cells are not finite numbers. Look for extreme values in these cells; "
            "if training cells give such states too, train again with a lower learning rate (plan_kwargs={'lr': ...})."
        )


def nan_where_absent(here: Tensor, values: Tensor) -> Tensor:
    """Values on the CPU, NaN where `here` is false."""
    here = here.reshape(here.shape + (1,) * (values.ndim - here.ndim))
    return values.float().masked_fill(~here, float("nan")).cpu()
