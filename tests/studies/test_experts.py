"""The study of experts: what is planned, scored and said. Trainings are replaced, but for one."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

import scmoe.studies.experts._run as run
from scmoe.cli import app
from scmoe.datasets._write import write
from scmoe.nn._config import NetworkConfig
from scmoe.studies.experts._arms import ARMS, CONTROLS, DEFAULT, DENSE_ACTIVE, DENSE_TOTAL, LARGER, MIXTURES, Arm
from scmoe.studies.experts._claims import POOLED, SCORES, comparisons, detectable, holm, paired_test, pays
from scmoe.studies.experts._plan import (
    SCREENING_SEEDS,
    SIMULATIONS,
    Source,
    choose,
    confirmation,
    screening,
    time_factors,
    timed,
)
from scmoe.studies.experts._regimes import simulate_regimes
from scmoe.studies.experts._scores import information, run_scores, shared_neighbors
from scmoe.studies.experts._tables import sections

REAL = ("a", "b", "c")
SOURCES = [*(Source(name=name, path=f"{name}.h5mu") for name in REAL), *(Source(name=name) for name in SIMULATIONS)]
IS_REAL = {source.name: source.is_real for source in SOURCES}


def made_up(tasks, better=None, gain=0.0):
    """Results whose scores are noise, but for a mixture that is better."""
    rng = np.random.default_rng(0)
    rows = []
    for task in tasks:
        scores = {name: 0.5 + gain * (task.arm == better) + 0.001 * rng.normal() for name in SCORES}
        seconds = {DENSE_ACTIVE: 5.0, DENSE_TOTAL: 20.0, better: 12.0}.get(task.arm, 10.0)
        rows.append({**task.labels(), **scores, "seconds": seconds})
    return rows


def confirmed(better, gain, n_seeds=5):
    tasks = confirmation(SOURCES, range(n_seeds), 10, [better], dict.fromkeys(CONTROLS, 0.5))
    return comparisons(made_up(tasks, better, gain), [DEFAULT, better], IS_REAL)


def total_width(arm: Arm) -> int:
    config = NetworkConfig(**arm.network)
    return config.n_layers * config.n_experts * config.expert_hidden


def test_mixtures_that_can_be_chosen_are_no_larger_than_the_dense_control():
    assert total_width(ARMS[DENSE_TOTAL]) == total_width(ARMS[DEFAULT]) == 1024
    assert {name for name, arm in MIXTURES.items() if total_width(arm) > 1024} == set(LARGER)
    assert total_width(ARMS[DENSE_ACTIVE]) == NetworkConfig().top_k * NetworkConfig().expert_hidden


def test_names_of_tasks_are_names_of_different_files():
    plan = [
        *screening(SOURCES, SCREENING_SEEDS, 10),
        *confirmation(SOURCES, range(5), 10, list(MIXTURES)[1:4], dict.fromkeys(CONTROLS, 0.5)),
    ]
    names = [task.name for task in plan]
    assert len(set(names)) == len(names) == len({task.key for task in plan})
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") for name in names)
    assert not set(SCREENING_SEEDS) & set(range(5))


def test_screening_chooses_what_is_ahead_and_no_larger_network():
    tasks = list(screening(SOURCES, SCREENING_SEEDS, 10))
    assert choose(made_up(tasks, "balance: none", 0.1))[0] == "balance: none"
    chosen = choose(made_up(tasks, "64 experts", 0.1))
    assert len(chosen) == 3 and not {"64 experts", DEFAULT} & set(chosen)


def test_equal_time_is_that_of_the_slowest_mixture():
    results = made_up(screening(SOURCES, SCREENING_SEEDS, 10), "2 experts")
    assert time_factors(results, ["2 experts"]) == {DENSE_ACTIVE: 2.4, DENSE_TOTAL: 0.6}
    assert time_factors(results, []) == {DENSE_ACTIVE: 2.0, DENSE_TOTAL: 0.5}


def test_paired_test_is_student_s():
    sample = [0.1, 0.3, 0.2, 0.5, 0.1]
    result = paired_test(sample, 0.0)
    slow = stats.ttest_1samp(sample, 0)
    assert result["p"] == pytest.approx(slow.pvalue)
    assert result["interval"] == pytest.approx(list(slow.confidence_interval(0.95)))
    widened = paired_test(sample, 0.25)["interval"]
    assert np.ptp(widened) == pytest.approx(np.ptp(result["interval"]) * np.sqrt(1 + 5 * 0.25))


def test_what_is_detectable_is_detected_with_that_probability():
    rng = np.random.default_rng(0)
    samples = detectable(5) / np.sqrt(5) + rng.normal(size=(4000, 5))
    assert (stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("p", [[0.01, 0.04, 0.03, 0.5], [0.2, 0.001], [1.0]])
def test_holm(p):
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_a_mixture_pays_where_it_is_ahead_by_the_margin():
    assert pays(confirmed("balance: none", 0.05)) == {"balance: none": list(REAL)}
    assert pays(confirmed("balance: none", 0.0)) == {}
    assert pays(confirmed("balance: none", 0.005)) == {"balance: none": []}  # ahead, and not by what matters


def test_primary_comparisons_are_at_equal_time_and_total_size():
    rows = [row for row in confirmed("balance: none", 0.0) if row["is_primary"]]
    assert {row["control"] for row in rows} == {timed(DENSE_TOTAL)}
    assert len(rows) == 2 * 2 * (len(SOURCES) + 1)
    pooled = [row for row in rows if row["source"] == POOLED]
    assert [row["p_holm"] for row in pooled] == pytest.approx(holm([row["p"] for row in pooled]))


def test_nothing_is_decided_by_a_part_of_the_runs():
    table = {"results": [], "n_planned": 9, "hours": 0.0, "comparisons": []}
    assert "not finished: 0 of 9 runs" in sections(table)["experts_verdict"]


def test_neighbors_in_the_same_space_are_all_shared():
    points = np.random.default_rng(0).normal(size=(41, 3))
    of = np.arange(41) < 7
    assert shared_neighbors(points, points, of) == pytest.approx([1 - 10 / 40] * 7)
    by_chance = shared_neighbors(points, np.random.default_rng(1).normal(size=(41, 3)), np.ones(41, bool))
    assert np.mean(by_chance) == pytest.approx(0, abs=0.06)


def test_information_of_experts_that_are_tied_to_types_or_modalities():
    types = np.arange(40) % 2
    by_type = {name: np.eye(4)[types][:, None] for name in ("rna", "adt")}
    by_modality = {name: np.eye(4)[np.full(40, v)][:, None] for v, name in enumerate(("rna", "adt"))}
    assert information(by_type, types) == pytest.approx({"router_modality": 0, "router_type": np.log(2)}, abs=1e-9)
    assert information(by_modality, types) == pytest.approx({"router_modality": np.log(2), "router_type": 0}, abs=1e-9)


@pytest.fixture
def scored(monkeypatch):
    """Trainings that take no time; calls are counted."""
    calls = []

    def scores(mdata, arm, seed, more_epochs):
        calls.append((arm, seed, more_epochs))
        value = dict.fromkeys(SCORES, 0.5 + 0.001 * seed)
        router = dict.fromkeys([f"router_{a}{b}" for a in ("type", "modality") for b in ("", "_untrained")], 0.1)
        return {**value, **router, "router_entropy": 0.9, "top_experts": [0, 1, 0], "seconds": 1.0, "n_cells": 9}

    monkeypatch.setattr(run, "run_scores", scores)
    return calls


def test_command_goes_on_where_it_stopped(scored, tmp_path, raw):
    write(raw, tmp_path / "data.h5mu")
    command = ["benchmark", "experts", "--quick", "-o", str(tmp_path / "out")]
    command += ["--data", str(tmp_path / "data.h5mu"), "--labels", "cell_type"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    n_runs = len(scored)
    assert n_runs == len(ARMS) * 2 + 6 * 5
    table = json.loads((tmp_path / "out" / "experts.json").read_text())
    assert len(table["results"]) == table["n_planned"] == n_runs
    next((tmp_path / "out" / "runs").iterdir()).unlink()
    assert CliRunner().invoke(app, command).exit_code == 0
    assert len(scored) == n_runs + 1


def test_files_and_columns_pair_up(tmp_path):
    with pytest.raises(ValueError, match="found 1 file"):
        run.run_experts(tmp_path, data=["a.h5mu"])


@pytest.mark.slow
def test_scores_of_a_small_simulation(tiny):
    mdata = simulate_regimes(200, 0, 2)
    mdata.obs["group"] = mdata.obs["regime"]
    scores = run_scores(mdata, Arm(network=tiny), 0, 0.5)
    assert scores["n_epochs"] == 30
    assert {"router_type_untrained", "pearson_network", "macro_f1_states", *SCORES} <= set(scores)
    assert scores["macro_f1"] > 0.8 and len(scores["top_experts"]) == 2 * 200
    assert pd.Series(scores["top_experts"]).isin(range(8)).all()


@pytest.mark.slow
def test_one_regime_has_no_labels_to_score(tiny):
    mdata = simulate_regimes(100, 0, 1)
    mdata.obs["group"] = mdata.obs["regime"]
    scores = run_scores(mdata, Arm(network=tiny), 0, 0.1)
    assert np.isnan([scores["macro_f1"], scores["macro_f1_states"]]).all()
    assert np.isfinite(scores["pearson"]) and scores["router_type"] == pytest.approx(0)


def test_a_score_that_cannot_be_had_is_not_compared():
    tasks = list(confirmation(SOURCES, range(3), 10, ["balance: none"], dict.fromkeys(CONTROLS, 0.5)))
    results = made_up(tasks, "balance: none")
    for row in results:
        if row["source"] == SOURCES[-1].name:
            row["macro_f1"] = float("nan")
    rows = comparisons(results, ["balance: none"], IS_REAL)
    assert {row["source"] for row in rows if row["score"] == "macro_f1"} == {POOLED, *IS_REAL} - {SOURCES[-1].name}
