"""Fitting the readouts: the trained network is run over its cells, and what it says is read out in closed form."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from scmoe._log import logger
from scmoe.data._dataset import MosaicDataset
from scmoe.losses._class_balance import ClassBalance
from scmoe.model._encoding import nan_where_absent
from scmoe.model._features import (
    cross_scores,
    embedding,
    embedding_inputs,
    label_views,
    linear_inputs,
    program_scores,
    to_numpy,
)
from scmoe.readout._annotator import fit_annotator
from scmoe.readout._linear import Linear, fit_linear, fit_mixture, fit_projection
from scmoe.readout._mapping_score import fit_mapping_score
from scmoe.readout._novelty import fit_novelty
from scmoe.readout._readouts import Readouts
from scmoe.readout._spread import fit_spread
from scmoe.readout._subsets import Subset, fitted_subsets

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

MAX_CELLS = 20_000
"""That a readout is fitted to; of more, a random subset."""
OF_EACH_LABEL = 50
"""Cells that each label keeps in such a subset at least, if it has as many: a random one may have none of a rare label."""
SPREAD_ENTRIES = 4_000_000
"""Predicted values whose errors are looked at: cells times features of the target."""


class Cells(NamedTuple):
    """Training and validation cells in random order, so that the first of them are a sample."""

    at: np.ndarray
    """Positions in the data set."""
    held_out: np.ndarray
    """Which of them nothing was learned from."""

    def having(self, dataset: MosaicDataset, modalities: Subset, *, label: bool = False) -> "Cells":
        """Those that have all these modalities, and if wished a label; at most `MAX_CELLS`."""
        here = np.flatnonzero(dataset.present[self.at][:, list(modalities)].all(1))
        if label:
            codes = dataset.label[self.at[here]]
            here, codes = here[codes >= 0], codes[codes >= 0]
            if len(here) > MAX_CELLS:
                first = pd.Series(codes).groupby(codes).cumcount().to_numpy() < OF_EACH_LABEL
                here = here[np.sort(np.argsort(~first, kind="stable")[:MAX_CELLS])]
        return Cells(self.at[here[:MAX_CELLS]], self.held_out[here[:MAX_CELLS]])


@torch.no_grad()
def fit_readouts(
    model: "SCMOE", dataset: MosaicDataset, train: np.ndarray, validation: np.ndarray, class_balance: ClassBalance
) -> Readouts:
    """Fit all readouts of a model whose network is trained.

    Held-out cells decide what is decided by cells that nothing was learned from (weights of mixtures, widths of intervals,
    familiar distances); embeddings of incomplete cells and labels are learned from training and validation cells together.

    Parameters
    ----------
    model
        The model.
    dataset
        Its data.
    train, validation
        Positions of the cells.
    class_balance
        How labels with few cells are treated.
    """
    index = np.concatenate([train, validation])
    held_out = np.arange(len(index)) >= len(train)
    order = np.random.default_rng(model.seed).permutation(len(index))
    cells, readouts = Cells(index[order], held_out[order]), Readouts()
    for subset in fitted_subsets(len(model.modalities)):
        _fit_predictions(model, dataset, cells, subset, readouts)
    model.readouts = readouts  # spreads are about the errors of mixtures
    for sources, target in _directions(model):
        _fit_spread(model, dataset, cells, sources, target, readouts)
    _fit_embeddings(model, dataset, cells, readouts)
    _fit_familiarities(model, dataset, cells, readouts)
    if model.setup.labels:
        _fit_labels(model, dataset, cells, readouts, class_balance)
    return readouts


def _directions(model: "SCMOE") -> list[tuple[Subset, int]]:
    n = len(model.modalities)
    return [(subset, t) for subset in fitted_subsets(n) for t in range(n) if t not in subset]


def _fit_predictions(model: "SCMOE", dataset: MosaicDataset, cells: Cells, sources: Subset, readouts: Readouts) -> None:
    """The mixtures of all targets that these sources predict."""
    network = model.module
    for t, decoder in enumerate(network.decoders):
        if t in sources or not decoder.likelihood.may_bypass or not decoder.has_components:
            continue
        some = cells.having(dataset, (*sources, t))
        if len(some.at) < 2:
            continue
        truth = np.concatenate(
            [to_numpy(decoder.ideal_scores(c.z[t])) for c in model._encode(dataset, some.at, only=[t])]
        )
        parts = [
            (
                to_numpy(linear_inputs(network, chunk, sources, chunk.covariates)),
                to_numpy(cross_scores(network, chunk, sources, t, chunk.covariates)),
            )
            for chunk in model._encode(dataset, some.at, only=sources)
        ]
        inputs, predicted = map(np.concatenate, zip(*parts, strict=True))
        readouts.mixtures[sources, t] = fit_mixture(inputs, truth, predicted, some.held_out)


def _fit_spread(
    model: "SCMOE", dataset: MosaicDataset, cells: Cells, sources: Subset, target: int, readouts: Readouts
) -> None:
    some = cells.having(dataset, (*sources, target))
    if not len(some.at):
        return
    n = max(SPREAD_ENTRIES // dataset_width(dataset, target), 100)
    rows = np.concatenate([np.flatnonzero(some.held_out)[: n // 2], np.flatnonzero(~some.held_out)[: n // 2]])
    index = some.at[rows]
    chunks = model._encode(dataset, index, only=sources)
    mean = np.concatenate([model._predicted_values(chunk, sources, target) for chunk in chunks])
    readouts.spreads[sources, target] = fit_spread(
        mean, observed_values(model, dataset, index, target), some.held_out[rows]
    )


def dataset_width(dataset: MosaicDataset, modality: int) -> int:
    """Number of features of a modality."""
    return len(dataset.setup.feature_names[dataset.setup.modalities[modality]])


def observed_values(model: "SCMOE", dataset: MosaicDataset, index: np.ndarray, target: int) -> np.ndarray:
    """Values (n, D) of cells that have the target, in the units of its prediction; NaN where missing."""
    batch = dataset[index]
    decoder, counts, observed = model.module.decoders[target], batch.counts[target], batch.observed[target]
    values = decoder.likelihood.observed(batch.values[target] if counts is None else counts, decoder.library.cpu())
    return to_numpy(values if observed is None else nan_where_absent(observed, values))


def _fit_embeddings(model: "SCMOE", dataset: MosaicDataset, cells: Cells, readouts: Readouts) -> None:
    """The embedding of cells that have all modalities, and what to expect of it when others are hidden."""
    whole = tuple(range(len(model.modalities)))
    some = cells.having(dataset, whole)
    if len(some.at) <= model.config.n_hidden:  # not enough to learn maps of that size from
        return
    inputs = {
        subset: _stack(
            [embedding_inputs(model.module, c, subset) for c in model._encode(dataset, some.at, only=subset)]
        )
        for subset in fitted_subsets(len(whole))
    }
    n = len(whole)
    states, programs = inputs[whole][:n], inputs[whole][n:]
    if any(not block.shape[1] for block in programs):
        return
    joint = np.mean(states, axis=0)
    learned = slice(None) if some.held_out.all() else ~some.held_out
    # Half of the variance from the joint state, half from the programs of all modalities.
    shares = [0.5] + [0.5 / n] * n
    projection = fit_projection([block[learned] for block in (joint, *programs)], shares, model.config.n_hidden)
    d = model.config.n_hidden
    from_states = np.tile(projection.coefficients[:d] / n, (n, 1))
    coefficients = np.concatenate([from_states, projection.coefficients[d:]])
    readouts.embeddings[whole] = Linear(coefficients=coefficients, intercept=projection.intercept)
    projected = projection.predict(np.hstack([joint, *programs]))
    for subset, blocks in inputs.items():
        if subset != whole:
            readouts.embeddings[subset] = fit_linear(np.hstack(blocks), projected)


def _fit_familiarities(model: "SCMOE", dataset: MosaicDataset, cells: Cells, readouts: Readouts) -> None:
    for v, _ in enumerate(model.modalities):
        some = cells.having(dataset, (v,))
        chunks = model._encode(dataset, some.at, only=[v])
        scores = np.concatenate([to_numpy(program_scores(model.module, c, v)) for c in chunks])
        if scores.shape[1] and (~some.held_out).any():
            readouts.familiarities[(v,)] = fit_mapping_score(scores[~some.held_out], scores[some.held_out], model.seed)


def _fit_labels(
    model: "SCMOE", dataset: MosaicDataset, cells: Cells, readouts: Readouts, class_balance: ClassBalance
) -> None:
    """Annotators and novelties of all subsets, and the scale of label probabilities in the labeled embedding."""
    n, n_labels = len(model.modalities), len(model.setup.labels)
    unseen = np.setdiff1d(np.arange(n_labels), dataset.label[cells.at])
    if len(unseen):
        logger.warning(
            "%d of %d labels have no training cell and are never predicted: %s. Raise train_size, or split by label (scmoe.pp.split)",
            *(len(unseen), n_labels, ", ".join(model.setup.labels[i] for i in unseen)),
        )
    for subset in [*fitted_subsets(n), ()]:
        if not subset and all((v,) in readouts.annotators for v in range(n)):
            continue  # the joint state alone is for cells whose modalities no labeled cell has
        some = cells.having(dataset, subset, label=True)
        codes = dataset.label[some.at]
        if len(np.unique(codes)) < 2:
            continue
        chunks = model._encode(dataset, some.at, only=subset or None)
        parts = [[*label_views(model.module, c, subset), embedding(model.module, readouts, c)] for c in chunks]
        *views, embedded = _stack(parts)
        readouts.annotators[subset] = fit_annotator(views, codes, n_labels, model.seed, class_balance)
        readouts.novelties[subset] = fit_novelty(embedded, codes, model.seed)
    chunks = model._encode(dataset, cells.having(dataset, ()).at)
    found = [(model._embedding(chunk), model._label_probabilities(chunk)) for chunk in chunks]
    total = [np.concatenate(blocks).var(0).sum() for blocks in zip(*found, strict=True)]
    readouts.label_scale = float(np.sqrt(total[0] / max(total[1], 1e-12)))


def _stack(chunks: list[list[Tensor]]) -> list[np.ndarray]:
    """Views of all cells from those of their chunks."""
    return [np.concatenate([to_numpy(part) for part in parts]) for parts in zip(*chunks, strict=True)]
