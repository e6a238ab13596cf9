"""What the encoders of published gene models have in common, and how their tensors are found in a checkpoint."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from scmoe.nn._modules import Modules
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import Encoder
from scmoe.nn.published._form import PublishedForm

State = dict[str, Tensor]


class Rows(NamedTuple):
    """Which rows of a published table are genes, and which are special tokens."""

    genes: Tensor
    """(N,) of the genes, in the order of the vocabulary."""
    special: Mapping[str, int]
    """By the name of the token."""


class PublishedEncoder(Encoder, ABC):
    """The encoder of a published gene model; a cell's vector is the one that its authors take.

    Parameters
    ----------
    n_genes
        Genes of the vocabulary.
    config
        See `scmoe.model.GeneConfig`; its `published` says the rest.
    """

    pooling: ClassVar[str] = "cell"
    blocks: Modules
    form: PublishedForm

    def __init__(self, n_genes: int, config: GeneConfig) -> None:
        super().__init__(n_genes, config)
        assert config.form is not None
        self.form = config.form
        self.gene = nn.Parameter(torch.randn(n_genes + config.n_depth, config.encoder_width))

    @property
    def pooled_width(self) -> int:
        """Length of a cell's vector."""
        return self.config.encoder_width

    def trained(self, *, last: bool) -> Iterator[nn.Parameter]:
        """See `Encoder.trained`."""
        return chain(self.blocks[-1].parameters(), self.closing()) if last else self.parameters()

    def closing(self) -> Iterator[nn.Parameter]:
        """Weights behind the last layer: none, for layers that end with a norm."""
        return iter(())

    @staticmethod
    @abstractmethod
    def read(tensors: Mapping[str, Tensor], rows: Rows, n_layers: int) -> State:
        """The tensors of a checkpoint under the names of this module; a KeyError for one that is missing."""


def torch_layers(tensors: Mapping[str, Tensor], prefix: str, n_layers: int) -> State:
    """Layers that are stored as `torch.nn.TransformerEncoderLayer` stores them, or with one matrix for q, k and v."""
    parts = {
        "self_attn.out_proj": "out",
        "linear1": "up",
        "linear2": "down",
        "norm1": "norm_attention",
        "norm2": "norm_forward",
    }
    state = {}
    for i in range(n_layers):
        fused = f"{prefix}.{i}.self_attn.Wqkv.weight" in tensors
        for kind in ("weight", "bias"):
            qkv = f"Wqkv.{kind}" if fused else f"in_proj_{kind}"
            state[f"blocks.{i}.qkv.{kind}"] = tensors[f"{prefix}.{i}.self_attn.{qkv}"]
            for stored, own in parts.items():
                state[f"blocks.{i}.{own}.{kind}"] = tensors[f"{prefix}.{i}.{stored}.{kind}"]
    return state


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> State:
    """Weights and biases of modules, from stored names to names of their own."""
    kinds = ("weight", "bias")
    return {f"{own}.{kind}": tensors[f"{stored}.{kind}"] for stored, own in names.items() for kind in kinds}
