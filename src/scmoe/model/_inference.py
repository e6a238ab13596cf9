"""What a trained model can be asked. Batched, without gradients, each result written into one array."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from lightning.fabric.utilities import move_data_to_device
from mudata import MuData
from scvi.model.base import BaseModelClass
from torch import Tensor

from scmoe.data._dataset import Batch, MosaicDataset
from scmoe.data._setup import Setup
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Encoded, Network
from scmoe.nn._threads import threads_for

BATCH_SIZE = 512


class Inference(BaseModelClass):
    """The methods of `scmoe.model.SCMOE` that use the trained network.

    In all of them `adata` is a MuData (None: the model's own), which stays unchanged; `indices` are positions of cells
    (None: all); n is their number.
    """

    module: Network
    """The network, a `torch.nn.Module`."""
    config: NetworkConfig
    """The network's settings."""
    setup: Setup
    """Where the model finds its data in a MuData, and the names of features, batches and labels."""

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in the model's order."""
        return self.setup.modalities

    @property
    def feature_names(self) -> dict[str, list[str]]:
        """Features of each modality, in the model's order."""
        return self.setup.feature_names

    @torch.no_grad()
    def get_latent_representation(
        self,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int = BATCH_SIZE,
        modality: str | None = None,
    ) -> np.ndarray:
        """The embedding.

        Parameters
        ----------
        adata, indices
            Which cells.
        batch_size
            Cells at once.
        modality
            None: the joint state, the mean of the states of the modalities a cell has. A name: that modality's state.

        Returns
        -------
        numpy.ndarray
            (n, n_hidden) float32; NaN in cells that lack the `modality` asked for.
        """
        dataset, cells = self._query(adata, indices)
        v = None if modality is None else self._position(modality)
        out = np.full((len(cells), self.config.n_hidden), np.nan, np.float32)
        for rows, batch, encoded in self._encode(dataset, cells, batch_size):
            state = encoded.joint if v is None else encoded.states[:, v]
            here = batch.presence.mask.any(1) if v is None else batch.presence.mask[:, v]
            out[rows] = nan_where_absent(here, state)
        return out

    @torch.no_grad()
    def predict(
        self,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        soft: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray | pd.DataFrame:
        """Labels of the cells.

        Parameters
        ----------
        adata, indices
            Which cells; their own labels are not looked at.
        soft
            Whether to return probabilities.
        batch_size
            Cells at once.

        Returns
        -------
        numpy.ndarray or pandas.DataFrame
            The most probable label of each cell, or (cells, labels) probabilities.

        Raises
        ------
        ValueError
            The model was trained without labels.
        """
        if not self.setup.labels:
            raise ValueError("This model was trained without labels. Train one with labels_key=... to annotate cells.")
        names, head = self.setup.labels, self.module.label_head
        return self._classify(adata, indices, batch_size, lambda encoded: head(encoded.joint), names, soft=soft)

    @torch.no_grad()
    def predict_clusters(
        self,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        soft: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray | pd.DataFrame:
        """Clusters of the cells, by the deep divergence-based clustering head.

        Parameters
        ----------
        adata, indices
            Which cells.
        soft
            Whether to return probabilities.
        batch_size
            Cells at once.

        Returns
        -------
        numpy.ndarray or pandas.DataFrame
            The number of each cell's cluster as text, or (cells, clusters) probabilities.

        Raises
        ------
        ValueError
            The model has no clustering head.
        """
        if self.config.n_clusters is None:
            raise ValueError(
                "This model has no clustering head. Train one with n_clusters=..., or use scmoe.tl.cluster."
            )
        names = [str(i) for i in range(self.config.n_clusters)]
        head = self.module.cluster_logits
        return self._classify(adata, indices, batch_size, lambda encoded: head(encoded)[0], names, soft=soft)

    @torch.no_grad()
    def impute(
        self,
        source: str | Sequence[str],
        target: str,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray:
        """Predict the features of a modality from others.

        The target is absent from the input, even of cells that have it.

        Parameters
        ----------
        source
            The modality or modalities to look at.
        target
            The modality to predict.
        adata, indices
            Which cells.
        batch_size
            Cells at once.

        Returns
        -------
        numpy.ndarray
            (n, features) float32 in the units of the target's values; for count likelihoods the expected count at the
            median total of the training cells, for ``"bernoulli"`` the probability. NaN in cells without any source.

        Raises
        ------
        KeyError
            A modality that the model does not have.
        ValueError
            The target is among the sources, or there is no source.
        """
        names = [source] if isinstance(source, str) else list(source)
        sources, t = [self._position(name) for name in names], self._position(target)
        if not sources or t in sources:
            raise ValueError(
                f"Predicting {target!r} needs source modalities other than itself; found {names}. "
                f"Choose from {[m for m in self.modalities if m != target]}."
            )
        dataset, cells = self._query(adata, indices)
        if len(cells) and not dataset.present[cells][:, sources].any():
            raise ValueError(
                f"None of the {len(cells)} cells has {' or '.join(names)}, so nothing can be predicted from it."
            )
        out = np.full((len(cells), len(self.feature_names[target])), np.nan, np.float32)
        for rows, batch, encoded in self._encode(dataset, cells, batch_size, only=sources):
            seen = batch.presence.mask[:, sources]
            weights = self.module.batch_weights(batch.batch)
            decoder = self.module.decoders[t]
            scores = decoder.scores(encoded.states[:, sources].transpose(0, 1), weights, own=False)
            share = seen / seen.sum(1, keepdim=True).clamp(min=1)
            expected = decoder.expected(decoder.parameters_of((scores * share.T[..., None]).sum(0)))
            if self.setup.likelihoods[target] == "gaussian":
                expected = self.module.standardizers[t].inverse(expected)
            out[rows] = nan_where_absent(seen.any(1), expected)
        return out

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
        batch_size: int,
        only: Sequence[int] | None = None,
        return_attention: bool = False,
    ) -> Iterator[tuple[slice, Batch, Encoded]]:
        """Batches of the cells, encoded; with `only`, the modalities elsewhere are hidden."""
        network = self.module
        network.eval()
        with threads_for(network):
            for start in range(0, len(cells), batch_size):
                rows = slice(start, min(start + batch_size, len(cells)))
                batch = dataset[cells[rows]]
                batch = move_data_to_device(batch if only is None else batch.only(only), network.device)
                z = network.standardize(batch.values, batch.observed)
                yield rows, batch, network.encode(z, batch.presence, return_attention=return_attention)

    def _classify(
        self,
        adata: MuData | None,
        indices: Sequence[int] | None,
        batch_size: int,
        logits: Callable[[Encoded], Tensor],
        names: list[str],
        *,
        soft: bool,
    ) -> np.ndarray | pd.DataFrame:
        """Probabilities of the names, or the most probable name of each cell."""
        dataset, cells = self._query(adata, indices)
        out = np.empty((len(cells), len(names)), np.float32)
        for rows, _, encoded in self._encode(dataset, cells, batch_size):
            out[rows] = logits(encoded).softmax(1).float().cpu()
        return (
            pd.DataFrame(out, index=dataset.obs_names[cells], columns=names)
            if soft
            else np.array(names, object)[out.argmax(1)]
        )

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
