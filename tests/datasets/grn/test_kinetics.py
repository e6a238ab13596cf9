"""Laws of the simulated kinetics against their steady states."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmoe.datasets.grn._kinetics import (
    BASAL,
    COPIES,
    Kinetics,
    Rates,
    draw_kinetics,
    hill,
    leap,
    make_rates,
    open_share,
    steady_state,
)
from scmoe.datasets.grn._network import Network

N_SAMPLES = 1500
RATES = ("switching", "transcription", "splicing", "rna_decay", "translation", "protein_decay")
positive = st.floats(0.05, 5)


def network(*edges: tuple[int, int, int]) -> Network:
    """Three genes, the first two transcription factors, with edges (regulator, target, sign)."""
    genes = pd.DataFrame({"gene": list("abc"), "role": ["TF", "TF", "target"], "module": ["A1", "B1", ""]})
    regulator, target, sign = np.array(edges, dtype=int).reshape(-1, 3).T
    one = np.ones(len(sign))
    return Network(genes=genes, regulator=regulator, target=target, sign=sign, strength=one, hill=2 * one)


def kinetics(*edges: tuple[int, int, int], **rates: float) -> Kinetics:
    return draw_kinetics(network(*edges), Rates(**rates), np.random.default_rng(0))


@settings(deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(RATES, positive)), st.floats(0, 1, allow_subnormal=False))
def test_steady_state_is_production_over_loss_and_a_step_keeps_it(rates: dict[str, float], p_open: float) -> None:
    genes = kinetics(**rates)
    share = np.full((1, 3), p_open)
    dna, pre, rna, protein = state = steady_state(share, genes)
    np.testing.assert_allclose(dna, COPIES * p_open)
    np.testing.assert_allclose(pre[0], genes.transcription * p_open / genes.splicing)
    np.testing.assert_allclose(rna[0], genes.splicing * pre[0] / genes.rna_decay)
    np.testing.assert_allclose(protein[0], genes.translation * rna[0] / genes.protein_decay)
    np.testing.assert_allclose(leap(state, share, genes, genes.step, None), state)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.2, 1), st.floats(1, 20), st.integers(0, 2**31))
def test_birth_and_death_are_poisson_whatever_the_step(share_of_step: float, made: float, seed: int) -> None:
    """Always open promoters make pre-mRNA at a constant rate: mean and variance are production / splicing."""
    genes = kinetics(transcription=made, splicing=0.8)
    rng, hours = np.random.default_rng(seed), share_of_step * genes.step
    share = np.ones((N_SAMPLES, 3))
    state = np.zeros((4, N_SAMPLES, 3), dtype=int)
    state[0] = COPIES
    for _ in range(int(8 / (0.8 * hours)) + 1):  # 8 lifetimes
        state = leap(state, share, genes, hours, rng)
    counts, mean = state[1, :, 0], made / 0.8
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / N_SAMPLES))
    assert counts.var() == pytest.approx(mean, abs=5 * np.sqrt((2 * mean**2 + mean) / N_SAMPLES))


def test_noisy_means_follow_the_steady_state() -> None:
    genes, rng = kinetics(rna_decay=0.3, protein_decay=0.3), np.random.default_rng(0)
    share = np.full((N_SAMPLES, 3), 0.4)
    state = rng.poisson(expected := steady_state(share, genes))
    state[0] = rng.binomial(COPIES, share)
    for _ in range(100):
        state = leap(state, share, genes, genes.step, rng)
    np.testing.assert_allclose(state.mean(axis=1), expected[:, 0], rtol=0.1)
    assert state.min() >= 0 and state[0].max() <= COPIES


@settings(deadline=None)
@given(st.floats(1, 1e4), st.floats(1, 6))
def test_hill_is_half_at_the_threshold_and_rises(threshold: float, n: float) -> None:
    at = np.array([threshold])
    assert hill(at, at, np.array([n])) == pytest.approx(0.5)
    levels = hill(np.linspace(0, 4, 50) * threshold, at, np.array([n]))
    assert levels[0] == 0 and levels[-1] < 1 and (np.diff(levels) > 0).all()


@settings(deadline=None)
@given(st.floats(1, 5), st.floats(0, 400), st.floats(0, 400))
def test_open_share_is_activators_added_times_repressors_off(n: float, first: float, second: float) -> None:
    genes = kinetics((0, 2, 1), (1, 2, 1), (1, 0, -1))
    bound = [x**2 / (k**2 + x**2) for x, k in zip((first, second), genes.max_protein / 2, strict=False)]
    found = open_share(np.array([[first, second, n]]), genes)[0]
    assert found[2] == pytest.approx(BASAL + (1 - BASAL) * (bound[0] + bound[1]) / 2)
    assert found[0] == pytest.approx(1 - bound[1], abs=1e-9)
    assert found[1] == 1


@pytest.mark.parametrize(("sign", "direction"), [(1, 1), (-1, -1)])
def test_edge_moves_its_target_by_its_sign(sign: int, direction: int) -> None:
    genes = kinetics((0, 2, sign))
    levels = np.zeros((20, 3))
    levels[:, 0] = np.linspace(0, 500, 20)
    assert (np.sign(np.diff(open_share(levels, genes)[:, 2])) == direction).all()


def test_factors_share_their_rates_and_thresholds_survive_a_knock_out() -> None:
    genes = kinetics((0, 2, 1))
    assert genes.transcription[0] == genes.transcription[1] != genes.transcription[2]
    without = genes.without([0])
    assert without.transcription[0] == 0 and genes.transcription[0] > 0
    np.testing.assert_array_equal(without.threshold, genes.threshold)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"splicing": -1.0}, r"rates\['splicing'\] must be a positive number per hour; found -1"),
        ({"rna_decay": 0}, r"rates\['rna_decay'\] must be a positive number"),
        ({"translation": float("nan")}, r"rates\['translation'\] must be a positive number"),
        ({"transcription": "fast"}, r"rates\['transcription'\] .* found 'fast'"),
        ({"decay": 1.0}, "There is no rate 'decay'; choose from switching, transcription"),
    ],
)
def test_bad_rates_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_rates(given)
