"""How well cells fit those that the model was trained on."""

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.model._features import program_scores, to_numpy
from scmoe.model._fitted import BATCH_SIZE, Chunk, Fitted, FittedModel, query


@checks_arguments
@torch.no_grad()
def get_mapping_score(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """How well cells fit those that the model was trained on.

    In each modality, the share p of reference cells that are at least as far from the nearest cluster of training cells
    (Mahalanobis distance in the leading 20 programs). Reference cells are validation cells and, where these are fewer
    than 500, training cells, each measured by components and clusters of other cells. The score is the smallest over
    the m modalities of a cell, corrected for their number: 1 - (1 - p)ᵐ. Among cells like the training cells, one in
    twenty is below .05.

    Parameters
    ----------
    adata, indices
        Which cells.
    batch_size
        Cells at once.

    Returns
    -------
    numpy.ndarray
        (n,) float32 in (0, 1].

    Raises
    ------
    ValueError
        The model has patch tokens, and so no programs to measure distances in.

    Examples
    --------
    >>> score = model.get_mapping_score()
    """
    if not self.fitted.readouts.familiarities:
        raise ValueError("A mapping score needs program tokens; this model was made with tokenizer='patch'.")
    fitted, dataset, cells = query(self, adata, indices)
    scores = [mapping_score_of(fitted, chunk) for chunk in fitted.encode(dataset, cells, batch_size, loadings="fixed")]
    return np.concatenate(scores) if scores else np.zeros(0, np.float32)


def mapping_score_of(fitted: Fitted, chunk: Chunk) -> np.ndarray:
    """Mapping scores (B,) of a batch of cells, NaN without programs; see `get_mapping_score`."""
    present = chunk.batch.presence.mask.cpu().numpy()
    if not fitted.readouts.familiarities:
        return np.full(len(present), np.nan, np.float32)
    smallest = np.ones(len(present))
    for (v,), distances in fitted.readouts.familiarities.items():
        rows = np.flatnonzero(present[:, v])
        scores = to_numpy(program_scores(fitted.network, chunk, v))[rows]
        smallest[rows] = np.minimum(smallest[rows], distances.score(scores))
    return (1 - (1 - smallest) ** present.sum(1)).astype(np.float32)
