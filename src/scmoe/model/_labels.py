"""Labels of cells and how far they can be trusted, and clusters."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.metrics._calibration import coverage_accuracy
from scmoe.model._features import embedding, label_views, to_numpy
from scmoe.model._fitted import BATCH_SIZE, Chunk, Fitted, FittedModel, query
from scmoe.readout._novelty import detection
from scmoe.readout._subsets import Subset, nearest_subset
from scmoe.readout._trust import label_trust


class Annotation(NamedTuple):
    """Labels of cells, with what speaks for and against them."""

    probability: np.ndarray
    """(n, labels) float32, as `scmoe.model.SCMOE.predict` returns."""
    unknown_score: np.ndarray
    """(n,) float32, as `scmoe.model.SCMOE.get_unknown_score` returns."""
    trust: np.ndarray
    """(n,) float32 in (0, 1]: a share c of held-out cells of known types is above 1 - c."""
    expected_accuracy: np.ndarray
    """(n,) float32: accuracy among the held-out cells with the same modalities that would keep their label."""


@checks_arguments
@torch.no_grad()
def predict(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    soft: bool = False,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray | pd.DataFrame:
    """Labels of the cells.

    A calibrated mixture of class-balanced logistic regressions on principal components of z-scores, program scores and
    joint state; see the user guide.

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
        The model was trained without labels.

    Examples
    --------
    >>> labels = model.predict()
    >>> len(labels)
    600
    """
    labels = self.fitted.labels()
    fitted, dataset, cells = query(self, adata, indices)
    out = np.empty((len(cells), len(labels)), np.float32)
    for chunk in fitted.encode(dataset, cells, batch_size, loadings="fixed"):
        out[chunk.rows] = label_probabilities(fitted, chunk)
    return as_names(out, dataset.obs_names[cells], labels, soft=soft)


@checks_arguments
@torch.no_grad()
def get_annotation(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
    *,
    coverage: float = 1.0,
) -> Annotation:
    """Probabilities of labels, unknown scores, and a trust in the labels that is made of both.

    Parameters
    ----------
    adata, indices
        Which cells; their own labels are not looked at.
    batch_size
        Cells at once.
    coverage
        Share of cells of known types that are to keep their label: those whose trust is above 1 - coverage. The
        accuracy expected of them is that of labeled training cells, each held out from the fit of the labels; see
        `scmoe.metrics.coverage_accuracy`.

    Returns
    -------
    Annotation
        Arrays with a row for each cell; all but the probabilities are NaN where no label has two training cells.

    Raises
    ------
    ValueError
        The model was trained without labels, or `coverage` is not in (0, 1].

    Examples
    --------
    >>> annotation = model.get_annotation()
    """
    n_labels = len(self.fitted.labels())
    fitted, dataset, cells = query(self, adata, indices)
    accuracy = expected_accuracies(fitted, coverage)
    chunks = fitted.encode(dataset, cells, batch_size, loadings="fixed")
    return stack_annotations([annotation_of(fitted, chunk, accuracy) for chunk in chunks], n_labels)


@checks_arguments
def get_unknown_score(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """How unlike the labeled types cells are: the score of types that the model has never seen.

    In the leading 20 axes of the joint embedding, the squared Mahalanobis distance to the nearest type (one covariance
    within all types) plus that to all labeled cells; then its rank among labeled training cells, each held out from the
    fit. 0.95: 95 % of the cells of known types are nearer, so one in twenty of these is above it. It does not look at
    the probabilities of labels, which can be high in new types. A new type that overlaps a known one is not found:
    `get_unknown_detection` says where types overlap.

    Parameters
    ----------
    adata, indices
        Which cells.
    batch_size
        Cells at once.

    Returns
    -------
    numpy.ndarray
        (n,) float32 in (0, 1], high for cells that are of no known type; NaN where no label has two training cells.

    Raises
    ------
    ValueError
        The model was trained without labels.

    Notes
    -----
    Class-conditional distances with one covariance: Lee et al. 2018,
    `doi:10.48550/arXiv.1807.03888 <https://doi.org/10.48550/arXiv.1807.03888>`__.

    Examples
    --------
    >>> score = model.get_unknown_score()
    """
    return get_annotation(self, adata, indices, batch_size).unknown_score


@checks_arguments
def get_unknown_detection(self: FittedModel) -> pd.DataFrame:
    """Of which labels the unknown score could tell cells, if it did not know the label.

    Types overlap, and what looks like a known type is not found: here each label is taken for unknown in turn. Its
    held-out training cells are compared with those of all other labels, by their distances to the labels other than
    itself. The network and the axes have seen the cells, so this is an estimate; and a new type can look like a known
    one that none of the others looks like.

    Returns
    -------
    pandas.DataFrame
        A row for each label with two training cells or more, lowest first: ``n_cells``, held-out cells that have all
        modalities, and ``auroc``, the area under the receiver operating curve. About 0.5, or below: among the cells of
        this label and of those that it looks like, the unknown score cannot tell a new type. No rows for models that
        were saved by earlier versions.

    Raises
    ------
    ValueError
        The model was trained without labels.

    Examples
    --------
    >>> weak = model.get_unknown_detection().query("auroc < 0.6")
    """
    labels = self.fitted.labels()
    subset = max(self.readouts.novelties, key=len)
    table = detection(self.readouts.novelties[subset], self.readouts.annotators[subset].truth)
    table.index = pd.Index([labels[code] for code in table.index], name="label")
    return table.sort_values("auroc", kind="stable")


@checks_arguments
@torch.no_grad()
def predict_clusters(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    soft: bool = False,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray | pd.DataFrame:
    """Clusters of the cells, by the deep divergence-based clustering head.

    Parameters
    ----------
    adata, indices
        Which cells.
    soft
        Whether to return probabilities.
    batch_size
        Cells at once.

    Returns
    -------
    numpy.ndarray or pandas.DataFrame
        The number of each cell's cluster as text, or (cells, clusters) probabilities.

    Raises
    ------
    ValueError
        The model has no clustering head.
    """
    if self.config.n_clusters is None:
        raise ValueError("This model has no clustering head. Train one with n_clusters=..., or use scmoe.tl.cluster.")
    names = [str(i) for i in range(self.config.n_clusters)]
    fitted, dataset, cells = query(self, adata, indices)
    out = np.empty((len(cells), len(names)), np.float32)
    for chunk in fitted.encode(dataset, cells, batch_size, loadings="trained"):
        out[chunk.rows] = to_numpy(fitted.network.cluster_logits(chunk.encoded)[0].softmax(1))
    return as_names(out, dataset.obs_names[cells], names, soft=soft)


def label_probabilities(fitted: Fitted, chunk: Chunk) -> np.ndarray:
    """Probabilities (B, labels), by the annotator of the modalities that each cell has."""
    out = np.empty((len(chunk.covariates), len(fitted.setup.labels)), np.float32)
    for present, rows in chunk.groups():
        subset = nearest_subset(present, fitted.readouts.annotators)
        assert subset is not None  # at least the joint state is fitted
        views = [to_numpy(view)[rows] for view in label_views(fitted.network, chunk, subset)]
        out[rows] = fitted.readouts.annotators[subset].predict(views)
    return out


def scaled_labels(fitted: Fitted, chunk: Chunk) -> np.ndarray:
    """Probabilities (B, labels) with the total variance of the embedding."""
    return label_probabilities(fitted, chunk) * fitted.readouts.label_scale


def expected_accuracies(fitted: Fitted, coverage: float) -> dict[Subset, float]:
    """Of the modalities that labels are read from, `expected_accuracy`."""
    return {subset: expected_accuracy(fitted, subset, coverage) for subset in fitted.readouts.novelties}


def annotation_of(fitted: Fitted, chunk: Chunk, accuracy: Mapping[Subset, float]) -> Annotation:
    """`Annotation` of a batch of cells; `accuracy` as `expected_accuracies` gives it."""
    probability = label_probabilities(fitted, chunk)
    embedded = to_numpy(embedding(fitted.network, fitted.readouts, chunk))
    out = Annotation(probability, *(np.empty(len(probability), np.float32) for _ in range(3)))
    for present, rows in chunk.groups():
        subset = nearest_subset(present, fitted.readouts.novelties)
        assert subset is not None  # there is one for each annotator
        novelty = fitted.readouts.novelties[subset]
        distance = novelty.distance(embedded[rows])
        confidence = probability[rows].max(1)
        out.unknown_score[rows] = novelty.rank(distance)
        out.trust[rows] = label_trust(fitted.readouts.annotators[subset], novelty, confidence, distance)
        out.expected_accuracy[rows] = accuracy[subset]
    return out


def stack_annotations(batches: Sequence[Annotation], n_labels: int) -> Annotation:
    """Those of all cells from those of their batches."""
    if not batches:
        return Annotation(np.zeros((0, n_labels), np.float32), *(np.zeros(0, np.float32) for _ in range(3)))
    return Annotation(*(np.concatenate(part) for part in zip(*batches, strict=True)))


def expected_accuracy(fitted: Fitted, subset: Subset, coverage: float) -> float:
    """Accuracy of the held-out cells that keep their label; NaN without such cells."""
    annotator, novelty = fitted.readouts.annotators[subset], fitted.readouts.novelties[subset]
    if not len(annotator.truth):
        return float("nan")
    names = np.array(fitted.setup.labels, object)
    trust = label_trust(annotator, novelty, annotator.confidence, novelty.held_out)
    table = coverage_accuracy(names[annotator.truth], names[annotator.predicted], trust, labels=fitted.setup.labels)
    return float(table.loc[table["threshold"] > 1 - coverage, "accuracy"].iloc[-1])


def as_names(probability: np.ndarray, cells: pd.Index, names: list[str], *, soft: bool) -> np.ndarray | pd.DataFrame:
    """Probabilities as a frame, or the most probable name of each cell."""
    if soft:
        return pd.DataFrame(probability, index=cells, columns=names)
    return np.array(names, object)[probability.argmax(1)]
