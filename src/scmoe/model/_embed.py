"""The joint embedding, and the states of modalities."""

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.data._dataset import MosaicDataset
from scmoe.model._features import embedding, linear_embedding, to_numpy
from scmoe.model._fitted import BATCH_SIZE, Chunk, Fitted, FittedModel, Part, nan_where_absent, query
from scmoe.model._labels import scaled_labels


@checks_arguments
@torch.no_grad()
def get_latent_representation(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
    modality: str | None = None,
    *,
    part: Part = "mixture",
    labeled: bool = False,
) -> np.ndarray:
    """The embedding.

    Parameters
    ----------
    adata, indices
        Which cells.
    batch_size
        Cells at once.
    modality
        None: the joint embedding, n_hidden principal components of the joint state (a weighted mean of the modalities'
        states) and of the batch-corrected program scores, half of the variance from each. Only programs that reproduce
        in cells that they were not computed from are read; modalities count by what these say. Of a cell that lacks
        modalities, what those it has let expect of it (a linear map, fitted to training and validation cells that have
        all). With patch tokens, or too few complete cells, the joint state. A name: the state of that modality.
    part
        Of the joint embedding: ``"mixture"``, all of it; ``"network"``, the mean of the states alone; ``"linear"``, the
        batch-corrected program scores alone, modalities of equal variance (0 for those that a cell lacks).
    labeled
        Whether to put the probabilities of the labels beside the joint embedding, scaled to the same total variance in
        the training cells, so that what the labels say shapes the neighborhoods, of unlabeled cells too.

    Returns
    -------
    numpy.ndarray
        (n, n_hidden) float32; with `labeled` (n, n_hidden + labels), with ``part="linear"`` (n, programs). NaN in cells
        that lack the `modality` asked for.

    Raises
    ------
    ValueError
        `labeled` or a `part` was asked for a single modality, labels of a model without, or `part` is unknown.

    Examples
    --------
    >>> mdata.obsm["X_mine"] = model.get_latent_representation()
    """
    if modality is not None and (labeled or part != "mixture"):
        raise ValueError(
            f"labeled and part are for the joint embedding; found modality={modality!r} as well. Leave it out."
        )
    fitted = self.fitted
    labels = fitted.labels() if labeled else []
    v = None if modality is None else fitted.position(modality)
    _, dataset, cells = query(self, adata, indices)
    blocks = [np.zeros((0, fitted.config.n_hidden + len(labels)), np.float32)] if not len(cells) else []
    for chunk in fitted.encode(dataset, cells, batch_size, loadings="fixed"):
        if v is not None:
            block = state_of(chunk, v)
        else:
            block = embedding_of(fitted, chunk, part)
        blocks.append(np.hstack([block, scaled_labels(fitted, chunk)]) if labels else block)
    return np.concatenate(blocks)


def embedding_of(fitted: Fitted, chunk: Chunk, part: str = "mixture") -> np.ndarray:
    """The joint embedding (B, d), or a part of it; see `get_latent_representation`."""
    if part == "linear":
        return to_numpy(linear_embedding(fitted.network, chunk))
    if part == "network":
        return to_numpy(chunk.encoded.joint)
    return to_numpy(embedding(fitted.network, fitted.readouts, chunk))


def state_of(chunk: Chunk, modality: int) -> np.ndarray:
    """States (B, d) of a modality, NaN in cells that lack it."""
    return nan_where_absent(chunk.batch.presence.mask[:, modality], chunk.encoded.states[:, modality]).numpy()


@torch.no_grad()
def embedded(fitted: Fitted, dataset: MosaicDataset, cells: np.ndarray) -> np.ndarray:
    """The joint embedding (n, d) of cells."""
    empty = np.zeros((0, fitted.config.n_hidden), np.float32)
    chunks = fitted.encode(dataset, cells, loadings="fixed")
    return np.concatenate([empty, *(embedding_of(fitted, chunk) for chunk in chunks)])
