"""What a pretrained gene model says about cells and genes."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.model.genes._encoding import (
    BATCH_SIZE,
    GeneChunk,
    GeneModel,
    cell_names,
    check_trained,
    encode,
    select_cells,
    with_decoder,
)
from scmoe.nn.genes._classifier import N_AXES
from scmoe.nn.genes._encoder import pool
from scmoe.readout._axes import Axes, fit_axes
from scmoe.tokens._counts import Cells

Pooling = Literal["joint", "weighted", "mean", "max", "depth", "cell"]
MAX_MEMORY = 4_000_000_000
"""Bytes of gene states that are returned at once at most."""
N_FOLDS = 10
"""Parts in which all genes are imputed, each from the others."""


@checks_arguments
@torch.no_grad()
def get_latent_representation(
    self: GeneModel,
    adata: AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
    *,
    pooling: Pooling | None = None,
    depth: str | None = None,
) -> np.ndarray:
    """The embedding: encoder states of a cell's expressed genes, pooled.

    Parameters
    ----------
    adata, indices
        Which cells.
    batch_size
        Cells at once.
    pooling
        Over a cell's expressed genes. ``"joint"``: the mean of their identities (what a linear method sees) and
        that of their states, both weighted by their values; of these the 50 leading principal components, half of
        the variance from each. ``"weighted"``, ``"mean"``, ``"max"``: of the states alone, (n, width).
        ``"depth"``: the states of the two depth tokens, (n, 2 width). ``"cell"``: of a published encoder, the vector
        that its authors take. None: ``"cell"`` of a published encoder, else ``"joint"``.
    depth
        Depth at which cells are to be read, of a model with depth tokens: ``"t4"``, 10^4 counts (the default);
        ``"f2"``, twice the cell's own; ``"a1"``, ten times.

    Returns
    -------
    numpy.ndarray
        float32, along the principal axes of the training cells; of a published encoder that was not trained further,
        as the network makes them. A cell without a count of a known gene gets the
        place of a zero vector, and is named in the log.

    Raises
    ------
    ValueError
        An unknown pooling or depth, or depth tokens of a model without.
    """
    pooling = self.module.pooling if pooling is None else pooling  # type: ignore[assignment]
    if pooling == "depth" and not self.config.depth_tokens:
        raise ValueError('This model has no depth tokens. Train one with depth_tokens=True, or pool by "mean".')
    if pooling == "cell" and self.config.form is None:
        raise ValueError('pooling="cell" is the vector of a published encoder, which this is not. Leave it out.')
    pooled = pool_cells(self, select_cells(self, adata, indices), str(pooling), batch_size, depth)
    axes = self.axes.get(str(pooling))
    return pooled if axes is None else axes.turn(pooled)


@torch.no_grad()
def pool_cells(
    model: GeneModel, cells: Cells, pooling: str, batch_size: int = BATCH_SIZE, depth: str | None = None
) -> np.ndarray:
    """Pooled states of cells as the network makes them."""
    return pool_all(model, cells, [pooling], batch_size, depth)[pooling]


@torch.no_grad()
def pool_all(
    model: GeneModel,
    cells: Cells,
    poolings: Sequence[str],
    batch_size: int = BATCH_SIZE,
    depth: str | None = None,
) -> dict[str, np.ndarray]:
    """Pooled states of cells, of several poolings from one pass."""
    network, width = model.module, model.config.encoder_width
    widths = {pooling: width * (2 if pooling in ("joint", "depth") else 1) for pooling in poolings}
    if network.pooling in widths:
        widths[network.pooling] = network.pooled_width
    out = {pooling: np.empty((len(cells.totals), each), np.float32) for pooling, each in widths.items()}
    for chunk in encode(model, cells, batch_size, depth):
        for pooling in poolings:
            out[pooling][chunk.rows] = pool(chunk.encoded, pooling).float().cpu().numpy()
    return out


def fit_axes_of(model: GeneModel, cells: Cells) -> dict[str, Axes]:
    """Principal axes of the training cells, for each pooling."""
    poolings = ["joint", "weighted", "mean", "max"]
    poolings += ["depth"] if model.config.depth_tokens else []
    poolings += ["cell"] if model.config.form else []
    return {pooling: axes_of(pooled, pooling) for pooling, pooled in pool_all(model, cells, poolings).items()}


@torch.no_grad()
def get_gene_embeddings(self: GeneModel) -> pd.DataFrame:
    """The learned identities of the genes, the same in all cells.

    Returns
    -------
    pandas.DataFrame
        (genes, width). Those of genes that the training data lack say nothing. They started at random, and the
        decoder has read them as unknown genes at most.
    """
    check_trained(self)
    identities = self.module.gene[: len(self.genes)].detach().cpu().numpy()
    return pd.DataFrame(identities, index=self.genes)


@checks_arguments
@torch.no_grad()
def get_gene_context(
    self: GeneModel,
    adata: AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The decoder's state of every gene in every cell.

    Predictors of perturbation responses take it for the gene's expression.

    Parameters
    ----------
    adata, indices
        Which cells.
    batch_size
        Cells at once.

    Returns
    -------
    numpy.ndarray
        (n, genes, decoder width) float32; all genes of the vocabulary, expressed or not.

    Raises
    ------
    MemoryError
        More than 4 GB would be returned: choose fewer cells.
    """
    network, cells = with_decoder(self), select_cells(self, adata, indices)
    shape = (len(cells.totals), len(self.genes), self.config.decoder_width)
    if 4 * np.prod(shape, dtype=float) > MAX_MEMORY:
        raise MemoryError(
            f"The states of {shape[1]} genes in {shape[0]} cells would take "
            f"{4e-9 * np.prod(shape, dtype=float):.0f} GB. Choose fewer cells with indices=, or average over "
            "some at a time."
        )
    out = np.empty(shape, np.float32)
    for chunk in encode(self, cells, batch_size):
        states = network.contexts(chunk.encoded, chunk.batch.gene, chunk.batch.unknown)
        out[chunk.rows] = states[:, : shape[1]].cpu().numpy()
    return out


@checks_arguments
@torch.no_grad()
def impute(
    self: GeneModel,
    genes: str | Sequence[str] | None = None,
    adata: AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
    *,
    depth: str | None = None,
) -> pd.DataFrame:
    """Predict genes from the others: those asked for are hidden from the network, measured or not.

    As in training, their counts are still in the total that the other genes are divided by. The prediction is what
    is expected of a gene masked as in training, where expressed genes are masked more often than others. It tells
    which cells have more of a gene, but lies above the gene's mean. For values on the scale of the data, train
    with equal ``mask_nonzero`` and ``mask_zero``.

    Parameters
    ----------
    genes
        Names of the vocabulary. None: all, a tenth at a time (every tenth gene), each from the nine others.
    adata, indices
        Which cells.
    batch_size
        Cells at once.
    depth
        See `get_latent_representation`.

    Returns
    -------
    pandas.DataFrame
        (cells, genes) of ln(1 + 1e4 c / total). A gene that neither the training data nor this one have is not
        predicted, but gets the start of its training; see the log of `setup_anndata`.

    Raises
    ------
    KeyError
        A gene that the vocabulary does not have.
    """
    with_decoder(self)
    cells = select_cells(self, adata, indices)
    names = self.genes if genes is None else [genes] if isinstance(genes, str) else list(genes)
    position = self.setup.vocabulary.positions(names)
    if (position < 0).any():
        name = names[int(np.argmax(position < 0))]
        raise KeyError(f"The model does not know the gene {name!r} ({(position < 0).sum()} of {len(names)}).")
    gene, place = np.unique(position, return_inverse=True)  # a gene may have been named twice
    folds = [np.arange(len(gene))] if genes is not None else [np.arange(i, len(gene), N_FOLDS) for i in range(N_FOLDS)]
    out = np.empty((len(cells.totals), len(gene)), np.float32)
    for fold in (fold for fold in folds if len(fold)):
        for rows, values in predict_hidden(self, cells, gene[fold], batch_size, depth):
            out[np.ix_(rows, fold)] = values
    return pd.DataFrame(out[:, place], index=cell_names(self, adata, indices), columns=names)


def predict_hidden(
    model: GeneModel, cells: Cells, gene: np.ndarray, batch_size: int, depth: str | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and predicted values (rows, wanted) of genes that are taken out of the input."""
    mask = np.ones(cells.counts.shape[1], np.float32)
    mask[gene] = 0
    visible = cells.counts.multiply(mask).tocsr()
    visible.eliminate_zeros()
    query = torch.from_numpy(gene).to(model.module.device)
    for chunk in encode(model, Cells(visible, cells.totals, cells.match), batch_size, depth):
        yield chunk.rows, predict_genes(model, chunk, query.expand(len(chunk.rows), -1))


def predict_genes(model: GeneModel, chunk: GeneChunk, query: torch.Tensor) -> np.ndarray:
    hidden = torch.ones_like(query, dtype=torch.bool)
    network = with_decoder(model)
    states = network.decode(chunk.encoded, chunk.batch.gene, query, hidden, chunk.batch.unknown)
    return network.values(network.outputs(chunk.encoded, states, query)).cpu().numpy()


def axes_of(pooled: np.ndarray, pooling: str) -> Axes:
    """Principal axes of a pooling: all, or the leading ones of what labels are learned from."""
    if pooling == "joint":
        return fit_axes(pooled, n_parts=2, n_axes=N_AXES)
    return fit_axes(pooled, n_axes=N_AXES if pooling == "cell" else None)
