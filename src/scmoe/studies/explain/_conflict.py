"""`run_conflict`: do modalities disagree less on sparse experts than on a dense layer?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from mudata import MuData

from scmoe._log import logger
from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.benchmark._new_cells import TRAIN_SIZE
from scmoe.benchmark.methods._scmoe import ALWAYS
from scmoe.data._datamodule import split_cells
from scmoe.data._dataset import Batch, MosaicDataset
from scmoe.explain._conflict import conflict_table, cosines, pairs_of
from scmoe.io._files import check_writable
from scmoe.model._scmoe import SCMOE
from scmoe.model.explain._conflict import teacher, training_batches
from scmoe.model.explain._gradients import DEFINITIONS, measure
from scmoe.nn._config import NetworkConfig
from scmoe.pp._prepare import prepare
from scmoe.studies._data import data_name, load_data
from scmoe.studies._run import pick_seeds, single_thread, write_result
from scmoe.studies._statistics import mean_interval
from scmoe.studies.explain._conflict_report import conflict_figure, conflict_markdown
from scmoe.train._plan import TrainingPlan

_DEFAULT = NetworkConfig()
EXPERTS, COMPUTE, PARAMETERS = "experts", "dense, equal compute", "dense, equal parameters"
MODELS: dict[str, dict[str, Any]] = {
    EXPERTS: {},
    COMPUTE: ALWAYS["scmoe_dense"].network,
    PARAMETERS: {"n_experts": 1, "top_k": 1, "expert_hidden": _DEFAULT.n_experts * _DEFAULT.expert_hidden},
}
EPOCHS, EPOCHS_QUICK = (2, 5, 10, 20, 40, 60), (2, 5, 10)
"""After which gradients are compared; the last one ends the training."""
N_BATCHES, BATCH_SIZE = 10, 128
"""The same cells at each of these epochs."""
MEASURES = ("cosine", "conflict_rate", "magnitude_similarity", "expert_cosine", "coactivation")
REFERENCES = ("reference", "reference_rate")


class ConflictMeter(Callback):
    """Measures the gradients of the network after some epochs.

    Parameters
    ----------
    modalities
        Their names.
    batches
        The batches, always the same.
    epochs
        After which to measure, counted from 1.
    seed
        Of attention groups and random groups of cells.
    """

    def __init__(self, modalities: Sequence[str], batches: Sequence[Batch], epochs: Sequence[int], seed: int) -> None:
        self.modalities, self.batches, self.epochs, self.seed = modalities, batches, epochs, seed
        self.rows: list[dict[str, Any]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure; the plan puts the network back into training mode when the next epoch starts."""
        assert isinstance(pl_module, TrainingPlan)
        epoch = trainer.current_epoch + 1
        if epoch not in self.epochs:
            return
        for definition in DEFINITIONS:
            gradients = measure(
                pl_module.network,
                self.modalities,
                self.batches,
                pl_module.config,
                definition=definition,
                seed=self.seed,
            )
            gram, reference = gradients.gram, gradients.reference
            table = conflict_table(gram, reference, gradients.names, definition)
            row: dict[str, Any] = {"epoch": epoch, "definition": definition, "loss": float(gradients.loss.mean())}
            row |= {name: float(table[name].mean()) for name in (*MEASURES, *REFERENCES)}
            row |= {"cosines": _finite_cosines(gram), "reference_cosines": _finite_cosines(reference)}
            self.rows.append(row)


def _finite_cosines(gram: np.ndarray) -> list[float]:
    """Of all batches and pairs, over all experts."""
    values = pairs_of(cosines(gram.sum(2)))
    return values[np.isfinite(values)].tolist()


@checks_arguments
def run_conflict(
    output: str | Path, *, data: str | Path | None = None, seeds: Sequence[int] = (0, 1, 2), quick: bool = False
) -> dict[str, Any]:
    """Compare the gradients of modalities on sparse experts and on dense layers, during the training.

    The scMoE paper (Figure 1b) reports cosines of the modalities' gradients that are more positive on experts than on a
    dense layer. Here the default model is compared with one dense layer of equal active size and one of as many
    parameters, in the same batches of training cells, after the same epochs, for all definitions of
    `scmoe.tl.gradient_conflict`.

    Parameters
    ----------
    output
        Folder for ``conflict.json``, ``conflict.md`` and ``conflict.png``.
    data
        A file with at least two modalities; default `scmoe.datasets.bmmc_cite`.
    seeds
        Of split and model.
    quick
        The first seed and fewer epochs.

    Returns
    -------
    The content of ``conflict.json``: ``rows``, one for each model, seed, epoch and definition, with the cosines of
    every batch and pair (``cosines``, and ``reference_cosines`` of random groups of cells), their summary and the
    training ``loss`` of these batches; ``summary``, means over seeds and differences from each dense layer with 95 %
    intervals; and ``settings``.

    Raises
    ------
    ValueError
        The data have one modality only, or no seed is given.

    Examples
    --------
    >>> table = scmoe.studies.run_conflict("conflict", quick=True)  # doctest: +SKIP
    """
    folder = check_writable(output)
    seeds, epochs = pick_seeds(seeds, quick=quick), EPOCHS_QUICK if quick else EPOCHS
    mdata = load_data(data)
    if len(mdata.mod) < 2:
        raise ValueError(f"Conflict needs at least two modalities; found {', '.join(mdata.mod)} alone.")
    prepare(mdata)
    with single_thread():
        rows = [row for seed in seeds for row in measure_models(mdata, seed, epochs)]
    settings = {
        "data": data_name(data),
        "n_cells": mdata.n_obs,
        "modalities": list(mdata.mod),
        "seeds": seeds,
        "epochs": list(epochs),
        "n_batches": N_BATCHES,
        "models": list(MODELS),
        "scmoe": __version__,
    }
    result = {"rows": rows, "summary": summarize(rows), "settings": settings}
    conflict_figure(result, folder / "conflict.png")
    write_result(folder, "conflict", result, conflict_markdown(result))
    return result


def measure_models(mdata: MuData, seed: int, epochs: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of all models of a seed, which share split, batches, attention groups and random groups."""
    rows: list[dict[str, Any]] = []
    batches: list[Batch] = []
    for name, network in MODELS.items():
        logger.info("%s, seed %d", name, seed)
        SCMOE.setup_mudata(mdata)
        model = SCMOE(mdata, seed=seed, **network)
        if not batches:
            dataset = MosaicDataset(mdata, model.setup)
            cells, _, _ = split_cells(len(dataset), TRAIN_SIZE, None, seed)
            graph = teacher(dataset, cells, model.config.n_programs, seed)
            batches = list(
                training_batches(dataset, cells, graph, n_batches=N_BATCHES, batch_size=BATCH_SIZE, seed=seed)
            )
        meter = ConflictMeter(model.modalities, batches, epochs, seed)
        model.train(
            max(epochs),
            train_size=TRAIN_SIZE,
            batch_size=BATCH_SIZE,
            accelerator="cpu",
            enable_progress_bar=False,
            callbacks=[meter],
        )
        rows += [{"model": name, "seed": seed, **row} for row in meter.rows]
    return rows


def summarize(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each definition and model: mean over epochs of each seed, and what the experts have more than it."""
    summary = []
    for definition in DEFINITIONS:
        of_experts = _by_seed(rows, EXPERTS, definition, "cosine")
        for model in dict.fromkeys(row["model"] for row in rows):
            own = {name: _by_seed(rows, model, definition, name) for name in (*MEASURES, *REFERENCES, "loss")}
            line = {"definition": definition, "model": model}
            line |= {name: float(values.mean()) for name, values in own.items()}
            if model != EXPERTS:
                line["difference"], line["interval"] = mean_interval(of_experts - own["cosine"])
            summary.append(line)
    return summary


def _by_seed(rows: Sequence[Mapping[str, Any]], model: str, definition: str, name: str) -> np.ndarray:
    subset = [row for row in rows if (row["model"], row["definition"]) == (model, definition)]
    seeds = sorted({row["seed"] for row in subset})
    return np.array([np.mean([row[name] for row in subset if row["seed"] == seed]) for seed in seeds])
