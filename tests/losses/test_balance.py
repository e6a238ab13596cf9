import pytest
import torch
from torch import Tensor

from scmoe.losses._balance import balance_by_modality, balance_loss, importance, load, squared_cv, z_loss
from scmoe.nn._router import Routing, route

T, E, K = 7, 5, 2
TOKEN, EXPERT = torch.arange(float(T))[:, None], torch.arange(float(E))
CLEAN = (0.5 * TOKEN + 1.7 * EXPERT).sin()


def routing(logits: Tensor, top_k: int = K, noise: Tensor | None = None, sigma: float = 0.3) -> Routing:
    if noise is None:
        return Routing(*route(logits, top_k, "softmax_after_topk"), logits, logits, None)
    noisy = logits + noise
    return Routing(*route(noisy, top_k, "softmax_after_topk"), logits, noisy, torch.full_like(logits, sigma))


NOISY = routing(CLEAN, noise=0.1 * (TOKEN + EXPERT).cos())


def test_importance_of_the_specification():
    found = importance(routing(CLEAN))
    assert found.tolist() == pytest.approx([2.24217, 1.11140, 0, 1.74246, 1.90397], abs=1e-5)
    assert squared_cv(found).item() == pytest.approx(0.39844, abs=1e-5)


def test_load_of_the_specification_without_noise():
    found = load(routing(CLEAN))
    assert found.tolist() == [5, 2, 0, 3, 4]
    assert squared_cv(found).item() == pytest.approx(0.47194, abs=1e-5)


def test_load_of_the_specification_with_noise():
    found = load(NOISY)
    assert found.tolist() == pytest.approx([4.57003, 1.92683, 0.35556, 2.72440, 3.99919], abs=1e-5)
    assert squared_cv(found).item() == pytest.approx(0.38246, abs=1e-5)


def test_loss_is_the_sum_of_both():
    assert balance_loss(routing(CLEAN)).item() == pytest.approx(0.39844 + 0.47194, abs=2e-5)


def test_load_is_counted_when_every_expert_is_chosen():
    assert load(routing(CLEAN, top_k=E, noise=torch.randn(T, E))).tolist() == [T] * E


def test_load_is_the_probability_of_being_chosen_again():
    """Redrawing the noise of one expert, with that of the others fixed."""
    chosen = torch.zeros(E)
    n = 4000
    for e in range(E):
        noisy = NOISY.noisy.repeat(n, 1, 1)
        noisy[:, :, e] = CLEAN[:, e] + 0.3 * torch.randn(n, T)
        chosen[e] = (noisy.topk(K).indices == e).any(-1).sum() / n
    torch.testing.assert_close(load(NOISY), chosen, atol=0.05, rtol=0)


def test_load_has_a_gradient_in_training():
    logits = CLEAN.clone().requires_grad_()
    squared_cv(load(routing(logits, noise=NOISY.noisy - CLEAN))).backward()
    assert logits.grad.any(1).all()


def test_equal_use_costs_nothing():
    assert squared_cv(torch.full((E,), 3.0)).item() == 0


def test_single_expert_costs_nothing():
    assert balance_loss(routing(CLEAN[:, :1], top_k=1)).item() == 0
    assert balance_loss(routing(CLEAN[:, :1], top_k=1, noise=torch.randn(T, 1))).item() == 0


@pytest.mark.parametrize("noise", [None, torch.zeros(0, E)])
@pytest.mark.parametrize("loss", [balance_loss, z_loss])
def test_no_token_costs_nothing(loss, noise):
    logits = torch.zeros(0, E, requires_grad=True)
    found = loss(routing(logits, noise=noise))
    found.backward()
    assert found.item() == 0


def test_z_loss_is_the_mean_square_of_the_log_partition():
    expected = sum(sum(c.exp() for c in row).log() ** 2 for row in CLEAN) / T
    torch.testing.assert_close(z_loss(routing(CLEAN)), expected)


def test_balance_by_modality_is_the_sum_over_modalities():
    modality, noise = torch.tensor([0, 2, 0, 2, 0, 0, 2]), NOISY.noisy - CLEAN
    parts = [balance_loss(routing(CLEAN[modality == v], noise=noise[modality == v])) for v in (0, 2)]
    torch.testing.assert_close(balance_by_modality(NOISY, modality, 3), sum(parts))
