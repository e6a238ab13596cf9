import numpy as np
import pytest

from scmoe.readout._information import MIN_INFORMATION, Information, fit_information

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(200, 150))
SIGNAL = NOISE + RNG.normal(size=(200, 3)) @ RNG.normal(size=(3, 150)) * 0.6


def by_decomposition(values: np.ndarray, n_components: int, seed: int) -> np.ndarray:
    """The same from singular value decompositions, component by component."""
    rng, k = np.random.default_rng(seed), min(n_components, *values.shape, len(values) - 1)
    singular = np.linalg.svd(values)[1][:k]
    permuted = [np.linalg.svd(rng.permuted(values, axis=0))[1][:k] for _ in range(2)]
    chance, total = np.mean(permuted, axis=0), np.square(values).sum()
    fold = rng.permutation(len(values)) % 5
    nats = np.zeros(n_components)
    for i in range(k):
        ratio = [s[i] ** 2 / (total - np.square(s[:i]).sum()) for s in (singular, chance)]
        in_others = in_own = 0.0
        for f in range(5):
            fitted, others = values[fold != f], values[fold == f]
            if i < len(fitted) - 1:
                direction = np.linalg.svd(fitted)[2][i]
                in_others += np.square(others @ direction).sum()
                in_own += np.square(fitted @ direction).mean() * len(others)
        counts = ratio[0] / ratio[1] > 1.1 and in_others / in_own > 0.25
        if i == 0 or counts:
            nats[i] = max(np.log(ratio[0] / ratio[1]) / 2, MIN_INFORMATION)
        if not counts:
            break
    return nats


@pytest.mark.parametrize("values", [SIGNAL, NOISE, SIGNAL[:30], SIGNAL[:, :10], NOISE[:12, :4]])
def test_against_decompositions(values):
    found = fit_information(values, 8, 3)
    np.testing.assert_allclose(found.nats, by_decomposition(values, 8, 3), rtol=1e-6, atol=1e-9)


def test_planted_components_count_and_noise_does_not():
    signal, noise = fit_information(SIGNAL, 50, 0), fit_information(NOISE, 50, 0)
    assert (signal.n_components, noise.n_components) == (3, 1)
    assert signal.nats.sum() > 20 * noise.nats.sum()


@pytest.mark.parametrize("seed", range(3))
def test_the_unit_of_the_values_does_not_matter(seed):
    np.testing.assert_allclose(
        fit_information(1e-3 * SIGNAL, 10, seed).nats, fit_information(SIGNAL, 10, seed).nats, rtol=1e-6
    )


@pytest.mark.parametrize(
    "values",
    [np.zeros((20, 5)), np.ones((20, 1)), np.tile(NOISE[:1], (30, 1)), NOISE[:3], NOISE[:1], NOISE[:20, :1]],
    ids=["zeros", "a constant", "cells alike", "three cells", "one cell", "one feature"],
)
def test_one_component_counts_at_least(values):
    found = fit_information(values, min(50, values.shape[1]), 0)
    assert np.isfinite(found.nats).all() and found.n_components >= 1 and (found.nats >= 0).all()
    assert found.counts[0] == 1


def test_modalities_that_say_much_count_alike():
    weights = [Information(nats=np.array([nats, 0])).weight for nats in (0.02, 2, 20, 40)]
    np.testing.assert_allclose(weights, [0.02 / 2.02, 0.5, 20 / 22, 40 / 42])


def test_counts_are_those_of_leading_components():
    information = Information(nats=np.array([0.5, 0.1, 0.0]))
    assert information.n_components == 2
    np.testing.assert_array_equal(information.counts, [1, 1, 0])
    np.testing.assert_array_equal(Information.from_arrays(information.to_arrays()).nats, information.nats)
