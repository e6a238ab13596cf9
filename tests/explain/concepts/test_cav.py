import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from scmoe.explain.concepts._cav import INVERSE_PENALTY, MAX_COMPONENTS, fit_cav, fit_rotation, held_out_accuracy

N, F = 60, 12


@pytest.fixture
def sets():
    """Cells of a concept along a known direction, and others."""
    rng = np.random.default_rng(0)
    direction = np.eye(F)[3]
    return rng.normal(size=(N, F)) + 4 * direction, rng.normal(size=(2 * N, F)), direction


def test_is_the_planted_direction_of_length_one(sets):
    positives, negatives, direction = sets
    cav = fit_cav(positives, negatives)
    assert np.linalg.norm(cav) == pytest.approx(1)
    assert cav @ direction > 0.9


def test_points_to_the_concept(sets):
    positives, negatives, _ = sets
    np.testing.assert_allclose(fit_cav(positives, negatives), -fit_cav(negatives, positives), atol=1e-8)


@pytest.mark.parametrize("n_features", [F, 200], ids=["fewer features than cells", "more features than cells"])
def test_equals_the_regression_in_the_original_space(n_features):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, n_features)) * rng.uniform(0.2, 3, n_features)
    x[:40, 0] += 2
    x = x[:, :n_features]
    scale = np.sqrt(np.square(x - x.mean(0)).sum(1).mean())
    model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", tol=1e-10, max_iter=10_000)
    slope = model.fit((x - x.mean(0)) / scale, np.arange(100) < 40).coef_[0]
    np.testing.assert_allclose(fit_cav(x[:40], x[40:]), slope / np.linalg.norm(slope), atol=1e-5)


def test_scale_and_offset_of_the_layer_do_not_matter(sets):
    positives, negatives, _ = sets
    cav = fit_cav(1e3 * positives + 7, 1e3 * negatives + 7)
    np.testing.assert_allclose(cav, fit_cav(positives, negatives), atol=1e-8)


def test_rotation_keeps_angles_and_the_strongest_components():
    x = np.random.default_rng(0).normal(size=(400, 300)) * np.linspace(0.1, 3, 300)
    rotation = fit_rotation(x)
    assert rotation.axes.shape == (300, MAX_COMPONENTS)
    np.testing.assert_allclose(rotation.axes.T @ rotation.axes, np.eye(MAX_COMPONENTS), atol=1e-8)
    singular = np.linalg.svd(x - x.mean(0), compute_uv=False)[:MAX_COMPONENTS]
    np.testing.assert_allclose(np.sort(np.linalg.norm(rotation(x) * rotation.scale, axis=0))[::-1], singular)


def test_accuracy_of_what_can_and_cannot_be_told_apart(sets):
    positives, negatives, _ = sets
    accuracy, n = held_out_accuracy(positives, negatives, seed=0)
    assert accuracy > 0.9 and n == N // 3 + 2 * N // 3
    assert held_out_accuracy(negatives[:N], negatives[N:], seed=0)[0] == pytest.approx(0.5, abs=0.2)


def test_cells_that_are_all_the_same_are_refused():
    with pytest.raises(ValueError, match="same activations"):
        fit_cav(np.ones((5, 3)), np.ones((5, 3)))
