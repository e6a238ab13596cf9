import json
import time

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import scmoe.studies.speed._run
from scmoe.cli import app
from scmoe.datasets._write import write
from scmoe.studies._run import single_thread
from scmoe.studies.speed._data import simulate
from scmoe.studies.speed._engine import LoopExperts, make_experts, make_routing
from scmoe.studies.speed._memory import peak, reset_peak
from scmoe.studies.speed._run import measure_speed, to_markdown
from scmoe.studies.speed._timing import Row, Settings, compare, interleaved
from scmoe.studies.speed._training import DenseMoE

TINY = Settings(
    rounds=2,
    shapes=((32, 4),),
    skewed_tokens=64,
    step_features=20,
    step_batch=16,
    sparse_features=(60,),
    sparse_batch=50,
    cite_shape=(200, 40, 10),
    peaks_shape=(200, 30, 50),
    epochs=1,
    trainings=1,
    memory_cells=(100, 200),
    gpu_cells=(8,),
)
SECTIONS = ["engine", "training step", "trainer", "loading", "an epoch, 128 cells a batch", "memory", "GPU"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("speed")


@pytest.fixture(scope="module")
def result(folder):
    threads = torch.get_num_threads()
    result = measure_speed(folder, TINY)
    assert torch.get_num_threads() == threads
    return result


@pytest.mark.slow
def test_json_holds_every_section_in_order(result, folder):
    assert json.loads((folder / "speed.json").read_text()) == result
    assert list(dict.fromkeys(row["section"] for row in result["rows"])) == SECTIONS
    assert {"rows", "machine", "versions", "rounds", "data", "seconds"} == set(result)


@pytest.mark.slow
def test_every_row_is_measured_or_says_why_not(result):
    for row in result["rows"]:
        assert set(row) == {*Row.__dataclass_fields__, "passed"}
        assert row["result"] is not None or row["scmoe"] is not None or row["note"]
        if row["low"] is not None:
            assert row["low"] <= row["result"] <= row["high"]


@pytest.mark.slow
def test_baselines_are_in_the_table(result, folder):
    text = (folder / "speed.md").read_text()
    assert text == to_markdown(result)
    for name in ("dense layer", "loop over experts", "bare loop", "toarray", "totalVI", "MultiVI", "per 1000 cells"):
        assert name in text


def test_functions_run_in_turn():
    calls = []
    samples = interleaved(
        {name: lambda name=name: (calls.append(name), time.sleep(0.03)) for name in "abc"}, 3, time.perf_counter
    )
    assert "".join(calls) == "aabbcc" + "abc" * 3
    assert [len(sample) for sample in samples.values()] == [3, 3, 3]


def test_short_functions_are_repeated_within_a_sample():
    ticks = iter(np.arange(1000))
    calls = []
    samples = interleaved({"a": lambda: calls.append("a")}, 2, lambda: 0.002 * next(ticks))
    assert len(calls) == 2 + 2 * 10  # of 0.002 s each, for samples of 0.02 s
    assert samples["a"] == pytest.approx([0.0002, 0.0002])


@pytest.mark.parametrize("measure", ["ratio", "difference"])
def test_medians_and_quartiles_are_of_paired_rounds(measure):
    rng = np.random.default_rng(0)
    ours, theirs = rng.uniform(1, 2, (2, 21))
    row = compare("s", "c", ours, theirs, "b", measure=measure, unit="ms")
    paired = ours / theirs if measure == "ratio" else 1e3 * (ours - theirs)
    np.testing.assert_allclose([row.low, row.result, row.high], np.percentile(paired, [25, 50, 75]))
    np.testing.assert_allclose([row.scmoe, row.baseline], [1e3 * np.median(ours), 1e3 * np.median(theirs)])


@pytest.mark.parametrize(("bar", "passed", "text"), [(1.0, False, "missed"), (3.0, True, "met"), (None, None, "")])
def test_bar(bar, passed, text):
    row = compare("s", "c", [2.0], [1.0], "b", bar=bar)
    assert row.passed is passed
    assert text in scmoe.studies.speed._run._cells(row.to_dict())[-1]


def test_single_thread_is_undone_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), single_thread():
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_loop_computes_what_the_engine_computes():
    torch.manual_seed(0)
    experts, routing, x = make_experts(4), make_routing(50, 4, zipf=True), torch.randn(50, 64)
    torch.testing.assert_close(LoopExperts(experts)(x, routing), experts(x, routing))


def test_zipf_routing_is_skewed_and_without_repeats():
    torch.manual_seed(0)
    expert = make_routing(2000, 8, zipf=True).expert
    assert (expert[:, 0] != expert[:, 1]).all()
    assert (np.diff(torch.bincount(expert.flatten())) < 0).all()


def test_dense_layer_has_the_active_size_of_the_experts():
    experts, dense = make_experts(16), DenseMoE()
    active = 2 * sum(weight[0].numel() for weight in (experts.w1, experts.w2))
    assert sum(p.numel() for p in dense.parameters() if p.ndim > 1) == active
    assert dense(torch.randn(5, 64), torch.zeros(5))[0].shape == (5, 64)


def test_simulated_counts_have_the_density_asked_for():
    mdata = simulate(50, genes=200, proteins=5, peaks=100, density=0.1)
    assert mdata["rna"].X.nnz == 50 * 20 and mdata["atac"].X.nnz == 50 * 10
    assert mdata["rna"].X.has_sorted_indices and mdata["rna"].X.min() >= 0
    np.testing.assert_array_equal(simulate(50, genes=200)["rna"].X.data, simulate(50, genes=200)["rna"].X.data)


def test_peak_counts_from_the_reset():
    reset_peak()
    before = peak()
    block = np.ones(400 * 2**20, np.uint8)
    assert 100 < peak() - before < 600  # other memory may be given back meanwhile
    del block


def test_gpu_row_compares_precisions(monkeypatch):
    calls = []

    def seconds(function, rounds):
        calls.append(function())  # on the CPU here
        return [0.001 * len(calls)] * rounds

    monkeypatch.setattr(scmoe.studies.speed._gpu, "cuda_seconds", seconds)
    (row,) = scmoe.studies.speed._gpu._batch(4, torch.device("cpu"), 3, flops=1e12, bandwidth=1e11)
    assert (row.baseline, row.scmoe, row.result) == pytest.approx((1, 2, 2))  # float32 first, then bfloat16
    assert "of peak bf16" in row.note


def test_command_writes_and_prints_the_table(tmp_path, monkeypatch):
    row = compare("engine", "T=1", [1.0], [1.0], "dense")
    monkeypatch.setattr(scmoe.studies.speed._run, "_measure", lambda *_: [row])
    done = CliRunner().invoke(app, ["benchmark", "speed", "--quick", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "out" / "speed.md").read_text() in done.stdout


def test_data_need_both_modalities(tmp_path, monkeypatch):
    write(simulate(10, genes=20), tmp_path / "rna.h5mu")
    monkeypatch.setattr(scmoe.studies.speed._run, "_measure", lambda *_: pytest.fail("measured"))
    done = CliRunner().invoke(app, ["benchmark", "speed", "--data", str(tmp_path / "rna.h5mu"), "-o", str(tmp_path)])
    assert done.exit_code == 1
    assert "rna and adt" in done.stderr
