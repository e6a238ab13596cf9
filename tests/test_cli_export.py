"""`scmoe export`, and `scmoe annotate --levels`."""

import pandas as pd
import pytest
from typer.testing import CliRunner

import scmoe
from scmoe.cli import app
from scmoe.datasets._write import write


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fresh, tl_train):
    folder = tmp_path_factory.mktemp("cli_export")
    mdata = fresh("paired")
    model = tl_train(mdata, labels_key="cell_type", umap=True)
    write(mdata, folder / "result.h5mu")
    model.save(folder / "model")
    write(fresh("paired"), folder / "new.h5mu")
    return folder


@pytest.mark.parametrize(("to", "name"), [("seurat", "x.h5ad"), ("vitessce", "v"), ("csv", "c")])
def test_results_are_exported_and_not_replaced(folder, tmp_path, to, name):
    path = tmp_path / name
    result = run("export", folder / "result.h5mu", "--to", to, "-o", path)
    assert result.exit_code == 0, result.output
    assert path.exists() and f"Written to {path}" in result.output.replace("\n", "")
    again = run("export", folder / "result.h5mu", "--to", to, "-o", path)
    assert again.exit_code == 1 and "Pass --overwrite" in " ".join(again.output.split())
    assert run("export", folder / "result.h5mu", "--to", to, "-o", path, "--overwrite").exit_code == 0


def test_what_cellxgene_misses_is_printed_and_set(folder, tmp_path):
    out = tmp_path / "x.h5ad"
    result = run("export", folder / "result.h5mu", "--to", "cellxgene", "-o", out, "--set", "title=Bone marrow, CITE")
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "obs['donor_id'] is missing" in text and "--set donor_id=" in text and "uns['title']" not in text
    assert scmoe.datasets.read(out)["rna"].uns["title"] == "Bone marrow, CITE"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "title"], "--set must look like"),
        (["--modality", "atac"], "no modality 'atac'"),
        (["--key", "other"], "no results of scmoe under the name 'other'"),
    ],
)
def test_wrong_options_are_refused(folder, tmp_path, arguments, message):
    result = run("export", folder / "result.h5mu", "--to", "cellxgene", "-o", tmp_path / "x.h5ad", *arguments)
    assert result.exit_code == 1 and message in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


def test_a_file_without_results_is_refused(folder, tmp_path):
    result = run("export", folder / "new.h5mu", "--to", "csv", "-o", tmp_path / "x")
    assert result.exit_code == 1 and "Train first" in result.output


def test_labels_come_with_levels(folder, tmp_path):
    pd.DataFrame({"lineage": ["lymphoid, T/NK", "lymphoid, T/NK", "B cells"], "type": ["T", "NK", "B"]}).to_csv(
        tmp_path / "levels.csv", index=False
    )
    out = tmp_path / "out.h5mu"
    options = ["--model", folder / "model", "-o", out, "--levels", tmp_path / "levels.csv"]
    result = run("annotate", folder / "new.h5mu", *options, "--level-confidence", 0.6)
    assert result.exit_code == 0, result.output
    obs = scmoe.datasets.read(out).obs
    assert set(obs["scmoe_label_rollup_level"].astype(str)) <= {"type", "lineage", "Unknown"}
    assert (obs["scmoe_label_rollup_confidence"] >= 0.6 - 1e-6)[
        obs["scmoe_label_rollup"].astype(str) != "Unknown"
    ].all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lineage,type\na,T\n", "must have all labels of the model; 2 of 3 are not there: B, NK"),
        ("lineage,type\na,T\nb,T\na,B\na,NK\n", "must be a tree: 'T' (type) is in 'a' and 'b'"),
        ("", "is no table of names"),
        (None, "There is no table"),
    ],
)
def test_tables_of_levels_that_are_none_are_refused(folder, tmp_path, text, message):
    path = tmp_path / "levels.csv"
    if text is not None:
        path.write_text(text)
    result = run(
        "annotate", folder / "new.h5mu", "--model", folder / "model", "-o", tmp_path / "x.h5mu", "--levels", path
    )
    assert result.exit_code == 1 and message in " ".join(result.output.split()), result.output
    assert not (tmp_path / "x.h5mu").exists()
