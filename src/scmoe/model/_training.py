"""Training a model: statistics, network, readouts."""

import copy
import time
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback

from scmoe.data._datamodule import MosaicDataModule, split_cells
from scmoe.data._dataset import MosaicDataset
from scmoe.data._graph import NeighborGraph
from scmoe.data._statistics import Scale, Statistics, fit_scale, fit_statistics
from scmoe.losses._class_balance import DEFAULT_BALANCE, ClassBalance, check_balance
from scmoe.model._copies import check_balanced_once, check_parts
from scmoe.model._fit_readouts import fit_readouts
from scmoe.model._gene_tokens import start_encoders
from scmoe.model.explain._deletion import Deletion
from scmoe.nn._config import from_keywords
from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.train._config import StepConfig, TrainConfig
from scmoe.train._diagnostics import report
from scmoe.train._fit import default_batch_size, default_epochs, fit

MIN_CELLS = 4
"""Fewer cells have neither programs nor neighbors."""


class Training(Deletion):
    """How a `scmoe.model.SCMOE` is trained."""

    seed: int
    is_trained_: bool
    history_: pd.DataFrame
    diagnostics_: dict[str, Any]
    train_seconds_: float
    class_balance_: ClassBalance

    def train(
        self,
        max_epochs: int | None = None,
        *,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        strategy: str = "auto",
        precision: str = "32-true",
        batch_size: int | None = None,
        train_size: float = 0.9,
        validation_size: float | None = None,
        early_stopping: bool = False,
        class_balance: ClassBalance = DEFAULT_BALANCE,
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
        as well. Test cells (`test_indices`) are not looked at at all. No label shapes the network.

        A second call goes on from the first one's weights, with its statistics and its split. If training fails, the model is
        as it was before.

        Parameters
        ----------
        max_epochs
            Passes over the training cells; None: as many as make about 300 steps, within 24 to 60.
        accelerator, devices, strategy, precision
            Passed to `lightning.pytorch.Trainer`; by default a GPU is used when there is one.
        batch_size
            Cells a step; None: 128, or 512 from 20 000 training cells on.
        train_size
            Share of the cells to train on.
        validation_size
            Share of the cells for validation; None: all others. What is left is for tests.
        early_stopping
            Whether to stop when the validation loss has not improved for ten epochs.
        class_balance
            How the classifier of labels treats those with few cells; the network does not see labels. ``"none"``: each cell counts the
            same; ``"inverse"``: each label does; for the others see the user guide on rare types.
        checkpoint_dir
            Folder for ``last.ckpt``, the state of the training after each epoch.
        resume
            Go on from ``last.ckpt`` if there is one. The result is that of a run without interruption.
        plan_kwargs
            Fields of `scmoe.model.TrainConfig`.
        callbacks
            More Lightning callbacks.
        enable_progress_bar
            Whether to show progress.
        **trainer_kwargs
            More arguments of `lightning.pytorch.Trainer`, such as ``logger``.

        Raises
        ------
        ValueError
            Settings that contradict each other or the data; copies of a cell (``obs["copy_of"]``, see `scmoe.pp.oversample`) that are not
            in the same part, or that would be balanced a second time.
        FloatingPointError
            In more than half of an epoch's steps loss or gradient was not finite. Fewer such steps are skipped.
        """
        check_balance(class_balance)
        config = from_keywords(TrainConfig, plan_kwargs or {})
        check_train_arguments(config, max_epochs, batch_size, trainer_kwargs)
        dataset = self._dataset(None)
        train, validation, test = kept_split(self, len(dataset), train_size, validation_size)
        check_parts(self.adata.obs, (train, validation, test))
        if self.setup.labels:
            check_balanced_once(self.adata.obs.iloc[train], class_balance)
        elif class_balance != DEFAULT_BALANCE:
            raise ValueError(
                f"class_balance={class_balance!r} is for labels. Name their column (labels_key=) or leave it out."
            )
        self._check_training(dataset, train, validation, early_stopping=early_stopping)
        if resume and checkpoint_dir is None:
            raise ValueError("resume=True needs the checkpoint_dir of the run to go on with.")
        if batch_size is None:
            batch_size = default_batch_size(len(train))
        start = time.perf_counter()
        graph = self._prepare(dataset, train, config)
        before = copy.deepcopy(self.module.state_dict()), self.readouts
        try:
            history, diagnostics = fit(
                self.module,
                MosaicDataModule(dataset, train, validation, batch_size=batch_size, seed=self.seed, graph=graph),
                config,
                seed=self.seed,
                max_epochs=default_epochs(len(train), batch_size) if max_epochs is None else max_epochs,
                early_stopping=early_stopping,
                checkpoint_dir=checkpoint_dir,
                resume=resume,
                callbacks=callbacks,
                enable_progress_bar=enable_progress_bar,
                accelerator=accelerator,
                devices=devices,
                strategy=strategy,
                precision=precision,
                **trainer_kwargs,
            )
            self.readouts = fit_readouts(self, dataset, train, validation, class_balance)
        except BaseException:
            self.module.load_state_dict(before[0])  # no half-trained model
            self.readouts = before[1]
            raise
        self.history_, self.diagnostics_ = history, diagnostics
        self.train_indices_, self.validation_indices_, self.test_indices_ = train, validation, test
        self.is_trained_, self.class_balance_ = True, class_balance
        self.train_seconds_ = time.perf_counter() - start
        report(self.diagnostics_, self.train_seconds_)

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Whether the training went well; empty before training. The user guide explains each entry.

        ``n_epochs``, ``n_steps`` and, of these, ``n_skipped_steps``, whose loss or gradient was not finite;
        ``watched_loss`` (``"validation"``, or ``"training"`` without validation cells) and ``final_loss``; ``late_fall``
        and ``rise``, shares of the loss's fall that came in the last quarter of the epochs and that were lost again;
        ``dead_experts`` and ``expert_load_entropy`` of each block; ``posterior_drift``, how far the embedding moved in the
        last tenth of the epochs, relative to its spread; ``verdict``, sentences on what to do, none if all is well.
        """
        return self.diagnostics_

    def _check_training(
        self, dataset: MosaicDataset, train: np.ndarray, validation: np.ndarray, *, early_stopping: bool
    ) -> None:
        if len(train) < MIN_CELLS:
            raise ValueError(f"Training needs at least {MIN_CELLS} cells; found {len(train)} of {len(dataset)}.")
        if early_stopping and not len(validation):
            raise ValueError("early_stopping needs validation cells; found none. Lower train_size below 1.")
        if self.setup.labels and len(np.unique(dataset.label[train][dataset.label[train] >= 0])) < 2:
            raise ValueError(
                f"The {len(train)} training cells have fewer than two classes of {self.setup.labels_key!r}. "
                "Raise train_size, label more cells, or leave labels_key out."
            )

    def _prepare(self, dataset: MosaicDataset, train: np.ndarray, config: TrainConfig) -> NeighborGraph | None:
        """Give the network what the training cells say, unless it has learned with that already; the graph to teach."""
        covariates = fit_scale(dataset, train)
        statistics = self._fit_statistics(dataset, train, covariates)
        if not self.is_trained_:
            self._set_statistics(statistics, covariates)
            start_encoders(self.module, dataset, train, self.seed)
        return NeighborGraph(dataset, train, statistics, covariates) if config.graph_weight else None

    def _fit_statistics(self, dataset: MosaicDataset, train: np.ndarray, covariates: Scale) -> list[Statistics]:
        sizes = [min(self.config.n_programs, len(self.feature_names[name])) for name in self.modalities]
        return [fit_statistics(dataset, train, v, size, covariates, self.seed) for v, size in enumerate(sizes)]

    def _set_statistics(self, statistics: list[Statistics], covariates: Scale) -> None:
        self.module.covariate_mean.copy_(torch.from_numpy(covariates.mean))
        self.module.covariate_std.copy_(torch.from_numpy(covariates.std))
        for v, found in enumerate(statistics):
            mean, std, bias = map(torch.from_numpy, (found.mean, found.std, found.bias))
            standardizer, tokenizer = self.module.standardizers[v], self.module.tokenizers[v]
            standardizer.mean.copy_(mean)
            standardizer.std.copy_(std)
            loadings = torch.from_numpy(found.decode.loadings)
            if standardizer.loadings.numel():
                standardizer.loadings.copy_(loadings)
                standardizer.penalty.copy_(torch.from_numpy(found.decode.penalty))
            if isinstance(tokenizer, ProgramTokenizer):
                tokenizer.set_components(torch.from_numpy(found.read.loadings), found.read.unit, found.correction)
            self.module.decoders[v].set_statistics(loadings, found.decode.unit, bias, std, found.library)


def check_train_arguments(
    config: StepConfig,
    max_epochs: int | None,
    batch_size: int | None,
    trainer_kwargs: Mapping[str, Any],
    max_steps: int | None = None,
) -> None:
    """Raise for counts that are none, and for settings of the training passed where the Trainer's belong."""
    for name in trainer_kwargs:
        if hasattr(config, name):
            raise TypeError(f"{name!r} is a setting of {type(config).__name__}: pass plan_kwargs={{{name!r}: ...}}.")
    for name, value in (("max_epochs", max_epochs), ("max_steps", max_steps), ("batch_size", batch_size)):
        if value is not None and (not isinstance(value, Integral) or value < 1):
            raise ValueError(f"{name} must be a whole number, at least 1; found {value!r}.")


def checked_seed(seed: int) -> int:
    """A seed as a plain whole number."""
    if not isinstance(seed, Integral) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1; found {seed!r}.")
    return int(seed)


def kept_split(
    model: Any, n_cells: int, train_size: float, validation_size: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation and test cells; those of a model's first training stay what they were in a second."""
    if model.is_trained_:
        kept = model.train_indices_, model.validation_indices_, model.test_indices_
        if sum(map(len, kept)) == n_cells:
            return kept
    return split_cells(n_cells, train_size, validation_size, model.seed)
