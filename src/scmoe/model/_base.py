"""What both models take over from scvi-tools, and what of it they cannot."""

import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import rich
import rich.pretty
import rich.table
from anndata import AnnData
from scvi.model.base import BaseModelClass
from torch import nn

from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.losses._class_balance import DEFAULT_BALANCE, ClassBalance
from scmoe.model._folder import read_settings

DOC = """Not available here. {}

Parameters
----------
*args, **kwargs
    Ignored.

Raises
------
NotImplementedError
    Always.
"""


def _instead(name: str, remedy: str) -> Callable[..., Any]:
    """A method that scvi-tools' models have and these cannot: it says what to call."""

    def method(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{name} does not exist for the models of scmoe. {remedy}")

    method.__name__, method.__qualname__, method.__doc__ = name, f"BaseModel.{name}", DOC.format(remedy)
    return method


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What is known of a training besides the model that it made: kept in files, and taken over by copies."""

    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Losses by epoch."""
    diagnostics: dict[str, Any] = field(default_factory=dict)
    """Whether it went well."""
    class_balance: ClassBalance = DEFAULT_BALANCE
    """How labels with few cells were treated."""
    seconds: float = 0.0
    train: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """Positions of the training cells in the data."""
    validation: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    test: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    about: dict[str, str] = field(default_factory=dict)
    """What people say of the model: ``description`` and ``license``; and ``origin``, where it was taken from."""


class BaseModel(BaseModelClass):
    """A model of scvi-tools in which nothing fails without saying what to do.

    Parameters
    ----------
    adata
        Data that were set up.
    registry
        In place of data: the registry of a saved model.

    Raises
    ------
    ValueError
        Neither is given, or the data were not set up.
    """

    setup_call: ClassVar[str]
    """How data are set up for this model."""

    module: nn.Module
    config: Any
    setup: Any
    seed: int
    is_trained_: bool
    _said: tuple[weakref.ref[AnnData], Sequence[str]] | None = None
    """The cells that something was last said of, and what."""

    def __init__(self, adata: Any = None, registry: dict | None = None) -> None:
        name = type(self).__name__
        if adata is None and registry is None:
            raise ValueError(f"{name} needs data: call {self.setup_call} first, and pass the same data.")
        try:
            super().__init__(adata, registry)
        except ValueError as error:
            raise ValueError(f"These data are not set up for {name}. Call {self.setup_call} first.") from error
        self.is_trained_ = False
        self.record = TrainingRecord()

    @property
    def record(self) -> TrainingRecord:
        """What is known of the training."""
        return self._record

    @record.setter
    def record(self, record: TrainingRecord) -> None:
        self._record = record
        # Under the names that scvi-tools reads.
        self.history_ = record.history
        self.train_indices_, self.validation_indices_ = record.train, record.validation
        self.test_indices_ = record.test

    @property
    def class_balance_(self) -> ClassBalance:
        """How labels with few cells were treated in the training."""
        return self.record.class_balance

    @property
    def about_(self) -> dict[str, str]:
        """``description`` and ``license``, as its maker states them, and ``origin``, where the model was taken from.

        The origin is a repository of the hub with the commit, ``"org/name@commit"``.
        """
        return dict(self.record.about)

    @property
    def train_seconds_(self) -> float:
        """How long the training took."""
        return self.record.seconds

    def _say(self, data: AnnData, notes: Sequence[str]) -> None:
        """Log how data, or the first modality of them, fit the model, once: each method reads them anew."""
        if notes and not (self._said is not None and notes == self._said[1] and self._said[0]() is data):
            for note in notes:
                logger.warning(note)
            self._said = weakref.ref(data), notes

    @staticmethod
    @abstractmethod
    def _setup_table(state: Mapping[str, Any]) -> rich.table.Table:
        """A setup, given as a plain dict, for the eye."""

    @checks_arguments
    def view_anndata_setup(self, adata: Any = None, hide_state_registries: bool = False) -> None:
        """Print how the data were set up.

        Parameters
        ----------
        adata
            Data that were set up for this model; None: those it was made with.
        hide_state_registries
            Whether to leave out what each modality is read from.
        """
        registry = self.registry if adata is None else self.get_anndata_manager(adata, required=True).registry
        self._print_setup(registry, hide_state_registries)

    @checks_arguments
    def view_registry(self, hide_state_registries: bool = False) -> None:
        """Print how the data of this model were set up.

        Parameters
        ----------
        hide_state_registries
            Whether to leave out what each modality is read from.
        """
        self._print_setup(self.registry, hide_state_registries)

    def view_setup_method_args(self) -> None:
        """Print the arguments that the data of this model were set up with."""
        self._print_setup(self.registry, True)

    @classmethod
    @checks_arguments
    def view_setup_args(cls, dir_path: str | Path, prefix: str | None = None) -> None:
        """Print how the data of a saved model were set up.

        Parameters
        ----------
        dir_path
            The model folder.
        prefix
            Of no use here: a folder holds one model.

        Raises
        ------
        ValueError
            It is no model folder, or a damaged one.
        """
        settings = read_settings(Path(dir_path).expanduser())
        rich.print(f"{settings['model']} of scmoe {settings['versions']['scmoe']}")
        rich.print(cls._setup_table(settings["setup"]))

    @classmethod
    def _print_setup(cls, registry: Mapping[str, Any], hide_state: bool) -> None:
        rich.print(f"{cls.__name__}, set up by {cls.setup_call} with the arguments")
        rich.pretty.pprint(registry["setup_args"])
        if not hide_state:
            for field in registry["field_registries"].values():
                rich.print(cls._setup_table(field["state_registry"]))

    get_normalized_expression = _instead(
        "get_normalized_expression", "Call get_normalized (SCMOE), or scmoe.tl.denoise, which writes a layer."
    )
    differential_abundance = _instead(
        "differential_abundance",
        "Test neighborhoods of the embedding, adata.obsm['X_scmoe'], with a tool that takes donors as replicates.",
    )
    convert_legacy_save = _instead("convert_legacy_save", "Model folders of scmoe have one format: load and save them.")
    load_registry = _instead(
        "load_registry", "Load the model with load and look at its setup, or call view_setup_args."
    )
    setup_annbatch = _instead(
        "setup_annbatch", "Set the data up with setup_mudata (SCMOE) or setup_anndata (XTRIMOGENE)."
    )
    data_registry = _instead("data_registry", "What is read from where is in model.setup.")
    get_from_registry = _instead("get_from_registry", "What is read from where is in model.setup.")
