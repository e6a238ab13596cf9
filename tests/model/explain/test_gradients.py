"""Gradients of parts of the loss, against sums, loops and automatic differentiation of the whole."""

import numpy as np
import pytest
import torch

from scmoe.data._dataset import Batch
from scmoe.data._presence import locate
from scmoe.explain._conflict import cosines
from scmoe.model.explain._gradients import (
    Call,
    by_loss,
    by_token,
    forward,
    gradients_of,
    gram,
    measure,
    part_of,
    weighted_pairs,
)
from scmoe.nn._config import NetworkConfig
from scmoe.nn._experts import Experts
from scmoe.nn._network import Network
from scmoe.nn._router import Routing
from scmoe.train._config import TrainConfig
from scmoe.train._objective import draw_groups, objective, own_and_cross, pair_losses

B, N_FEATURES, LIKELIHOODS = 12, (7, 5, 6), ("gaussian", "nb", "bernoulli")
V = len(N_FEATURES)
CONFIG = TrainConfig(own_weight=0.7, cross_weight=3.0)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def network():
    """Random throughout, for much of an untrained network is zero; two blocks."""
    config = NetworkConfig(
        tokenizer="patch",
        n_layers=2,
        n_tokens=2,
        n_hidden=8,
        n_heads=2,
        n_experts=3,
        expert_hidden=6,
        decoder_hidden=6,
        n_clusters=3,
    )
    network = Network(N_FEATURES, LIKELIHOODS, 2, config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


@pytest.fixture
def batch():
    """Every cell has the last modality and lacks some others; the first one's values are partly missing."""
    present = torch.rand(B, V) < 0.7
    present[:, -1] = True
    sizes = list(zip(present.sum(0).tolist(), N_FEATURES, strict=True))
    observed = torch.rand(sizes[0]) < 0.7
    values = [torch.randn(size) for size in sizes]
    values[0] = values[0] * observed
    counts = [None, *(torch.poisson(torch.full(size, 2.0)) for size in sizes[1:])]
    similarity = torch.rand(B, B).triu(1)
    covariates = torch.eye(2)[torch.arange(B) % 2]
    return Batch(values, [observed, None, None], counts, locate(present), covariates, similarity + similarity.T)


@pytest.fixture
def group():
    return draw_groups(B, V, 0.8, torch.device("cpu"))


def of_whole(network, done):
    return by_loss(done.calls, [done.whole])


def test_pairs_add_up_to_the_decoding_losses(network, batch, group):
    z = network.standardize(batch.values, batch.observed)
    encoded = network.encode(z, batch.presence, batch.covariates, group)
    found = pair_losses(network, encoded, z, batch, group)
    own, cross = own_and_cross(*found)
    pairs = weighted_pairs(*found, CONFIG)
    torch.testing.assert_close(pairs.sum(), 0.7 * own + 3 * cross)
    torch.testing.assert_close(pairs.diagonal().sum(), 0.7 * own)


def test_tasks_are_those_of_the_training(network, batch):
    alone = torch.arange(V).expand(B, V)
    terms = objective(network, batch, CONFIG)
    tasks = forward(network, batch, CONFIG, alone).tasks
    assert list(tasks) == ["reconstruction", "router", "graph", "cluster"]
    torch.testing.assert_close(tasks["reconstruction"], 0.7 * terms["own"] + 3 * terms["cross"])
    torch.testing.assert_close(tasks["graph"], CONFIG.graph_weight * terms["graph"])
    torch.testing.assert_close(tasks["router"], CONFIG.balance_weight * terms["balance"] + CONFIG.z_weight * terms["z"])


@pytest.mark.parametrize("definition", ["token", "task"])
def test_gradients_add_up_to_the_whole(network, batch, group, definition):
    done = forward(network, batch, CONFIG, group)
    for parts, whole in zip(gradients_of(done, definition), of_whole(network, done), strict=True):
        torch.testing.assert_close(parts.sum(0, keepdim=True), whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("definition", ["target", "source"])
def test_gradients_add_up_to_that_of_decoding(network, batch, group, definition):
    done = forward(network, batch, CONFIG, group)
    decoding = by_loss(done.calls, [done.pairs.sum()])
    for parts, whole in zip(gradients_of(done, definition), decoding, strict=True):
        assert len(parts) == V
        torch.testing.assert_close(parts.sum(0, keepdim=True), whole, rtol=1e-4, atol=1e-6)


def test_router_reaches_no_experts_behind_it(network, batch, group):
    done = forward(network, batch, CONFIG, group)
    first, last = by_loss(done.calls, [done.tasks["router"]])
    assert first.abs().max() > 0
    assert last.abs().max() == 0


def test_gram_against_flattened_gradients(network, batch, group):
    done = forward(network, batch, CONFIG, group)
    found = gram(gradients_of(done, "target"))
    for layer, block in enumerate(network.blocks):
        rows = []
        for loss in done.pairs.sum(1):
            network.zero_grad()
            loss.backward(retain_graph=True)
            rows.append(torch.cat([parameter.grad.flatten() for parameter in block.moe.experts.parameters()]).double())
        expected = torch.stack([torch.stack([a @ b for b in rows]) for a in rows])
        np.testing.assert_allclose(found[layer].sum(0), expected, rtol=1e-5)


def test_part_holds_the_rows_of_its_cells(batch):
    cells = torch.tensor([0, 3, 4, 9])
    part = part_of(batch, cells)
    for v in range(V):
        having = batch.presence.mask[:, v].nonzero()[:, 0].tolist()
        rows = [having.index(cell) for cell in cells.tolist() if cell in having]
        torch.testing.assert_close(part.values[v], batch.values[v][rows])
        assert part.presence.mask[:, v].tolist() == [cell in having for cell in cells.tolist()]
    torch.testing.assert_close(part.similarity, batch.similarity[cells][:, cells])
    torch.testing.assert_close(part.covariates, batch.covariates[cells])


def test_measurement_is_a_function_of_the_seed(network, batch):
    names = ["a", "b", "c"]
    state = torch.get_rng_state()
    first, again, other = (
        measure(network, names, [batch, batch], CONFIG, definition="token", seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(first.gram, again.gram)
    np.testing.assert_array_equal(first.reference, again.reference)
    assert not np.allclose(first.reference, other.reference)
    assert first.gram.shape == first.reference.shape == (2, 2, 3, V, V)


def test_gradients_that_are_not_finite_are_refused(network, batch):
    batch.counts[1][0] = float("inf")
    with pytest.raises(ValueError, match="batch 1 are not finite"):
        measure(network, ["a", "b", "c"], [batch], CONFIG, definition="target", seed=0)


def one_expert(n_tokens=256):
    """One expert for all tokens, with an output of zero."""
    experts = Experts(NetworkConfig(n_experts=1, top_k=1, n_hidden=8, n_heads=2, expert_hidden=16))
    torch.nn.init.zeros_(experts.w2)
    logits = torch.zeros(n_tokens, 1)
    routing = Routing(torch.ones(n_tokens, 1), torch.zeros(n_tokens, 1, dtype=torch.long), logits, logits, None)
    x = torch.randn(n_tokens, 8)
    return Call(experts, x, routing, experts(x, routing))


def cosine(gradients):
    return cosines(gram(gradients)[0, 0])[0, 1]


@pytest.mark.parametrize(("factor", "expected"), [(3.0, 1), (-2.0, -1)])
def test_equal_and_opposite_losses(factor, expected):
    call = one_expert()
    loss = (call.output - call.x).square().sum()
    assert cosine(by_loss([call], [loss, factor * loss])) == pytest.approx(expected, abs=1e-6)


def test_losses_of_different_experts_are_orthogonal():
    experts = Experts(NetworkConfig(n_experts=2, top_k=1, n_hidden=8, n_heads=2, expert_hidden=16))
    routing = Routing(torch.ones(6, 1), torch.arange(6)[:, None] % 2, torch.zeros(6, 2), torch.zeros(6, 2), None)
    x = torch.randn(6, 8)
    done = Call(experts, x, routing, experts(x, routing))
    found = gram(by_loss([done], [done.output[::2].sum(), done.output[1::2].sum()]))[0]
    assert cosines(found.sum(0))[0, 1] == 0
    assert np.isnan(cosines(found)[:, 0, 1]).all()


def test_planted_conflict_is_found_and_random_cells_have_none():
    """Of a cell's two tokens, the one of the first modality should become a linear map, that of the second its
    opposite."""
    modality, wanted = torch.arange(256) % 2, torch.randn(8, 8)
    found, random = [], []
    for _ in range(50):
        call = one_expert()
        target = (1 - 2 * modality[:, None]) * (call.x @ wanted)
        loss = (call.output - target).square().sum()
        cells = (torch.randperm(128) % 2).repeat_interleave(2)
        found.append(cosine(by_token([call], loss, modality, 2)))
        random.append(cosine(by_token([call], loss, cells, 2)))
    assert np.mean(found) < -0.8
    assert max(found) < min(random)
    assert abs(np.mean(random)) < 0.15
    assert 0.25 < np.mean(np.array(random) < 0) < 0.75
