import numpy as np
import pytest

from scmoe.benchmark._outputs import Prediction, Uncertainty, from_counts, on_lines
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
    parts = {"network": good, "linear": bad}
    uncertainty = Uncertainty(sd=np.full_like(truth, 0.1), lower=good - 1, upper=good + 1)
    scores = Prediction(values=good, parts=parts, weight=0.7, uncertainty=uncertainty).scores(truth, truth)
    assert scores["pearson_network"] == scores["pearson"] > 0.9 > abs(scores["pearson_linear"])
    assert scores["r2_network"] == scores["r2"] > 0.9 > 0 > scores["r2_linear"]
    assert (scores["weight"], scores["coverage_90"]) == (0.7, 1.0)
    assert scores["sd_ratio"] == pytest.approx(1, rel=0.1)
    assert "weight" not in Prediction(values=good).scores(truth, truth)
