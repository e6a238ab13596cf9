"""The gene encoder: what it pools, and one expert as a dense layer."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import GeneEncoder, pool

N_GENES = 9


@pytest.fixture
def tokens() -> tuple[Tensor, Tensor, Tensor]:
    """Genes, values and which exist: a full cell, one with padding, one of depth tokens alone."""
    gene = torch.tensor([[9, 10, 0, 5, 2], [9, 10, 7, 0, 0], [9, 10, 0, 0, 0]])
    seen = torch.arange(5) < torch.tensor([[5], [3], [2]])
    return gene, torch.rand(3, 5, dtype=torch.double) + 0.5, seen


def make(shake, **settings) -> GeneEncoder:
    config = GeneConfig(encoder_layers=1, encoder_width=8, n_bins=5, **settings)
    encoder = GeneEncoder(N_GENES, None, config).double().eval()
    shake(encoder)
    return encoder


@pytest.mark.parametrize("how", ["weighted", "mean", "max", "joint"])
def test_pooling_is_over_genes_alone(shake, tokens, how):
    gene, value, seen = tokens
    encoder = make(shake, depth_tokens=True)
    encoded = encoder.encode(*tokens)
    found = pool(encoded, how)
    for b in range(2):
        genes = seen[b] & (gene[b] < N_GENES)
        states, weight = encoded.states[b][genes], value[b][genes]
        weighted, identity = weight @ states / weight.sum(), weight @ encoder.gene[gene[b][genes]] / weight.sum()
        expected = {"mean": states.mean(0), "max": states.amax(0), "joint": torch.cat([identity, weighted])}
        torch.testing.assert_close(found[b], expected.get(how, weighted))
    assert (found[2] == 0).all()


def test_the_depth_tokens_side_by_side(shake, tokens):
    encoded = make(shake, depth_tokens=True).encode(*tokens)
    expected = torch.cat([encoded.states[:, 0], encoded.states[:, 1]], 1)
    torch.testing.assert_close(pool(encoded, "depth"), expected)


def test_ranks_are_no_amounts(shake, tokens):
    encoder = make(shake)
    encoder.config = GeneConfig(tokenizer="rank")
    encoded = encoder.encode(tokens[0].clamp(max=8), *tokens[1:])
    torch.testing.assert_close(pool(encoded, "weighted"), pool(encoded, "mean"))


def test_one_expert_is_a_dense_layer(shake, tokens):
    encoder = make(shake)
    gene, value, seen = tokens[0][:1].clamp(max=8), tokens[1][:1], tokens[2][:1]
    h, block = encoder.value(value) + encoder.gene[gene], encoder.blocks[0]
    h = h + block.attention(block.norm_attention(h), None)
    experts = block.moe.experts
    hidden = F.gelu(F.linear(block.norm_experts(h), experts.w1[0], experts.b1[0]))
    expected = encoder.norm(h + F.linear(hidden, experts.w2[0], experts.b2[0]))
    torch.testing.assert_close(encoder.encode(gene, value, seen).states, expected)
    assert hidden.shape[-1] == 4 * 8


def test_padding_has_no_effect(shake, tokens):
    encoder, (gene, value, seen) = make(shake, depth_tokens=True), tokens
    expected = encoder.encode(*tokens)
    found = encoder.encode(torch.where(seen, gene, 4), torch.where(seen, value, 50.0), seen)
    torch.testing.assert_close(found.states[seen], expected.states[seen])
    for how in ("joint", "mean", "max"):
        torch.testing.assert_close(pool(found, how), pool(expected, how))


def test_dropout_is_of_the_training_alone(shake, tokens):
    encoder = make(shake, dropout=0.5, depth_tokens=True)
    expected = encoder.encode(*tokens).states
    assert torch.equal(encoder.encode(*tokens).states, expected)
    assert not torch.equal(encoder.train().encode(*tokens).states, expected)
