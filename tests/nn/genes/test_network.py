"""The gene network against a loop over cells, and what must not matter to it."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.data.genes._dataset import GeneBatch
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._network import GeneNetwork
from scmoe.nn.genes._performer import EPSILON
from scmoe.train._pretrain import PretrainConfig, pretrain_objective

N_GENES = 9
SMALL = {"encoder_layers": 2, "encoder_width": 8, "decoder_width": 4, "n_bins": 5}
FORMS = {
    "one linear layer": {},
    "two linear layers": {"decoder_layers": 2},
    "one exact layer": {"decoder_attention": "exact"},
    "three exact layers": {"decoder_attention": "exact", "decoder_layers": 3},
    "classes": {"target": "class"},
    "depth tokens": {"depth_tokens": True, "decoder_layers": 2},
    "experts": {"n_experts": 3, "top_k": 2},
}


def make(shake: Any, **settings: Any) -> GeneNetwork:
    network = GeneNetwork(N_GENES, None, GeneConfig(**{**SMALL, **settings})).double().eval()
    shake(network)
    return network


def part(network: nn.Module, name: str) -> Any:
    """A parameter or module by the last part of its name, wherever in the network it is."""
    found = [*network.named_parameters(), *network.named_modules()]
    return next(x for path, x in found if path.split(".")[-1] == name)


def batch_of(depth: bool = False) -> GeneBatch:
    """Four cells: an ordinary one, one with padding, one without genes, and one of which all is masked or seen."""
    seen_genes = [[0, 2, 5], [7], [], [0, 1, 2, 3, 4]]
    masked = [[1, 3], [0, 8, 2], [4], [5, 6, 7, 8]]
    first = [N_GENES, N_GENES + 1] if depth else []
    tokens, rng = [first + genes for genes in seen_genes], np.random.default_rng(0)
    gene, seen = padded(tokens)
    asked, hidden = padded(masked)
    value = torch.from_numpy(rng.uniform(0.5, 6, gene.shape)) * seen
    target = torch.from_numpy(np.where(rng.random(asked.shape) < 0.5, rng.uniform(0, 6, asked.shape), 0)) * hidden
    return GeneBatch(gene, value, seen, asked, hidden, target, torch.full((4,), -1), None)


def padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return ids, torch.tensor([[i < len(row) for i in range(longest)] for row in rows])


def predict(network: GeneNetwork, batch: GeneBatch) -> Tensor:
    encoded = network.encode(batch.gene, batch.value, batch.seen)
    states = network.decode(encoded, batch.gene, batch.asked, batch.hidden, batch.unknown)
    return network.outputs(encoded, states, batch.asked)


def kernel(attention: nn.Module, q: Tensor, k: Tensor) -> Tensor:
    """Weights (N, N) of one head: softmax, or its estimate by the random features, pair by pair."""
    if not hasattr(attention, "features"):
        return (q @ k.T / math.sqrt(q.shape[1])).softmax(1)
    log_q, log_k = (
        x @ attention.features.T / len(x[0]) ** 0.25 - x.square().sum(1, keepdim=True) / (2 * len(x[0]) ** 0.5)
        for x in (q, k)
    )
    phi_q = (log_q - log_q.max(1, keepdim=True).values).exp() + EPSILON
    phi_k = (log_k - log_k.max()).exp() + EPSILON
    weights = phi_q @ phi_k.T
    return weights / weights.sum(1, keepdim=True)


def decoder_layer(layer: nn.Module, x: Tensor) -> Tensor:
    """All positions (N, c) of one cell, one head after the other."""
    normed, attention = layer.norm_attention(x), layer.attention
    q, k, v = attention.query(normed), attention.key(normed), attention.value(normed)
    heads = zip(*(each.chunk(attention.n_heads, 1) for each in (q, k, v)), strict=True)
    x = x + attention.out(torch.cat([kernel(attention, hq, hk) @ hv for hq, hk, hv in heads], 1))
    return x + layer.feed_forward(layer.norm_forward(x))


def slow(network: GeneNetwork, batch: GeneBatch, b: int, asked: Tensor) -> tuple[Tensor, list[Tensor]]:
    """States (N, c) of all genes of one cell, and outputs of masked ones, with nothing shared and nothing padded."""
    gene, value = batch.gene[b][batch.seen[b]], batch.value[b][batch.seen[b]]
    identity, masked = part(network, "gene"), part(network, "masked")
    x = part(network, "value")(torch.zeros(len(identity), dtype=torch.double))
    if batch.unknown is not None:
        x[batch.unknown] = masked
    x[asked] = masked
    mean = torch.zeros_like(masked)
    if len(gene):
        states = network.encode(gene[None], value[None], torch.ones(1, len(gene), dtype=torch.bool)).states[0]
        x[gene] = states
        amount = torch.where(gene < N_GENES, value, 0)
        mean = sum(a * s for a, s in zip(amount, states, strict=True)) / amount.sum().clamp(min=1e-9)
    x = part(network, "project")(x + identity)
    for layer in part(network, "decoder"):
        x = decoder_layer(layer, x)
    programs = part(network, "program")(mean).view(len(mean), -1) / len(mean)
    direct = [part(network, "head")(part(network, "norm_out")(x[i])) + part(network, "expected")[i] for i in asked]
    return x, [d + identity[i] @ programs for d, i in zip(direct, asked, strict=True)]


@pytest.mark.parametrize("unknown", [[], [3, 6]])
@pytest.mark.parametrize("form", FORMS)
def test_predictions_against_a_loop_over_cells(shake, form, unknown):
    network, batch = make(shake, **FORMS[form]), with_unknown(batch_of(form == "depth tokens"), unknown)
    found = predict(network, batch)
    for b in range(len(found)):
        expected = slow(network, batch, b, batch.asked[b][batch.hidden[b]])[1]
        torch.testing.assert_close(found[b][batch.hidden[b]], torch.stack(expected))


@pytest.mark.parametrize("form", FORMS)
def test_contexts_against_a_loop_over_cells(shake, form):
    network, batch = make(shake, **FORMS[form]), with_unknown(batch_of(form == "depth tokens"), [6, 8])
    encoded = network.encode(batch.gene, batch.value, batch.seen)
    found = network.contexts(encoded, batch.gene, batch.unknown)
    for b in range(len(found)):
        torch.testing.assert_close(found[b], slow(network, batch, b, torch.zeros(0, dtype=torch.long))[0])


@pytest.mark.parametrize("form", FORMS)
def test_genes_that_are_asked_and_not_hidden_are_zeros(shake, form):
    network, batch = make(shake, **FORMS[form]), batch_of(form == "depth tokens")
    encoded = network.encode(batch.gene, batch.value, batch.seen)
    found = network.decode(encoded, batch.gene, batch.asked, torch.zeros_like(batch.hidden))
    expected = network.contexts(encoded, batch.gene)
    for b, i in batch.hidden.nonzero().tolist():
        torch.testing.assert_close(found[b, i], expected[b, batch.asked[b, i]])


def with_unknown(batch: GeneBatch, genes: list[int]) -> GeneBatch:
    """Genes that were not measured, where no cell has them (the last cell has most genes, so it goes)."""
    unknown = torch.zeros(N_GENES + int((batch.gene >= N_GENES).any()) * 2, dtype=torch.bool)
    unknown[genes] = True
    few = [part[:3] for part in batch[:-1]]
    return GeneBatch(*few, unknown=unknown) if genes else batch


@pytest.mark.parametrize("decoder_layers", [1, 2])
def test_an_unknown_gene_is_a_masked_one(shake, decoder_layers):
    network, batch = make(shake, decoder_layers=decoder_layers), batch_of()._replace(**FIRST_CELL)
    as_zero = predict(network, batch)
    as_unknown = predict(network, batch._replace(unknown=torch.arange(N_GENES) == 6))
    asked_too = batch._replace(asked=torch.tensor([[1, 3, 6]]), hidden=torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(as_unknown, predict(network, asked_too)[:, :2])
    assert (as_unknown - as_zero).abs().max() > 1e-5


FIRST_CELL = {name: getattr(batch_of(), name)[:1, :n] for name, n in [("gene", 3), ("value", 3), ("seen", 3)]}
FIRST_CELL |= {name: getattr(batch_of(), name)[:1, :2] for name in ("asked", "hidden", "target")}


@pytest.mark.parametrize("form", FORMS)
def test_a_zero_is_not_a_masked_gene(shake, form):
    network, batch = make(shake, **FORMS[form]), batch_of(form == "depth tokens")
    everything = predict(network, batch)
    less = batch._replace(hidden=batch.hidden & (torch.arange(batch.hidden.shape[1]) == 0))
    assert (predict(network, less)[0, 0] - everything[0, 0]).abs().max() > 1e-4


def loss_and_gradients(network: GeneNetwork, batch: GeneBatch) -> list[Tensor]:
    network.zero_grad()
    terms = pretrain_objective(network, batch, PretrainConfig())
    terms["loss"].backward()
    gradients = [p.grad if p.grad is not None else torch.zeros(0) for p in network.parameters()]
    return [torch.stack(list(terms.values())).detach(), *gradients]


@pytest.mark.parametrize("form", FORMS)
def test_padding_has_no_effect_and_no_gradient(shake, form):
    network, batch = make(shake, **FORMS[form]), batch_of(form == "depth tokens")
    plain = loss_and_gradients(network, batch)
    noisy = {name: F.pad(getattr(batch, name), (0, 3), value=fill) for name, fill in PADDING.items()}
    noisy["gene"][~noisy["seen"]], noisy["value"][~noisy["seen"]] = 4, 50.0
    noisy["asked"][~noisy["hidden"]], noisy["target"][~noisy["hidden"]] = 6, 9.0
    for mine, expected in zip(loss_and_gradients(network, batch._replace(**noisy)), plain, strict=True):
        torch.testing.assert_close(mine, expected)


PADDING = {"gene": 4, "value": 50.0, "seen": False, "asked": 6, "hidden": False, "target": 9.0}


@pytest.mark.parametrize("form", FORMS)
def test_the_order_of_genes_carries_no_meaning(shake, form):
    network, batch = make(shake, **FORMS[form]), batch_of(form == "depth tokens")
    expected = predict(network, batch), pretrain_objective(network, batch, PretrainConfig())["loss"]
    order = torch.cat([torch.randperm(N_GENES), torch.arange(N_GENES, len(part(network, "gene")))])
    with torch.no_grad():
        for name in ("gene", "expected"):
            part(network, name).copy_(part(network, name)[order.argsort()])
    turned = batch._replace(gene=order[batch.gene].flip(1), value=batch.value.flip(1), seen=batch.seen.flip(1))
    turned = turned._replace(asked=order[batch.asked])
    torch.testing.assert_close(predict(network, turned)[batch.hidden], expected[0][batch.hidden])
    torch.testing.assert_close(pretrain_objective(network, turned, PretrainConfig())["loss"], expected[1])


@pytest.mark.parametrize("form", FORMS)
def test_cells_without_genes_have_finite_losses_and_gradients(shake, form):
    network, batch = make(shake, **FORMS[form]), batch_of()
    width = len(part(network, "gene")) - N_GENES  # where there are depth tokens, these are left
    empty = batch._replace(gene=batch.gene * 0, value=batch.value * 0, seen=torch.zeros_like(batch.seen))
    if width:
        empty = empty._replace(gene=torch.full((4, 2), N_GENES), seen=torch.ones(4, 2, dtype=torch.bool))
        empty = empty._replace(value=torch.ones(4, 2, dtype=torch.double))
    assert all(x.isfinite().all() for x in loss_and_gradients(network.train(), empty))
    nothing = empty._replace(hidden=torch.zeros_like(empty.hidden))
    assert all(x.isfinite().all() for x in loss_and_gradients(network, nothing))


def test_all_experts_and_the_router_learn(shake):
    network, batch = make(shake, n_experts=2, top_k=1, encoder_layers=1).train(), batch_of()
    terms = pretrain_objective(network, batch, PretrainConfig())
    assert {"balance", "z"} <= set(terms)
    terms["loss"].backward()
    for name in ("w1", "b1", "w2", "b2", "clean", "noise"):
        gradient = part(network, name).grad
        assert (gradient.flatten(1) != 0).any(1).all(), name
    assert part(network, "w1").shape[1] == 4 * 8


def test_the_value_of_classes_is_their_mean(shake):
    network = make(shake, target="class")
    logits = torch.randn(2, 3, 11, dtype=torch.double)
    expected = sum(k * logits.exp()[..., k] for k in range(11)) / logits.exp().sum(-1)
    torch.testing.assert_close(network.values(logits), expected)


@pytest.mark.parametrize("form", FORMS)
def test_mixed_precision_says_nearly_the_same(shake, form):
    network, batch = make(lambda _: None, **FORMS[form]).float(), batch_of(form == "depth tokens")
    for name in ("head", "program"):
        nn.init.normal_(part(network, name).weight)
    batch = batch._replace(value=batch.value.float(), target=batch.target.float())
    precise = predict(network, batch)[batch.hidden]
    with torch.autocast("cpu", torch.bfloat16):
        rough = predict(network, batch)[batch.hidden]
        loss = pretrain_objective(network, batch, PretrainConfig())["loss"]
    loss.backward()
    assert loss.dtype == torch.float32 and (rough - precise).abs().max() < 0.05 * (1 + precise.abs().max())
