"""Pretraining the gene model."""

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback

from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.arguments._keywords import Place
from scmoe.data.genes._batches import GeneDataModule
from scmoe.data.genes._dataset import DEFAULT_DEPTH, GeneDataset
from scmoe.model._base import TrainingRecord
from scmoe.model._copies import check_parts
from scmoe.model._settings import fields_of, training_config
from scmoe.model._training import NO_VALIDATION, SPLIT_REMEDY, check_checkpoint_dir, split_of
from scmoe.model.genes._encoding import GeneModel, read_cells, rows_of, with_decoder
from scmoe.model.genes._inference import fit_axes_of
from scmoe.model.genes._start import start
from scmoe.nn.genes._config import GeneConfig
from scmoe.readout._hubs import evenly
from scmoe.tokens._counts import Cells
from scmoe.tokens._make import make_tokenizer
from scmoe.train._fit import run
from scmoe.train._once import once
from scmoe.train._plan import TrainingPlan
from scmoe.train._pretrain import PretrainConfig, pretrain_objective
from scmoe.train._trainer import Precision

N_STEPS = 600
"""Steps that a pretraining takes by default, as far as whole epochs allow."""
NETWORK = Place([*fields_of(GeneConfig), "seed"], "{}=... to XTRIMOGENE(...) when it is made")
"""Where settings of the network belong."""
N_FITTED = 20_000
"""Training cells, evenly from all, that the network's start and the axes of its embedding are computed from at most."""
MIN_EPOCHS = 3
PRETRAIN_BATCH = 64
"""Cells a step by default."""


@checks_arguments
def train(
    self: GeneModel,
    max_epochs: int | None = None,
    *,
    accelerator: str = "auto",
    devices: int | list[int] | str = "auto",
    strategy: str = "auto",
    precision: Precision = "32-true",
    batch_size: int = PRETRAIN_BATCH,
    train_size: float | None = None,
    validation_size: float | None = None,
    split_key: str | None = None,
    early_stopping: bool = False,
    checkpoint_dir: str | Path | None = None,
    resume: bool = False,
    plan_kwargs: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    enable_progress_bar: bool = True,
    **trainer_kwargs: Any,
) -> None:
    """Learn to predict masked genes from the others. No label is involved.

    A second call goes on from the first one's weights (with a fresh schedule), on the data that are attached;
    labels that `fine_tune` taught are forgotten. If training fails, the model is as it was before.

    Parameters
    ----------
    max_epochs
        Passes over the training cells; None: as many as make about 600 steps, at least 3.
    accelerator, devices, strategy, precision
        Passed to `lightning.pytorch.Trainer`; by default all GPUs are used where there are any. See
        `scmoe.model.SCMOE.train`.
    batch_size
        Cells a step, of all processes together.
    train_size
        Share of the cells to train on, drawn at random; None: 0.9.
    validation_size
        Share of the cells for validation; None: all others. What is left is for tests.
    split_key
        Instead of these shares: column of ``adata.obs`` that says of each cell whether it is for ``"train"``,
        ``"validation"`` or ``"test"``, see `scmoe.model.SCMOE.train`.
    early_stopping
        Whether to stop when the validation loss has not improved for ten epochs.
    checkpoint_dir
        Folder for ``last.ckpt``, the state of the training after each epoch.
    resume
        Go on from ``last.ckpt`` if there is one. The result is that of a run without interruption, unless the number of
        processes is another.
    plan_kwargs
        Fields of `scmoe.model.PretrainConfig`.
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
        There is no column `split_key`.
    ValueError
        Settings that contradict each other or the data, a `split_key` that cannot be used, or copies of a cell
        (``obs["copy_of"]``) that are not in the same part; devices that are not there, or more of them than a batch has
        cells.
    RuntimeError
        Another process of the training has ended; with a `checkpoint_dir`, `resume` goes on.
    FloatingPointError
        In more than half of an epoch's steps loss or gradient was not finite (fewer such steps are skipped), or weights
        or the validation loss were not after an epoch, or what is fitted to the outputs is not. The model stays as it
        was before.
    """
    trainer = {"accelerator": accelerator, "devices": devices, "strategy": strategy, "precision": precision}
    config = training_config(PretrainConfig, plan_kwargs, self.train, NETWORK, trainer_kwargs, **trainer)
    network, cells = with_decoder(self), read_cells(self, None)
    check_cells(self, cells)
    train, validation, test = split_of(self, len(cells.totals), train_size, validation_size, split_key)
    check_parts(self.adata.obs, (train, validation, test), SPLIT_REMEDY if split_key is None else None)
    check_split(train, validation, early_stopping=early_stopping)
    check_checkpoint_dir(checkpoint_dir, resume=resume)
    start_time = time.perf_counter()
    before = copy.deepcopy(self.module.state_dict()), self.tokenizer
    try:
        if not self.is_trained_:
            start_network(self, cells, train, config)
        depth = DEFAULT_DEPTH if self.config.depth_tokens else None
        dataset = GeneDataset(cells, self.tokenizer, policy=config.policy, depth=depth)
        result = run(
            TrainingPlan(network, pretrain_objective, config, self.seed),
            GeneDataModule(dataset, train, validation, batch_size=batch_size, seed=self.seed),
            width=self.config.encoder_width,
            max_epochs=max_epochs or max(round(N_STEPS * batch_size / len(train)), MIN_EPOCHS),
            early_stopping=early_stopping,
            checkpoint_dir=checkpoint_dir,
            resume=resume,
            callbacks=callbacks,
            enable_progress_bar=enable_progress_bar,
            **trainer,
            **trainer_kwargs,
        )
        sample = rows_of(cells, train[evenly(len(train), N_FITTED)])
        self.axes = once(lambda: fit_axes_of(self, sample), is_joint=result.is_joint)
    except BaseException:
        self.module.load_state_dict(before[0])  # no half-trained model
        self.tokenizer = before[1]
        raise
    self.classifier, self.labels = None, []  # they were for other weights
    self.is_trained_ = True
    self.record = TrainingRecord(
        history=result.history,
        seconds=time.perf_counter() - start_time,
        train=train,
        validation=validation,
        test=test,
    )
    kept = result.history.loc[result.kept]
    split = "validation" if "validation_loss" in kept else "train"
    what = {"nonzero": "that are expressed", "zero": "that are not"}
    errors = [f"{phrase} {kept[name]:.3f}" for part, phrase in what.items() if (name := f"{split}_{part}") in kept]
    logger.info(
        "trained %d epochs (%d steps) in %.0f s: %s loss %.3f; mean squared error of masked genes %s",
        *(len(result.history), result.n_steps, self.record.seconds, split, kept[f"{split}_loss"]),
        ", ".join(errors),
    )
    if result.kept < result.history.index[-1]:
        logger.warning(
            "The validation loss rose again from its lowest, in epoch %d, whose weights were kept. Lower max_epochs to "
            "save time.",
            result.kept + 1,
        )


def start_network(model: GeneModel, cells: Cells, train: np.ndarray, config: PretrainConfig) -> None:
    subset = rows_of(cells, train)
    model.tokenizer = make_tokenizer(model.config.tokenizer).fit(subset.counts, subset.totals)
    sample = rows_of(cells, train[evenly(len(train), N_FITTED)])
    start(with_decoder(model), sample, config.policy, model.gene_embeddings, model.seed)


def check_cells(model: GeneModel, cells: Cells) -> None:
    """Raise for cells of which nothing can be learned."""
    if not cells.counts.nnz:
        raise ValueError("No cell has a count of a gene that the model knows: there is nothing to learn from.")
    if model.config.depth_tokens and model.setup.values != "counts":
        raise ValueError(
            f"depth_tokens need raw counts, which can be thinned; the data are read as {model.setup.values!r}. "
            "Leave depth_tokens out, or set up the raw counts."
        )


def check_split(train: np.ndarray, validation: np.ndarray, *, early_stopping: bool) -> None:
    """Raise if there is too little to train on."""
    if len(train) < 2:
        raise ValueError(f"Training needs at least 2 cells; found {len(train)}.")
    if early_stopping and not len(validation):
        raise ValueError(NO_VALIDATION)
