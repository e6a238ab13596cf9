import pytest
import torch
from torch import Tensor

from scmoe.data._presence import locate
from scmoe.data.statistics._correction import MAX_CENTERS, Correction
from scmoe.nn._attention import SelfAttention
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Network, locate_tokens
from scmoe.nn._noise import keep_mask

N_FEATURES, V, P, B, d, H, K, J = (7, 5, 9), 3, 2, 6, 8, 2, 4, 3
PRESENT = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1]]).bool()
COMPLETE = torch.ones(B, V, dtype=torch.bool)
SPLIT = torch.arange(V).expand(B, V)


@pytest.fixture(params=["program", "patch"])
def network(request, shake) -> Network:
    config = NetworkConfig(
        tokenizer=request.param,
        n_tokens=P,
        n_programs=K,
        n_hidden=d,
        n_layers=2,
        n_heads=H,
        n_experts=3,
        expert_hidden=6,
        decoder_hidden=6,
    )
    network = Network(N_FEATURES, ("gaussian", "nb", "bernoulli"), J, config)
    shake(network)
    for tokenizer, D in zip(network.tokenizers, N_FEATURES, strict=True):
        if request.param == "program":
            shifts = Correction(torch.randn(MAX_CENTERS, K), torch.ones(()), torch.randn(MAX_CENTERS, J, K))
            tokenizer.set_components(torch.randn(D, K), 1.0, shifts)
    return network.eval()


COVARIATES = torch.linspace(-1, 1, B * J).view(B, J)


def encode(network: Network, z: list[Tensor], mask: Tensor, *args, covariates: Tensor = COVARIATES, **kwargs):
    """Encode the cells (rows of z) with the modalities that the mask says they have."""
    return network.encode([x[mask[:, v]] for v, x in enumerate(z)], locate(mask), covariates, *args, **kwargs)


@pytest.fixture
def z() -> list[Tensor]:
    return [torch.randn(B, D) for D in N_FEATURES]


def test_absent_modality_is_as_good_as_none(network, z):
    """A cell's states do not depend on what the other cells of the batch have."""
    together = encode(network, z, PRESENT).states
    for cell in range(B):
        alone = encode(network, [x[[cell]] for x in z], PRESENT[[cell]], covariates=COVARIATES[[cell]]).states
        torch.testing.assert_close(together[[cell]], alone)


def test_each_modality_reads_its_own_number_of_components(network, z):
    leading = (1, 0, 4)
    found = encode(network, z, PRESENT, n_fixed=leading).states
    if network.config.tokenizer == "program":
        with torch.no_grad():
            for tokenizer, n in zip(network.tokenizers, leading, strict=True):
                tokenizer.weight[:, n:] = 0
    torch.testing.assert_close(found, encode(network, z, PRESENT).states)


def test_absent_modality_gets_no_gradient(network, z):
    z = [x.requires_grad_() for x in z]
    encode(network, z, PRESENT).joint.square().sum().backward()
    for v, x in enumerate(z):
        assert torch.equal(x.grad.any(1), PRESENT[:, v])


def test_states_are_zero_exactly_where_absent(network, z):
    assert torch.equal(encode(network, z, PRESENT).states.any(2), PRESENT)


def test_joint_is_the_mean_of_the_present_states(network, z):
    encoded = encode(network, z, PRESENT)
    for cell in range(B):
        torch.testing.assert_close(encoded.joint[cell], encoded.states[cell, PRESENT[cell]].mean(0))


@pytest.mark.parametrize(
    ("group", "influenced"),
    [(None, [0, 1, 2]), ([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [0]), ([1, 0, 1], [0, 2]), ([1, 1, 0], [0, 1])],
)
def test_state_depends_on_the_modalities_of_its_group(network, z, group, influenced):
    group = None if group is None else torch.tensor(group).expand(B, V)
    before = encode(network, z, COMPLETE, group).states
    after = encode(network, [z[0] + 1, *z[1:]], COMPLETE, group).states
    changed = ((before - after).abs().amax(2) > 1e-5).all(0)
    assert changed.nonzero()[:, 0].tolist() == influenced
    untouched = [v for v in range(V) if v not in influenced]
    torch.testing.assert_close(before[:, untouched], after[:, untouched])


def test_groups_of_one_equal_single_modalities(network, z):
    split = encode(network, z, COMPLETE, SPLIT).states
    for v in range(V):
        only = torch.arange(V).expand(B, V) == v
        torch.testing.assert_close(split[:, v], encode(network, z, only).states[:, v])


def test_modality_without_a_key_leaves_gradients_finite(network, z):
    encoded = encode(network, z, PRESENT, SPLIT)
    encoded.states.square().sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert len(gradients) > 20
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_permuting_cells_permutes_outputs(network, z):
    order = torch.randperm(B)
    encoded = encode(network, z, PRESENT)
    permuted = encode(network, [x[order] for x in z], PRESENT[order], covariates=COVARIATES[order])
    torch.testing.assert_close(permuted.states, encoded.states[order])


@pytest.mark.parametrize("group", [None, SPLIT])
def test_attention_sums_to_one_over_what_may_be_seen(network, z, group):
    encoded = encode(network, z, PRESENT, group, return_attention=True)
    assert len(encoded.attention) == 2
    exists = PRESENT.repeat_interleave(P, 1)
    for weights in encoded.attention:
        torch.testing.assert_close(weights.sum(-1).transpose(1, 2)[exists], torch.ones(int(exists.sum()), H))
        assert not weights.transpose(1, 3)[~exists].any()


def test_returning_attention_changes_nothing_else(network, z):
    with_attention = encode(network, z, PRESENT, return_attention=True).states
    assert torch.equal(with_attention, encode(network, z, PRESENT).states)


def test_features_are_hidden_in_training_only(network, z):
    assert torch.equal(encode(network, z, COMPLETE).states, encode(network, z, COMPLETE).states)
    for module in network.blocks:
        module.eval()
    network.training = True
    assert not torch.equal(encode(network, z, COMPLETE).states, encode(network, z, COMPLETE).states)


def test_tokens_of_a_small_batch():
    tokens = locate_tokens(locate(torch.tensor([[True, True], [False, True]])), None, 2)
    assert tokens.row.tolist() == [0, 1, 2, 3, 6, 7]
    assert tokens.modality.tolist() == [0, 0, 1, 1, 1, 1]
    assert tokens.allowed[0].all()
    assert tokens.allowed[1, 0].tolist() == [[False, False, True, True]] * 4


def test_complete_ungrouped_batch_needs_no_mask():
    tokens = locate_tokens(locate(COMPLETE), None, P)
    assert tokens.row is None and tokens.allowed is None
    assert tokens.modality.tolist() == [0, 0, 1, 1, 2, 2] * B


def test_keys_are_present_tokens_of_the_same_group():
    group = torch.randint(0, 2, (B, V))
    allowed = locate_tokens(locate(PRESENT), group, P).allowed
    for cell in range(B):
        for query in range(V * P):
            for key in range(V * P):
                same = group[cell, query // P] == group[cell, key // P]
                assert allowed[cell, 0, query, key] == (same and PRESENT[cell, key // P])


@pytest.mark.parametrize("masked", [False, True])
def test_covariates_are_taken_from_the_scores_of_their_own_cells(network, z, masked):
    mask = PRESENT if masked else COMPLETE
    changed = COVARIATES.clone()
    changed[3] += 1
    before, after = encode(network, z, mask).states, encode(network, z, mask, covariates=changed).states
    has_programs = network.config.tokenizer == "program"
    assert ((before - after).abs().amax((1, 2)) > 1e-4).tolist() == [cell == 3 and has_programs for cell in range(B)]


def test_a_single_covariate_corrects_nothing(network, z):
    config = network.config
    torch.manual_seed(1)
    alone = Network(N_FEATURES, ("gaussian", "nb", "bernoulli"), 1, config).eval()
    states = [encode(alone, z, PRESENT, covariates=torch.full((B, 1), value)).states for value in (0.0, 1.0)]
    assert torch.equal(*states)


def test_covariates_are_scaled():
    network = Network([4], ["gaussian"], J, NetworkConfig(n_hidden=d))
    network.covariate_mean.copy_(torch.tensor([0.0, 0, 50]))
    network.covariate_std.copy_(torch.tensor([1.0, 1, 10]))
    assert network.scale_covariates(torch.tensor([[1.0, 0, 65]])).tolist() == [[1, 0, 1.5]]


@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_features_are_hidden_with_the_given_chance_each_on_its_own(p):
    mask = keep_mask(torch.Size([1001, 403]), p).double()
    assert mask.mean().item() == pytest.approx(1 - p, abs=4 * (p * (1 - p) / mask.numel()) ** 0.5)
    variance = p * (1 - p)
    for lag in (1, 2, 3, 4):
        covariance = ((mask[:, lag:] - 1 + p) * (mask[:, :-lag] - 1 + p)).mean().item()
        assert abs(covariance) < 4 * variance / mask.numel() ** 0.5


def test_hidden_features_are_made_up_for_by_the_others(network):
    network.training = True
    hidden = network._hide_features(torch.ones(200, 300))
    scale = 1 / (1 - network.config.feature_dropout)
    torch.testing.assert_close(hidden.unique(), torch.tensor([0.0, scale]))
    assert hidden.mean().item() == pytest.approx(1, abs=0.02)


def test_explicit_softmax_gives_what_the_fused_kernel_gives(network, z, monkeypatch):
    fused = encode(network, z, PRESENT)

    def explicit(attention: SelfAttention, x: Tensor, allowed: Tensor | None) -> Tensor:
        value = attention._split(x)[2]
        return attention.out((attention.weights(x, allowed) @ value).transpose(1, 2).flatten(2))

    monkeypatch.setattr(SelfAttention, "forward", explicit)
    states = encode(network, z, PRESENT).states
    torch.testing.assert_close(states, fused.states, atol=1e-5, rtol=1e-5)
