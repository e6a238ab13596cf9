import json

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner

import scmoe.studies.experts._run as regimes_run
from scmoe.cli import app
from scmoe.studies.experts._regimes import halves_of_programs, simulate_regimes, specialization
from scmoe.studies.experts._run import experts_markdown, run_experts


def r2(x, y):
    half = len(x) // 2
    return LinearRegression().fit(x[:half], y[:half]).score(x[half:], y[half:])


def test_each_regime_has_its_own_map():
    mdata = simulate_regimes(4000, 0)
    x, y = mdata["first"].X, mdata["second"].layers["clean"]
    regime = mdata.obs["regime"].to_numpy()
    within = np.mean([r2(x[regime == name], y[regime == name]) for name in np.unique(regime)])
    assert within > 0.5 > 0.2 > r2(x, y)


def test_first_modality_reveals_the_regime():
    mdata = simulate_regimes(1000, 0)
    centers = mdata.obs["regime"].to_numpy()
    means = np.stack([mdata["first"].X[centers == name].mean(axis=0) for name in np.unique(centers)])
    nearest = np.linalg.norm(mdata["first"].X[:, None] - means, axis=2).argmin(axis=1)
    assert (np.unique(centers)[nearest] == centers).mean() > 0.95


def test_simulation_depends_on_the_seed_alone():
    same, other = simulate_regimes(50, 1), simulate_regimes(50, 2)
    np.testing.assert_array_equal(simulate_regimes(50, 1)["second"].X, same["second"].X)
    assert not np.allclose(same["second"].X, other["second"].X)


def test_halves_are_uncorrelated(paired):
    halves = halves_of_programs(paired, 0)
    x, y = halves["first"].X, halves["second"].X
    cross = (x - x.mean(axis=0)).T @ (y - y.mean(axis=0))
    np.testing.assert_allclose(cross, 0, atol=1e-4)
    assert x.shape == y.shape == (120, 15)


def test_data_without_rna_are_refused(paired):
    del paired.mod["rna"]
    with pytest.raises(ValueError, match="a modality with RNA; found adt \\(protein\\)"):
        halves_of_programs(paired, 0)


@pytest.mark.parametrize(
    ("expert", "modality", "regime"),
    [
        (lambda regime, v: np.full(len(regime), v), 1, 0),  # an expert for each modality
        (lambda regime, v: regime, 0, 1),  # one for each regime
        (lambda regime, v: np.zeros_like(regime), 0, 0),
        (lambda regime, v: 2 * regime + v, 1, 1),
    ],
)
def test_specialization_is_information(expert, modality, regime):
    truth = np.arange(400) % 2
    use = {name: np.eye(4)[expert(truth, v)][:, None] for v, name in enumerate(("first", "second"))}
    scores = specialization(use, truth)
    assert (scores["router_modality"], scores["router_regime"]) == pytest.approx((modality, regime), abs=1e-9)


@pytest.fixture
def scored(monkeypatch):
    """Scores without training: the experts' are .1 above the dense layer's, and rise with the seed."""

    def scores(method, mdata, seed):
        value = 0.5 + 0.1 * (method == "scmoe") * (1 + seed)
        return {"first → second: pearson": value, "knn_accuracy": value, "router_regime": value}

    monkeypatch.setattr(regimes_run, "experts_scores", scores)


def test_difference_is_paired_by_seed(scored, tmp_path):
    result = run_experts(tmp_path, seeds=[0, 1, 2])
    row = result["rows"][0]
    assert (row["difference"], row["sd"]) == pytest.approx((0.2, 0.1))
    assert 0.85 < result["ceiling"] < 0.95
    assert json.loads((tmp_path / "experts.json").read_text()) == result
    assert "| first → second: Pearson | 0.700 | 0.500 | +0.200\u00a0±\u00a00.100 |" in experts_markdown(result)


def test_command_compares_programs_of_a_file_too(scored, tmp_path, raw):
    from scmoe.datasets._write import write

    write(raw, tmp_path / "data.h5mu")
    command = ["benchmark", "experts", "--quick", "--data", str(tmp_path / "data.h5mu"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "gene programs of data.h5mu" in done.stdout
    assert (tmp_path / "out" / "experts.md").read_text() in done.stdout


@pytest.mark.slow
def test_scores_of_a_small_simulation(monkeypatch, tiny):
    from scmoe.benchmark.methods._scmoe import VARIANTS, Variant

    monkeypatch.setitem(VARIANTS, "scmoe", Variant(network=tiny))
    scores = regimes_run.experts_scores("scmoe", simulate_regimes(200, 0), 0)
    assert scores["knn_accuracy"] > 0.5
    assert {"second → first: r2", "first → second: pearson_network", "router_modality", "router_regime"} <= set(scores)
