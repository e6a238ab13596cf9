"""The counter against torch's, rivals of equal size, and the study at tiny sizes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

import scmoe.studies.genes.cost._run as genes_cost
from scmoe.cli import app
from scmoe.data.genes._dataset import GeneBatch
from scmoe.nn.genes._config import PRESETS, GeneConfig, gene_config
from scmoe.nn.genes._network import GeneNetwork
from scmoe.nn.genes._performer import n_features, orthogonal_features
from scmoe.studies.genes._flops import (
    TRAINING,
    Load,
    dense_layer,
    encoder_flops,
    every_gene_flops,
    expected_load,
    keys,
    our_decoder_flops,
    performer_layer,
    published_decoder_flops,
    random_features,
    shared_layers,
)
from scmoe.studies.genes._rivals import EveryGene, Published, RivalSize, equal_size, n_parameters, replaced, rival_size
from scmoe.studies.genes.cost._measure import DENSE, OURS, PERFORMER, PUBLISHED, Ours, Plan, kept_mib, make_batch
from scmoe.studies.genes.cost._report import PAPER, cost_markdown, operations_of, verdicts
from scmoe.studies.genes.cost._run import count_operations
from scmoe.tokens._masking import MaskingPolicy

B, N, VISIBLE, MASKED = 4, 120, 70, 30
LOAD = Load(N, VISIBLE, MASKED)
CONFIGS = [
    GeneConfig(encoder_width=16, decoder_width=8, n_bins=6),
    GeneConfig(encoder_layers=3, encoder_width=32, decoder_layers=2, decoder_width=16, n_bins=5),
    GeneConfig(encoder_width=16, decoder_layers=3, decoder_width=8, decoder_heads=1, n_bins=4),
]
SIZE = RivalSize(layers=3, width=12, n_heads=2, n_bins=5)


@pytest.fixture
def batch() -> GeneBatch:
    """No padding: every cell has as many genes, in its own places."""
    place = torch.stack([torch.randperm(N) for _ in range(B)])
    gene, masked = place[:, :VISIBLE], place[:, VISIBLE : VISIBLE + MASKED]
    real = torch.ones(B, N, dtype=torch.bool)
    value, target = torch.rand(B, VISIBLE), torch.rand(B, MASKED)
    return GeneBatch(gene, value, real[:, :VISIBLE], masked, real[:, :MASKED], target, torch.zeros(B).long(), None)


def counted(function: Callable[[], Any]) -> float:
    """What torch counts, for a cell of a batch; it does not know the fused attention of a CPU."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        function()
    return counter.get_total_flops() / B


def normalizer(n: int, width: int, n_heads: int) -> int:
    """A product with a vector in each head, which the formulas leave out."""
    return 2 * n * n_features(width // n_heads) * n_heads


def single_value(n_bins: int, width: int) -> int:
    """The value 0, embedded once for a batch: products with vectors."""
    return 2 * (n_bins + n_bins**2 + n_bins * width)


def test_layers_are_those_of_the_specification():
    assert dense_layer(1000, 64) == 24 * 1000 * 64**2 + 4 * 1000**2 * 64
    assert performer_layer(1000, 64, 266) == 24 * 1000 * 64**2 + 8 * 1000 * 266 * 64


@pytest.mark.parametrize("head", [1, 8, 32, 64])
def test_number_of_random_features(head):
    assert n_features(head) == len(orthogonal_features(head))


def test_load_is_that_of_the_specification():
    genes, visible, masked = expected_load(19_264, 0.9, MaskingPolicy())
    assert (genes, round(visible), round(masked)) == (19_264, 1348, 578 + 520)


@pytest.mark.parametrize("config", CONFIGS)
def test_encoder_is_counted_but_for_vectors(config, batch):
    network = GeneNetwork(N, None, config).train()
    vectors = 2 * VISIBLE * config.n_bins + config.encoder_layers * 4 * VISIBLE * config.encoder_width  # values, router
    flops = counted(lambda: network.encode(batch.gene, batch.value, batch.seen))
    assert flops == encoder_flops(LOAD, config) + vectors


@pytest.mark.parametrize("config", CONFIGS)
def test_our_decoder_is_counted_but_for_vectors(config, batch):
    network = GeneNetwork(N, None, config)
    encoded = network.encode(batch.gene, batch.value, batch.seen)

    def decode():
        network.outputs(encoded, network.decode(encoded, batch.gene, batch.asked, batch.hidden), batch.asked)

    d, c, heads = config.encoder_width, config.decoder_width, config.decoder_heads
    once = single_value(config.n_bins, d) + 4 * d * c  # and the projections of this and of the masked vector
    vectors = 2 * VISIBLE * d + 2 * MASKED * (c + d) + once / B  # mean state, head, program
    vectors += normalizer(MASKED + (config.decoder_layers - 1) * N, c, heads)
    assert counted(decode) == our_decoder_flops(LOAD, config, B) + vectors


@pytest.mark.parametrize("config", CONFIGS)
def test_published_form_is_counted_but_for_vectors(config, batch):
    d, c, b = config.encoder_width, config.decoder_width, config.n_bins
    vectors = 2 * (VISIBLE + N) * b + config.encoder_layers * 4 * VISIBLE * d + 2 * N * c
    vectors += config.decoder_layers * normalizer(N, c, config.decoder_heads)
    expected = encoder_flops(LOAD, config) + published_decoder_flops(LOAD, config) + vectors
    published = Published(N, config)
    assert counted(lambda: published(batch)) == expected


@pytest.mark.parametrize("exact", [True, False])
def test_networks_over_all_genes_are_counted_but_for_vectors(exact, batch):
    vectors = 2 * VISIBLE * SIZE.n_bins + single_value(SIZE.n_bins, SIZE.width) / B + 2 * N * SIZE.width
    vectors += 0 if exact else SIZE.layers * normalizer(N, SIZE.width, SIZE.n_heads)
    rival = EveryGene(N, SIZE, exact=exact)
    assert counted(lambda: rival(batch)) == every_gene_flops(LOAD, **vars(SIZE), exact=exact) + vectors


@pytest.mark.parametrize(
    ("make", "least"),
    [(lambda: Ours(N, CONFIGS[1]), 2.5), (lambda: EveryGene(N, SIZE, exact=True), 2.95)],
    ids=[OURS, DENSE],
)
def test_training_costs_about_three_forwards(make, least, batch):
    module = make().train()
    ratio = counted(lambda: module(batch).sum().backward()) / counted(lambda: module(batch))
    assert least < ratio <= TRAINING  # random features learn nothing


def test_shortcuts_cost_what_all_genes_cost_where_nothing_is_common():
    """All genes asked, one cell: the common keys come on top."""
    features, everything = 10, Load(N, 0, N)
    flops = shared_layers(everything, layers=2, width=8, features=features, batch=1)
    on_top = keys(N, 8) + 3 * random_features(N, 8, features)
    assert flops == 2 * performer_layer(N, 8, features) + on_top


@pytest.mark.parametrize("preset", ["tiny", "3m", "10m"])
def test_rivals_have_as_many_parameters(preset):
    config = gene_config(preset, {})
    size = rival_size(config)
    ours, n_genes = n_parameters(GeneNetwork(0, None, config)), 50
    for exact in (True, False):
        assert n_parameters(EveryGene(0, size, exact=exact)) == size.n_parameters == pytest.approx(ours, rel=0.03)
        assert n_parameters(EveryGene(n_genes, size, exact=exact)) == size.n_parameters + n_genes * size.width


def test_no_width_of_equal_size_is_refused():
    with pytest.raises(
        ValueError, match="multiple of 64 heads gives 1 layer.* about 2000 parameters; the nearest, 64,"
    ):
        equal_size(2000, layers=1, n_heads=64, n_bins=2)


def test_genes_of_a_cell_are_replaced(batch):
    seen, hidden = batch.seen.clone(), batch.hidden.clone()
    seen[1, 5:] = hidden[2, 7:] = False
    batch = batch._replace(seen=seen, hidden=hidden)
    x, masked, visible = torch.randn(B, N, 3), torch.randn(3), torch.randn(B, VISIBLE, 3)
    expected = x.clone()
    for cell in range(B):
        expected[cell, batch.asked[cell][hidden[cell]]] = masked
        for i in range(VISIBLE):
            if seen[cell, i]:
                expected[cell, batch.gene[cell, i]] = visible[cell, i]
    torch.testing.assert_close(replaced(x, batch, masked, visible), expected)


def test_kept_memory_of_a_linear_layer():
    """Its input, once; not its weights."""
    layer, x = torch.nn.Linear(256, 8), torch.randn(1024, 256, requires_grad=True)
    assert kept_mib(layer, lambda: layer(x) + layer(x[:10]).sum()) == pytest.approx(1)


def test_cells_have_the_load_that_is_counted():
    batch = make_batch(2000, 0.9, 8)
    load = expected_load(2000, 0.9, MaskingPolicy())
    assert batch.seen.sum(1).float().mean() == pytest.approx(load.visible, rel=0.1)
    assert batch.hidden.sum(1).float().mean() == pytest.approx(load.masked, rel=0.2)


@pytest.fixture(scope="module")
def counts() -> dict[str, Any]:
    return {"operations": count_operations(), "settings": {"batches": genes_cost.BATCHES}}


def test_order_of_the_papers_table(counts):
    """Operations at the paper's size are within a factor of 1.5 of its Table 1, which has other widths."""
    case = "10m", 19_264, 0.9
    cost = {form: operations_of(counts, *case, form) for form in (DENSE, PERFORMER, PUBLISHED, OURS)}
    assert cost[DENSE] == pytest.approx(9860, rel=0.5)
    for form, share in PAPER.items():
        assert cost[form] / cost[DENSE] == pytest.approx(share, rel=0.5)
    assert cost[OURS] < cost[PUBLISHED]


def test_operations_meet_the_bars(counts):
    steps = [{"preset": preset, "n_genes": 0, "form": OURS, "zeros": 0.9} for preset in ("tiny", "3m", "10m")]
    rows = verdicts(counts | {"steps": steps})
    assert len(rows) == 3 * 2 * 2  # presets, forms, and Performer or Transformer
    assert all(row["met"] for row in rows)


def test_command_writes_tables_and_figures(monkeypatch, tmp_path):
    small = Plan(genes=(1000, 2000), zeros=(0.95,), batch=2, rounds=1, dense_up_to=1000)
    monkeypatch.setattr(genes_cost, "QUICK", {"tiny": small})
    monkeypatch.setattr(genes_cost, "EXPRESSED_QUICK", (20, 40))
    monkeypatch.setattr(genes_cost, "DECODED", 20)
    done = CliRunner().invoke(app, ["benchmark", "genes-cost", "--quick", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "genes_cost.md").read_text() in done.stdout
    for name in ("genes_cost.png", "genes_scaling.png"):
        assert (tmp_path / name).stat().st_size > 0
    result = json.loads((tmp_path / "genes_cost.json").read_text())
    assert cost_markdown(result) == (tmp_path / "genes_cost.md").read_text()
    assert len(result["operations"]) == 3 * 6 * 4 * 7
    forms = [(row["n_genes"], row["form"]) for row in result["steps"]]
    assert sorted(forms) == sorted(
        [(n, f) for n in (1000, 2000) for f in (OURS, PUBLISHED, PERFORMER)] + [(1000, DENSE)]
    )
    assert [row["size"] for row in result["encoder"]] == [20, 40]
    for row in result["steps"]:
        assert row["seconds"] > 0
        assert row["low"] <= row["ratio"] <= row["high"]


def test_presets_that_are_counted_exist():
    assert set(genes_cost.PLANS) <= set(genes_cost.COUNTED) <= set(PRESETS)
