"""Trajectories: stages, branches, cycles and knock-outs in molecules, before any technical noise."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmoe.datasets.grn._kinetics import Kinetics, Rates, draw_kinetics
from scmoe.datasets.grn._network import BACKBONES, build_network
from scmoe.datasets.grn._simulate import Cells, Reference, make_reference, simulate_cells

N_GENES = 40


@cache
def made(name: str) -> tuple[Kinetics, Reference]:
    rng = np.random.default_rng(0)
    kinetics = draw_kinetics(build_network(BACKBONES[name], N_GENES, rng), Rates(), rng)
    return kinetics, make_reference(BACKBONES[name], kinetics)


@cache
def cells(name: str, knocked_out: tuple[int, ...] = (), n_cells: int = 300) -> Cells:
    return simulate_cells(BACKBONES[name], *made(name), n_cells, np.random.default_rng(1), knocked_out)


def level(name: str, module: str) -> np.ndarray:
    """Share of the maximal protein of a module, by cell."""
    kinetics = made(name)[0]
    members = (kinetics.network.genes["module"] == module).to_numpy()
    return (cells(name).state[3] / kinetics.max_protein)[:, members].mean(axis=1)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_stage_is_reached_and_shows_its_module(name: str) -> None:
    found = cells(name)
    stages = BACKBONES[name].stages
    assert set(found.stage) == set(stages)
    for stage in stages[1:]:
        on = level(name, f"{stage}1")
        assert np.median(on[found.stage == stage]) > 0.4
        assert np.median(on[found.stage == stage]) > np.median(on[found.stage == "A"]) + 0.2


@pytest.mark.parametrize("name", ["linear", "bifurcating", "disconnected"])
def test_pseudotime_follows_hours_and_orders_stages(name: str) -> None:
    found = cells(name)
    assert np.corrcoef(found.hours, found.pseudotime)[0, 1] > 0.9
    for path in {"linear": ["ABCDEF"], "bifurcating": ["ABC", "ABD"], "disconnected": ["ABC", "DEF"]}[name]:
        spans = [np.quantile(found.pseudotime[found.stage == stage], [0, 1]) for stage in path]
        assert all(before[1] < after[0] for before, after in zip(spans, spans[1:], strict=False))


def test_bifurcating_cells_end_in_one_of_two_branches() -> None:
    found = cells("bifurcating")
    end = found.pseudotime > 0.95
    one, other = level("bifurcating", "C1")[end], level("bifurcating", "D1")[end]
    assert (np.maximum(one, other) > 0.5).mean() > 0.9 and (np.minimum(one, other) < 0.25).all()
    assert ((one > other) == (found.stage[end] == "C")).all()
    assert 0.25 < (one > other).mean() < 0.75


def test_cycle_returns_to_where_it_began() -> None:
    found, factors = cells("cyclic"), made("cyclic")[1].factors
    np.testing.assert_allclose(factors[0], factors[-1], atol=0.1)
    proteins = found.state[3] / made("cyclic")[0].max_protein
    phase = [proteins[(found.pseudotime >= low) & (found.pseudotime < low + 0.1)].mean(0) for low in (0, 0.45, 0.9)]
    assert np.corrcoef(phase[0], phase[2])[0, 1] > 0.8 > 0.5 > np.corrcoef(phase[0], phase[1])[0, 1]


def test_groups_of_disconnected_cells_silence_each_other() -> None:
    group = np.isin(cells("disconnected").stage, list("ABC"))
    assert abs(group.mean() - 0.5) < 0.01
    assert not level("disconnected", "D1")[group].any() and not level("disconnected", "A1")[~group].any()


def test_knock_out_lowers_activated_and_raises_repressed_targets() -> None:
    kinetics = made("linear")[0]
    network = kinetics.network
    for gene in range(4):  # of the first two modules, which are on in most cells
        before, after = cells("linear").state, cells("linear", (gene,)).state
        assert before[1:, :, gene].any() and not after[1:, :, gene].any()
        change = after[2].mean(axis=0) - before[2].mean(axis=0)
        own = (network.regulator == gene) & (network.target >= network.n_tfs)
        for target, sign in zip(network.target[own], network.sign[own], strict=True):
            assert np.sign(change[target]) == -sign, network.genes["gene"][target]


def test_unregulated_genes_ignore_the_knock_out() -> None:
    housekeeping = (made("linear")[0].network.genes["role"] == "housekeeping").to_numpy()
    before, after = (found.state[2][:, housekeeping].mean() for found in (cells("linear"), cells("linear", (0,))))
    assert after == pytest.approx(before, rel=0.05)


def test_one_cell_can_be_simulated() -> None:
    assert cells("bifurcating", n_cells=1).state.shape == (4, 1, N_GENES)


def reference_of_cycle(**rates: float) -> Reference:
    rng = np.random.default_rng(0)
    kinetics = draw_kinetics(build_network(BACKBONES["cyclic"], 12, rng), Rates(**rates), rng)
    return make_reference(BACKBONES["cyclic"], kinetics)


@settings(max_examples=10, deadline=None)
@given(
    st.fixed_dictionaries({name: st.floats(0.1, 2) for name in ("switching", "splicing", "rna_decay", "protein_decay")})
)
def test_cycle_turns_with_any_rates(rates: dict[str, float]) -> None:
    reference = reference_of_cycle(**rates)
    assert np.ptp(reference.factors, axis=0).min() > 0.5
    assert list(dict.fromkeys(reference.stage)) == ["A", "B", "C"]


def test_rates_too_far_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="slowest and the fastest of the rates are too far apart: .* steps"):
        reference_of_cycle(protein_decay=50.0, rna_decay=0.01)
