"""The counter against torch's, rivals of equal size, and the study at tiny sizes."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scmoe.benchmark import _genes_flops as flops
from scmoe.benchmark._genes_rivals import EveryGene, Published, Size, equal_size, n_parameters, rival_size
from scmoe.data._gene_dataset import GeneBatch
from scmoe.nn._gene_config import PRESETS, GeneConfig, gene_config
from scmoe.nn._gene_network import GeneNetwork
from scmoe.nn._performer import orthogonal_features
from scmoe.tokens._masking import MaskingPolicy

B, N, VISIBLE, ASKED = 4, 120, 70, 30
LOAD = flops.Load(N, VISIBLE, ASKED)
CONFIGS = [
    GeneConfig(encoder_width=16, decoder_width=8, n_bins=6),
    GeneConfig(encoder_layers=3, encoder_width=32, decoder_layers=2, decoder_width=16, n_bins=5),
    GeneConfig(encoder_width=16, decoder_layers=3, decoder_width=8, decoder_heads=1, n_bins=4),
]
SIZE = Size(layers=3, width=12, n_heads=2, n_bins=5)


@pytest.fixture
def batch() -> GeneBatch:
    """No padding: every cell has as many genes, in its own places."""
    place = torch.stack([torch.randperm(N) for _ in range(B)])
    gene, asked = place[:, :VISIBLE], place[:, VISIBLE : VISIBLE + ASKED]
    real = torch.ones(B, N, dtype=torch.bool)
    value, target = torch.rand(B, VISIBLE), torch.rand(B, ASKED)
    return GeneBatch(gene, value, real[:, :VISIBLE], asked, real[:, :ASKED], target, torch.zeros(B).long(), None)


def counted(function) -> float:
    """What torch counts of a forward pass, for a cell; it does not know the fused attention of a CPU."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        function()
    return counter.get_total_flops() / B


def vectors_of_values(n, b, d):
    return 2 * n * b


def test_layers_are_those_of_the_specification():
    assert flops.dense_layer(1000, 64) == 24 * 1000 * 64**2 + 4 * 1000**2 * 64
    assert flops.performer_layer(1000, 64, 266) == 24 * 1000 * 64**2 + 8 * 1000 * 266 * 64


@pytest.mark.parametrize("head", [1, 8, 32, 64])
def test_number_of_random_features(head):
    assert flops.n_features(3 * head, 3) == len(orthogonal_features(head))


def _probe(batch):
    for config in CONFIGS:
        net = GeneNetwork(N, None, config).train()
        enc = counted(lambda: net.encode(batch.gene, batch.value, batch.seen))
        print("enc", enc, flops.encoder(LOAD, config), enc - flops.encoder(LOAD, config))
        e = net.encode(batch.gene, batch.value, batch.seen)
        def dec():
            net.outputs(e, net.decode(e, batch.gene, batch.asked, batch.hidden), batch.asked)
        c = counted(dec)
        print("dec", c, flops.our_decoder(LOAD, config, B), c - flops.our_decoder(LOAD, config, B))
        pub = Published(N, config)
        c = counted(lambda: pub(batch))
        print("pub", c, c - flops.encoder(LOAD, config) - flops.published_decoder(LOAD, config))
    for exact in (True, False):
        r = EveryGene(N, SIZE, exact=exact)
        c = counted(lambda: r(batch)); f = flops.every_gene(LOAD, **vars(SIZE), exact=exact)
        print(exact, c, f, c - f)


def test_probe(batch):
    _probe(batch)
