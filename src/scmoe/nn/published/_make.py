"""Encoders by the form that the settings name."""

from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import Encoder, GeneEncoder
from scmoe.nn.genes._network import GeneNetwork
from scmoe.nn.published._encoder import PublishedEncoder
from scmoe.nn.published._form import Kind
from scmoe.nn.published._geneformer import Geneformer
from scmoe.nn.published._scbert import ScBERT
from scmoe.nn.published._scfoundation import ScFoundation
from scmoe.nn.published._scgpt import ScGPT

ENCODERS: dict[Kind, type[PublishedEncoder]] = {
    "scgpt": ScGPT,
    "geneformer": Geneformer,
    "scbert": ScBERT,
    "scfoundation": ScFoundation,
}


def make_encoder(n_genes: int, n_codes: int | None, config: GeneConfig) -> Encoder:
    """The encoder of a published model, or xTrimoGene's; see `GeneEncoder`."""
    if config.form is not None:
        return ENCODERS[config.form.kind](n_genes, config)
    return GeneEncoder(n_genes, n_codes, config)


def make_network(n_genes: int, n_codes: int | None, config: GeneConfig) -> Encoder:
    """As `make_encoder`, with xTrimoGene's decoder behind xTrimoGene's encoder."""
    return make_encoder(n_genes, n_codes, config) if config.form else GeneNetwork(n_genes, n_codes, config)
