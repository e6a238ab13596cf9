"""How the gene model reads cells: batched by length, without gradients."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from lightning.fabric.utilities import move_data_to_device

from scmoe._log import logger
from scmoe.data.genes._batches import in_order
from scmoe.data.genes._dataset import DEFAULT_DEPTH, Draw, GeneBatch, GeneDataset
from scmoe.data.genes._manager import GeneSetup
from scmoe.model._base import BaseModel
from scmoe.model._fitted import check_finite
from scmoe.nn._threads import threads_for
from scmoe.nn.genes._classifier import GeneClassifier
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import GeneStates
from scmoe.nn.genes._network import GeneNetwork
from scmoe.readout._axes import Axes
from scmoe.tokens._counts import Cells
from scmoe.tokens._tokenizer import Tokenizer

BATCH_SIZE = 128


class GeneChunk(NamedTuple):
    """Some cells, encoded."""

    rows: np.ndarray
    """Which of the cells asked for."""
    batch: GeneBatch
    """What the encoder saw of them."""
    encoded: GeneStates
    """What it made of it."""


class GeneModel(BaseModel):
    """A gene network with what was fitted to it.

    Its methods are functions in the files of their topics, which `scmoe.model.XTRIMOGENE` lists. In all of them `adata`
    is an AnnData (None: the model's own), which stays unchanged; `indices` are positions of cells (None: all); n is
    their number.
    """

    module: GeneNetwork
    """The network, a `torch.nn.Module`."""
    config: GeneConfig
    """The network's settings."""
    setup: GeneSetup
    """Where the model finds its data in an AnnData, and the genes it knows."""
    tokenizer: Tokenizer
    """Fitted to the training cells."""
    labels: list[str]
    """What the classifier tells apart; empty without one."""
    classifier: GeneClassifier | None
    """Of the network's states; None until it is fine-tuned."""
    axes: dict[str, Axes]
    """Principal axes of the training cells, by the way in which their states are pooled."""
    gene_embeddings: np.ndarray | None
    """What the embeddings of genes start from; None: random."""

    @property
    def genes(self) -> list[str]:
        """Names of the vocabulary's genes, in the model's order."""
        return list(self.setup.names)


def read_cells(model: GeneModel, adata: AnnData | None) -> Cells:
    """The model's own data or a query's; nothing is written to either."""
    if adata is None:
        adata = model.adata
    if adata is None:
        raise ValueError("This model was loaded without data. Pass the AnnData: adata=adata.")
    cells = model.setup.read(adata)
    model._say(adata.obs_names, model.setup.check_scale(adata))
    limit = getattr(model.tokenizer, "limit", None)
    if limit is not None and (n_longer := int((np.diff(cells.counts.indptr) > limit).sum())):
        logger.warning(
            "%d cells express more than %d genes; the %s tokenizer leaves the others out, and they count as zero",
            *(n_longer, limit, model.tokenizer.kind),
        )
    return cells


def check_trained(model: GeneModel) -> None:
    """Raise for a model without training."""
    if not model.is_trained_:
        raise RuntimeError("This model is not trained yet. Call model.train() first.")


def select_cells(model: GeneModel, adata: AnnData | None, indices: Sequence[int] | None) -> Cells:
    """The cells asked for."""
    check_trained(model)
    cells = read_cells(model, adata)
    if indices is None:
        return cells
    return rows_of(cells, positions(indices, len(cells.totals)))


def cell_names(model: GeneModel, adata: AnnData | None, indices: Sequence[int] | None) -> pd.Index:
    """Names of the cells asked for."""
    names = (model.adata if adata is None else adata).obs_names
    return names if indices is None else names[positions(indices, len(names))]


def encode(model: GeneModel, cells: Cells, batch_size: int, depth: str | None = None) -> Iterator[GeneChunk]:
    """Batches of cells of like length, encoded without masks; rows say which cells these are."""
    if depth is not None and not model.config.depth_tokens:
        raise ValueError("depth= is for models with depth tokens, which this one has none of. Leave it out.")
    dataset = GeneDataset(cells, model.tokenizer, depth=(depth or DEFAULT_DEPTH) if model.config.depth_tokens else None)
    network = model.module.eval()
    with threads_for(model.config.encoder_width):
        for rows in in_order(dataset.n_expressed, batch_size):
            batch = move_data_to_device(dataset[Draw(rows, None)], network.device)
            encoded = network.encode(batch.gene, batch.value, batch.seen)
            check_finite(encoded.states)
            yield GeneChunk(rows, batch, encoded)


def positions(indices: Sequence[int], n_cells: int) -> np.ndarray:
    """Positions of cells, which may be given as booleans or from the end."""
    return np.arange(n_cells)[np.asarray(indices)] if len(indices) else np.zeros(0, int)


def rows_of(cells: Cells, indices: np.ndarray) -> Cells:
    """Some of the cells."""
    return Cells(cells.counts[indices], cells.totals[indices], cells.match)
