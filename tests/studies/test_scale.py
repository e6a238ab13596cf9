import json

import numpy as np
import pytest
from typer.testing import CliRunner

from scmoe.cli import app
from scmoe.studies.scale._data import simulate_cells
from scmoe.studies.scale._memory import measured
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


def test_memory_of_a_phase_is_its_peak():
    phases = {}
    with measured(phases, "before"):
        pass
    with measured(phases, "phase"):
        np.ones(30_000_000).sum()  # 240 MB, given back at once
    if np.isnan(phases["phase"]["peak"]):
        pytest.skip("the system does not tell the memory in use")
    assert 150 < phases["phase"]["peak"] - phases["before"]["peak"] < 400
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
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "scale.json", "scale.md"}


@pytest.mark.slow
def test_peers_analyze_the_same_data(tmp_path):
    result = run_scale(tmp_path, cells=[300], n_genes=60, n_proteins=10, engines=["scanpy", "totalvi"])
    assert not result["skipped"]
    scanpy, totalvi = result["results"]
    assert list(scanpy["phases"]) == ["read", "prepare", "components", "cluster"]
    assert list(totalvi["phases"]) == ["read", "train"]
    assert 0 < scanpy["scores"]["knn"] <= 1


def test_command_refuses_what_are_no_numbers(tmp_path):
    result = CliRunner().invoke(app, ["benchmark", "scale", "--cells", "many", "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "--cells must be whole numbers" in result.output


@pytest.mark.parametrize("cells", [[], [0], [300, 20]])
def test_too_few_cells_are_refused(tmp_path, cells):
    with pytest.raises(ValueError, match="cells must be numbers from 100 on"):
        run_scale(tmp_path / "out", cells=cells)
    assert not (tmp_path / "out").exists()
