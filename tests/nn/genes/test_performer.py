"""Attention over positions that cells have in common, against dense positions and exact softmax attention."""

import pytest
import torch

from scmoe.nn.genes._performer import Attention, DecoderLayer, PerformerAttention, Positions, orthogonal_features

B, N, C, WIDTH, HEADS = 3, 11, 5, 8, 2


@pytest.fixture
def x() -> Positions:
    """Double precision; a third of the states are padding, large, and at places that are taken."""
    place = torch.stack([torch.randperm(N)[:C] for _ in range(B)])
    real = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
    place[1, 1] = place[1, 0]
    own = torch.randn(B, C, WIDTH, dtype=torch.double)
    own[~real] *= 30
    return Positions(torch.randn(N, WIDTH, dtype=torch.double).requires_grad_(), place, own.requires_grad_(), real)


def attention(kind: type[Attention]) -> Attention:
    module = kind(WIDTH, HEADS).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return module


def asked(module, context, x):
    """What two queries find, and all gradients of it."""
    queries = torch.linspace(-1, 1, B * 2 * WIDTH, dtype=torch.double).view(B, 2, WIDTH)
    found = module(queries, context)
    return [found, *torch.autograd.grad(found.square().sum(), [x.common, x.own, *module.parameters()])]


def test_dense_positions_against_a_loop(x):
    dense = x.dense()
    for b in range(B):
        expected = x.common.detach().clone()
        for i in range(C):
            if x.real[b, i]:
                expected[x.place[b, i]] = x.own[b, i].detach()
        torch.testing.assert_close(dense[b].detach(), expected)


@pytest.mark.parametrize("kind", [Attention, PerformerAttention])
def test_common_positions_are_read_as_dense_ones(x, kind):
    module = attention(kind)
    found = asked(module, module.summarize_common(x), x)
    for mine, dense in zip(found, asked(module, module.summarize(x.dense()), x), strict=True):
        torch.testing.assert_close(mine, dense, atol=1e-10, rtol=1e-10)
    assert found[0].abs().max() > 0.1


@pytest.mark.parametrize("kind", [Attention, PerformerAttention])
def test_padding_has_no_effect_and_no_gradient(x, kind):
    module = attention(kind)
    found = asked(module, module.summarize_common(x), x)
    assert (found[2][~x.real] == 0).all() and (found[2][x.real] != 0).any()
    other = x._replace(own=torch.where(x.real[..., None], x.own, 100.0), place=torch.where(x.real, x.place, 0))
    torch.testing.assert_close(asked(module, module.summarize_common(other), other)[0], found[0])


def test_other_cells_of_the_batch_have_no_effect(x):
    module = attention(PerformerAttention)
    together = module.summarize_common(x)
    for b in range(B):
        alone = module.summarize_common(Positions(x.common, *(part[b : b + 1] for part in x[1:])))
        for part, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(part, whole[b : b + 1])


def test_more_features_come_closer_to_softmax_attention():
    exact, linear = attention(Attention), attention(PerformerAttention)
    with torch.no_grad():  # moderate weights, as the error grows with the exponent of the scores
        exact.query.weight *= 0.25
        exact.key.weight *= 0.25
    linear.load_state_dict(exact.state_dict(), strict=False)
    states, queries = torch.randn(2, B, N, WIDTH, dtype=torch.double).unbind()
    expected = exact(queries, exact.summarize(states))
    error = {}
    for n_draws in (1, 30, 3000):
        drawn = torch.cat([orthogonal_features(WIDTH // HEADS) for _ in range(n_draws)])
        linear.register_buffer("features", drawn.double())
        error[n_draws] = (linear(queries, linear.summarize(states)) - expected).square().mean().sqrt().item()
    assert error[30] < 0.7 * error[1] and error[3000] < 0.5 * error[30]
    assert error[3000] < 0.05 * expected.std()


@pytest.mark.parametrize(("width", "count"), [(1, 1), (4, 5), (16, 44), (64, 266)])
def test_random_features_are_orthogonal_in_blocks_and_as_long_as_gaussian_vectors(width, count):
    features = orthogonal_features(width)
    assert features.shape == (count, width)
    for block in features.split(width):
        cosine = torch.nn.functional.normalize(block, dim=1) @ torch.nn.functional.normalize(block, dim=1).T
        torch.testing.assert_close(cosine, torch.eye(len(block)), atol=1e-5, rtol=0)
    if width == 64:
        assert features.square().sum(1).mean().item() == pytest.approx(width, rel=0.05)
        assert features.norm(dim=1).std() > 0.3


@pytest.mark.parametrize("exact", [True, False])
def test_asked_positions_are_those_of_all(x, shake, exact):
    layer = DecoderLayer(WIDTH, HEADS, 16, exact=exact).double()
    shake(layer)
    dense, some = x.dense(), torch.tensor([[0, 3], [7, 1], [10, 10]])
    everything = layer(dense, layer.read(dense))
    queries = dense.gather(1, some[..., None].expand(-1, -1, WIDTH))
    expected = everything.gather(1, some[..., None].expand(-1, -1, WIDTH))
    for read in (layer.read(dense), layer.read(x)):
        torch.testing.assert_close(layer(queries, read), expected)
