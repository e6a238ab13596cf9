import numpy as np
import pytest

from scmoe.benchmark._outputs import Prediction, from_counts, on_lines
from scmoe.benchmark._scores_held_out import interval_coverage
from scmoe.pp._normalize import clr, log_normalize


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_every_feature_has_its_line(rng):
    observed = rng.normal(size=(50, 3))
    values = np.concatenate([observed, rng.normal(size=(10, 3))]) * [2, -3, 0.5] + [1, 0, 4]
    expected = (values[50:] - [1, 0, 4]) / [2, -3, 0.5]
    np.testing.assert_allclose(on_lines(values[:50], values[50:], observed), expected, atol=1e-12)


@pytest.mark.parametrize(("kind", "normalize"), [("protein", clr), ("rna", log_normalize)])
def test_true_counts_become_the_target(rng, kind, normalize):
    counts = rng.poisson(rng.uniform(1, 20, size=(40, 6))).astype(np.float32)
    target = normalize(counts)
    np.testing.assert_allclose(from_counts(counts[:30], counts[30:], kind, target[:30]), target[30:], atol=1e-5)


def test_parts_of_a_mixture_are_scored_beside_it(rng):
    truth = rng.normal(size=(400, 3))
    good, bad = truth + 0.1 * rng.normal(size=truth.shape), rng.normal(size=truth.shape)
    parts, interval = {"network": good, "linear": bad}, (good - 1, good + 1)
    scores = Prediction(values=good, parts=parts, weight=0.7, interval=interval).scores(truth, truth)
    assert scores["pearson_network"] == scores["pearson"] > 0.9 > abs(scores["pearson_linear"])
    assert (scores["weight"], scores["coverage_90"]) == (0.7, 1.0)
    assert "weight" not in Prediction(values=good).scores(truth, truth)


def test_coverage_is_the_share_of_observed_values_between_the_ends():
    truth = np.array([[0.0, 1.0, 2.0, 3.0], [np.nan, 4.0, 5.0, 6.0]])
    assert interval_coverage(truth, np.full((2, 4), 1), np.full((2, 4), 4)) == pytest.approx(4 / 7)
