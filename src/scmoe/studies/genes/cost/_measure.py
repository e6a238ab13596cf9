"""Time and memory of training steps: the gene network, its published form, and networks that read every gene."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from scmoe.data.genes._dataset import Draw, GeneBatch, GeneDataset
from scmoe.nn.genes._config import GeneConfig, gene_config
from scmoe.nn.genes._network import GeneNetwork
from scmoe.studies.genes._flops import (
    TRAINING,
    encoder_flops,
    expected_load,
    our_decoder_flops,
)
from scmoe.studies.genes._rivals import EveryGene, Published, rival_size
from scmoe.studies.speed._data import simulate
from scmoe.studies.speed._timing import interleaved
from scmoe.tokens._continuous import ContinuousTokenizer
from scmoe.tokens._counts import read_cells
from scmoe.tokens._masking import MaskingPolicy
from scmoe.train._objective import masked_mean

OURS, PUBLISHED, PERFORMER, DENSE = "scmoe", "published form", "Performer", "Transformer"
SHORTCUT = "Performer with the shortcuts"
"""Counted only."""
POLICY = MaskingPolicy()
USUAL_ZEROS = 0.9
"""Of the cells that networks over all genes are timed with; what they cost hardly depends on it."""
SEED = 0
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured of a preset.

    Parameters
    ----------
    genes, zeros
        Numbers of genes and shares of zeros.
    batch
        Cells a step; one with softmax attention over all genes, whose cost for a cell does not depend on it.
    rounds
        Of everything that is compared.
    dense_up_to
        Largest number of genes with which softmax attention over all genes is timed.
    """

    genes: tuple[int, ...]
    zeros: tuple[float, ...]
    batch: int
    rounds: int
    dense_up_to: int


def make_batch(n_genes: int, zeros: float, n_cells: int) -> GeneBatch:
    """Simulated cells as they are trained on: each with the same number of counts, at random places, and masked."""
    cells = read_cells(simulate(n_cells, genes=n_genes, density=1 - zeros, seed=SEED)["rna"])
    dataset = GeneDataset(cells, ContinuousTokenizer().fit(cells.counts), policy=POLICY)
    return dataset[Draw(np.arange(n_cells), (SEED,))]


class Ours(nn.Module):
    """The gene network, as `EveryGene` and `Published` are called."""

    def __init__(self, n_genes: int, config: GeneConfig) -> None:
        super().__init__()
        self.network = GeneNetwork(n_genes, None, config)

    def forward(self, batch: GeneBatch) -> Tensor:
        """Predicted values (B, A) of the masked genes."""
        encoded = self.network.encode(batch.gene, batch.value, batch.seen)
        states = self.network.decode(encoded, batch.gene, batch.asked, batch.hidden)
        return self.network.values(self.network.outputs(encoded, states, batch.asked))


def backward(module: nn.Module, loss: Callable[[], Tensor]) -> None:
    """Forward and backward pass."""
    module.zero_grad()
    loss().backward()


def step_loss(module: nn.Module, batch: GeneBatch) -> Tensor:
    """Mean squared error of the masked genes."""
    return masked_mean((module(batch) - batch.target).square(), batch.hidden)


def kept_mib(module: nn.Module, forward: Callable[[], Tensor]) -> float:
    """MiB that a forward pass keeps for the backward pass, besides weights; each block of memory once."""
    known = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor  # alive, so that nothing else takes its place

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    del result
    return sum(size for place, size in sizes.items() if place not in known) / MIB


class Case(NamedTuple):
    """What is timed."""

    form: str
    zeros: float
    module: nn.Module
    batch: GeneBatch


def make_cases(preset: str, plan: Plan, n_genes: int) -> list[Case]:
    """All forms at a number of genes, the Performer first; those over all genes with one share of zeros."""
    config = gene_config(preset, {})
    size = rival_size(config)
    ours, published = Ours(n_genes, config), Published(n_genes, config)
    usual = make_batch(n_genes, USUAL_ZEROS, plan.batch)
    cases = [Case(PERFORMER, USUAL_ZEROS, EveryGene(n_genes, size, exact=False), usual)]
    if n_genes <= plan.dense_up_to:
        cases.append(
            Case(DENSE, USUAL_ZEROS, EveryGene(n_genes, size, exact=True), make_batch(n_genes, USUAL_ZEROS, 1))
        )
    for zeros in plan.zeros:
        batch = make_batch(n_genes, zeros, plan.batch)
        cases += [Case(OURS, zeros, ours, batch), Case(PUBLISHED, zeros, published, batch)]
    return cases


def measure_steps(preset: str, plan: Plan, n_genes: int) -> list[dict[str, Any]]:
    """Seconds and MiB for a cell of all forms at a number of genes, all timed in turn.

    Returns
    -------
    list
        A dict for each form and, where it depends on it, share of zeros: ``form``, ``zeros``, ``seconds`` (median),
        ``mib``, and ``ratio``, ``low`` and ``high``, quartiles over the rounds of the time divided by the Performer's.
    """
    cases = make_cases(preset, plan, n_genes)
    losses = [partial(step_loss, case.module, case.batch) for case in cases]
    steps = {str(i): partial(backward, case.module, losses[i]) for i, case in enumerate(cases)}
    times = interleaved(steps, plan.rounds)
    seconds = [np.array(times[str(i)]) / len(case.batch.gene) for i, case in enumerate(cases)]
    rows: list[dict[str, Any]] = []
    for case, loss, of_case in zip(cases, losses, seconds, strict=True):
        low, ratio, high = np.quantile(of_case / seconds[0], [0.25, 0.5, 0.75]).tolist()
        row = {"preset": preset, "n_genes": n_genes, "form": case.form, "zeros": case.zeros}
        row |= {"seconds": float(np.median(of_case)), "ratio": ratio, "low": low, "high": high}
        rows.append(row | {"mib": kept_mib(case.module, loss) / len(case.batch.gene)})
    return rows


def measure_encoder(preset: str, plan: Plan, n_genes: int, expressed: Sequence[int]) -> list[dict[str, float]]:
    """Cost of the encoder alone for a cell, against its expressed genes, at a number of genes."""
    config = gene_config(preset, {})
    network = GeneNetwork(n_genes, None, config)
    batches = {n: make_batch(n_genes, 1 - n / n_genes, plan.batch) for n in expressed}

    def loss(batch: GeneBatch) -> Tensor:
        return network.encode(batch.gene, batch.value, batch.seen).states.square().mean()

    counted = {n: encoder_flops(expected_load(n_genes, 1 - n / n_genes, POLICY), config) for n in batches}
    return _scaling(network, {n: partial(loss, batch) for n, batch in batches.items()}, counted, plan)


def measure_decoder(preset: str, plan: Plan, n_expressed: int) -> list[dict[str, float]]:
    """Cost of the decoder alone for a cell, against the genes, with a number of expressed genes."""
    config = gene_config(preset, {})
    forms = nn.ModuleDict()
    losses, counted = {}, {}
    for n in plan.genes:
        network = GeneNetwork(n, None, config)
        forms[str(n)] = network
        zeros = 1 - n_expressed / n
        losses[n] = _decoder_loss(network, make_batch(n, zeros, plan.batch))
        counted[n] = our_decoder_flops(expected_load(n, zeros, POLICY), config, plan.batch)
    return _scaling(forms, losses, counted, plan)


def _decoder_loss(network: GeneNetwork, batch: GeneBatch) -> Callable[[], Tensor]:
    with torch.no_grad():
        encoded = network.encode(batch.gene, batch.value, batch.seen)

    def loss() -> Tensor:
        states = network.decode(encoded, batch.gene, batch.asked, batch.hidden)
        return network.outputs(encoded, states, batch.asked).square().mean()

    return loss


def _scaling(
    module: nn.Module, losses: Mapping[int, Callable[[], Tensor]], counted: Mapping[int, float], plan: Plan
) -> list[dict[str, float]]:
    """Seconds, MiB and GFLOPs of a step for a cell, at each size; times in turn."""
    times = interleaved({str(n): partial(backward, module, loss) for n, loss in losses.items()}, plan.rounds)
    return [
        {
            "size": n,
            "seconds": float(np.median(times[str(n)])) / plan.batch,
            "mib": kept_mib(module, loss) / plan.batch,
            "gflops": TRAINING * counted[n] / 1e9,
        }
        for n, loss in losses.items()
    ]
