"""How the gene model reads cells: batched by length, without gradients."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from lightning.fabric.utilities import move_data_to_device

from scmoe._align import Indices, Positions, positions_of
from scmoe._log import logger
from scmoe.data.genes._batches import in_order
from scmoe.data.genes._dataset import DEFAULT_DEPTH, Draw, GeneBatch, GeneDataset
from scmoe.data.genes._manager import GeneSetup
from scmoe.io._mapped import with_rows
from scmoe.model._base import BaseModel
from scmoe.model._fitted import check_finite
from scmoe.nn._threads import threads_for
from scmoe.nn.genes._classifier import GeneClassifier
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import Encoder, GeneStates
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
    is an AnnData (None: the model's own), which stays unchanged. `indices` choose cells (None: all): positions, of
    which negative ones count from the end; names; or a mask of True and False, which a Series brings into the order of
    the cells by its index. A KeyError, IndexError or ValueError says which of them is no cell. n is their number.
    """

    module: Encoder
    """The network, a `torch.nn.Module`: `GeneNetwork`, or the encoder of a published model."""
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
    """Principal axes of the training cells, by the way in which their states are pooled; empty without training."""
    gene_embeddings: np.ndarray | None
    """What the embeddings of genes start from; None: random."""

    @property
    def genes(self) -> list[str]:
        """Names of the vocabulary's genes, in the model's order."""
        return list(self.setup.names)


def own_or_query(model: GeneModel, adata: AnnData | None) -> AnnData:
    """The model's own data, or those of a query."""
    adata = model.adata if adata is None else adata
    if adata is None:
        raise ValueError("This model was loaded without data. Pass the AnnData: adata=adata.")
    return adata


def read_cells(model: GeneModel, adata: AnnData | None) -> Cells:
    """The cells of `own_or_query`; nothing is written to it."""
    adata = own_or_query(model, adata)
    cells = model.setup.read(adata)
    model._say(adata, model.setup.check_scale(adata))
    limit = getattr(model.tokenizer, "limit", getattr(model.tokenizer, "max_length", None))
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


def with_decoder(model: GeneModel) -> GeneNetwork:
    """The network; a NotImplementedError for a published encoder, which has no decoder."""
    network = model.module
    if isinstance(network, GeneNetwork):
        return network
    assert model.config.form is not None
    raise NotImplementedError(
        f"This model is the encoder of {model.config.form.kind}, without a decoder of genes: it embeds cells "
        "(get_latent_representation) and learns labels (fine_tune). To predict genes, train an XTRIMOGENE, which can "
        "start from the genes of published models: gene_embeddings=scmoe.model.read_published(...).map_to(genes)[0]."
    )


def select_cells(model: GeneModel, adata: AnnData | None, indices: Indices | None) -> Cells:
    """The cells asked for."""
    check_trained(model)
    cells = read_cells(model, adata)
    return cells if indices is None else rows_of(cells, chosen_rows(model, adata, indices))


def cell_names(model: GeneModel, adata: AnnData | None, indices: Indices | None) -> pd.Index:
    """Names of the cells asked for."""
    return own_or_query(model, adata).obs_names[chosen_rows(model, adata, indices)]


def chosen_rows(model: GeneModel, adata: AnnData | None, indices: Indices | None) -> Positions:
    """Positions of the cells asked for."""
    names = own_or_query(model, adata).obs_names
    return np.arange(len(names)) if indices is None else positions_of(indices, names)


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


def rows_of(cells: Cells, indices: np.ndarray) -> Cells:
    """Some of the cells."""
    return Cells(with_rows(cells.counts, indices), cells.totals[indices], cells.match)
