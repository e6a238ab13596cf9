"""Fine-tuning a pretrained gene model for labels."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from scmoe._align import Indices, Positions
from scmoe._keys import UNKNOWN_LABEL
from scmoe.arguments._checked import checks_arguments
from scmoe.data._datamodule import split_cells
from scmoe.data.genes._dataset import DEFAULT_DEPTH, GeneDataset
from scmoe.datasets._categories import Category, label_names, names_of, refuse_decimals, report_unlabeled
from scmoe.datasets._cells import raw_column
from scmoe.losses._class_balance import (
    DEFAULT_BALANCE,
    SCALE,
    Balance,
    ClassBalance,
    prior_offsets,
)
from scmoe.model._copies import check_balanced_once, check_parts
from scmoe.model._settings import training_config
from scmoe.model.genes._encoding import (
    BATCH_SIZE,
    GeneModel,
    cell_names,
    chosen_rows,
    encode,
    own_or_query,
    rows_of,
    select_cells,
)
from scmoe.model.genes._inference import axes_of, fit_axes_of, pool_cells
from scmoe.model.genes._pretraining import NETWORK, PRETRAIN_BATCH
from scmoe.nn.genes._classifier import GeneClassifier, Trainable
from scmoe.nn.genes._encoder import Encoder
from scmoe.readout._softmax import fit_softmax
from scmoe.train._fine_tune import FineTuneConfig, phases_of
from scmoe.train._fit import run

M = TypeVar("M", bound=GeneModel)
N_EPOCHS = 5


@checks_arguments
def fine_tune(
    self: M,
    labels_key: str,
    adata: AnnData | None = None,
    indices: Indices | None = None,
    *,
    unlabeled_category: Category = UNKNOWN_LABEL,
    trainable: Trainable = "all",
    class_balance: ClassBalance = DEFAULT_BALANCE,
    max_epochs: int = N_EPOCHS,
    max_steps: int | None = None,
    batch_size: int = PRETRAIN_BATCH,
    validation_size: float = 0.0,
    seed: int | None = None,
    plan_kwargs: Mapping[str, Any] | None = None,
    enable_progress_bar: bool = True,
    **trainer_kwargs: Any,
) -> M:
    """Learn labels: a linear classifier of the pooled states, and of the encoder what is `trainable`.

    The classifier starts as a softmax regression on the pretrained embedding. So training is worth doing only if
    it ends above it.

    Parameters
    ----------
    labels_key
        Column of ``adata.obs``.
    adata, indices
        Cells to learn from: training cells only; cells to be judged on must not be among them.
    unlabeled_category
        The label of cells that have none, which are left out; missing values are too.
    trainable
        ``"head"``: the classifier alone, on the frozen embedding; ``"last"``: with it the last encoder layer;
        ``"all"``: with it the whole encoder.
    class_balance
        How labels with few cells are treated, with the same number of steps for all. ``"none"``: each cell counts
        the same. ``"inverse"``: each label does. For the others see the user guide on rare types. With any but
        ``"none"``, probabilities hold for cells of which each label has as many. Calibrate them before use where
        labels are as unequal as in nature.
    max_epochs
        Passes over the labeled cells.
    max_steps
        Batches learned from in all, at most; None: all of the epochs.
    batch_size
        Cells a step.
    validation_size
        Share of the cells on which the loss is watched, and which are not learned from.
    seed
        Of split and training; None: the model's own.
    plan_kwargs
        Fields of `scmoe.model.FineTuneConfig`.
    enable_progress_bar
        Whether to show progress.
    **trainer_kwargs
        More arguments of `lightning.pytorch.Trainer`.

    Returns
    -------
    XTRIMOGENE
        A copy with the classifier, for `predict`; this model stays as it is.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        Fewer than two labels, a cell that `indices` names twice, an unknown `trainable` or `class_balance`, copied
        cells that would be balanced a second time or are validation cells of their originals, or what `train` refuses.
    """
    config = training_config(FineTuneConfig, plan_kwargs, fine_tune, NETWORK, trainer_kwargs)
    cells = select_cells(self, adata, indices)
    source, rows = own_or_query(self, adata), chosen_rows(self, adata, indices)
    check_once(rows, source.obs_names)
    labels = labels_of(source, rows, labels_key, names_of(unlabeled_category)[0])
    names = labels[labels.notna()].unique()
    if len(names) < 2:
        raise ValueError(f"adata.obs[{labels_key!r}] must hold at least two labels; found {list(names) or 'none'}.")
    tuned = copy_with(self, sorted(names))
    tuned.classifier = classifier = classifier_of(tuned.module, len(names), class_balance)
    code = labels.map({label: i for i, label in enumerate(tuned.labels)}).fillna(-1).to_numpy(int)
    seed = self.seed if seed is None else seed
    train, validation = split_labeled(code, tuned.labels, validation_size, seed)
    table = source.obs.iloc[rows]
    check_parts(table, (train, validation), "Pass indices= of its training cells alone")
    check_balanced_once(table.iloc[train], class_balance)
    pooled = pool_cells(self, rows_of(cells, train), self.module.pooling)
    balance = Balance(class_balance, np.bincount(code[train]))
    parts = phases_of(balance, max_epochs, max_steps)
    start_classifier(tuned, pooled, code[train], parts[0].balance)
    depth = DEFAULT_DEPTH if self.config.depth_tokens else None
    dataset = GeneDataset(cells, self.tokenizer, depth=depth, label=code)
    histories = []
    # Seeds of their own, or the second part would see the batches of the first again.
    for i, part in enumerate(parts):
        classifier.train_only("head" if part.head_only else trainable)
        result = run(
            part.plan(classifier, config, seed + i),
            part.data(dataset, train, validation, batch_size, seed + i),
            width=self.config.encoder_width,
            max_epochs=part.n_epochs,
            max_steps=part.n_steps,
            enable_progress_bar=enable_progress_bar,
            **trainer_kwargs,
        )
        histories.append(result.history)
    classifier.requires_grad_(True)  # for trainings to come
    if class_balance == "prototype":
        start_classifier(tuned, pool_cells(tuned, rows_of(cells, train), tuned.module.pooling), code[train], balance)
    if class_balance == "post_hoc":
        classifier.lower_bias(torch.from_numpy(prior_offsets(balance.counts)))
    tuned.axes = fit_axes_of(tuned, rows_of(cells, train))
    history = pd.concat(histories, ignore_index=True).rename_axis("epoch")
    tuned.record = replace(self.record, history=history, class_balance=class_balance)
    return tuned


@checks_arguments
@torch.no_grad()
def predict(
    self: GeneModel,
    adata: AnnData | None = None,
    indices: Indices | None = None,
    soft: bool = False,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray | pd.DataFrame:
    """Labels of cells, by a model that `fine_tune` returned.

    Parameters
    ----------
    adata, indices
        Which cells; their own labels are not looked at.
    soft
        Whether to return probabilities.
    batch_size
        Cells at once.

    Returns
    -------
    numpy.ndarray or pandas.DataFrame
        The most probable label of each cell, or (cells, labels) probabilities.

    Raises
    ------
    ValueError
        The model has not learned labels.
    """
    if self.classifier is None:
        raise ValueError("This model has not learned labels. Call tuned = model.fine_tune(labels_key) first.")
    cells = select_cells(self, adata, indices)
    out = np.empty((len(cells.totals), len(self.labels)), np.float32)
    classifier = self.classifier.to(self.module.device)  # `to_device` moves the network only
    for chunk in encode(self, cells, batch_size):
        out[chunk.rows] = classifier.classify(chunk.encoded).softmax(1).cpu().numpy()
    if not soft:
        return np.array(self.labels)[out.argmax(1)]
    return pd.DataFrame(out, index=cell_names(self, adata, indices), columns=self.labels)


def check_once(rows: Positions, names: pd.Index) -> None:
    """Raise if a cell is to be learned from twice: it could be learned from and judge what is learned."""
    unique, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"indices must name each cell once; found {names[unique[counts.argmax()]]!r} {counts.max()} times. "
            "To weigh labels, use class_balance=."
        )


def labels_of(source: AnnData, rows: Positions, key: str, unlabeled: str) -> pd.Series:
    column = raw_column(source, key, "labels_key").iloc[rows]
    refuse_decimals(column, f"adata.obs[{key!r}]")
    report_unlabeled(column, unlabeled)
    return label_names(column, unlabeled)


def copy_with(model: M, labels: list[str]) -> M:
    """A copy of the model, with a network of its own, for these labels."""
    tuned = copy.copy(model)
    tuned.module = copy.deepcopy(model.module)
    tuned.labels = labels
    return tuned


def start_classifier(model: GeneModel, pooled: np.ndarray, code: np.ndarray, balance: Balance) -> None:
    """Softmax regression on the standardized embedding of training cells."""
    axes = axes_of(pooled, model.module.pooling)
    white = ((pooled - axes.mean) @ axes.whiten()).astype(np.float64)
    slope, start = fit_softmax(white, code, balance.option, model.seed)
    arrays = (axes.mean, axes.whiten(), slope.T, start)
    tensors = (torch.from_numpy(np.asarray(array, np.float32)) for array in arrays)
    model.classifier.start(*tensors)  # type: ignore[union-attr]


def classifier_of(network: Encoder, n_labels: int, class_balance: ClassBalance) -> GeneClassifier:
    """A classifier with logits of the form that the option needs."""
    return GeneClassifier(network, n_labels, SCALE if class_balance == "ldam" else 0.0)


def split_labeled(
    code: np.ndarray, labels: list[str], validation_size: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cells to learn from and to watch, of those that have a label (0 or more); each label must be among the former."""
    if not 0 <= validation_size < 1:
        raise ValueError(f"validation_size must be in [0, 1); found {validation_size}.")
    labeled = np.flatnonzero(code >= 0)
    train, validation, _ = (labeled[part] for part in split_cells(len(labeled), 1 - validation_size, None, seed))
    if len(absent := np.setdiff1d(code[validation], code[train])):
        raise ValueError(
            f"All cells with the label {labels[absent[0]]!r} would be validation cells: there is none to learn from. "
            "Lower validation_size, or label more cells."
        )
    return train, validation
