"""`run_genes_cost`: what a training step of the gene network costs, beside networks that read every gene."""

import os
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from tqdm.auto import tqdm

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.io._files import check_writable
from scmoe.model.genes._pretraining import PRETRAIN_BATCH
from scmoe.nn.genes._config import gene_config
from scmoe.nn.genes._network import GeneNetwork
from scmoe.studies._run import processor, single_thread, write_result
from scmoe.studies.genes._flops import (
    TRAINING,
    Load,
    encoder_flops,
    every_gene_flops,
    expected_load,
    our_decoder_flops,
    published_decoder_flops,
    shortcut_performer_flops,
)
from scmoe.studies.genes._rivals import RivalSize, n_parameters, rival_size
from scmoe.studies.genes.cost._measure import (
    DENSE,
    OURS,
    PERFORMER,
    POLICY,
    PUBLISHED,
    SEED,
    SHORTCUT,
    USUAL_ZEROS,
    Plan,
    measure_decoder,
    measure_encoder,
    measure_steps,
)
from scmoe.studies.genes.cost._report import (
    PAPER_GENES,
    PAPER_PRESET,
    cost_figure,
    cost_markdown,
    scaling_figure,
)
from scmoe.studies.speed._timing import keep_freed_memory

GENES, ZEROS = (1000, 2000, 5000, 10_000, 20_000), (0.8, 0.9, 0.95, 0.97)
COUNTED = ("tiny", "3m", PAPER_PRESET)
BATCHES = (2, PRETRAIN_BATCH)
"""Cells a batch of the measurements, and by default in training; our decoder's operations for a cell depend on it."""
PLANS = {
    "tiny": Plan(genes=GENES, zeros=ZEROS, batch=BATCHES[0], rounds=3, dense_up_to=10_000),
    "3m": Plan(genes=(2000, 10_000), zeros=(USUAL_ZEROS,), batch=BATCHES[0], rounds=3, dense_up_to=2000),
}
QUICK = {"tiny": Plan(genes=(1000, 2000, 5000), zeros=(USUAL_ZEROS,), batch=BATCHES[0], rounds=2, dense_up_to=1000)}
EXPRESSED, EXPRESSED_QUICK = (250, 500, 1000, 2000, 4000), (125, 250, 500)
"""At which the encoder is measured alone, with the largest number of genes."""
DECODED = 500
"""Expressed genes with which the decoder is measured alone."""


@checks_arguments
def run_genes_cost(output: str | Path, *, quick: bool = False) -> dict[str, Any]:
    """Measure what a training step of `scmoe.model.XTRIMOGENE` costs, beside networks that read every gene.

    A Transformer and a Performer without a decoder, with as many parameters, and the published form of the asymmetric
    network (Gong et al. 2023, Table 1), on simulated counts. Operations are counted from the sizes, times are CPU times
    of one thread of forward and backward passes in turn, memory is what a forward pass keeps for the backward pass.

    Parameters
    ----------
    output
        Folder for ``genes_cost.json``, ``genes_cost.md``, ``genes_cost.png`` and ``genes_scaling.png``.
    quick
        Up to 5000 genes, 90 % zeros and the preset ``"tiny"`` alone are measured: half a minute in place of five.

    Returns
    -------
    The content of ``genes_cost.json``: ``operations``, GFLOPs of a training step for a cell, by preset, genes, zeros
    and form; ``steps``, times and memory; ``encoder`` and ``decoder``, their cost alone at several sizes;
    ``parameters``; and ``settings``.

    Raises
    ------
    WriteError
        If `output` cannot be written; nothing is measured then.

    Examples
    --------
    >>> table = scmoe.studies.run_genes_cost("genes_cost", quick=True)  # doctest: +SKIP
    """
    folder = check_writable(output)
    plans, expressed = (QUICK, EXPRESSED_QUICK) if quick else (PLANS, EXPRESSED)
    return measure_cost(folder, plans, expressed, DECODED)


def measure_cost(folder: Path, plans: Mapping[str, Plan], expressed: tuple[int, ...], decoded: int) -> dict[str, Any]:
    """As `run_genes_cost`, at any size; the first plan's preset has its encoder and decoder measured alone."""
    start = perf_counter()
    keep_freed_memory()
    first, plan = next(iter(plans.items()))
    with single_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        sizes = [(name, of_preset, n) for name, of_preset in plans.items() for n in of_preset.genes]
        steps = [row for size in tqdm(sizes, desc="training steps") for row in measure_steps(*size)]
        encoder = measure_encoder(first, plan, max(plan.genes), expressed)
        decoder = measure_decoder(first, plan, decoded)
        parameters = [count_parameters(preset) for preset in COUNTED]
    result: dict[str, Any] = {
        "operations": count_operations(),
        "steps": steps,
        "encoder": encoder,
        "decoder": decoder,
        "parameters": parameters,
        "settings": {
            "batches": list(BATCHES),
            "rounds": {name: of_preset.rounds for name, of_preset in plans.items()},
            "encoder_genes": max(plan.genes),
            "decoder_expressed": decoded,
            "scaling_preset": first,
            "processor": processor(),
            "cores": os.cpu_count(),
            "scmoe": __version__,
            "torch": torch.__version__,
            "seconds": perf_counter() - start,
        },
    }
    cost_figure(result, folder / "genes_cost.png")
    scaling_figure(result, folder / "genes_scaling.png")
    write_result(folder, "genes_cost", result, cost_markdown(result))
    return result


def count_operations() -> list[dict[str, Any]]:
    """GFLOPs of a training step for a cell, of all forms, and batches where it depends on them."""
    rows = []
    for preset in COUNTED:
        size = rival_size(gene_config(preset, {}))
        for n in (*GENES, PAPER_GENES):
            for zeros in ZEROS:
                row = {"preset": preset, "n_genes": n, "zeros": zeros}
                counts = _operations(preset, size, expected_load(n, zeros, POLICY))
                rows += [row | of_form for of_form in counts]
    return rows


def _operations(preset: str, size: RivalSize, load: Load) -> list[dict[str, Any]]:
    config = gene_config(preset, {})
    encoder = encoder_flops(load, config)
    counts: dict[tuple[str, int | None], float] = {
        (PUBLISHED, None): encoder + published_decoder_flops(load, config),
        (PERFORMER, None): every_gene_flops(load, **vars(size), exact=False),
        (DENSE, None): every_gene_flops(load, **vars(size), exact=True),
    }
    for batch in BATCHES:
        counts[OURS, batch] = encoder + our_decoder_flops(load, config, batch)
        counts[SHORTCUT, batch] = shortcut_performer_flops(load, **vars(size), batch=batch)
    return [{"form": form, "batch": batch, "gflops": TRAINING * count / 1e9} for (form, batch), count in counts.items()]


def count_parameters(preset: str) -> dict[str, Any]:
    """Of our network and of its rivals, without and with the tables of `PAPER_GENES` genes, and the rivals' size."""
    config = gene_config(preset, {})
    size = rival_size(config)
    without, with_table = (n_parameters(GeneNetwork(n, None, config)) for n in (0, PAPER_GENES))
    return {
        "preset": preset,
        "ours": without,
        "ours_with_genes": with_table,
        "rivals": size.n_parameters,
        "rivals_with_genes": size.n_parameters + PAPER_GENES * size.width,
        **vars(size),
    }
