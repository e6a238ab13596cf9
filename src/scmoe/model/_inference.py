"""What a trained model can be asked. Batched, without gradients, each result written into one array."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from mudata import MuData
from torch import Tensor

from scmoe.data._dataset import Batch, MosaicDataset
from scmoe.nn._network import Encoded

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

BATCH_SIZE = 512


class Inference:
    """The methods of `scmoe.model.SCMOE` that use the trained network.

    In all of them `adata` is a MuData (None: the model's own), which stays unchanged; `indices` are positions of cells
    (None: all); n is their number.
    """

    @torch.no_grad()
    def get_latent_representation(
        self: "SCMOE",
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
            here = batch.present.any(1) if v is None else batch.present[:, v]
            out[rows] = _where(here, state)
        return out

    @torch.no_grad()
    def predict(
        self: "SCMOE",
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
        frame = self._head_probabilities(
            adata, indices, batch_size, lambda e: self.module.label_head(e.joint), self.setup.labels
        )
        return frame if soft else frame.columns.to_numpy()[frame.to_numpy().argmax(1)]

    @torch.no_grad()
    def predict_clusters(
        self: "SCMOE",
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
            raise ValueError("This model has no clustering head. Train one with n_clusters=..., or use scmoe.tl.cluster.")
        names = [str(i) for i in range(self.config.n_clusters)]
        frame = self._head_probabilities(adata, indices, batch_size, lambda e: self.module.cluster_logits(e)[0], names)
        return frame if soft else frame.columns.to_numpy()[frame.to_numpy().argmax(1)]

    @torch.no_grad()
    def impute(
        self: "SCMOE",
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
        out = np.full((len(cells), len(self.feature_names[target])), np.nan, np.float32)
        for rows, batch, encoded in self._encode(dataset, cells, batch_size, only=sources):
            seen = batch.present[:, sources]
            weights = self.module.batch_weights(batch.batch)
            decoded = self.module.decoders[t](encoded.states[:, sources].transpose(0, 1), weights, own=False)
            share = seen / seen.sum(1, keepdim=True).clamp(min=1)
            decoded = (decoded * share.T[..., None]).sum(0)
            expected = self.module.decoders[t].expected(decoded)
            if self.setup.likelihoods[target] == "gaussian":
                expected = self.module.standardizers[t].inverse(expected)
            out[rows] = _where(seen.any(1), expected)
        return out

    @torch.no_grad()
    def get_router_activations(
        self: "SCMOE",
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        kind: Literal["soft", "hard"] = "soft",
        batch_size: int = BATCH_SIZE,
    ) -> dict[str, np.ndarray]:
        """Which experts the cells use, by modality.

        Parameters
        ----------
        adata, indices
            Which cells.
        kind
            ``"soft"``: mean weight of each expert over the modality's tokens; ``"hard"``: share of the tokens' choices.
        batch_size
            Cells at once.

        Returns
        -------
        dict
            Of each modality an array (n, layers, experts) float32; rows sum to one (soft ones to less with
            ``gate="topk_of_softmax"``) and are NaN in cells that lack the modality.
        """
        if kind not in ("soft", "hard"):
            raise ValueError(f"kind must be 'soft' or 'hard'; found {kind!r}.")
        dataset, cells = self._query(adata, indices)
        c, V = self.config, len(self.modalities)
        out = np.full((V, len(cells), c.n_layers, c.n_experts), np.nan, np.float32)
        for rows, batch, encoded in self._encode(dataset, cells, batch_size):
            cell, modality = batch.present.cpu().numpy().nonzero()
            for layer, routing in enumerate(encoded.routing):
                gates = routing.gates()
                use = gates if kind == "soft" else (gates > 0) / c.top_k
                out[modality, rows.start + cell, layer] = use.unflatten(0, (-1, c.n_tokens)).mean(1).float().cpu()
        return dict(zip(self.modalities, out, strict=True))

    @torch.no_grad()
    def get_attention(
        self: "SCMOE",
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray:
        """How much modalities attend to each other.

        Parameters
        ----------
        adata, indices
            Which cells.
        batch_size
            Cells at once.

        Returns
        -------
        numpy.ndarray
            (n, layers, V, V) float32: attention of the tokens of a modality (third axis) to all tokens of another
            (fourth), mean over heads and query tokens. Rows sum to one; NaN in rows of absent modalities, 0 in columns.
        """
        dataset, cells = self._query(adata, indices)
        V, P = len(self.modalities), self.config.n_tokens
        out = np.full((len(cells), self.config.n_layers, V, V), np.nan, np.float32)
        for rows, batch, encoded in self._encode(dataset, cells, batch_size, return_attention=True):
            for layer, attention in enumerate(encoded.attention):
                blocks = attention.mean(1).unflatten(2, (V, P)).sum(3).unflatten(1, (V, P)).mean(2)
                out[rows, layer] = _where(batch.present, blocks)
        return out

    def _query(self: "SCMOE", adata: MuData | None, indices: Sequence[int] | None) -> tuple[MosaicDataset, np.ndarray]:
        if not self.is_trained_:
            raise RuntimeError("This model is not trained yet. Call model.train() first.")
        dataset = self._dataset(adata)
        cells = np.arange(len(dataset))
        return dataset, cells if indices is None else cells[np.asarray(indices)]

    def _position(self: "SCMOE", modality: str) -> int:
        if modality not in self.modalities:
            raise KeyError(f"This model has no modality {modality!r}; it has {', '.join(self.modalities)}.")
        return self.modalities.index(modality)

    def _encode(
        self: "SCMOE",
        dataset: MosaicDataset,
        cells: np.ndarray,
        batch_size: int,
        only: Sequence[int] | None = None,
        return_attention: bool = False,
    ) -> Iterator[tuple[slice, Batch, Encoded]]:
        """Batches of the cells, encoded; with `only`, the modalities elsewhere are hidden."""
        network, device = self.module, self.module.standardizers[0].mean.device
        network.eval()
        for start in range(0, len(cells), batch_size):
            rows = slice(start, min(start + batch_size, len(cells)))
            batch = to_device(dataset[cells[rows]], device)
            if only is not None:
                shown = torch.zeros_like(batch.present)
                shown[:, only] = batch.present[:, only]
                batch = batch._replace(present=shown)
            z = network.standardize(batch.values, batch.observed)
            yield rows, batch, network.encode(z, batch.present, return_attention=return_attention)

    def _head_probabilities(self: "SCMOE", adata, indices, batch_size, logits, names) -> pd.DataFrame:
        dataset, cells = self._query(adata, indices)
        out = np.empty((len(cells), len(names)), np.float32)
        for rows, _, encoded in self._encode(dataset, cells, batch_size):
            out[rows] = logits(encoded).softmax(1).float().cpu()
        return pd.DataFrame(out, index=dataset.obs_names[cells], columns=names)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""

    def move(x: Tensor | list[Tensor | None] | None) -> Tensor | list | None:
        if isinstance(x, list):
            return [move(item) for item in x]
        return None if x is None else x.to(device)

    return Batch(*(move(field) for field in batch))


def _where(here: Tensor, values: Tensor) -> Tensor:
    """Values on the CPU, NaN where `here` is false."""
    here = here.reshape(here.shape + (1,) * (values.ndim - here.ndim))
    return values.float().masked_fill(~here, float("nan")).cpu()
