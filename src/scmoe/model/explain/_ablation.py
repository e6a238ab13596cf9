"""What a modality is worth to a trained model: its losses with the modality and without."""

import copy
from typing import Literal, NamedTuple

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.data._dataset import MosaicDataset
from scmoe.model._features import cross_scores
from scmoe.model._fitted import BATCH_SIZE, Fitted, FittedModel, Reading, nan_where_absent, query
from scmoe.model._labels import label_probabilities
from scmoe.train._objective import reconstruction

LABEL = "label"
"""The outcome beside the modalities."""
"""How a modality can be taken away."""


class Ablated(NamedTuple):
    """Losses of n cells for O outcomes, with all V modalities and with one of them taken away."""

    outcomes: list[str]
    """What the losses are about: a modality's features, or ``"label"``."""
    loss: np.ndarray
    """(n, V, O) float32: loss with all modalities, the same for each of the V; NaN as in `loss_hidden`."""
    loss_hidden: np.ndarray
    """(n, V, O) float32: loss without the modality of the second axis. NaN where the cell lacks that modality, or has
    no other; where it lacks the modality or the label that is the outcome; and where no training cell had its label."""


@checks_arguments
@torch.no_grad()
def get_ablation(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
    *,
    how: Literal["hide", "permute"] = "hide",
    seed: int = 0,
) -> Ablated:
    """What the loss of each cell becomes when a modality is taken away.

    Outcomes are the features of each modality and, if the model has labels, the label. The loss of features is that
    of the training (negative log-likelihood, or squared error in units of the variance that the programs explain;
    mean over features), decoded by the network from the modality's own state. A modality that is itself hidden is
    decoded from the states of the others. The loss of a label is -log of its probability, by the annotator of the
    modalities that are left.

    Parameters
    ----------
    adata, indices
        Which cells. Labels of training and validation cells were learned, so their losses are too small.
    batch_size
        Cells at once.
    how
        ``"hide"``: the modality is absent. ``"permute"``: each cell gets the modality of another of these cells, of
        the same batch if the model has batches: its values are as common as before, but say nothing about the cell.
        Cells that no other of these cells can exchange it with do not count.
    seed
        Of the permutation.

    Returns
    -------
    Ablated
        Arrays of the losses with and without each modality.

    Raises
    ------
    ValueError
        `how` is none of its options, the model has a single modality, no cell has two, or no two cells of a batch can
        exchange one.

    Examples
    --------
    >>> ablation = model.get_ablation(indices=model.validation_indices)
    """
    if len(self.modalities) < 2:
        raise ValueError(
            f"This model has a single modality, {self.modalities[0]!r}; without it, nothing is left to look at. "
            "Train a model with two or more."
        )
    if LABEL in self.modalities and self.setup.labels:
        raise ValueError(f"A modality is called {LABEL!r}, as is the loss of the labels. Rename it and train again.")
    fitted, dataset, cells = query(self, adata, indices)
    several = dataset.present[cells].sum(1) > 1
    if not several.any():
        raise ValueError(
            f"Taking a modality away needs cells that have another one; none of the {len(cells)} cells has two of "
            f"{', '.join(fitted.modalities)}."
        )
    outcomes = [*fitted.modalities, LABEL] if fitted.setup.labels else fitted.modalities
    losses = np.full((2, len(cells), len(fitted.modalities), len(outcomes)), np.nan, np.float32)
    for v in range(len(fitted.modalities)):
        at = np.flatnonzero(several & dataset.present[cells, v])
        if how == "hide":
            altered, left, hidden = dataset, [u for u in range(len(fitted.modalities)) if u != v], v
        else:
            altered, left, hidden = permuted(dataset, len(fitted.setup.batches), v, cells[at], seed), None, None
            at = at[altered._rows[v, cells[at]] != dataset._rows[v, cells[at]]]  # the only one of a batch keeps its own
        for whole in fitted.read(dataset, cells[at], batch_size):
            rows = at[whole.rows]
            label = dataset.label[cells[rows]]
            [without] = fitted.read(altered, cells[rows], batch_size, left)
            losses[0, rows, v] = losses_of(fitted, whole, whole, None, label)
            losses[1, rows, v] = losses_of(fitted, whole, without, hidden, label)
    losses[:, np.isnan(losses).any(0)] = np.nan
    if np.isnan(losses).all():
        raise ValueError(
            f"how='permute' needs two cells of a batch that have the same modality; the {len(cells)} cells have "
            "none. Use more "
            "cells, or how='hide'."
        )
    return Ablated(outcomes, *losses)


def permuted(dataset: MosaicDataset, n_batches: int, modality: int, cells: np.ndarray, seed: int) -> MosaicDataset:
    """The data, in which these cells have each other's rows of a modality, within batches."""
    cells = np.unique(cells)
    batch = dataset.covariates[cells, :n_batches].argmax(1)
    altered, generator = copy.copy(dataset), np.random.default_rng(seed)
    altered._rows = dataset._rows.copy()
    for name in np.unique(batch):
        order = generator.permutation(cells[batch == name])
        altered._rows[modality, order] = dataset._rows[modality, np.roll(order, 1)]
    return altered


def losses_of(fitted: Fitted, whole: Reading, seen: Reading, hidden: int | None, label: np.ndarray) -> np.ndarray:
    """Losses (B, O) of what the cells are, given what was seen of them."""
    network, presence, losses = fitted.network, whole.batch.presence, []
    chunk = fitted.encode_reading(seen, loadings="trained")
    for t, decoder in enumerate(network.decoders):
        if t == hidden:
            sources = [v for v in range(len(fitted.modalities)) if v != t]
            scores = cross_scores(network, chunk, sources, t, seen.covariates)
        else:
            scores = decoder.scores(chunk.encoded.states[:, t], seen.covariates, own=True)
        counts, observed = whole.batch.counts[t], whole.batch.observed[t]
        loss = reconstruction(decoder, presence.select(scores, t), whole.z[t], counts, observed)
        losses.append(nan_where_absent(presence.mask[:, t], presence.scatter(loss, t)).numpy())
    if fitted.setup.labels:
        labeled = fitted.encode_reading(seen, loadings="fixed")
        known = label_probabilities(fitted, labeled)[np.arange(len(label)), label]
        with np.errstate(divide="ignore"):
            losses.append(np.where((label >= 0) & (known > 0), -np.log(known), np.nan))
    return np.stack(losses, axis=1)
