"""Where pretraining starts: what the training cells say without a network."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn.decomposition import PCA

from scmoe._align import in_order_of
from scmoe.nn.genes._encoder import Encoder, GeneEncoder
from scmoe.nn.genes._network import GeneNetwork
from scmoe.nn.genes._values import BinnedValue
from scmoe.tokens._continuous import ContinuousTokenizer
from scmoe.tokens._counts import Cells
from scmoe.tokens._masking import MaskingPolicy
from scmoe.tokens._tokens import Tokens

MAX_CELLS = 20_000
"""Training cells that principal components are taken from; of more, a random subset."""


def start(network: GeneNetwork, cells: Cells, policy: MaskingPolicy, vectors: np.ndarray | None, seed: int) -> None:
    """Set identities of genes, what is expected of them, and boundaries of equal bins, in place.

    Parameters
    ----------
    network
        Not trained yet.
    cells
        The training cells, and no others.
    policy
        What will be masked.
    given
        Vectors of genes from elsewhere, NaN where there is none; None: the principal components.
    seed
        Of the subset and of the decomposition.
    """
    tokens = ContinuousTokenizer().fit(cells.counts).transform(cells.counts, cells.totals)
    start_encoder(network, tokens, vectors, seed)
    if network.config.target == "value":
        n = network.n_genes
        with torch.no_grad():
            network.expected[:n, 0].copy_(torch.from_numpy(masked_mean(tokens, n, policy)))


@torch.no_grad()
def start_encoder(encoder: Encoder, tokens: Tokens, vectors: np.ndarray | None, seed: int) -> None:
    """Set identities of genes and boundaries of equal bins, in place; see `start`. Tokens are continuous."""
    n, width = encoder.n_genes, encoder.gene.shape[1]
    components = principal(tokens, n, width, seed)
    if vectors is not None:
        mask = np.isfinite(vectors).all(1)
        components[mask] = to_width(vectors[mask], width, seed)
    encoder.gene[:n].copy_(torch.from_numpy(components))
    config = encoder.config
    if isinstance(encoder, GeneEncoder) and config.tokenizer == "continuous" and config.value_embedding == "equal":
        assert isinstance(encoder.value, BinnedValue)
        inner = np.quantile(tokens.value, np.linspace(0, 1, len(encoder.value.boundaries) + 1)[1:-1])
        encoder.value.boundaries.copy_(torch.from_numpy(np.concatenate([[0], inner])))


def principal(tokens: Tokens, n_genes: int, width: int, seed: int) -> np.ndarray:
    """Principal directions (genes, width) of the log-normalized cells times their spread, with unit mean square.

    Beyond the rank, and for genes without counts, random vectors as long as the shortest would be.
    """
    rng = np.random.default_rng(seed)
    values = sparse.csr_matrix((tokens.value, tokens.gene, tokens.offsets), (len(tokens.lengths), n_genes))
    if values.shape[0] > MAX_CELLS:
        values = values[np.sort(rng.choice(values.shape[0], MAX_CELLS, replace=False))]
    out = rng.normal(size=(n_genes, width)).astype(np.float32)
    rank = min(width, values.shape[0] - 1, n_genes - 1)
    if rank < 1 or not values.nnz:
        return out
    pca = PCA(rank, svd_solver="arpack", random_state=seed).fit(values)
    loadings = pca.components_.T * np.sqrt(pca.explained_variance_)
    out *= 0.01
    out[:, :rank] += loadings / max(np.sqrt(np.square(loadings).mean()), 1e-12)
    return out


def to_width(vectors: np.ndarray, width: int, seed: int) -> np.ndarray:
    """Vectors (genes, any) as (genes, width) with unit mean square.

    Wider ones are reduced to principal components; narrower ones get zeros at the end.
    """
    if vectors.shape[1] > width:
        vectors = PCA(min(width, len(vectors)), random_state=seed).fit_transform(vectors)
    out = np.zeros((len(vectors), width), np.float32)
    out[:, : vectors.shape[1]] = vectors
    return out / max(np.sqrt(np.square(out).mean()), 1e-12)


def masked_mean(tokens: Tokens, n_genes: int, policy: MaskingPolicy) -> np.ndarray:
    """Mean value (genes,) of a gene where it is masked, given how often expressed and other genes are."""
    n_cells = len(tokens.lengths)
    expressed = np.bincount(tokens.gene, minlength=n_genes)
    total = np.bincount(tokens.gene, weights=tokens.value, minlength=n_genes)
    masked = policy.nonzero_rate * expressed + policy.zero_rate * (n_cells - expressed)
    return (policy.nonzero_rate * total / np.maximum(masked, 1e-12)).astype(np.float32)


def check_embeddings(embeddings: np.ndarray | pd.DataFrame | None, genes: Sequence[str]) -> np.ndarray | None:
    """A row for each gene, in the model's order; raise if one is not there, or no row is without NaN."""
    if embeddings is None:
        return None
    embeddings = np.array(in_order_of(embeddings, pd.Index(genes), "gene_embeddings", "genes"), np.float32)
    if embeddings.ndim != 2 or len(embeddings) != len(genes):
        raise ValueError(
            f"gene_embeddings must have one row for each of the {len(genes)} genes; found {embeddings.shape}."
        )
    if not np.isfinite(embeddings).all(1).any():
        raise ValueError("gene_embeddings has no row without NaN. Check how its genes were matched.")
    return embeddings
