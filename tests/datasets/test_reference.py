"""The model that comes with the package."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import scmoe
from scmoe.cli import app
from scmoe.datasets._reference import reference_folder
from scmoe.model._folder import FORMAT, read_settings

LARGEST = 3_000_000
"""Bytes that a model in the wheel may have."""
MEAN_CONFIDENCE = 0.9886
"""In its training cells; to be measured again when the model is trained again."""


@pytest.fixture(scope="module")
def cells():
    mdata = scmoe.datasets.bmmc_cite()
    scmoe.pp.prepare(mdata)
    return mdata


def test_files_are_small_and_of_the_present_format():
    folder = reference_folder("bmmc_cite")
    assert sum(path.stat().st_size for path in folder.iterdir()) < LARGEST
    assert {path.name for path in folder.iterdir()} == {"settings.json", "weights.safetensors", "README.md"}
    assert read_settings(folder)["format"] == FORMAT
    assert "MIT" in (folder / "README.md").read_text(encoding="utf-8")


def test_labels_are_those_of_the_training_cells(cells):
    model = scmoe.datasets.reference("bmmc_cite")
    assert set(model.setup.labels) == set(cells.obs["coarse_type"])
    assert (model.predict(cells) == cells.obs["coarse_type"].astype(str)).mean() > 0.95
    assert model.about_["license"] == "mit"


def test_results_are_those_of_the_code_that_trained_it(cells):
    """A change of the network or of its readouts that makes other numbers of old weights breaks models of users."""
    annotation = scmoe.datasets.reference("bmmc_cite").get_annotation(cells)
    best = annotation.probability.max(1)
    assert best.mean() == pytest.approx(MEAN_CONFIDENCE, abs=2e-3)
    assert np.median(annotation.unknown_score) == pytest.approx(0.5, abs=0.05)


def test_a_query_with_few_antibodies_and_genes_keeps_its_lineage(cells):
    model = scmoe.datasets.reference("bmmc_cite")
    query = scmoe.datasets.bmmc_cite()
    some = ["CD3", "CD19", "CD14", "CD56", "CD71", "CD4", "CD8"]
    query.mod["adt"] = query["adt"][:, some].copy()
    query.mod["adt"].var_names = [f"{name}_TotalSeqB" for name in some]
    query.mod["rna"] = query["rna"][:, ::4].copy()
    scmoe.pp.prepare(query)
    lineage = cells.obs.drop_duplicates("coarse_type").set_index("coarse_type")["lineage"]
    predicted = lineage[model.predict(query)].astype(str).to_numpy()
    assert (predicted == cells.obs["lineage"].astype(str)).mean() > 0.9


def test_genes_of_a_mouse_are_refused():
    model = scmoe.datasets.reference("bmmc_cite")
    query = scmoe.datasets.bmmc_cite()[:30].copy()
    query.mod["rna"].var_names = query["rna"].var_names.str.capitalize()
    del query.mod["rna"].var["gene_ids"]
    scmoe.pp.prepare(query)
    with pytest.raises(ValueError, match="symbols of human .* and mouse"):
        model.predict(query)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("bmmc_cit", "no reference model 'bmmc_cit'; there is 'bmmc_cite'. Did you mean 'bmmc_cite'"),
        ("pbmc10k_cite", "scmoe benchmark train-reference pbmc10k_cite"),
        ("atlas", r"there is 'bmmc_cite'\.$"),
    ],
)
def test_other_names_are_no_models(name, match):
    with pytest.raises(ValueError, match=match):
        scmoe.datasets.reference(name)


def test_commands_take_its_name(tmp_path: Path):
    scmoe.datasets.write(scmoe.datasets.bmmc_cite()[:40].copy(), tmp_path / "cells.h5mu")
    output = tmp_path / "out.h5mu"
    arguments = [str(tmp_path / "cells.h5mu"), "--model", "bmmc_cite", "-o", str(output)]
    result = CliRunner().invoke(app, ["annotate", *arguments])
    assert result.exit_code == 0, result.stderr
    assert scmoe.datasets.read(output).obs["scmoe_label"].notna().all()
    result = CliRunner().invoke(app, ["annotate", *arguments[:2], "bmc_cite", *arguments[3:], "--overwrite"])
    assert result.exit_code == 1 and "There is no model folder bmc_cite." in result.stderr
    assert "Did you mean bmmc_cite?" in result.stderr


def test_a_folder_of_the_same_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bmmc_cite").mkdir()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["model", "info", "bmmc_cite"])
    assert result.exit_code == 1 and "is not a model folder" in result.stderr
