import pytest
import torch
from torch import Tensor

from scmoe.nn._block import Block, Tokens, mean_in_reach
from scmoe.nn._config import NetworkConfig

B, N, d = 3, 4, 8
ALL = Tokens(None, torch.arange(N).repeat(B) // 2, None)


def make(**fields) -> Block:
    return Block(2, NetworkConfig(n_hidden=d, n_heads=2, n_experts=3, expert_hidden=6, **fields)).eval()


def slow_block(block: Block, h: Tensor) -> Tensor:
    """The three formulas, one line each."""

    def attend(x: Tensor) -> Tensor:
        return block.attention(x, None)

    def mix(x: Tensor) -> Tensor:
        return block.moe(x.reshape(B * N, d), ALL.modality)[0].view(B, N, d)

    first, second = block.norm_attention, block.norm_experts
    if block.residual == "prenorm":
        h1 = h + attend(first(h))
        return h1 + mix(second(h1))
    if block.residual == "paper":
        h1 = first(h) + attend(first(h))
        return second(h1) + mix(second(h1))
    h1 = 2 * attend(first(h))
    return h1 + mix(second(h1))


@pytest.mark.parametrize("residual", ["prenorm", "paper", "reference"])
def test_residual_forms(residual, shake):
    block, h = make(residual=residual), torch.randn(B, N, d)
    shake(block)
    torch.testing.assert_close(block(h, ALL)[0], slow_block(block, h))


@pytest.mark.parametrize("training", [False, True])
def test_untrained_prenorm_block_is_the_identity(training):
    h = torch.randn(B, N, d)
    torch.testing.assert_close(make().train(training)(h, ALL)[0], h)


def test_dropout_only_in_training(shake):
    block, h = make(dropout=0.5, top_k=3), torch.randn(B, N, d)
    shake(block)
    assert torch.equal(block(h, ALL)[0], block(h, ALL)[0])
    block.train()
    assert not torch.equal(block(h, ALL)[0], block(h, ALL)[0])


def test_only_existing_tokens_are_routed(shake):
    block, h = make(), torch.randn(B, N, d)
    shake(block)
    row = torch.tensor([0, 1, 2, 3, 6, 7, 8])
    y, routing = block(h, Tokens(row, ALL.modality[row], None))
    complete, reference = block(h, ALL)
    torch.testing.assert_close(routing.logits, reference.logits[row])
    torch.testing.assert_close(y.flatten(0, 1)[row], complete.flatten(0, 1)[row])


def test_attention_weights_are_those_of_the_normalized_tokens(shake):
    block, h = make(), torch.randn(B, N, d)
    shake(block)
    expected = block.attention.weights(block.norm_attention(h), None)
    torch.testing.assert_close(block.attention_weights(h, ALL), expected)


def test_mean_in_reach_is_that_of_the_keys_a_token_may_attend_to():
    x, allowed = torch.randn(B, N, d), torch.rand(B, 1, N, N) < 0.5
    allowed[0, 0, 1] = False
    mean = mean_in_reach(x, allowed)
    for b in range(B):
        for i in range(N):
            keys = x[b, allowed[b, 0, i]]
            torch.testing.assert_close(mean[b, i], keys.mean(0) if len(keys) else torch.zeros(d))
    torch.testing.assert_close(mean_in_reach(x, None), mean_in_reach(x, torch.ones(B, 1, N, N, dtype=torch.bool)))


def test_router_of_cells_does_not_see_what_its_token_may_not(shake):
    block, h = make(router_input="cell"), torch.randn(B, N, d)
    shake(block)
    group = torch.arange(N) // 2
    allowed = (group[:, None] == group)[None, None].expand(B, 1, N, N)
    other = h.clone()
    other[:, 2:] = torch.randn(B, 2, d)
    first, second = (block(x, Tokens(None, ALL.modality, allowed)) for x in (h, other))
    torch.testing.assert_close(first[0][:, :2], second[0][:, :2])
    fused = block(other, ALL)[1].logits.view(B, N, -1)
    assert not torch.allclose(fused[:, :2], second[1].logits.view(B, N, -1)[:, :2])
