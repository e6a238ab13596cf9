import json
import mmap
import time

import matplotlib.pyplot as plt
import numpy as np
import pytest
from typer.testing import CliRunner

from scmoe.cli import app
from scmoe.studies.scale._data import simulate_cells
from scmoe.studies.scale._memory import anonymous_memory, measured
from scmoe.studies.scale._report import scale_figure, to_markdown
from scmoe.studies.scale._run import run_scale


def test_simulated_cells_have_types_that_genes_and_proteins_tell():
    mdata = simulate_cells(600, 200, 30, seed=0)
    assert mdata["rna"].X.format == "csr"
    assert (mdata["rna"].X.data > 0).all()
    kind = mdata.obs["cell_type"].cat.codes.to_numpy()
    common = np.bincount(kind).argsort()[-2:]
    for values in (mdata["rna"].X.toarray(), mdata["adt"].X):
        first, second = (np.log1p(values[kind == k]).mean(0) for k in common)
        within = np.log1p(values[kind == common[0]]).std(0).mean()
        assert np.abs(first - second).max() > within
    again = simulate_cells(600, 200, 30, seed=0)
    assert (mdata["rna"].X != again["rna"].X).nnz == 0


def test_peaks_of_simulated_cells_follow_the_types_of_the_genes():
    mdata = simulate_cells(600, 200, 0, seed=0, n_peaks=3000)
    assert list(mdata.mod) == ["rna", "atac"]
    peaks = mdata["atac"].X
    assert peaks.format == "csr"
    assert peaks.mean() == pytest.approx(0.06, rel=0.1)
    genes = simulate_cells(600, 200, 30, seed=0)["rna"].X
    assert (genes != mdata["rna"].X).nnz > 0  # other draws
    kind = mdata.obs["cell_type"].cat.codes.to_numpy()
    common = kind == np.bincount(kind).argmax()
    profile = [np.log1p(m.X[common].mean(0)) - np.log1p(m.X[~common].mean(0)) for m in (mdata["rna"], mdata["atac"])]
    noise = [np.abs(np.log1p(m.X[:300].mean(0)) - np.log1p(m.X[300:].mean(0))) for m in (mdata["rna"], mdata["atac"])]
    for difference, chance in zip(profile, noise, strict=True):
        assert np.abs(difference).mean() > 1.5 * chance.mean()


def test_memory_of_a_phase_is_its_peak():
    if np.isnan(anonymous_memory()):
        pytest.skip("the system does not tell the memory in use")
    phases = {}
    with measured(phases, "before"):
        pass
    with measured(phases, "phase"):
        # From the system itself: an array could lie in memory that other tests have given back to the process.
        with mmap.mmap(-1, 240_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            memory.write(b"1" * len(memory))
            time.sleep(0.3)  # or it could be gone before the memory is looked at
    assert phases["phase"]["peak"] - phases["before"]["peak"] > 150
    assert phases["phase"]["wall"] > 0


@pytest.mark.slow
def test_phases_of_small_data_in_memory_and_on_disk(tmp_path):
    result = run_scale(tmp_path, cells=[300], n_genes=60, n_proteins=10)
    assert not result["skipped"]
    memory, disk = result["results"]
    assert list(memory["phases"]) == ["read", "prepare", "train", "embed", "cluster", "impute proteins", "write"]
    assert memory["scores"] == pytest.approx(disk["scores"], abs=1e-6)  # the same data, wherever they lie
    assert json.loads((tmp_path / "scale.json").read_text()) == result
    assert "| 300 | disk | 60 |" in (tmp_path / "scale.md").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "scale.json", "scale.md", "scale.png"}


@pytest.mark.slow
def test_peers_analyze_the_same_data(tmp_path):
    result = run_scale(tmp_path, cells=[300], n_genes=60, n_proteins=10, engines=["scanpy", "totalvi"])
    assert not result["skipped"]
    scanpy, totalvi = result["results"]
    assert list(scanpy["phases"]) == ["read", "prepare", "components", "cluster"]
    assert list(totalvi["phases"]) == ["read", "an epoch"]
    assert 0 < totalvi["epoch"] <= totalvi["phases"]["an epoch"]["cpu"]
    assert 0 < scanpy["scores"]["knn"] <= 1


@pytest.mark.slow
def test_multiome_has_peaks_in_place_of_proteins(tmp_path):
    engines = ["memory", "totalvi", "multivi"]
    result = run_scale(tmp_path, cells=[300], n_genes=60, n_peaks=100, engines=engines, epochs=[1])
    assert [task["engine"] for task in result["skipped"]] == ["totalvi"]
    memory, multivi = result["results"]
    assert list(memory["phases"]) == ["read", "prepare", "train", "embed", "cluster", "write"]
    assert list(multivi["phases"]) == ["read", "an epoch"]
    assert f"| {memory['epoch'] / multivi['epoch']:.2f} |" in (tmp_path / "scale.md").read_text()


def analysis(n_cells, engine, epoch, **phases):
    """A result of one engine: phases by name, each (CPU s, MiB)."""
    each = {name: {"cpu": cpu, "wall": cpu, "peak": peak} for name, (cpu, peak) in phases.items()}
    sizes = {"n_cells": n_cells, "n_genes": 60, "n_proteins": 10, "n_peaks": 0, "csr": 1.0, "start": 100.0}
    return {**sizes, "engine": engine, "phases": each, "scores": {}} | ({} if epoch is None else {"epoch": epoch})


RESULTS = [
    analysis(300, "memory", 3.0, read=(1.0, 110), train=(6.0, 150)),
    analysis(300, "totalvi", 4.0, read=(1.0, 120)),
    analysis(900, "memory", 8.0, read=(2.0, 120), train=(16.0, 300)),
    analysis(900, "scanpy", None, read=(2.0, 130)),
]


def test_epochs_are_compared_at_the_same_number_of_cells():
    result = {"results": RESULTS, "machine": {"processor": "a processor"}}
    totals, epochs, *_ = to_markdown(result).split("\n\n")
    assert [line.split(" | ")[4] for line in totals.splitlines()[2:]] == ["50", "20", "200", "30"]  # above the start
    assert epochs.splitlines()[2:] == [
        "| 300 | memory | 3.00 | 0.75 | – |",
        "| 300 | totalvi | 4.00 | – | – |",
        "| 900 | memory | 8.00 | – | – |",
    ]


def test_figure_has_a_panel_for_each_phase_and_a_color_for_each_engine(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("scmoe.studies.scale._report.save_figure", lambda figure, path: figures.append(figure))
    scale_figure(RESULTS, tmp_path / "scale.png")
    panels = {ax.get_title(): ax for ax in figures[0].axes if ax.get_title()}
    assert list(panels) == ["read", "train", "an epoch", "peak memory"]
    drawn = {
        title: {line.get_label(): [list(line.get_xdata()), list(line.get_ydata())] for line in ax.lines}
        for title, ax in panels.items()
    }
    assert drawn["train"] == {"scmoe, in memory": [[300, 900], [6.0, 16.0]]}
    assert drawn["an epoch"] == {"scmoe, in memory": [[300, 900], [3.0, 8.0]], "totalVI": [[300], [4.0]]}
    assert drawn["peak memory"]["scmoe, in memory"] == [[300, 900], [50.0, 200.0]]
    colors = {line.get_label(): line.get_color() for ax in panels.values() for line in ax.lines}
    assert len(set(colors.values())) == len(colors) == 3
    plt.close(figures[0])


def test_command_refuses_what_are_no_numbers(tmp_path):
    result = CliRunner().invoke(app, ["benchmark", "scale", "--cells", "many", "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "--cells must be whole numbers" in result.output


@pytest.mark.parametrize("cells", [[], [0], [300, 20]])
def test_too_few_cells_are_refused(tmp_path, cells):
    with pytest.raises(ValueError, match="cells must be numbers from 100 on"):
        run_scale(tmp_path / "out", cells=cells)
    assert not (tmp_path / "out").exists()
