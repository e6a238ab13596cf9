"""Balancing of classes, against numbers of the specification and slow references."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from scmoe.losses._class_balance import (
    OPTIONS,
    SCALE,
    Balance,
    class_weights,
    effective_number,
    focal_losses,
    margin_losses,
    margins,
    per_cell,
    prior_offsets,
    sampling_probabilities,
    shrunken_means,
)

COUNTS = np.array([90, 9, 1])
SIZES = st.lists(st.integers(1, 5000), min_size=2, max_size=8).map(np.array)


def batch(n=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, len(COUNTS), generator=generator, dtype=torch.float64)
    return logits, torch.randint(len(COUNTS), (n,), generator=generator)


@pytest.mark.parametrize(
    ("beta", "expected"),
    [(0.999, [0.0010000, 0.0108122, 0.0531068]), (0.9999, [0.000114319, 0.0103588, 0.0526790])],
)
def test_effective_numbers_are_those_of_the_specification(beta, expected):
    np.testing.assert_allclose(1 / effective_number([20_773, 97, 19], beta), expected, rtol=5e-6)


def test_weights_have_the_scale_of_their_formulas():
    np.testing.assert_allclose(class_weights(COUNTS, "inverse"), 100 / (3 * COUNTS))
    root = class_weights(COUNTS, "sqrt")
    np.testing.assert_allclose(root / root[2], COUNTS**-0.5)
    assert root.mean() == pytest.approx(1)
    assert class_weights(COUNTS, "effective").sum() == pytest.approx(3)


def test_effective_weights_lie_between_none_and_inverse():
    np.testing.assert_allclose(class_weights(COUNTS, "effective", beta=0), 1)
    inverse = class_weights(COUNTS, "inverse")
    np.testing.assert_allclose(class_weights(COUNTS, "effective", beta=1 - 1e-9), inverse / inverse.mean(), rtol=1e-5)


@given(counts=SIZES, kind=st.sampled_from(["inverse", "sqrt", "effective"]))
def test_a_cell_weighs_one_on_average(counts, kind):
    weights = per_cell(class_weights(counts, kind), counts)
    assert np.repeat(weights, counts).mean() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(counts, kind="stable")]) <= 1e-12).all()  # rarer ones never weigh less


@pytest.mark.parametrize("option", ["inverse", "sqrt", "effective", "deferred"])
def test_weights_leave_the_size_of_a_step_alone(option):
    """The mean over the training cells is plain if all losses are alike; no cell changes another's loss."""
    label = torch.from_numpy(np.repeat(np.arange(3), COUNTS))
    losses = Balance(option, COUNTS).losses(torch.zeros(100, 3), label)
    assert float(losses.mean()) == pytest.approx(np.log(3), rel=1e-5)
    np.testing.assert_allclose(Balance(option, COUNTS).losses(torch.zeros(1, 3), label[99:]), losses[99:])


def test_focal_loss_is_its_formula_and_cross_entropy_at_gamma_zero():
    logits, label = batch()
    p = logits.softmax(1)[torch.arange(len(label)), label]
    torch.testing.assert_close(focal_losses(logits, label), -((1 - p) ** 2) * p.log())
    torch.testing.assert_close(focal_losses(logits, label, gamma=0), F.cross_entropy(logits, label, reduction="none"))


def test_focal_loss_has_a_gradient_where_a_cell_is_certain():
    logits = torch.tensor([[800.0, 0.0]], requires_grad=True)
    focal_losses(logits, torch.tensor([0]), gamma=0.5).sum().backward()
    assert logits.grad.isfinite().all()


def test_margins_are_largest_for_the_rarest_and_change_the_true_logit_alone():
    found = margins([160_000, 16, 1])
    np.testing.assert_allclose(found, [0.025, 0.25, 0.5])
    logits, label = batch()
    changed = logits.clone()
    for i, y in enumerate(label):
        changed[i, y] -= found[y]
    expected = F.cross_entropy(changed, label, reduction="none")
    torch.testing.assert_close(margin_losses(logits, label, torch.from_numpy(found)), expected)
    by_option = Balance("ldam", np.array([160_000, 16, 1])).losses(SCALE * logits, label)
    torch.testing.assert_close(by_option, F.cross_entropy(SCALE * changed, label, reduction="none"))


def test_logit_adjustment_adds_the_log_of_the_frequencies():
    np.testing.assert_allclose(prior_offsets(COUNTS), np.log([0.9, 0.09, 0.01]))
    np.testing.assert_allclose(prior_offsets(COUNTS, tau=0.5), prior_offsets(COUNTS) / 2)
    logits, label = batch()
    expected = F.cross_entropy(
        logits + torch.tensor([0.9, 0.09, 0.01], dtype=logits.dtype).log(), label, reduction="none"
    )
    torch.testing.assert_close(Balance("logit_adjusted", COUNTS).losses(logits, label), expected)


def test_logit_adjustment_is_right_where_only_frequencies_are_known():
    """With logits of 0 (all classes alike in a balanced population), its gradient vanishes over the training cells."""
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    label = torch.from_numpy(np.repeat(np.arange(3), COUNTS))
    Balance("logit_adjusted", COUNTS).losses(logits.expand(100, 3), label).mean().backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits.grad), atol=1e-12, rtol=0)


@given(counts=SIZES, power=st.sampled_from([0.0, 0.5, 1.0]))
def test_classes_are_drawn_in_proportion_to_a_power_of_their_size(counts, power):
    label = np.repeat(np.arange(len(counts)), counts)
    p = sampling_probabilities(label, counts, power)
    found, expected = np.bincount(label, p), counts ** (1.0 - power)
    np.testing.assert_allclose(found, expected / expected.sum())


def test_means_of_few_cells_are_drawn_to_the_mean_of_all():
    x, label = np.array([[0.0, 2.0], [2.0, 2.0], [10.0, 0.0]]), np.array([0, 0, 1])
    overall = x.mean(0)
    expected = [(2 * np.array([1, 2]) + 2 * overall) / 4, (np.array([10, 0]) + 2 * overall) / 3]
    np.testing.assert_allclose(shrunken_means(x, label, 2), expected)


def test_an_option_changes_the_loss_or_the_draws_never_both():
    logits, label = batch()
    plain = F.cross_entropy(logits, label, reduction="none")
    for option in OPTIONS:
        balance = Balance(option, COUNTS)
        changed = not torch.equal(balance.losses(logits, label), plain)
        assert not (changed and balance.probabilities(label.numpy()) is not None), option


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: class_weights([3, 0], "inverse"), "class 1 has 0"),
        (lambda: class_weights([3, float("nan")], "sqrt"), "class 1 has nan"),
        (lambda: class_weights([3, 2], "effective", beta=1.0), r"beta must be in \[0, 1\); found 1.0"),
        (lambda: margins([0, 4]), "class 0 has 0"),
        (lambda: per_cell([1, -2], [3, 4]), "found -2.0 for class 1"),
        (lambda: per_cell([float("nan"), 1], [3, 4]), "found nan for class 0"),
        (lambda: per_cell([0, 0], [3, 4]), "must not all be 0"),
    ],
)
def test_errors(call, match):
    with pytest.raises(ValueError, match=match):
        call()
