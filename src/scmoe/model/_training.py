"""Training a model: statistics, network, readouts."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback

from scmoe.arguments._checked import checks_arguments
from scmoe.arguments._keywords import Place
from scmoe.data._datamodule import TRAIN_SIZE, MosaicDataModule, split_cells
from scmoe.data._dataset import MosaicDataset
from scmoe.data._graph import NeighborGraph
from scmoe.data._match import category_keys
from scmoe.data._setup import Setup
from scmoe.data.atlas._batches import AtlasBatches, AtlasCells
from scmoe.data.atlas._open import open_cells
from scmoe.data.atlas._order import BLOCK, AtlasOrder
from scmoe.data.statistics._statistics import Scale, Statistics, fit_scale, fit_statistics
from scmoe.datasets._anndata import as_mudata
from scmoe.datasets._cells import all_obs, column_of
from scmoe.datasets._parts import Parts, parts_of
from scmoe.io._files import check_writable
from scmoe.losses._class_balance import DEFAULT_BALANCE, ClassBalance
from scmoe.model._base import BaseModel, TrainingRecord
from scmoe.model._copies import check_balanced_once, check_parts
from scmoe.model._fit_readouts import fit_readouts
from scmoe.model._fitted import Fitted, FittedModel
from scmoe.model._gene_tokens import start_encoders
from scmoe.model._hubs import sample_embedding, with_hubs
from scmoe.model._settings import fields_of, training_config
from scmoe.model._supervised import learned_labels, set_labels
from scmoe.model.experts._clusters import start_routers
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Network
from scmoe.nn._threads import threads_kept
from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.readout._hubs import N_REFERENCE, evenly
from scmoe.readout._readouts import Readouts
from scmoe.train._config import TrainConfig
from scmoe.train._diagnostics import report, with_predictions
from scmoe.train._fit import default_batch_size, default_epochs, fit
from scmoe.train._once import once
from scmoe.train._trainer import Precision

GraphMaker = Callable[[MosaicDataset, np.ndarray], NeighborGraph]
"""Makes the neighbor graph of some cells of a data set."""
NETWORK = Place([*fields_of(NetworkConfig), "seed"], "{}=... to SCMOE(...) when it is made")
"""Where settings of the network belong."""
MIN_CELLS = 4
"""Fewer cells have neither programs nor neighbors."""
SPLIT_REMEDY = "Pass split_key={0!r} to learn from its training cells alone"
"""What to do about a split that is not used, see `scmoe.model._copies.warn_of_test_cells`."""
NO_VALIDATION = (
    "early_stopping needs validation cells; found none. Lower train_size below 1, or name a split_key with "
    "cells called 'validation'."
)


@checks_arguments
def train(
    self: FittedModel,
    max_epochs: int | None = None,
    *,
    accelerator: str = "auto",
    devices: int | list[int] | str = "auto",
    strategy: str = "auto",
    precision: Precision = "32-true",
    batch_size: int | None = None,
    train_size: float | None = None,
    validation_size: float | None = None,
    split_key: str | None = None,
    early_stopping: bool = False,
    class_balance: ClassBalance = DEFAULT_BALANCE,
    atlas: str | Path | None = None,
    checkpoint_dir: str | Path | None = None,
    resume: bool = False,
    plan_kwargs: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    enable_progress_bar: bool = True,
    **trainer_kwargs: Any,
) -> None:
    """Train the model.

    Means, spreads and programs are computed from the training cells, the network learns from them, and readouts are
    fitted to its outputs: linear members of predictions, uncertainties, labels. The validation cells do not teach the
    network; they weigh the members of predictions and set the width of intervals, and the readouts learn from them
    as well. Test cells (`test_indices`) are not looked at at all. No label shapes the network, unless the model was
    made with a `label_weight`; then those of training cells do, and no others.

    A second call goes on from the first one's weights, with its statistics and its split. If training fails, the model
    is as it was before.

    Parameters
    ----------
    max_epochs
        Passes over the training cells; None: as many as make about 300 steps, within 24 to 60; but no more than
        make about 1200 steps, and 2 at least.
    accelerator, devices, strategy, precision
        Passed to `lightning.pytorch.Trainer`; by default all GPUs are used where there are any. Several devices are
        processes, started by `strategy`: ``"ddp"`` runs the script in each of them, ``"ddp_spawn"`` trains in processes
        of its own and needs ``if __name__ == "__main__":``, ``"ddp_notebook"`` is for notebooks. See the user guide on
        devices.
    batch_size
        Cells a step, of all processes together; None: 128, or 512 from 20 000 training cells on.
    train_size
        Share of the cells to train on, drawn at random; None: 0.9.
    validation_size
        Share of the cells for validation; None: all others. What is left is for tests.
    split_key
        Instead of these shares: column of ``obs`` that says of each cell whether it is for ``"train"``,
        ``"validation"`` or ``"test"``, such as `scmoe.pp.split` writes. With its ``group_key``, donors or slices stay
        together. None: at random; the log says so where there is such a column.
    early_stopping
        Whether to stop when the validation loss has not improved for ten epochs.
    class_balance
        How the classifier of labels treats those with few cells, and the network, if it learns labels. ``"none"``: each
        cell counts the same; ``"inverse"``: each label does; for the others see the user guide on rare types.
    atlas
        Stores of more cells than a disk holds, of which the data are a sample (`scmoe.datasets.sample_atlas`). The
        network learns from all their cells but those of the sample that are for validation or tests, window by window;
        all else is fitted on the sample. Sizes and numbers of epochs are then those of the atlas.
    checkpoint_dir
        Folder for ``last.ckpt``, the state of the training after each epoch.
    resume
        Go on from ``last.ckpt`` if there is one. The result is that of a run without interruption, unless the number of
        processes is another.
    plan_kwargs
        Fields of `scmoe.model.TrainConfig`.
    callbacks
        More Lightning callbacks.
    enable_progress_bar
        Whether to show progress.
    **trainer_kwargs
        More arguments of `lightning.pytorch.Trainer`, such as ``logger``: one that fails is let go, and the training
        goes on.

    Raises
    ------
    KeyError
        There is no column `split_key`, or that of a batch or covariate is gone since the setup.
    ValueError
        Settings that contradict each other or the data; a `split_key` that leaves a cell without a part or all cells
        in one, or that differs from the split of an earlier training; copies of a cell (``obs["copy_of"]``, see
        `scmoe.pp.oversample`) that are not in the same part, or that would be balanced a second time; devices that are
        not there, or more of them than a batch has cells.
    RuntimeError
        Another process of the training has ended; with a `checkpoint_dir`, `resume` goes on.
    FloatingPointError
        In more than half of an epoch's steps loss or gradient was not finite (fewer such steps are skipped), or weights
        or the validation loss were not after an epoch, or what is fitted to the outputs is not. The model stays as it
        was before.

    Examples
    --------
    >>> scmoe.model.SCMOE.setup_mudata(mdata, labels_key="lineage")
    >>> fresh = scmoe.model.SCMOE(mdata)
    >>> fresh.train(max_epochs=1)
    >>> fresh.is_trained
    True
    """
    trainer = {"accelerator": accelerator, "devices": devices, "strategy": strategy, "precision": precision}
    config = training_config(TrainConfig, plan_kwargs, self.train, NETWORK, trainer_kwargs, **trainer)
    dataset = self._dataset(None)
    for key, argument in category_keys(self.setup):
        column_of(self.adata, key, argument)  # a query may lack it, training data may not
    train, validation, test = split_of(self, len(dataset), train_size, validation_size, split_key)
    obs = all_obs(self.adata)
    check_parts(obs, (train, validation, test), SPLIT_REMEDY if split_key is None else None)
    if self.setup.labels:
        check_balanced_once(obs.iloc[train], class_balance)
    elif class_balance != DEFAULT_BALANCE:
        raise ValueError(
            f"class_balance={class_balance!r} is for labels. Name their column (labels_key=) or leave it out."
        )
    check_training(self.setup, dataset, train, validation, early_stopping=early_stopping)
    if atlas is not None and self.config.label_weight:
        raise ValueError("The labels of an atlas are not read: leave label_weight or atlas out.")
    if atlas is not None and not len(validation):
        raise ValueError(NO_VALIDATION.replace("early_stopping", "atlas=", 1))
    check_checkpoint_dir(checkpoint_dir, resume=resume)
    cells = None if atlas is None else open_cells(atlas, as_mudata(self.adata, self), dataset, train)
    start = time.perf_counter()
    label_loss = learned_labels(self.config, dataset.label[train], class_balance)
    teacher = prepare_network(self, dataset, train, config)
    data = training_data(self, dataset, train, validation, batch_size, teacher, cells)
    if label_loss is not None:
        set_labels(self.module, label_loss.present)
    before = copy.deepcopy(self.module.state_dict())
    try:
        history, diagnostics, is_joint = fit(
            self.module,
            data,
            config,
            seed=self.seed,
            max_epochs=default_epochs(len(data.train), data.batch_size) if max_epochs is None else max_epochs,
            early_stopping=early_stopping,
            checkpoint_dir=checkpoint_dir,
            resume=resume,
            label_loss=label_loss,
            callbacks=callbacks,
            enable_progress_bar=enable_progress_bar,
            **trainer,
            **trainer_kwargs,
        )
        fitted = Fitted(self.module, self.setup, Readouts(), self.seed)
        readouts = once(lambda: fit_readouts(fitted, dataset, train, validation, class_balance), is_joint=is_joint)
        whole = fitted.with_readouts(readouts)
        diagnostics = with_predictions(diagnostics, explained_by_direction(whole))
        places = once(lambda: sample_embedding(whole, dataset, train, validation), is_joint=is_joint)
        diagnostics = with_hubs(diagnostics, *places, self.seed)
    except BaseException:
        self.module.load_state_dict(before)  # no half-trained model
        raise
    self.readouts = replace(readouts, reference=places[0][evenly(len(places[0]), N_REFERENCE)])
    self.is_trained_ = True
    self.record = TrainingRecord(
        history=history,
        diagnostics=diagnostics,
        class_balance=class_balance,
        seconds=time.perf_counter() - start,
        train=train,
        validation=validation,
        test=test,
    )
    report(diagnostics, self.record.seconds)


def explained_by_direction(fitted: Fitted) -> dict[str, float]:
    """Share of a target's variance that each mixture explains in validation cells, under names as "adt from rna".

    A squared score stands for the squared length of its loadings, and a standardized feature has a variance of 1.
    """
    names, shares = fitted.modalities, {}
    for (sources, target), mixture in fitted.readouts.mixtures.items():
        loadings = fitted.network.decoders[target].loadings
        share = mixture.explained * float(loadings.square().sum(0).max()) / len(loadings)
        shares[f"{names[target]} from {' and '.join(names[v] for v in sources)}"] = share
    return shares


def check_training(
    setup: Setup, dataset: MosaicDataset, train: np.ndarray, validation: np.ndarray, *, early_stopping: bool
) -> None:
    """Raise if there is too little to learn from."""
    if len(train) < MIN_CELLS:
        raise ValueError(f"Training needs at least {MIN_CELLS} cells; found {len(train)} of {len(dataset)}.")
    if early_stopping and not len(validation):
        raise ValueError(NO_VALIDATION)
    if setup.labels and len(np.unique(dataset.label[train][dataset.label[train] >= 0])) < 2:
        raise ValueError(
            f"The {len(train)} training cells have fewer than two classes of {setup.labels_key!r}. "
            "Raise train_size, label more cells, or leave labels_key out."
        )


def prepare_network(
    model: FittedModel, dataset: MosaicDataset, train: np.ndarray, config: TrainConfig
) -> GraphMaker | None:
    """Give the network what the training cells say, unless it has learned with that already; how to make the graph."""
    covariates = fit_scale(dataset, train)
    sizes = [min(model.config.n_programs, len(model.feature_names[name])) for name in model.modalities]
    statistics = [fit_statistics(dataset, train, v, size, covariates, model.seed) for v, size in enumerate(sizes)]
    if not model.is_trained_:
        set_statistics(model.module, statistics, covariates)
        start_encoders(model.module, dataset, train, model.seed)
        start_routers(model.module, dataset, train, model.seed)
    if not config.graph_weight:
        return None
    return partial(NeighborGraph, statistics=statistics, covariates=covariates, seed=model.seed)


def training_data(
    model: FittedModel,
    dataset: MosaicDataset,
    train: np.ndarray,
    validation: np.ndarray,
    batch_size: int | None,
    teacher: GraphMaker | None,
    cells: AtlasCells | None,
) -> MosaicDataModule:
    """Batches of the training cells, which are those of an atlas if there is one, and of the validation cells."""
    sparse, graph, batches = model.module.sparse_inputs, None, None
    if batch_size is None:
        batch_size = default_batch_size(len(train if cells is None else cells.cells))
    if cells is not None:
        train, order = cells.cells, AtlasOrder(cells.blocks(BLOCK), batch_size, model.seed)
        batches = partial(AtlasBatches, cells, order, sparse, teacher)
    elif teacher is not None:
        with threads_kept():  # from numba, which may search for the neighbors
            graph = teacher(dataset, train)
    return MosaicDataModule(
        dataset,
        train,
        validation,
        batch_size=batch_size,
        seed=model.seed,
        graph=graph,
        sparse=sparse,
        learn_labels=bool(model.config.label_weight),
        batches=batches,
    )


def set_statistics(network: Network, statistics: list[Statistics], covariates: Scale) -> None:
    """Give a network what the training cells say."""
    network.covariate_mean.copy_(torch.from_numpy(covariates.mean))
    network.covariate_std.copy_(torch.from_numpy(covariates.std))
    for v, own in enumerate(statistics):
        mean, std, bias = map(torch.from_numpy, (own.mean, own.std, own.bias))
        standardizer, tokenizer = network.standardizers[v], network.tokenizers[v]
        standardizer.mean.copy_(mean)
        standardizer.std.copy_(std)
        loadings = torch.from_numpy(own.decode.loadings)
        if standardizer.loadings.numel():
            standardizer.loadings.copy_(loadings)
            standardizer.penalty.copy_(torch.from_numpy(own.decode.penalty))
        if isinstance(tokenizer, ProgramTokenizer):
            tokenizer.set_components(torch.from_numpy(own.read.loadings), own.read.unit, own.correction)
        network.decoders[v].set_statistics(loadings, own.decode.unit, bias, std, own.library)


def check_checkpoint_dir(checkpoint_dir: str | Path | None, *, resume: bool) -> None:
    """Raise if checkpoints could not be written, or there is no place to look for one in."""
    if checkpoint_dir is not None:
        check_writable(checkpoint_dir)
    elif resume:
        raise ValueError("resume=True needs the checkpoint_dir of the run to go on with.")


def split_of(
    model: BaseModel, n_cells: int, train_size: float | None, validation_size: float | None, split_key: str | None
) -> Parts:
    """Training, validation and test cells; those of a model's first training stay what they were in a second."""
    record = model.record
    former = record.train, record.validation, record.test
    has_former = model.is_trained_ and sum(map(len, former)) == n_cells
    if split_key is not None:
        if train_size is not None or validation_size is not None:
            raise ValueError(
                f"split_key={split_key!r} says which cells are for what; leave train_size and validation_size out, or "
                "split_key to draw cells at random."
            )
        parts = parts_of(model.adata, split_key)
        if has_former and not all(map(np.array_equal, parts, former)):
            raise ValueError(
                f"This model was trained with another split than obs[{split_key!r}], and has seen some of its held-out "
                "cells. Make a new model, or leave split_key out to go on with the former split."
            )
        return parts
    if has_former:
        return former
    return split_cells(n_cells, TRAIN_SIZE if train_size is None else train_size, validation_size, model.seed)
