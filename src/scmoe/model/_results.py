"""All that a model says about cells, from one pass over them."""

from dataclasses import dataclass

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.model._embed import embedding_of, state_of
from scmoe.model._fitted import BATCH_SIZE, FittedModel, query
from scmoe.model._labels import (
    Annotation,
    annotation_of,
    expected_accuracies,
    label_probabilities,
    stack_annotations,
)
from scmoe.model._mapping import mapping_score_of
from scmoe.model._supervised import supervised_probabilities

# Names of arrays in a batch beside those of the modalities, which hold no dot.
JOINT, LABELS, SCORE = ".joint", ".labels", ".score"


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a model says about n cells.

    Parameters
    ----------
    embedding
        (n, n_hidden) float32, as `scmoe.model.SCMOE.get_latent_representation` gives it.
    labeled_embedding
        (n, n_hidden + labels), with the probabilities of the labels; None without labels.
    states
        Of each modality that the data have, its state (n, n_hidden); NaN in cells that lack it.
    mapping_score
        (n,), as `scmoe.model.SCMOE.get_mapping_score` gives it; NaN with patch tokens; None if it was left out.
    annotation
        As `scmoe.model.SCMOE.get_annotation` gives it; None without labels, or if it was left out.
    supervised
        (n, labels) probabilities of labels by the network's own head, see `scmoe.model.SCMOE.predict_supervised`; None
        without such a head.
    n_features
        Of each modality that the data have, how many of the model's features are there.
    """

    embedding: np.ndarray
    labeled_embedding: np.ndarray | None
    states: dict[str, np.ndarray]
    mapping_score: np.ndarray | None
    annotation: Annotation | None
    supervised: np.ndarray | None
    n_features: dict[str, int]


@checks_arguments
@torch.no_grad()
def get_results(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
    *,
    coverage: float = 1.0,
    mapping_score: bool = True,
    annotation: bool = True,
) -> Results:
    """Embedding, states, mapping score and labels of cells, from one pass over them.

    The same values as from the methods for each of them, at the price of one.

    Parameters
    ----------
    adata, indices
        Which cells.
    batch_size
        Cells at once.
    coverage
        As in `get_annotation`.
    mapping_score, annotation
        Whether to compute these as well.

    Returns
    -------
    Results
        Arrays with a row for each cell.

    Raises
    ------
    ValueError
        `coverage` is not in (0, 1], or the data do not fit the model.

    Examples
    --------
    >>> results = model.get_results()
    """
    fitted, dataset, cells = query(self, adata, indices)
    names, width, labels = list(dataset.n_found), fitted.config.n_hidden, fitted.setup.labels
    accuracy = expected_accuracies(fitted, coverage) if annotation else {}
    empty: dict[str, np.ndarray] = {name: np.zeros((0, width), np.float32) for name in (*names, JOINT)}
    out = {} if len(cells) else empty | {LABELS: np.zeros((0, len(labels)), np.float32), SCORE: np.zeros(0, np.float32)}
    annotations: list[Annotation] = []
    for chunk in fitted.encode(dataset, cells, batch_size, loadings="fixed"):
        part = {name: state_of(chunk, fitted.position(name)) for name in names} | {JOINT: embedding_of(fitted, chunk)}
        if labels and annotation:
            annotations.append(annotation_of(fitted, chunk, accuracy))
        elif labels:
            part[LABELS] = label_probabilities(fitted, chunk)
        if mapping_score:
            part[SCORE] = mapping_score_of(fitted, chunk)
        for key, values in part.items():
            if key not in out:
                out[key] = np.empty((len(cells), *values.shape[1:]), values.dtype)
            out[key][chunk.rows] = values
    labeled = stack_annotations(annotations, len(labels)) if labels and annotation else None
    probability, scale = out.get(LABELS) if labeled is None else labeled.probability, fitted.readouts.label_scale
    return Results(
        embedding=out[JOINT],
        labeled_embedding=np.hstack([out[JOINT], probability * scale]) if labels and probability is not None else None,
        states={name: out[name] for name in names},
        mapping_score=out[SCORE] if mapping_score else None,
        annotation=labeled,
        supervised=supervised_probabilities(fitted, dataset, cells, batch_size)
        if annotation and fitted.config.label_weight
        else None,
        n_features=dataset.n_found,
    )
