"""Epochs of training beside those of totalVI and MultiVI, on the same cells and at the same batch size."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import scvi
from lightning.pytorch import Callback, LightningModule, Trainer
from mudata import MuData
from scipy import sparse

from scmoe._keys import COUNTS_LAYER
from scmoe.model._scmoe import SCMOE
from scmoe.studies.speed._data import to_mudata
from scmoe.studies.speed._timing import Row, Settings, compare

BATCH_SIZE = 128
TOTALVI_BAR = 0.5


class Trainable(Protocol):
    """A model of scvi-tools' kind."""

    def train(self, max_epochs: int, **kwargs: Any) -> None:
        """Train."""


class EpochClock(Callback):
    """Seconds from the end of each epoch to the end of the next, validation included, and those before the first."""

    def __init__(self) -> None:
        self.called, self.before = time.process_time(), 0.0
        self.ends: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the clock."""
        self.before = time.process_time() - self.called

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the clock."""
        self.ends.append(time.process_time())

    @property
    def epochs(self) -> list[float]:
        """Seconds of each epoch but the first, which warms up."""
        return np.diff(self.ends).tolist()

    @property
    def mean(self) -> float:
        """Seconds of an epoch, the first one included."""
        return (self.ends[-1] - self.called - self.before) / len(self.ends)


def measure_epochs(mdata: MuData, baseline: str, settings: Settings) -> list[Row]:
    """Trainings of both models in turn.

    Parameters
    ----------
    mdata
        Prepared data with raw counts in ``layers["counts"]``: ``rna``, and ``adt`` for totalVI or ``atac`` for MultiVI.
    baseline
        ``"totalVI"`` or ``"MultiVI"``.
    settings
        See `Settings`.
    """
    SCMOE.setup_mudata(mdata)
    models: dict[str, Trainable] = {"scmoe": SCMOE(mdata), baseline: scvi_model(raw_counts(mdata), baseline)}
    clocks: dict[str, list[EpochClock]] = {name: [] for name in models}
    for _ in range(settings.trainings):
        for name, model in models.items():
            clocks[name].append(_train(model, settings.epochs + 1))
    epochs = {name: [s for clock in trainings for s in clock.epochs] for name, trainings in clocks.items()}
    before = {name: [clock.before for clock in trainings] for name, trainings in clocks.items()}
    sizes = ", ".join(f"{adata.n_vars} {name}" for name, adata in mdata.mod.items())
    case = f"{mdata.n_obs} cells, {sizes}"
    bar = TOTALVI_BAR if baseline == "totalVI" else None
    section, title = f"an epoch, {BATCH_SIZE} cells a batch", f"{baseline} (scvi-tools {scvi.__version__})"
    return [
        compare(section, case, epochs["scmoe"], epochs[baseline], title, unit="s", bar=bar),
        compare(
            section,
            f"{case}: before the first epoch",
            before["scmoe"],
            before[baseline],
            title,
            measure="difference",
            unit="s",
        ),
    ]


def _train(model: Trainable, epochs: int) -> EpochClock:
    clock = EpochClock()
    with quiet():
        model.train(epochs, batch_size=BATCH_SIZE, accelerator="cpu", enable_progress_bar=False, callbacks=[clock])
    return clock


def raw_counts(mdata: MuData) -> MuData:
    """The raw counts alone, in the form that scvi-tools wants: proteins dense, others CSR."""
    matrices = {name: adata.layers[COUNTS_LAYER] for name, adata in mdata.mod.items()}
    if "adt" in matrices and sparse.issparse(matrices["adt"]):
        matrices["adt"] = matrices["adt"].toarray()
    return to_mudata(matrices)


def scvi_model(mdata: MuData, name: str) -> Trainable:
    """TotalVI or MultiVI with its own defaults."""
    models: dict[str, tuple[Callable[..., Any], dict[str, str]]] = {
        "totalVI": (scvi.model.TOTALVI, {"rna_layer": "rna", "protein_layer": "adt"}),
        "MultiVI": (scvi.model.MULTIVI, {"rna_layer": "rna", "atac_layer": "atac"}),
    }
    model, modalities = models[name]
    with quiet():
        model.setup_mudata(mdata, modalities=modalities)  # type: ignore[attr-defined]
        return model(mdata)


@contextmanager
def quiet() -> Iterator[None]:
    """Neither warnings nor chatter of scvi-tools and Lightning."""
    loggers = [logging.getLogger(name) for name in ("scvi", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
