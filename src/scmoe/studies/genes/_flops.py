"""Floating-point operations of the gene network and of networks that read every gene, counted from their sizes.

A multiply-add is two operations. Only products of two matrices count: not products with a vector (one row or one
column, as in normalizers and in heads with one output), and nothing that is done entry by entry. Forward; training
costs `TRAINING` times as much.
"""

from typing import NamedTuple

from scmoe.nn.genes._config import EXPANSION, GeneConfig
from scmoe.nn.genes._performer import n_features
from scmoe.tokens._masking import MaskingPolicy

TRAINING = 3
"""A step in forward passes: the backward pass has two products, for inputs and weights, where the other has one."""


class Load(NamedTuple):
    """What a cell gives to compute."""

    genes: float
    """N, all of them."""
    visible: float
    """m, expressed and not masked."""
    masked: float
    """A, masked, expressed or not."""


def expected_load(n_genes: int, zeros: float, policy: MaskingPolicy) -> Load:
    """The mean load of cells with a share of zeros."""
    expressed = n_genes * (1 - zeros)
    masked = policy.nonzero_rate * expressed + policy.zero_rate * (n_genes - expressed)
    return Load(n_genes, (1 - policy.nonzero_rate) * expressed, masked)


def values(n: float, n_bins: int, width: int) -> float:
    """Auto-discretization of n values."""
    return 2 * n * n_bins * (n_bins + width)


def queries(n: float, width: int) -> float:
    """Maps of n queries and of what they find, and the feed-forward layer behind."""
    return (4 + 4 * EXPANSION) * n * width**2


def keys(n: float, width: int) -> float:
    """Maps of n keys and values."""
    return 4 * n * width**2


def random_features(n: float, width: int, features: int) -> float:
    """Random features of n queries or keys; just as many operations sum them up with the values, or look them up."""
    return 2 * n * width * features


def dense_layer(n: float, width: int) -> float:
    """A transformer layer: 24 n d² + 4 n² d."""
    return queries(n, width) + keys(n, width) + 4 * n**2 * width


def performer_layer(n: float, width: int, features: int) -> float:
    """A Performer layer: 24 n d² + 8 n r d."""
    return queries(n, width) + keys(n, width) + 4 * random_features(n, width, features)


def every_gene_flops(load: Load, *, layers: int, width: int, n_heads: int, n_bins: int, exact: bool) -> float:
    """A transformer (`exact`) or Performer over all genes of a cell; the value 0 is embedded once."""
    n = load.genes
    layer = dense_layer(n, width) if exact else performer_layer(n, width, n_features(width // n_heads))
    return values(load.visible, n_bins, width) + layers * layer


def shared_layers(load: Load, *, layers: int, width: int, features: int, batch: int) -> float:
    """Performer layers with the two shortcuts of `scmoe.nn.genes._performer`, for a cell in a batch.

    The first layer reads genes that are zero once for all cells, and each cell replaces what differs: it adds its own
    keys and takes the common ones off. The last layer has queries at masked genes only.
    """
    n, own = load.genes, load.visible + load.masked
    asking = queries(load.masked, width) + 2 * random_features(load.masked, width, features)
    all_asking = queries(n, width) + 2 * random_features(n, width, features)
    all_read = keys(n, width) + 2 * random_features(n, width, features)
    own_read = keys(own, width) + 3 * random_features(own, width, features)
    return all_read / batch + own_read + (layers - 1) * (all_asking + all_read) + asking


def shortcut_performer_flops(load: Load, *, layers: int, width: int, n_heads: int, n_bins: int, batch: int) -> float:
    """A Performer over all genes, with the shortcuts of our decoder."""
    features = n_features(width // n_heads)
    shared = shared_layers(load, layers=layers, width=width, features=features, batch=batch)
    return values(load.visible, n_bins, width) + shared


def encoder_flops(load: Load, config: GeneConfig) -> float:
    """Our encoder, and the published one: values and layers of the visible genes (one expert, no padding)."""
    d, m = config.encoder_width, load.visible
    return values(m, config.n_bins, d) + config.encoder_layers * dense_layer(m, d)


def published_decoder_flops(load: Load, config: GeneConfig) -> float:
    """The published decoder: every gene of a cell has its value embedded, is projected, and goes through all layers."""
    d, c, n = config.encoder_width, config.decoder_width, load.genes
    layer = performer_layer(n, c, n_features(c // config.decoder_heads))
    return values(n, config.n_bins, d) + 2 * n * d * c + config.decoder_layers * layer


def our_decoder_flops(load: Load, config: GeneConfig, batch: int) -> float:
    """Our decoder, for a cell in a batch: identities are projected once, visible states in each cell.

    See `shared_layers`.
    """
    d, c = config.encoder_width, config.decoder_width
    features = n_features(c // config.decoder_heads)
    project = 2 * (load.genes / batch + load.visible) * d * c
    program = 2 * d**2
    layers = shared_layers(load, layers=config.decoder_layers, width=c, features=features, batch=batch)
    return project + program + layers
