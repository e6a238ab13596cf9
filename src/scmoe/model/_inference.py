"""What a trained model says about cells: embedding, labels, clusters, familiarity."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from mudata import MuData

from scmoe.model._encoding import BATCH_SIZE, Chunk, Encoding, Part, nan_where_absent
from scmoe.model._features import embedding, label_views, linear_embedding, program_scores, to_numpy
from scmoe.readout._subsets import nearest_subset


class Inference(Encoding):
    """The methods of `scmoe.model.SCMOE` that use the trained network.

    In all of them `adata` is a MuData (None: the model's own), which stays unchanged; `indices` are positions of cells
    (None: all); n is their number.
    """

    @torch.no_grad()
    def get_latent_representation(
        self,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int = BATCH_SIZE,
        modality: str | None = None,
        *,
        part: Part = "mixture",
        labeled: bool = False,
    ) -> np.ndarray:
        """The embedding.

        Parameters
        ----------
        adata, indices
            Which cells.
        batch_size
            Cells at once.
        modality
            None: the joint embedding, n_hidden principal components of the joint state (the mean of the modalities' states)
            and of the batch-corrected program scores, half of the variance from each; of a cell that lacks modalities, what
            those it has let expect of it (a linear map, fitted to training cells that have all). With patch tokens, or
            too few complete cells, the joint state. A name: the state of that modality.
        part
            Of the joint embedding: ``"mixture"``, all of it; ``"network"``, the joint state alone; ``"linear"``, the
            batch-corrected program scores alone, modalities of equal variance (0 for those that a cell lacks).
        labeled
            Whether to put the probabilities of the labels beside the joint embedding, scaled to the same total variance in
            the training cells, so that what the labels say shapes the neighborhoods, of unlabeled cells too.

        Returns
        -------
        numpy.ndarray
            (n, n_hidden) float32; with `labeled` (n, n_hidden + labels), with ``part="linear"`` (n, programs). NaN in cells
            that lack the `modality` asked for.

        Raises
        ------
        ValueError
            `labeled` or a `part` was asked for a single modality, labels of a model without, or `part` is unknown.
        """
        self._check_part(part)
        if modality is not None and (labeled or part != "mixture"):
            raise ValueError(
                f"labeled and part are for the joint embedding; found modality={modality!r} as well. Leave it out."
            )
        labels = self._labels() if labeled else []
        dataset, cells = self._query(adata, indices)
        v = None if modality is None else self._position(modality)
        found = [np.zeros((0, self.config.n_hidden + len(labels)), np.float32)] if not len(cells) else []
        for chunk in self._encode(dataset, cells, batch_size):
            if v is not None:
                block = nan_where_absent(chunk.batch.presence.mask[:, v], chunk.encoded.states[:, v]).numpy()
            else:
                block = self._embedding(chunk, part)
            found.append(np.hstack([block, self._scaled_labels(chunk)]) if labels else block)
        return np.concatenate(found)

    @torch.no_grad()
    def predict(
        self,
        adata: MuData | None = None,
        indices: Sequence[int] | None = None,
        soft: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray | pd.DataFrame:
        """Labels of the cells.

        A calibrated mixture of class-balanced logistic regressions on principal components of z-scores, program scores and
        joint state; see the user guide.

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
        labels = self._labels()
        dataset, cells = self._query(adata, indices)
        out = np.empty((len(cells), len(labels)), np.float32)
        for chunk in self._encode(dataset, cells, batch_size):
            out[chunk.rows] = self._label_probabilities(chunk)
        return named(out, dataset.obs_names[cells], labels, soft=soft)

    @torch.no_grad()
    def get_mapping_score(
        self, adata: MuData | None = None, indices: Sequence[int] | None = None, batch_size: int = BATCH_SIZE
    ) -> np.ndarray:
        """How well cells fit those that the model was trained on.

        In each modality, the share p of held-out training cells that are at least as far from the nearest cluster of
        training cells (Mahalanobis distance in the leading 20 programs). The score is the smallest over the m modalities of
        a cell, corrected for their number: 1 - (1 - p)ᵐ. Among cells like the training cells, one in twenty is below .05.

        Parameters
        ----------
        adata, indices
            Which cells.
        batch_size
            Cells at once.

        Returns
        -------
        numpy.ndarray
            (n,) float32 in (0, 1].

        Raises
        ------
        ValueError
            The model has patch tokens, and so no programs to measure distances in.
        """
        if not self.readouts.familiarities:
            raise ValueError("A mapping score needs program tokens; this model was made with tokenizer='patch'.")
        dataset, cells = self._query(adata, indices)
        smallest = np.ones(len(cells))
        for chunk in self._encode(dataset, cells, batch_size):
            here = chunk.batch.presence.mask.cpu().numpy()
            for (v,), familiarity in self.readouts.familiarities.items():
                rows = chunk.rows.start + np.flatnonzero(here[:, v])
                scores = to_numpy(program_scores(self.module, chunk, v))[here[:, v]]
                smallest[rows] = np.minimum(smallest[rows], familiarity.score(scores))
        return (1 - (1 - smallest) ** dataset.present[cells].sum(1)).astype(np.float32)

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
        dataset, cells = self._query(adata, indices)
        out = np.empty((len(cells), len(names)), np.float32)
        for chunk in self._encode(dataset, cells, batch_size):
            out[chunk.rows] = to_numpy(self.module.cluster_logits(chunk.encoded)[0].softmax(1))
        return named(out, dataset.obs_names[cells], names, soft=soft)

    def _labels(self) -> list[str]:
        if not self.setup.labels:
            raise ValueError("This model was trained without labels. Train one with labels_key=... to annotate cells.")
        return self.setup.labels

    def _embedding(self, chunk: Chunk, part: str = "mixture") -> np.ndarray:
        """The joint embedding (B, d), or a part of it."""
        if part == "linear":
            return to_numpy(linear_embedding(self.module, chunk))
        if part == "network":
            return to_numpy(chunk.encoded.joint)
        return to_numpy(embedding(self.module, self.readouts, chunk))

    def _label_probabilities(self, chunk: Chunk) -> np.ndarray:
        """(B, labels)."""
        out = np.empty((len(chunk.covariates), len(self.setup.labels)), np.float32)
        for seen, rows in chunk.groups():
            known = nearest_subset(seen, self.readouts.annotators)
            assert known is not None  # at least the joint state is fitted
            out[rows] = self.readouts.annotators[known].predict(
                [to_numpy(view)[rows] for view in label_views(self.module, chunk, known)]
            )
        return out

    def _scaled_labels(self, chunk: Chunk) -> np.ndarray:
        return self._label_probabilities(chunk) * self.readouts.label_scale


def named(probability: np.ndarray, cells: pd.Index, names: list[str], *, soft: bool) -> np.ndarray | pd.DataFrame:
    """Probabilities as a frame, or the most probable name of each cell."""
    if soft:
        return pd.DataFrame(probability, index=cells, columns=names)
    return np.array(names, object)[probability.argmax(1)]
