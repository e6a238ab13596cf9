"""`run_published_cost`: the encoders of published gene models beside ours, with and without fused attention."""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm.auto import tqdm

from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.data.genes._dataset import DEFAULT_DEPTH, Draw, GeneBatch, GeneDataset
from scmoe.io._files import check_writable
from scmoe.nn.genes._config import GeneConfig, gene_config
from scmoe.nn.genes._encoder import Encoder, pool
from scmoe.nn.published._form import PublishedForm
from scmoe.nn.published._make import make_encoder
from scmoe.studies._report import markdown_table
from scmoe.studies._run import processor, single_thread, write_result
from scmoe.studies.genes.cost._measure import SEED, USUAL_ZEROS, backward, kept_mib
from scmoe.studies.speed._data import simulate
from scmoe.tokens._counts import read_cells
from scmoe.tokens._make import make_tokenizer

GENES, GENES_QUICK = (2000, 20_000), (500, 1000)
ROUNDS = {2000: 3, 20_000: 1}
"""By number of genes: calls that a time is the median of. At 20 000 one takes up to half a minute."""
PUBLISHED = {
    "scGPT": GeneConfig(
        tokenizer="bins",
        encoder_layers=12,
        encoder_heads=8,
        encoder_width=512,
        published=PublishedForm(kind="scgpt", hidden=512, max_length=1199),
    ),
    "Geneformer, 6 layers": GeneConfig(
        tokenizer="rank",
        encoder_layers=6,
        encoder_heads=4,
        encoder_width=256,
        published=PublishedForm(kind="geneformer", hidden=512, max_length=2048),
    ),
    "scBERT": GeneConfig(
        tokenizer="integer",
        encoder_layers=6,
        encoder_heads=10,
        encoder_width=200,
        published=PublishedForm(kind="scbert", hidden=800),
    ),
    "scFoundation": GeneConfig(
        n_bins=100,
        encoder_layers=12,
        encoder_heads=12,
        encoder_width=768,
        depth_tokens=True,
        published=PublishedForm(kind="scfoundation", hidden=3072),
    ),
}
"""In the sizes in which they were published."""
WITH_ZEROS, MOST_WITH_ZEROS = "scGPT, zeros too", 5000
"""scGPT as in studies that let it read zeros; of more genes not even the fused kernel would be of use."""
OURS = {f"scmoe, `{preset}`": gene_config(preset, {}) for preset in ("tiny", "3m", "10m")}


class Form(NamedTuple):
    """An encoder that reads one cell."""

    name: str
    config: GeneConfig
    encoder: Encoder
    batch: GeneBatch

    @property
    def has_softmax(self) -> bool:
        """Whether there is attention that could be fused."""
        return self.config.form is None or self.config.form.kind != "scbert"


@checks_arguments
def run_published_cost(output: str | Path, *, quick: bool = False) -> dict[str, Any]:
    """Measure what it costs to embed a cell, and to learn from it, with the encoders of published gene models and ours.

    The networks have the published sizes and random weights, and read one simulated cell that expresses a tenth of the
    genes. A step is a forward and a backward pass through all of the encoder, as in fine-tuning for labels. Times are
    CPU times of one thread; memory is what a forward pass keeps for the
    backward pass. Softmax attention is torch's fused kernel, or the same products one after the other.

    Parameters
    ----------
    output
        Folder for ``published_cost.json`` and ``published_cost.md``.
    quick
        500 and 1000 genes in place of 2000 and 20 000, for which scBERT needs 12 GB of memory.

    Returns
    -------
    The content of ``published_cost.json``: ``rows``, a dict for each network, number of genes and way of attention, and
    ``settings``.

    Raises
    ------
    WriteError
        If `output` cannot be written; nothing is measured then.

    Examples
    --------
    >>> table = scmoe.studies.run_published_cost("published_cost", quick=True)  # doctest: +SKIP
    """
    folder = check_writable(output)
    start = perf_counter()
    sizes = GENES_QUICK if quick else GENES
    cases = [(name, config, n) for n in sizes for name, config in (PUBLISHED | OURS).items()]
    rows = []
    for case in tqdm(cases, desc="encoders"):
        # A process each, for what one leaves behind in memory the next may need.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            rows += pool.submit(measure, *case).result()
    settings = {"processor": processor(), "scmoe": __version__, "torch": torch.__version__}
    result = {"rows": rows, "settings": settings | {"seconds": perf_counter() - start}}
    write_result(folder, "published_cost", result, published_cost_markdown(result))
    return result


def measure(name: str, config: GeneConfig, n_genes: int) -> list[dict[str, Any]]:
    """Seconds of an embedding and of a step, and MiB that are kept, of an encoder at a number of genes."""
    with single_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        form = make_form(name, config, n_genes)
        forms = [form, with_zeros(form)] if name == "scGPT" and n_genes <= MOST_WITH_ZEROS else [form]
        ways = [(form, fused) for form in forms for fused in ((True, False) if form.has_softmax else (True,))]
        rows = []
        for form, fused in ways:
            row = {"form": form.name, "n_genes": n_genes, "fused": fused and form.has_softmax}
            row |= {"tokens": n_read(form), "parameters": n_parameters(form.encoder)}
            n_rounds = ROUNDS.get(n_genes, 1)
            row |= {"embed_seconds": seconds_of(partial(embed, form, fused), n_rounds)}
            row |= {"step_seconds": seconds_of(partial(step, form, fused), n_rounds), "rounds": n_rounds}
            with attention(fused):
                rows.append(row | {"mib": kept_mib(form.encoder, partial(loss, form))})
    return rows


def seconds_of(function: Callable[[], None], n_rounds: int) -> float:
    """CPU seconds of a call: the median, after one that is not counted."""
    function()
    samples = []
    for _ in range(n_rounds):
        start = process_time()
        function()
        samples.append(process_time() - start)
    return float(np.median(samples))


def make_form(name: str, config: GeneConfig, n_genes: int) -> Form:
    """An encoder with random weights, and a cell as it reads it."""
    cells = read_cells(simulate(1, genes=n_genes, density=1 - USUAL_ZEROS, seed=SEED)["rna"])
    tokenizer = make_tokenizer(config.tokenizer, **config.token_settings).fit(cells.counts, cells.totals)
    dataset = GeneDataset(cells, tokenizer, depth=DEFAULT_DEPTH if config.depth_tokens else None)
    return Form(name, config, make_encoder(n_genes, None, config), dataset[Draw(np.arange(1), None)])


def with_zeros(form: Form) -> Form:
    """The same encoder, with a token for each gene of the cell."""
    n = form.encoder.n_genes
    value = torch.zeros(1, n).scatter(1, form.batch.gene.long(), form.batch.value)
    batch = form.batch._replace(gene=torch.arange(n)[None], value=value, seen=torch.ones(1, n, dtype=torch.bool))
    return form._replace(name=WITH_ZEROS, batch=batch)


def attention(fused: bool) -> AbstractContextManager[Any]:
    """Torch's choice of kernels, or none that is fused."""
    return nullcontext() if fused else sdpa_kernel([SDPBackend.MATH])


def loss(form: Form) -> Tensor:
    """Any number that depends on the whole of the cell's vector."""
    encoded = form.encoder.encode(form.batch.gene, form.batch.value, form.batch.seen)
    return pool(encoded, form.encoder.pooling).square().mean()


def embed(form: Form, fused: bool) -> None:
    """The vector of the cell."""
    with torch.no_grad(), attention(fused):
        loss(form)


def step(form: Form, fused: bool) -> None:
    """Forward and backward pass."""
    with attention(fused):
        backward(form.encoder, partial(loss, form))


def n_read(form: Form) -> int:
    """Positions that the layers compute: tokens of the expressed genes and special ones, or all genes (scBERT)."""
    published = form.config.form
    if published is not None and published.kind == "scbert":
        return form.encoder.n_genes + 1
    return int(form.batch.seen.sum()) + (published is not None and published.kind == "scgpt")


def n_parameters(encoder: Encoder) -> int:
    """Without the identities of genes."""
    return sum(weight.numel() for weight in encoder.parameters()) - encoder.gene.numel()


def published_cost_markdown(result: Mapping[str, Any]) -> str:
    """The table, and how it was made."""
    head = ["", "genes", "positions", "parameters, M"]
    head += [f"{what}{how}" for what in ("embedding, s", "step, s", "MiB") for how in ("", " (not fused)")]
    settings = result["settings"]
    of_size = {row["n_genes"]: row["rounds"] for row in result["rows"]}
    rounds = ", ".join(f"{rounds} ({n_genes} genes)" for n_genes, rounds in of_size.items())
    note = (
        f"One cell with {1 - USUAL_ZEROS:.0%} of the genes expressed. Step: forward and backward pass through all of "
        "the encoder, without optimizer. MiB: kept by a forward pass for the backward pass, without weights. "
        "Positions: what the layers compute; scGPT reads 1200 tokens at most, Geneformer 2048. Parameters without "
        "identities of genes. scBERT has no softmax attention that could be fused. "
        f"{settings['processor']}, one thread, CPU time, medians of {rounds} calls after one that is not counted; "
        f"scmoe {settings['scmoe']}, torch {settings['torch']}, {settings['seconds']:.0f} s in total."
    )
    return f"{markdown_table(head, table_rows(result['rows']))}\n\n{note}\n"


def table_rows(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A line for each network and number of genes."""
    lines = []
    for key in dict.fromkeys((row["form"], row["n_genes"]) for row in rows):
        usual, *unfused = [row for row in rows if (row["form"], row["n_genes"]) == key]
        line = [key[0], str(key[1]), str(usual["tokens"]), f"{usual['parameters'] / 1e6:.3g}"]
        for name in ("embed_seconds", "step_seconds", "mib"):
            line += [f"{usual[name]:.3g}", f"{unfused[0][name]:.3g}" if unfused else "–"]
        lines.append(line)
    return lines
