"""`SCMOE`: the model class."""

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback
from mudata import MuData

from scmoe._check import check_mdata
from scmoe._keys import UNKNOWN_LABEL
from scmoe.data._datamodule import MosaicDataModule, split_cells
from scmoe.data._dataset import MosaicDataset
from scmoe.data._graph import NeighborGraph
from scmoe.data._manager import MosaicManager, SetupField
from scmoe.data._setup import Setup
from scmoe.data._statistics import Statistics, fit_statistics
from scmoe.model._introspection import Introspection
from scmoe.model._save import load_model, save_model
from scmoe.nn._config import NetworkConfig, from_keywords
from scmoe.nn._network import Network
from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.train._config import TrainConfig
from scmoe.train._fit import default_epochs, fit

MIN_CELLS = 4
"""Fewer cells have neither programs nor neighbors."""


class SCMOE(Introspection):
    """Sparse mixture-of-experts transformer for multi-modal single-cell data.

    Learns a joint embedding of cells of which any may lack any modality, predicts modalities from one another, and
    clusters or labels cells. After the scMoE paper; the user guide says what differs, and why.

    Parameters
    ----------
    adata
        A MuData set up with `setup_mudata`.
    registry
        In place of data: the registry of a saved model. Used by `load`.
    seed
        Seed of the initial weights and of the training; on a CPU the same seed gives the same model bit by bit.
    **network_kwargs
        Fields of `scmoe.model.NetworkConfig`.

    Raises
    ------
    TypeError
        A keyword that `scmoe.model.NetworkConfig` does not have.
    ValueError
        Settings that contradict each other.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> scmoe.model.SCMOE.setup_mudata(mdata, batch_key="batch")
    >>> model = scmoe.model.SCMOE(mdata)
    >>> model.train()
    >>> mdata.obsm["X_scmoe"] = model.get_latent_representation()
    """

    def __init__(
        self, adata: MuData | None = None, registry: dict | None = None, *, seed: int = 0, **network_kwargs: Any
    ) -> None:
        self.config = from_keywords(NetworkConfig, network_kwargs)
        if not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1; found {seed!r}.")
        super().__init__(adata, registry)
        state = self.registry["field_registries"][SetupField.registry_key]["state_registry"]
        self.setup, self.seed = Setup(**state), seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = Network(
                [len(self.feature_names[name]) for name in self.modalities],
                [self.setup.likelihoods[name] for name in self.modalities],
                len(self.setup.batches),
                len(self.setup.labels),
                self.config,
            )
        self.module.eval()
        self.is_trained_ = False
        self.history_ = pd.DataFrame()
        self.train_seconds_ = 0.0

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        modalities: Sequence[str] | None = None,
        layers: Mapping[str, str | None] | None = None,
        likelihoods: Mapping[str, str] | None = None,
        batch_key: str | None = None,
        labels_key: str | None = None,
        unlabeled_category: str = UNKNOWN_LABEL,
    ) -> None:
        """Tell scmoe where the data are.

        Writes scvi-tools' identifiers to ``mdata.uns["_scvi_uuid"]`` and ``mdata.uns["_scvi_manager_uuid"]``, and
        nothing else.

        Parameters
        ----------
        mdata
            Multi-modal data; cells may lack modalities, and values may be NaN (except in counts).
        modalities
            Names of the modalities to use, in this order; None: all.
        layers
            Layer with the values of a modality; ``X`` for those left out, or the raw counts in ``layers["counts"]``
            where the likelihood is one of counts.
        likelihoods
            Of each modality: ``"gaussian"`` (the default; for normalized values), ``"nb"``, ``"poisson"`` (raw counts)
            or ``"bernoulli"`` (whether a count is above zero).
        batch_key
            Column of ``mdata.obs`` with the batch, a covariate of the decoders.
        labels_key
            Column of ``mdata.obs`` with labels to learn.
        unlabeled_category
            The label of cells that have none.

        Raises
        ------
        TypeError
            Not a MuData.
        KeyError
            A modality, layer or column that does not exist.
        ValueError
            Data that cannot be modeled; the message names modality, cell and feature, and the remedy.
        """
        arguments = {
            "modalities": modalities,
            "layers": layers,
            "likelihoods": likelihoods,
            "batch_key": batch_key,
            "labels_key": labels_key,
            "unlabeled_category": unlabeled_category,
        }
        check_mdata(mdata, modalities)
        if mdata.is_view:
            raise ValueError("mdata is a view of another MuData. Call mdata = mdata.copy() first.")
        manager = MosaicManager([SetupField(arguments)], cls._get_setup_method_args(cls=cls, mdata=mdata, **arguments))
        manager.register_fields(mdata)
        cls.register_manager(manager)

    @classmethod
    def setup_anndata(cls, adata: Any, **kwargs: Any) -> None:
        """Refuse an AnnData: use `setup_mudata`, with ``mudata.MuData({"rna": adata})`` for a single modality.

        Parameters
        ----------
        adata
            Single-modality data.
        **kwargs
            Ignored.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            'SCMOE reads a MuData. Wrap the AnnData as mudata.MuData({"rna": adata}) and call setup_mudata.'
        )

    def train(
        self,
        max_epochs: int | None = None,
        *,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        strategy: str = "auto",
        precision: str = "32-true",
        batch_size: int = 128,
        train_size: float = 0.9,
        early_stopping: bool = False,
        checkpoint_dir: str | Path | None = None,
        resume: bool = False,
        plan_kwargs: Mapping[str, Any] | None = None,
        callbacks: Sequence[Callback] = (),
        enable_progress_bar: bool = True,
        **trainer_kwargs: Any,
    ) -> None:
        """Train the model.

        Means, spreads and programs are computed from the training cells first. The validation cells are never learned
        from; their loss (no labels in it, unless there is a `labels_key`) is in `history`. A second call goes on from the first
        one's weights, with its statistics and its split. If training fails, the model is as it was before.

        Parameters
        ----------
        max_epochs
            Passes over the training cells; None: as many as make about 300 steps, within 12 to 60.
        accelerator, devices, strategy, precision
            Passed to `lightning.pytorch.Trainer`; by default a GPU is used when there is one.
        batch_size
            Cells a step.
        train_size
            Share of the cells to train on; the others are for validation.
        early_stopping
            Whether to stop when the validation loss has not improved for ten epochs.
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
            Settings that contradict each other or the data.
        FloatingPointError
            The loss is not a number any more.
        """
        config = from_keywords(TrainConfig, plan_kwargs or {})
        check_train_arguments(max_epochs, batch_size, trainer_kwargs)
        dataset = self._dataset(None)
        train, validation = self._split(len(dataset), train_size)
        self._check_training(dataset, train, validation, early_stopping=early_stopping)
        if resume and checkpoint_dir is None:
            raise ValueError("resume=True needs the checkpoint_dir of the run to go on with.")
        start = time.perf_counter()
        statistics = self._fit_statistics(dataset, train)
        if not self.is_trained_:
            self._set_statistics(statistics)
        graph = NeighborGraph(dataset, train, statistics) if config.graph_weight else None
        before = copy.deepcopy(self.module.state_dict())
        try:
            self.history_ = fit(
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
        except BaseException:
            self.module.load_state_dict(before)  # no half-trained model
            raise
        self.train_indices_, self.validation_indices_ = train, validation
        self.is_trained_ = True
        self.train_seconds_ = time.perf_counter() - start

    def _split(self, n_cells: int, train_size: float) -> tuple[np.ndarray, np.ndarray]:
        """Training and validation cells; those of the first training stay what they were in a second."""
        if self.is_trained_ and len(self.train_indices_) + len(self.validation_indices_) == n_cells:
            return self.train_indices_, self.validation_indices_
        return split_cells(n_cells, train_size, self.seed)

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

    def _fit_statistics(self, dataset: MosaicDataset, train: np.ndarray) -> list[Statistics]:
        sizes = [min(self.config.n_programs, len(self.feature_names[name])) for name in self.modalities]
        return [fit_statistics(dataset, train, v, size, self.seed) for v, size in enumerate(sizes)]

    def _set_statistics(self, statistics: list[Statistics]) -> None:
        for v, found in enumerate(statistics):
            mean, std, loadings, bias = map(torch.from_numpy, (found.mean, found.std, found.loadings, found.bias))
            standardizer, tokenizer = self.module.standardizers[v], self.module.tokenizers[v]
            standardizer.mean.copy_(mean)
            standardizer.std.copy_(std)
            if isinstance(tokenizer, ProgramTokenizer):
                tokenizer.set_programs(loadings, found.unit)
            self.module.decoders[v].set_statistics(loadings, found.unit, bias, std, found.library)

    def save(self, dir_path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder: ``weights.safetensors`` and ``settings.json``, all or nothing.

        The settings hold configuration, modalities, feature names, categories, seed, history, the split and the versions
        in use; scaling and programs are among the weights. Neither file can run code when it is loaded.

        Parameters
        ----------
        dir_path
            The folder.
        overwrite
            Whether to replace a model that is there.

        Raises
        ------
        scmoe._io.WriteError
            (an `OSError` and `ValueError`) The folder exists, or cannot be written.
        """
        save_model(self, Path(dir_path), overwrite=overwrite)

    @classmethod
    def load(cls, dir_path: str | Path, adata: MuData | None = None) -> "SCMOE":
        """Read a model that `save` wrote.

        Parameters
        ----------
        dir_path
            The folder.
        adata
            Data to attach: the training data or a query. Without it, pass data to each method.

        Returns
        -------
        SCMOE
            On the CPU; ``model.to_device("cuda")`` moves it.

        Raises
        ------
        ValueError
            The folder is not a whole model, or `adata` does not fit it.
        """
        return load_model(cls, Path(dir_path), adata)

    def __repr__(self) -> str:
        setup = self.setup
        sizes = ", ".join(f"{m} ({len(self.feature_names[m])}, {setup.likelihoods[m]})" for m in self.modalities)
        state = f"trained for {len(self.history_)} epochs" if self.is_trained_ else "not trained"
        c = self.config
        lines = [
            f"SCMOE: sparse mixture-of-experts transformer, {state}",
            f"  modalities: {sizes}",
            f"  network: {c.n_layers} block(s), {c.n_tokens} {c.tokenizer} tokens per modality, width {c.n_hidden}, "
            f"{c.n_experts} experts (top {c.top_k}, {c.router} router)",
            f"  batches: {len(setup.batches) if setup.batch_key else 'none'}; "
            f"labels: {len(setup.labels) or 'none'}; clusters: {c.n_clusters or 'none'}; seed: {self.seed}",
        ]
        return "\n".join(lines)


def check_train_arguments(max_epochs: int | None, batch_size: int, trainer_kwargs: Mapping[str, Any]) -> None:
    """Raise for counts that are none, and for settings of `TrainConfig` passed where the Trainer's belong."""
    for name in trainer_kwargs:
        if name in TrainConfig.__dataclass_fields__:
            raise TypeError(f"{name!r} is a setting of TrainConfig: pass plan_kwargs={{{name!r}: ...}}.")
    for name, value in (("max_epochs", max_epochs), ("batch_size", batch_size)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} must be a whole number, at least 1; found {value!r}.")
