import json

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import scmoe.studies.explain._conflict as conflict_run
from scmoe.cli import app
from scmoe.datasets._write import write
from scmoe.model import SCMOE
from scmoe.studies._statistics import mean_interval
from scmoe.studies.explain._conflict import COMPUTE, EXPERTS, MODELS, PARAMETERS, run_conflict, summarize
from scmoe.studies.explain._conflict_report import decision, verdict


@pytest.fixture
def quick(monkeypatch, tiny):
    """Tiny networks and few epochs."""
    dense = {**tiny, "n_experts": 1, "top_k": 1}
    models = {EXPERTS: tiny, COMPUTE: {**dense, "expert_hidden": 32}, PARAMETERS: {**dense, "expert_hidden": 64}}
    monkeypatch.setattr(conflict_run, "MODELS", models)
    monkeypatch.setattr(conflict_run, "EPOCHS_QUICK", (1, 2))
    monkeypatch.setattr(conflict_run, "N_BATCHES", 2)
    monkeypatch.setattr(conflict_run, "BATCH_SIZE", 48)


def test_command_writes_table_and_figure(quick, raw, tmp_path):
    write(raw, tmp_path / "data.h5mu")
    command = ["benchmark", "conflict", "--quick", "--data", str(tmp_path / "data.h5mu"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "conflict.md").read_text() in done.stdout
    assert (tmp_path / "out" / "conflict.png").stat().st_size > 0
    result = json.loads((tmp_path / "out" / "conflict.json").read_text())
    assert result["settings"]["seeds"] == [0]
    assert len(result["rows"]) == 3 * 2 * 4
    for row in result["rows"]:
        assert len(row["cosines"]) == len(row["reference_cosines"]) == 2
        assert row["cosine"] == pytest.approx(np.mean(row["cosines"]))


def test_dense_models_have_equal_compute_and_parameters(paired):
    SCMOE.setup_mudata(paired)
    experts, compute, parameters = (SCMOE(paired, **MODELS[name]) for name in (EXPERTS, COMPUTE, PARAMETERS))
    c = experts.config
    assert compute.config.expert_hidden * compute.config.top_k == c.top_k * c.expert_hidden
    weights = [model.module.blocks[0].moe.experts.w1.numel() for model in (experts, parameters)]
    assert weights[0] == weights[1]


def rows_of(values):
    """Rows of two epochs whose mean is the value of each model and seed."""
    return [
        {
            "model": model,
            "seed": seed,
            "epoch": epoch,
            "definition": definition,
            **dict.fromkeys((*conflict_run.MEASURES, *conflict_run.REFERENCES, "loss"), value + shift),
        }
        for definition in ("target", "source", "token", "task")
        for model, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
        for epoch, shift in ((1, -0.1), (2, 0.1))
    ]


def test_difference_is_paired_by_seed():
    rows = rows_of({EXPERTS: [0.3, 0.5, 0.7], COMPUTE: [0.1, 0.3, 0.5], PARAMETERS: [0.6, 0.2, 0.7]})
    summary = summarize(rows)
    first = {line["model"]: line for line in summary if line["definition"] == "target"}
    assert first[EXPERTS]["cosine"] == pytest.approx(0.5)
    assert "difference" not in first[EXPERTS]
    assert first[COMPUTE]["difference"] == pytest.approx(0.2)
    assert first[COMPUTE]["interval"] == pytest.approx([0.2, 0.2])
    text = verdict({"rows": rows, "summary": summary})
    assert "Not in general.** yes: target against dense, equal compute (+0.200), source" in text
    assert "not decided: target against dense, equal parameters (+0.000)" in text
    assert "differ by at most 100.0 % after the same epoch" in text  # 0.4 and 0.2 after the first


def test_one_seed_decides_nothing():
    rows = rows_of({EXPERTS: [0.5], COMPUTE: [0.2], PARAMETERS: [0.3]})
    assert "says? Not decided.**" in verdict({"rows": rows, "summary": summarize(rows)})


def test_interval_is_that_of_scipy():
    values = np.array([0.1, 0.4, 0.3])
    mean, interval = mean_interval(values)
    expected = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
    assert (mean, *interval) == pytest.approx((values.mean(), *expected))
    assert mean_interval(values[:1]) == (0.1, None)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [([0.1, 0.2], "yes"), ([-0.2, -0.1], "no, the opposite"), ([-0.1, 0.1], "not decided"), (None, "not decided")],
)
def test_decision(interval, expected):
    assert decision(interval) == expected


def test_one_modality_is_refused(single, tmp_path):
    write(single, tmp_path / "data.h5mu")
    with pytest.raises(ValueError, match="at least two modalities; found rna alone"):
        run_conflict(tmp_path / "out", data=tmp_path / "data.h5mu")


def test_no_seed_is_refused(tmp_path):
    with pytest.raises(ValueError, match="seeds must name at least one"):
        run_conflict(tmp_path, seeds=[])
