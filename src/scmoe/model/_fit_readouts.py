"""Fitting the readouts: the trained network is run over its cells, and what it says is read out in closed form."""

from dataclasses import replace

import numpy as np
import torch

from scmoe._log import logger
from scmoe.data._dataset import MosaicDataset
from scmoe.data.sparse._rows import dense
from scmoe.losses._class_balance import ClassBalance
from scmoe.model._component_information import fit_component_information
from scmoe.model._embed import embedding_of
from scmoe.model._features import decoded, to_numpy
from scmoe.model._fit_mapping import fit_mapping_scores
from scmoe.model._fitted import Fitted, nan_where_absent
from scmoe.model._labels import label_probabilities
from scmoe.model._subset_passes import FittingCells, SubsetPass, read_ideal_scores, run_subset
from scmoe.model._supervised import fit_label_temperature
from scmoe.readout._annotator import Annotator, fit_annotator
from scmoe.readout._linear import Linear, Mixture, fit_linear, fit_mixture, fit_projection
from scmoe.readout._novelty import Novelty, fit_novelty
from scmoe.readout._readouts import Direction, Readouts
from scmoe.readout._spread import Spread, fit_spread
from scmoe.readout._subsets import Subset, fitted_subsets, nearest_subset

SPREAD_ENTRIES = 4_000_000
"""Predicted values whose errors are looked at: cells times features of the target."""

SHARE_OF_STATES = 0.5
"""Of the embedding's variance, what the joint state gives; the programs of the modalities give the rest."""

Passes = dict[Subset, SubsetPass]


@torch.no_grad()
def fit_readouts(
    fitted: Fitted, dataset: MosaicDataset, train: np.ndarray, validation: np.ndarray, class_balance: ClassBalance
) -> Readouts:
    """Fit all readouts of a trained network; nothing is changed.

    Held-out cells decide what is decided by cells that nothing was learned from (weights of mixtures, widths of
    intervals); embeddings and labels are learned from training and validation cells together. The network reads each
    set of modalities once.

    Parameters
    ----------
    fitted
        The network; its readouts are not looked at.
    dataset
        Its data.
    train, validation
        Positions of the cells.
    class_balance
        How labels with few cells are treated.
    """
    information = fit_component_information(fitted, dataset, train)
    fitted = fitted.with_readouts(Readouts(information=information))
    cells = FittingCells.in_random_order(dataset, train, validation, fitted.seed)
    n = len(fitted.modalities)
    passes = {
        subset: run_subset(fitted, dataset, cells, subset, _rows_of_subset(fitted, cells, subset))
        for subset in fitted_subsets(n)
    }
    mixtures = _fit_mixtures(fitted, dataset, cells, passes)
    spreads = {
        (sources, target): spread
        for sources, target in directions(n)
        if (spread := _fit_spread(fitted, dataset, cells, passes, mixtures, sources, target)) is not None
    }
    readouts = Readouts(
        information=information,
        mixtures=mixtures,
        spreads=spreads,
        embeddings=_fit_embeddings(fitted, cells, passes),
        familiarities=fit_mapping_scores(fitted, dataset, cells, passes),
    )
    if not fitted.setup.labels:
        return readouts
    return _fit_labels(fitted.with_readouts(readouts), dataset, cells, passes, class_balance)


def directions(n_modalities: int) -> list[Direction]:
    """All sources and targets that predictions are fitted for."""
    targets = range(n_modalities)
    return [(subset, t) for subset in fitted_subsets(n_modalities) for t in targets if t not in subset]


def _rows_of_subset(fitted: Fitted, cells: FittingCells, subset: Subset) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Cells whose outputs from this subset some readout needs; and of each target, those that it is predicted in."""
    n = len(fitted.modalities)
    whole = tuple(range(n))
    predicted = {t: _predicted_rows(fitted, cells, subset, t) for t in whole if t not in subset}
    needed = [cells.having(whole), *predicted.values()]
    if len(subset) == 1:
        needed.append(cells.having(subset))
    if fitted.setup.labels:
        needed.append(cells.having(subset, label=True))
    return np.unique(np.concatenate(needed)), predicted


def _predicted_rows(fitted: Fitted, cells: FittingCells, sources: Subset, target: int) -> np.ndarray:
    rows = _spread_rows(fitted, cells, sources, target)
    if _has_mixture(fitted, target):
        rows = np.union1d(rows, cells.having((*sources, target)))
    return rows


def _has_mixture(fitted: Fitted, target: int) -> bool:
    """Whether predictions of a modality may have a linear member."""
    decoder = fitted.network.decoders[target]
    return decoder.likelihood.may_bypass and decoder.has_components


def _fit_mixtures(
    fitted: Fitted, dataset: MosaicDataset, cells: FittingCells, passes: Passes
) -> dict[Direction, Mixture]:
    """The mixtures of all directions that may have one."""
    mixtures: dict[Direction, Mixture] = {}
    for target in range(len(fitted.modalities)):
        rows_of = {
            sources: rows
            for sources in passes
            if target not in sources and len(rows := cells.having((*sources, target))) >= 2
        }
        if not rows_of or not _has_mixture(fitted, target):
            continue
        rows = np.unique(np.concatenate(list(rows_of.values())))
        ideal = read_ideal_scores(fitted, dataset, cells, rows, target)
        for sources, some in rows_of.items():
            mixtures[sources, target] = fit_mixture(
                passes[sources].linear_inputs(sources, some),
                ideal[np.searchsorted(rows, some)],
                passes[sources].predicted_scores(target, some),
                cells.held_out[some],
            )
    # In the order of the directions, in which files have always held them.
    return {key: mixtures[key] for key in directions(len(fitted.modalities)) if key in mixtures}


def _spread_rows(fitted: Fitted, cells: FittingCells, sources: Subset, target: int) -> np.ndarray:
    """Cells whose errors are looked at: half of them held out, as far as there are some."""
    rows = cells.having((*sources, target))
    n_features = len(fitted.feature_names[fitted.modalities[target]])
    n = max(SPREAD_ENTRIES // n_features, 100)
    held_out = cells.held_out[rows]
    return np.concatenate([rows[held_out][: n // 2], rows[~held_out][: n // 2]])


def _fit_spread(
    fitted: Fitted,
    dataset: MosaicDataset,
    cells: FittingCells,
    passes: Passes,
    mixtures: dict[Direction, Mixture],
    sources: Subset,
    target: int,
) -> Spread | None:
    rows = _spread_rows(fitted, cells, sources, target)
    if not len(rows):
        return None
    scores = passes[sources].predicted_scores(target, rows)
    subset = nearest_subset(sources, [key for key, t in mixtures if t == target])
    if subset is not None:
        mixture = mixtures[subset, target]
        scores = mixture.combine(mixture.linear.predict(passes[sources].linear_inputs(subset, rows)), scores)
    on_device = torch.from_numpy(scores.astype(np.float32, copy=False)).to(fitted.network.device)
    mean = to_numpy(decoded(fitted.network, on_device, target))
    return fit_spread(mean, observed_values(fitted, dataset, cells.at[rows], target), cells.held_out[rows])


def observed_values(fitted: Fitted, dataset: MosaicDataset, index: np.ndarray, target: int) -> np.ndarray:
    """Values (n, D) of cells that have the target, in the units of its prediction; NaN where missing."""
    batch = dataset[index]
    decoder, counts, observed = fitted.network.decoders[target], batch.counts[target], batch.observed[target]
    values = decoder.likelihood.observed(
        dense(batch.values[target]) if counts is None else counts, decoder.library.cpu()
    )
    return to_numpy(values if observed is None else nan_where_absent(observed, values))


def _fit_embeddings(fitted: Fitted, cells: FittingCells, passes: Passes) -> dict[Subset, Linear]:
    """The embedding of cells that have all modalities, and what to expect of it when others are hidden."""
    n, width = len(fitted.modalities), fitted.config.n_hidden
    whole = tuple(range(n))
    rows = cells.having(whole)
    if len(rows) <= width:  # not enough to learn maps of that size from
        return {}
    inputs = {subset: passes[subset].embedding_inputs(subset, rows) for subset in passes}
    states, programs = inputs[whole][:n], inputs[whole][n:]
    if any(not block.shape[1] for block in programs):
        return {}
    weights = np.array([fitted.readouts.information[v,].weight for v in whole])
    weights = (weights / weights.sum()).astype(np.float32)
    joint = np.tensordot(weights, states, axes=1)
    shares = [SHARE_OF_STATES, *((1 - SHARE_OF_STATES) * weights)]
    projection = fit_projection([joint, *programs], shares, width)
    from_states = np.concatenate([weight * projection.coefficients[:width] for weight in weights])
    coefficients = np.concatenate([from_states, projection.coefficients[width:]])
    embeddings = {whole: Linear(coefficients=coefficients, intercept=projection.intercept)}
    projected = projection.predict(np.hstack([joint, *programs]))
    for subset, blocks in inputs.items():
        if subset != whole:
            embeddings[subset] = fit_linear(np.hstack(blocks), projected)
    return embeddings


def _fit_labels(
    fitted: Fitted, dataset: MosaicDataset, cells: FittingCells, passes: Passes, class_balance: ClassBalance
) -> Readouts:
    """The readouts with annotators and novelties of all subsets, and the scale of labels in the labeled embedding."""
    n, labels, readouts = len(fitted.modalities), fitted.setup.labels, fitted.readouts
    _warn_of_untrained(labels, dataset.label[cells.at])
    annotators: dict[Subset, Annotator] = {}
    novelties: dict[Subset, Novelty] = {}
    for subset in [*fitted_subsets(n), ()]:
        if not subset and all((v,) in annotators for v in range(n)):
            continue  # the joint state alone is for cells whose modalities no labeled cell has
        rows = cells.having(subset, label=True)
        codes = dataset.label[cells.at[rows]]
        if len(np.unique(codes)) < 2:
            continue
        outputs = passes[subset] if subset else run_subset(fitted, dataset, cells, (), (rows, {}))
        judges = _judges(fitted, cells, rows)
        annotators[subset] = fit_annotator(
            outputs.label_views(rows), codes, len(labels), fitted.seed, class_balance, judges
        )
        novelties[subset] = fit_novelty(outputs.embedded(readouts, rows), codes, fitted.seed, judges)
    with_labels = replace(readouts, annotators=annotators, novelties=novelties)
    if fitted.config.label_weight:
        with_labels.label_temperature = fit_label_temperature(fitted, dataset, cells.at[cells.held_out])
    chunks = fitted.with_readouts(with_labels).encode(dataset, cells.at[cells.having(())], loadings="fixed")
    parts = [
        (embedding_of(fitted, chunk), label_probabilities(fitted.with_readouts(with_labels), chunk)) for chunk in chunks
    ]
    total = [np.concatenate(blocks).var(0).sum() for blocks in zip(*parts, strict=True)]
    with_labels.label_scale = float(np.sqrt(total[0] / max(total[1], 1e-12)))
    return with_labels


def _judges(fitted: Fitted, cells: FittingCells, rows: np.ndarray) -> np.ndarray | None:
    """Which of the cells may judge what is read off the network: where it has learned labels, those it has not seen.

    Annotator and novelty are about the same held-out cells.
    """
    return cells.held_out[rows] if fitted.config.label_weight else None


def _warn_of_untrained(labels: list[str], codes: np.ndarray) -> None:
    """Say which labels no training cell has."""
    absent = np.setdiff1d(np.arange(len(labels)), codes)
    if len(absent):
        logger.warning(
            "%d of %d labels have no training cell and are never predicted: %s. Raise train_size, or split by label "
            "(scmoe.pp.split)",
            *(len(absent), len(labels), ", ".join(labels[i] for i in absent)),
        )
