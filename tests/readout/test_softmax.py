"""Balanced softmax regressions, against scikit-learn and the losses themselves."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from scmoe.losses._class_balance import OPTIONS, Balance, class_weights, prior_offsets, shrunken_means
from scmoe.readout._softmax import fit_softmax

SIZES = np.array([80, 30, 6])


def cells(sizes=SIZES, seed=0, width=5):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centers = np.random.default_rng(9).normal(size=(len(sizes), width))
    values = centers[labels] + rng.normal(size=(len(labels), width))
    values -= values.mean(0)
    return values / np.sqrt(np.square(values).mean()), labels


VALUES, LABELS = cells()


def probabilities(option, values=VALUES, labels=LABELS, seed=0):
    slope, start = fit_softmax(values, labels, option, seed)
    return softmax(values @ slope + start, axis=1)


@pytest.mark.parametrize(
    ("option", "kind"), [("none", None), ("inverse", "inverse"), ("deferred", "inverse"), ("sqrt", "sqrt")]
)
def test_weighted_options_are_scikit_learns_regression_with_weights_of_mean_one(option, kind):
    weights = np.ones(3) if kind is None else class_weights(SIZES, kind)
    each = weights[LABELS] / weights[LABELS].mean()
    reference = LogisticRegression(max_iter=2000, tol=1e-8).fit(VALUES, LABELS, each)
    np.testing.assert_allclose(probabilities(option), reference.predict_proba(VALUES), atol=2e-3)


@pytest.mark.parametrize("option", ["sampler", "sqrt_sampler"])
def test_samplers_weigh_a_cell_by_how_often_it_is_drawn(option):
    p = Balance(option, SIZES).probabilities(LABELS)
    drawn = np.random.default_rng(4).choice(len(LABELS), len(LABELS), p=p)
    reference = LogisticRegression(max_iter=2000, tol=1e-8).fit(VALUES[drawn], LABELS[drawn])
    np.testing.assert_allclose(probabilities(option, seed=4), reference.predict_proba(VALUES), atol=2e-3)


@pytest.mark.parametrize("option", ["focal", "ldam", "logit_adjusted"])
def test_no_small_step_lowers_the_penalized_loss(option):
    found = fit_softmax(VALUES, LABELS, option)
    features, label = torch.from_numpy(VALUES), torch.from_numpy(LABELS)

    def loss(slope, start):
        losses = Balance(option, SIZES).losses(features @ slope + start, label)
        return losses.mean() + slope.square().sum() / (2 * len(label))

    slope, start = (torch.from_numpy(part.copy()).requires_grad_() for part in found)
    loss(slope, start).backward()
    assert max(slope.grad.abs().max(), start.grad.abs().max()) < 1e-3


def test_adjusting_before_or_after_is_the_same_and_shifts_the_plain_logits():
    plain, before, after = (fit_softmax(VALUES, LABELS, option) for option in ("none", "logit_adjusted", "post_hoc"))
    for found in (before, after):
        np.testing.assert_array_equal(found[0], plain[0])
        np.testing.assert_allclose(found[1], plain[1] - prior_offsets(SIZES))


def test_a_decoupled_classifier_of_frozen_features_is_one_with_labels_drawn_alike():
    np.testing.assert_array_equal(probabilities("decoupled", seed=3), probabilities("sampler", seed=3))


def test_prototypes_are_for_labels_with_few_cells_alone():
    values, labels = cells(np.array([60, 40, 8, 5]))
    slope, _ = fit_softmax(values, labels, "prototype")
    means = shrunken_means(values, labels, 4)
    a = np.linalg.norm(slope[:, 2]) / np.linalg.norm(means[2])
    np.testing.assert_allclose(slope[:, 2:].T, a * means[2:], atol=1e-6)
    assert not np.allclose(slope[:, :2].T, a * means[:2], atol=0.1)
    many = np.repeat(np.arange(2), [50, 40])
    np.testing.assert_allclose(
        probabilities("prototype", VALUES[:90], many), probabilities("none", VALUES[:90], many), atol=1e-3
    )


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_serves_labels_of_one_cell_and_any_unit(option):
    values, labels = cells(np.array([40, 25, 1]))
    plain, moved = probabilities(option, values, labels), probabilities(option, 1e3 * values + 5e3, labels)
    np.testing.assert_allclose(moved, plain, atol=5e-3)
    assert (plain[:65].argmax(1) == labels[:65]).mean() > 0.7


@pytest.mark.parametrize("option", ["inverse", "logit_adjusted", "sampler", "post_hoc"])
def test_balancing_finds_more_cells_of_the_rarest_label(option):
    found, plain = ((probabilities(o).argmax(1) == LABELS)[LABELS == 2].mean() for o in (option, "none"))
    assert found > plain
