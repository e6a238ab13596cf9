import pytest
import torch
from torch.nn import functional as F

from scmoe.nn._config import NetworkConfig
from scmoe.nn._router import TopKRouter, route

T, d, E, k = 9, 6, 5, 2
GATES = ["softmax_after_topk", "topk_of_softmax"]


def router(n_modalities: int = 3, **settings) -> TopKRouter:
    return TopKRouter(n_modalities, NetworkConfig(n_hidden=d, n_heads=1, n_experts=E, top_k=k, **settings))


@pytest.mark.parametrize(("gate", "weights"), [(GATES[0], [0.62188, 0.37812]), (GATES[1], [0.41438, 0.25195])])
def test_worked_row_of_the_specification(gate, weights):
    weight, expert = route((1.7 * torch.arange(5)).sin()[None], 2, gate)
    assert expert.tolist() == [[1, 4]]
    assert weight[0].tolist() == pytest.approx(weights, abs=5e-6)


@pytest.mark.parametrize("gate", GATES)
def test_gates_are_the_weights_of_the_largest_logits(gate):
    routing = router(gate=gate).eval()(torch.randn(T, d), torch.zeros(T, dtype=torch.long))
    kept = routing.logits >= routing.logits.sort(descending=True).values[:, k - 1, None]
    if gate == "topk_of_softmax":
        expected = routing.logits.softmax(-1) * kept
    else:
        expected = routing.logits.masked_fill(~kept, -torch.inf).softmax(-1)
    torch.testing.assert_close(routing.gates(), expected)


def test_each_modality_uses_its_own_router():
    chosen, x, modality = router(router="per_modality").eval(), torch.randn(T, d), torch.arange(T) % 3
    logits = chosen(x, modality).logits
    for t in range(T):
        torch.testing.assert_close(logits[t], x[t] @ chosen.clean[:, modality[t]])


def test_noise_of_each_modality_has_its_own_weights():
    chosen, x, modality = router(router="per_modality"), torch.randn(T, d), torch.arange(T) % 3
    sigma = chosen(x, modality).sigma
    for t in range(T):
        torch.testing.assert_close(sigma[t], F.softplus(x[t] @ chosen.noise[:, modality[t]]) + 0.01)


def test_shared_router_does_not_look_at_the_modality():
    chosen, x = router(router="shared").eval(), torch.randn(T, d)
    zeros = torch.zeros(T, dtype=torch.long)
    torch.testing.assert_close(chosen(x, zeros).logits, chosen(x, torch.arange(T) % 3).logits, rtol=0, atol=0)


def test_no_noise_in_evaluation():
    routing = router().eval()(torch.randn(T, d), torch.zeros(T, dtype=torch.long))
    assert routing.sigma is None
    assert torch.equal(routing.noisy, routing.logits)


def test_noise_in_training_is_standard_normal_times_sigma():
    n = 2000
    routing = router()(torch.randn(n, d), torch.zeros(n, dtype=torch.long))
    noise = (routing.noisy - routing.logits) / routing.sigma
    assert noise.mean().item() == pytest.approx(0, abs=0.03)
    assert noise.std().item() == pytest.approx(1, abs=0.03)


def test_training_chooses_by_the_noisy_logits():
    routing = router()(torch.randn(200, d), torch.zeros(200, dtype=torch.long))
    assert torch.equal(routing.expert, routing.noisy.topk(k).indices)
    assert not torch.equal(routing.expert, routing.logits.topk(k).indices)


def test_half_precision_does_not_round_the_logits():
    chosen, x, modality = router().eval(), torch.randn(T, d), torch.zeros(T, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = chosen(x, modality).logits
    assert torch.equal(rounded, chosen(x, modality).logits)


def test_router_of_cells_reads_twice_the_width():
    chosen, x = router(router_input="cell").eval(), torch.randn(T, 2 * d)
    torch.testing.assert_close(chosen(x, torch.zeros(T, dtype=torch.long)).logits, x @ chosen.clean[:, 0])
