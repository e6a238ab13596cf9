"""Reference models: gates, files of Cell Ranger, levels of types, and the study on small cells."""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from typer.testing import CliRunner

import scmoe
from scmoe._keys import UNKNOWN_LABEL
from scmoe.cli import app
from scmoe.datasets._bundled import bmmc_cite
from scmoe.io._quiet import quiet_mudata
from scmoe.studies.reference._gates import gate, threshold
from scmoe.studies.reference._recipe import table_labels
from scmoe.studies.reference._rival import logistic_regression
from scmoe.studies.reference._run import label_rows
from scmoe.studies.reference._ten_x import write_10x_h5
from scmoe.studies.reference._types import LINEAGES, OTHER, TYPES, at_level, summed

PROTEINS = ["CD3", "CD4", "CD8a", "CD14", "CD16", "CD19", "CD56", "CD45RA", "CD45RO"]
POSITIVE = {
    "CD4 naive": ["CD3", "CD4", "CD45RA"],
    "CD4 memory": ["CD3", "CD4", "CD45RO"],
    "CD8 naive": ["CD3", "CD8a", "CD45RA"],
    "CD8 memory/effector": ["CD3", "CD8a", "CD45RO"],
    "NK": ["CD56", "CD16", "CD45RA"],
    "B": ["CD19", "CD45RA"],
    "CD14 mono": ["CD14", "CD4", "CD45RO"],
    "CD16 mono": ["CD16", "CD45RO"],
    UNKNOWN_LABEL: ["CD3", "CD19"],
}


@pytest.fixture
def blood():
    """Cells of each gate, with genes of the bundled cells."""
    rng = np.random.default_rng(0)
    types = np.repeat(list(POSITIVE), 25)
    rate = np.array([[400 if name in POSITIVE[kind] else 8 for name in PROTEINS] for kind in types])
    cells = [f"c{i}" for i in range(len(types))]
    adt = AnnData(rng.poisson(rate).astype(np.float32), obs=pd.DataFrame(index=cells))
    adt.var_names = PROTEINS
    genes = bmmc_cite()["rna"].var_names[:300]
    counts = sparse.csr_matrix(rng.poisson(0.3, size=(len(cells), len(genes))).astype(np.float32))
    rna = AnnData(counts, obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=genes))
    with quiet_mudata():
        mdata = MuData({"rna": rna, "adt": adt})
    mdata.obs["truth"] = types
    return mdata


def test_gates_find_the_cells_that_were_planted(blood):
    assert (gate(blood) == blood.obs["truth"]).all()
    blood.mod["adt"].var_names = [f"{name}_TotalSeqB" for name in PROTEINS]
    assert (gate(blood) == blood.obs["truth"]).all()
    blood.mod["adt"] = blood["adt"][:, :5].copy()
    with pytest.raises(KeyError, match="lacks cd19, cd45ra, cd45ro, cd56"):
        gate(blood)


def test_a_threshold_lies_between_two_groups():
    rng = np.random.default_rng(0)
    assert -1 < threshold(np.concatenate([rng.normal(-3, 0.5, 300), rng.normal(3, 0.5, 100)])) < 2


def test_a_file_of_cell_ranger_holds_the_same_counts(blood, tmp_path):
    write_10x_h5(blood, tmp_path / "a.h5")
    mdata = scmoe.datasets.read(tmp_path / "a.h5")
    assert mdata["adt"].var_names.tolist() == [f"{name}_TotalSeqB" for name in PROTEINS]
    assert mdata.obs_names.tolist() == blood.obs_names.tolist()
    for name in ("rna", "adt"):
        here, there = (sparse.csr_matrix(each[name].X).toarray() for each in (mdata, blood))
        assert np.array_equal(here, there)


def test_every_shared_label_is_one_of_the_reference():
    labels = set(bmmc_cite().obs["coarse_type"])
    assert set(TYPES) <= labels and set(TYPES.values()) == set(LINEAGES)
    assert at_level(["NK", "pDC"], "lineages", is_reference=True) == ["NK", OTHER]
    assert at_level(["CD8 naive"], "lineages", is_reference=False) == ["T"]


def test_probabilities_of_parts_are_added():
    values, names = summed(np.array([[0.2, 0.3, 0.5]]), ["B", "T", "B"])
    assert names == ["B", "T"] and np.allclose(values, [[0.7, 0.3]])


def test_scores_are_those_of_cells_with_a_type():
    truth = pd.Series(["NK", "B", "CD4 naive", UNKNOWN_LABEL])
    probability = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.4, 0.6], [1.0, 0.0, 0.0]])
    types, lineages = label_rows(probability, ["NK", "B naive", "CD8+ T naive"], truth, np.array([1, 1, 0, 1], bool))
    assert types["accuracy"] == pytest.approx(2 / 3) and types["accuracy_kept"] == 1
    assert lineages["accuracy"] == 1 and lineages["ece"] == pytest.approx((0.1 + 0.2 + 0.4) / 3)


def test_labels_of_a_table_are_those_of_its_barcodes(tmp_path):
    pd.DataFrame({"barcode": ["b", "a"], "cell_type": ["unassigned", "NK"]}).to_csv(tmp_path / "t.csv", index=False)
    assert table_labels(tmp_path / "t.csv", pd.Index(["a", "b", "c"])).tolist() == ["NK", UNKNOWN_LABEL, UNKNOWN_LABEL]
    pd.DataFrame({"cell": ["b"]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(KeyError, match="it lacks barcode, cell_type"):
        table_labels(tmp_path / "t.csv", pd.Index(["a"]))


def test_the_rival_knows_the_panel_of_the_query():
    reference = bmmc_cite()
    query = reference[:100].copy()
    query.mod["adt"] = query["adt"][:, ["CD3", "CD19", "CD8", "CD14", "CD4"]].copy()
    query.mod["adt"].var_names = ["CD3_TotalSeqB", "CD19", "CD8a_TotalSeqB", "CD14", "CD4"]
    probability, names = logistic_regression(reference, query, "lineage", ["adt"])
    predicted = np.array(names)[probability.argmax(1)]
    assert (predicted == reference.obs["lineage"].astype(str)[:100]).mean() > 0.8


@pytest.mark.slow
def test_the_study_runs(blood, tmp_path, monkeypatch):
    monkeypatch.setattr("scmoe.model._training.default_epochs", lambda *_: 1)
    scmoe.datasets.write(blood, tmp_path / "blood.h5mu")
    arguments = ["benchmark", "reference", "--data", str(tmp_path / "blood.h5mu"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--seeds", "1"])
    assert result.exit_code == 0, result.stderr
    table = json.loads((tmp_path / "out" / "reference.json").read_text())
    assert {(row["panel"], row["method"], row["level"]) for row in table["rows"]} == {
        (panel, method, level)
        for panel in ("RNA and proteins", "RNA", "proteins")
        for method in ("scmoe, as it ships", "scmoe, seed 1", "logistic regression")
        for level in ("types", "lineages")
    }
    assert table["settings"]["n_labeled"] == 200 and result.stdout.count("| RNA |") == 3


@pytest.mark.slow
def test_the_blood_reference_is_trained_from_a_file(blood, tmp_path, monkeypatch):
    monkeypatch.setattr("scmoe.model._training.default_epochs", lambda *_: 1)
    scmoe.datasets.write(blood, tmp_path / "blood.h5mu")
    arguments = ["benchmark", "train-reference", "pbmc10k_cite", "-o", str(tmp_path / "model")]
    for more in ([], ["--overwrite"]):
        result = CliRunner().invoke(app, [*arguments, "--data", str(tmp_path / "blood.h5mu"), *more])
        assert result.exit_code == 0, result.stderr
    model = scmoe.model.SCMOE.load(tmp_path / "model")
    assert set(model.setup.labels) == set(LINEAGES) and model.about_["license"] == "other"
    result = CliRunner().invoke(
        app, ["benchmark", "train-reference", "bmmc_cite", "-o", str(tmp_path), "--data", "x.h5"]
    )
    assert result.exit_code == 1 and "made of bundled cells" in result.stderr
