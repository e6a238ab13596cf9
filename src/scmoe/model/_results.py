"""All that a model says about cells, from one pass over them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mudata import MuData

from scmoe.model._embed import embedding_of, state_of
from scmoe.model._fitted import BATCH_SIZE, FittedModel, query
from scmoe.model._labels import Annotation, annotation_of, check_coverage, expected_accuracies, stack_annotations
from scmoe.model._mapping import mapping_score_of


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
        (n,), as `scmoe.model.SCMOE.get_mapping_score` gives it; NaN with patch tokens.
    annotation
        As `scmoe.model.SCMOE.get_annotation` gives it; None without labels.
    n_features
        Of each modality that the data have, how many of the model's features are there.
    """

    embedding: np.ndarray
    labeled_embedding: np.ndarray | None
    states: dict[str, np.ndarray]
    mapping_score: np.ndarray
    annotation: Annotation | None
    n_features: dict[str, int]


@torch.no_grad()
def get_results(
    self: FittedModel,
    adata: MuData | None = None,
    indices: Sequence[int] | None = None,
    batch_size: int = BATCH_SIZE,
    *,
    coverage: float = 1.0,
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

    Returns
    -------
    Results
        Arrays with a row for each cell.

    Raises
    ------
    ValueError
        `coverage` is not in (0, 1], or the data do not fit the model.
    """
    check_coverage(coverage)
    fitted, dataset, cells = query(self, adata, indices)
    names, width, labels = list(dataset.n_found), fitted.config.n_hidden, fitted.setup.labels
    accuracy = expected_accuracies(fitted, coverage)
    joint, states, scores, annotations = np.empty((len(cells), width), np.float32), [], [], []
    for chunk in fitted.encode(dataset, cells, batch_size):
        joint[chunk.rows] = embedding_of(fitted, chunk)
        states.append([state_of(chunk, fitted.position(name)) for name in names])
        known = bool(fitted.readouts.familiarities)
        scores.append(mapping_score_of(fitted, chunk) if known else np.full(len(chunk.covariates), np.nan))
        if labels:
            annotations.append(annotation_of(fitted, chunk, accuracy))
    annotation = stack_annotations(annotations, len(labels)) if labels else None
    scale = fitted.readouts.label_scale
    return Results(
        embedding=joint,
        labeled_embedding=None if annotation is None else np.hstack([joint, annotation.probability * scale]),
        states={
            name: np.concatenate([batch[i] for batch in states]) if states else np.zeros((0, width), np.float32)
            for i, name in enumerate(names)
        },
        mapping_score=np.concatenate(scores) if scores else np.zeros(0, np.float32),
        annotation=annotation,
        n_features=dataset.n_found,
    )
