"""scBERT (Yang et al. 2022): all genes of a panel, expressed or not, read by a Performer."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scmoe.nn._modules import Modules
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import GeneStates
from scmoe.nn.published._encoder import PublishedEncoder, Rows, State, renamed
from scmoe.nn.published._layers import PerformerLayer

N_CODES = 7
"""Levels 0 to 5, and one for masked places."""
PLACES_AT_ONCE = 20_000
"""Genes, of all cells together, that layers read at once where no gradient is asked for (one cell at least): random
features of 20 000 take about 1.5 GB."""


class Read(NamedTuple):
    """What is left of cells after all layers."""

    states: Tensor
    """(B, m, d) of the genes asked for."""
    cell: Tensor
    """(B, d)."""


class ScBERT(PublishedEncoder):
    """The encoder of scBERT. A cell's vector is the mean of the states of all genes.

    The authors train a head that reads one number of each gene, and take no vector of a cell. Genes that were not
    measured have level 0, as not expressed. The vectors of genes (gene2vec) never learn.

    Parameters
    ----------
    n_genes, config
        See `PublishedEncoder`.
    """

    def __init__(self, n_genes: int, config: GeneConfig) -> None:
        super().__init__(n_genes, config)
        d = config.encoder_width
        self.end, self.value = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.randn(N_CODES, d))
        layers = [
            PerformerLayer(d, config.encoder_heads, self.form.head_width, self.form.hidden, config.dropout)
            for _ in range(config.encoder_layers)
        ]
        self.blocks = Modules[PerformerLayer](layers)
        self.norm = nn.LayerNorm(d)

    def encode(self, gene: Tensor, value: Tensor, seen: Tensor) -> GeneStates:
        """See `Encoder.encode`."""
        size = max(len(gene), 1) if torch.is_grad_enabled() else max(PLACES_AT_ONCE // self.n_genes, 1)
        parts = [self.read_cells(*part) for part in zip(*(x.split(size) for x in (gene, value, seen)), strict=True)]
        states, cell = (torch.cat(part) for part in zip(*parts, strict=True))
        return GeneStates(states, seen, self.amounts(gene, value, seen), self.gene[gene], (), cell)

    def read_cells(self, gene: Tensor, value: Tensor, seen: Tensor) -> Read:
        """Some of the cells, with all of their genes and one more token of level 0 at the end."""
        row, place = seen.nonzero(as_tuple=True)
        level = torch.zeros(len(gene), self.n_genes + 1, dtype=torch.long, device=gene.device)
        level = level.index_put((row, gene[row, place]), value[row, place].long())
        h = self.value[level] + torch.cat([self.gene, self.end[None]])
        for block in self.blocks:
            h = block(h)
        h = self.norm(h)
        return Read(h.gather(1, gene.long()[..., None].expand(-1, -1, h.shape[-1])), h[:, :-1].mean(1))

    def closing(self) -> Iterator[nn.Parameter]:
        """See `PublishedEncoder.closing`."""
        return self.norm.parameters()

    def trained(self, *, last: bool) -> Iterator[nn.Parameter]:
        """See `Encoder.trained`."""
        return (weight for weight in super().trained(last=last) if weight is not self.gene and weight is not self.end)

    @staticmethod
    def read(tensors: Mapping[str, Tensor], rows: Rows, n_layers: int) -> State:
        """See `PublishedEncoder.read`."""
        table = tensors["pos_emb.emb.weight"]
        state = {
            "gene": table[rows.genes],
            "end": table[rows.special["<end>"]],
            "value": tensors["token_emb.weight"],
            **renamed(tensors, {"norm": "norm"}),
        }
        return state | performer_layers(tensors, "performer.net.layers", n_layers)


def performer_layers(tensors: Mapping[str, Tensor], prefix: str, n_layers: int) -> State:
    """Layers as the published Performer stores them."""
    state = {}
    for i in range(n_layers):
        attention, forward = f"{prefix}.{i}.0", f"{prefix}.{i}.1"
        own = f"blocks.{i}"
        state[f"{own}.features"] = tensors[f"{attention}.fn.fast_attention.projection_matrix"]
        for name in ("query", "key", "value"):
            state[f"{own}.{name}.weight"] = tensors[f"{attention}.fn.to_{name[0]}.weight"]
        names = {
            f"{attention}.norm": f"{own}.norm_attention",
            f"{attention}.fn.to_out": f"{own}.out",
            f"{forward}.norm": f"{own}.norm_forward",
            f"{forward}.fn.fn.w1": f"{own}.up",
            f"{forward}.fn.fn.w2": f"{own}.down",
        }
        state |= renamed(tensors, names)
    return state
