"""Whether modalities, or tasks, pull the experts that they share in different directions."""

import sys
from collections.abc import Iterator, Mapping
from itertools import chain, count, islice
from typing import Any

import numpy as np
from anndata import AnnData
from mudata import MuData
from tqdm.auto import tqdm

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.data._datamodule import EpochBatches, FittingDataset
from scmoe.data._dataset import Batch, MosaicDataset
from scmoe.data._graph import NeighborGraph
from scmoe.data.statistics._statistics import fit_scale, fit_statistics
from scmoe.model._fitted import FittedModel, query
from scmoe.model._settings import training_config
from scmoe.model._training import NETWORK
from scmoe.model.explain._gradients import Definition, GradientGrams, measure
from scmoe.train._config import TrainConfig

MIN_CELLS = 16
"""Of a batch, for random groups of cells are to be compared."""
BAR_SECONDS = 10
"""A progress bar shows from here on."""


@checks_arguments
def get_gradient_conflict(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    definition: Definition = "target",
    n_batches: int = 50,
    batch_size: int = 128,
    seed: int = 0,
    plan_kwargs: Mapping[str, Any] | None = None,
) -> GradientGrams:
    """Inner products of the gradients that different modalities, or tasks, have on the experts.

    Parameters
    ----------
    adata, indices
        Which cells.
    definition
        What a gradient belongs to, see `scmoe.tl.gradient_conflict`.
    n_batches
        Batches, made as in the training: cells in random order, each with a similar cell. Where there are fewer cells,
        they come again in another order.
    batch_size
        Cells a batch, without the similar cells.
    seed
        Of batches, attention groups and random groups of cells.
    plan_kwargs
        The fields of `scmoe.model.TrainConfig` that the model was trained with, if not the defaults: the weights of
        its losses.

    Returns
    -------
    GradientGrams
        ``names`` (K), ``gram`` (n_batches, layers, experts, K, K), ``reference``, the same of random groups of cells,
        and ``loss`` (n_batches). `scmoe.explain.conflict_table` makes cosines of them.

    Raises
    ------
    ValueError
        An unknown definition, a model of one modality, a modality that none of the cells has, or a gradient that is not
        finite.

    Examples
    --------
    >>> result = model.get_gradient_conflict(definition="target", n_batches=2)
    """
    if len(self.modalities) < 2 and definition != "task":
        raise ValueError(
            f"Conflict of modalities needs two of them; this model has {self.modalities[0]!r} alone. "
            "Use definition='task'."
        )
    config = training_config(TrainConfig, plan_kwargs, get_gradient_conflict, NETWORK)
    fitted, dataset, cells = query(self, adata, indices)
    if (smallest := min(len(cells), batch_size)) < MIN_CELLS:
        raise ValueError(
            f"A batch needs at least {MIN_CELLS} cells; found {smallest}. Raise batch_size, or pass more cells."
        )
    for name, n_cells in zip(fitted.modalities, dataset.present[cells].sum(0), strict=True):
        if not n_cells:
            raise ValueError(
                f"None of the {len(cells)} cells has the modality {name!r}, so it has no gradient. "
                "Pass cells with all modalities of the model."
            )
    graph = teacher(dataset, cells, fitted.config.n_programs, fitted.seed) if config.graph_weight else None
    batches = training_batches(dataset, cells, graph, n_batches=n_batches, batch_size=batch_size, seed=seed)
    bar = tqdm(batches, total=n_batches, desc="Gradients", unit="batch", delay=BAR_SECONDS, file=sys.stderr)
    return measure(fitted.network, fitted.modalities, bar, config, definition=definition, seed=seed)


def teacher(dataset: MosaicDataset, cells: np.ndarray, n_programs: int, seed: int) -> NeighborGraph:
    """The neighbor graph that a training on these cells is taught with."""
    covariates = fit_scale(dataset, cells)
    sizes = [min(n_programs, len(dataset.setup.feature_names[name])) for name in dataset.setup.modalities]
    statistics = [fit_statistics(dataset, cells, v, size, covariates, seed) for v, size in enumerate(sizes)]
    return NeighborGraph(dataset, cells, statistics, covariates, seed)


def training_batches(
    dataset: MosaicDataset,
    cells: np.ndarray,
    graph: NeighborGraph | None,
    *,
    n_batches: int,
    batch_size: int,
    seed: int,
) -> Iterator[Batch]:
    """The first batches that a training with this seed would see."""
    source = dataset if graph is None else FittingDataset(dataset, (), graph)
    order = EpochBatches(cells, batch_size, seed, graph)

    def epoch(number: int) -> Iterator[np.ndarray]:
        order.set_epoch(number)
        return iter(order)

    drawn = chain.from_iterable(map(epoch, count()))
    return (source[batch] for batch in islice(drawn, n_batches))
