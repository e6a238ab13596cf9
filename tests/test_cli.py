import re
import subprocess
import sys
from functools import wraps
from pathlib import Path
from time import perf_counter

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from mudata import MuData, read_h5mu
from typer.testing import CliRunner

import scmoe
from scmoe._errors import INTERRUPTED
from scmoe.cli import app
from scmoe.cli._files import training_output
from scmoe.cli._options import Accelerator, Devices
from scmoe.datasets._write import write
from scmoe.io._quiet import quiet_mudata

N_CELLS = 48
NEW = tuple(map(int, ad.__version__.split(".")[:2])) >= (0, 13)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def read(path: Path) -> MuData:
    with quiet_mudata():
        return read_h5mu(path)


def counts(rng: np.random.Generator, n_features: int, prefix: str) -> ad.AnnData:
    """Counts of two kinds of cells that differ in half of the features."""
    rate = np.where((np.arange(N_CELLS)[:, None] + np.arange(n_features)) % 2, 2.0, 6.0)
    cells, features = (
        pd.DataFrame(index=[f"{p}{i}" for i in range(n)]) for p, n in (("c", N_CELLS), (prefix, n_features))
    )
    return ad.AnnData(rng.poisson(rate).astype(np.float32), obs=cells, var=features)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def data(folder) -> Path:
    rng = np.random.default_rng(0)
    with quiet_mudata():
        mdata = MuData({"rna": counts(rng, 30, "gene"), "adt": counts(rng, 10, "protein")})
    mdata.obs["kind"] = np.resize(["even", "odd"], N_CELLS)
    write(mdata, folder / "data.h5mu")
    return folder / "data.h5mu"


@pytest.fixture(scope="module")
def trained(data, folder) -> Path:
    result = run("train", data, "-o", folder / "run", "--labels-key", "kind", "--epochs", 1, "--accelerator", "cpu")
    assert result.exit_code == 0, result.stderr
    assert str(folder / "run") in result.stdout
    return folder / "run"


def test_version():
    assert run("--version").stdout.strip() == f"scmoe {scmoe.__version__}"


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom scmoe.cli import app\n"
        "assert CliRunner().invoke(app, ['train', '--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'scanpy', 'anndata', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    start = perf_counter()
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
    assert perf_counter() - start < 5  # 0.2 s on an idle machine


@pytest.mark.parametrize("arguments", [["train"], ["fly"], ["demo", "--epochs", "0"], ["demo", "--seed", str(2**32)]])
def test_wrong_usage_is_2(arguments):
    assert run(*arguments).exit_code == 2


def test_train_writes_results_model_and_figures(trained):
    assert {path.name for path in trained.iterdir()} == {"result.h5mu", "model", "figures", "run.toml"}
    mdata = read(trained / "result.h5mu")
    assert {"X_scmoe", "X_umap"} <= set(mdata.obsm)
    assert {"scmoe_cluster", "scmoe_label"} <= set(mdata.obs)
    figures = {path.stem for path in (trained / "figures").iterdir()}
    assert {"history", "expert_usage", "expert_usage_by_group", "attention", "umap_kind"} <= figures


def test_report(trained, folder):
    page, before = folder / "page.html", (trained / "result.h5mu").read_bytes()
    result = run("report", trained / "result.h5mu", "-o", page, "--color", "kind", "--title", "Ours")
    assert result.exit_code == 0, result.stderr
    assert "<title>Ours</title>" in page.read_text("utf-8") and (trained / "result.h5mu").read_bytes() == before
    assert "--overwrite" in run("report", trained / "result.h5mu", "-o", page).stderr
    result = run("report", trained / "result.h5mu", "-o", folder / "other.html", "--color", "nothing")
    assert result.exit_code == 1 and "--color nothing is neither a column" in result.stderr
    result = run("report", trained / "result.h5mu", "-o", folder / "other.html", "--key", "other")
    assert result.exit_code == 1 and "pass --key scmoe" in result.stderr


def test_annotate(trained, data, folder):
    result = run("annotate", data, "--model", trained, "-o", folder / "labels.h5mu")
    assert result.exit_code == 0, result.stderr
    assert set(read(folder / "labels.h5mu").obs["scmoe_label"]) <= {"even", "odd"}
    given = ["--coverage", "0.5", "--reject-label", "unsure"]
    result = run("annotate", data, "--model", trained, "-o", folder / "some.h5mu", *given)
    assert result.exit_code == 0, result.stderr
    assert set(read(folder / "some.h5mu").obs["scmoe_label"]) == {"even", "odd", "unsure"}


def test_impute(trained, data, folder):
    options = ["--model", trained / "model", "--source", "rna", "--target", "adt"]
    result = run("impute", data, *options, "-o", folder / "imputed.h5mu")
    assert result.exit_code == 0, result.stderr
    predicted = read(folder / "imputed.h5mu").obsm["scmoe_adt_from_rna"]
    assert predicted.shape == (N_CELLS, 10)
    assert np.isfinite(predicted).all(axis=None)


def test_impute_writes_the_ends_of_intervals(trained, data, folder):
    options = ("--model", trained, "--source", "rna", "--target", "adt", "--interval")
    assert run("impute", data, *options, "-o", folder / "ends.h5mu").exit_code == 0
    lower, upper = (read(folder / "ends.h5mu").obsm[f"scmoe_adt_from_rna_{end}"] for end in ("lower", "upper"))
    assert (lower.to_numpy() <= upper.to_numpy()).all()


def test_impute_needs_no_target(trained, data, folder):
    with quiet_mudata():
        write(MuData({"rna": read(data)["rna"]}), folder / "rna.h5mu")
    options = ["--model", trained, "--source", "rna", "--target", "adt"]
    result = run("impute", folder / "rna.h5mu", *options, "-o", folder / "new.h5mu")
    assert result.exit_code == 0, result.stderr
    assert read(folder / "new.h5mu").obsm["scmoe_adt_from_rna"].shape == (N_CELLS, 10)


def test_results_are_not_overwritten_by_accident(trained, data):
    before = (trained / "result.h5mu").stat().st_mtime_ns
    result = run("train", data, "-o", trained, "--epochs", 1)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert (trained / "result.h5mu").stat().st_mtime_ns == before


def test_folder_in_place_of_the_result_is_found_before_training(data, tmp_path):
    (tmp_path / "result.h5mu").mkdir()
    result = run("train", data, "-o", tmp_path, "--epochs", 1, "--overwrite")
    assert result.exit_code == 1
    assert "a folder has this name" in result.stderr and "Training:" not in result.stderr


@pytest.mark.parametrize(
    ("name", "words"), [("model/notes.txt", "notes.txt"), ("figures", "figures"), ("checkpoints", "checkpoints")]
)
def test_foreign_file_is_found_before_training(data, tmp_path, name, words):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    (tmp_path / "result.h5mu").write_text("earlier")
    result = run("train", data, "-o", tmp_path, "--epochs", 1, "--overwrite")
    assert result.exit_code == 1
    assert words in result.stderr and "Training:" not in result.stderr and "Errno" not in result.stderr
    assert (tmp_path / name).read_text() == "mine"
    assert (tmp_path / "result.h5mu").read_text() == "earlier"


@pytest.mark.parametrize("accelerator", ["gpu", "mps"])
def test_missing_device_is_named(data, folder, monkeypatch, accelerator):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    result = run("train", data, "-o", folder / "x", "--accelerator", accelerator)
    assert result.exit_code == 1
    assert re.search("^Error: No (Apple )?GPU .*--accelerator auto", result.stderr)


def test_model_without_labels_is_refused_before_reading(folder, data):
    result = run("train", data, "-o", folder / "bare", "--epochs", 1, "--accelerator", "cpu")
    assert result.exit_code == 0, result.stderr
    result = run("annotate", folder / "none.h5mu", "--model", folder / "bare", "-o", folder / "new" / "y.h5mu")
    assert result.exit_code == 1
    assert "without labels" in result.stderr


@pytest.mark.parametrize(("source", "target"), [("atac", "adt"), ("rna", "atac")])
def test_unknown_modality_is_refused_before_reading(trained, folder, source, target):
    options = ["--model", trained, "--source", source, "--target", target, "-o", folder / "new" / "y.h5mu"]
    result = run("impute", folder / "none.h5mu", *options)
    assert result.exit_code == 1
    assert "no modality 'atac'; it has rna, adt" in result.stderr
    assert not (folder / "new").exists()


def test_other_files_beside_the_checkpoint_are_kept(data, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "notes.txt").write_text("mine")
    assert run("train", data, "-o", tmp_path, "--epochs", 1, "--accelerator", "cpu").exit_code == 0
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["notes.txt"]


BAD_INPUT = {
    "no file": (["train", "{folder}/none.h5mu", "-o", "{folder}/x"], "none.h5mu"),
    "no column": (["train", "{data}", "-o", "{folder}/x", "--batch-key", "donor"], "donor"),
    "bad kind": (["train", "{data}", "-o", "{folder}/x", "--kind", "rna"], "rna=ambient"),
    "unknown kind": (["train", "{data}", "-o", "{folder}/x", "--kind", "rna=dna"], "dna"),
    "nothing to resume": (["train", "{data}", "-o", "{folder}/x", "--resume"], "interrupted training"),
    "output is a file": (["train", "{data}", "-o", "{data}"], "data.h5mu"),
    "too many clusters": (["train", "{data}", "-o", "{folder}/x", "--n-clusters", "49"], "cells, 48; found 49"),
    "input is a folder": (["train", "{folder}", "-o", "{folder}/x"], "it is a folder"),
    "no model": (["annotate", "{data}", "--model", "{folder}/none", "-o", "{folder}/y.h5mu"], "no model folder"),
    "not a model": (["annotate", "{data}", "--model", "{folder}", "-o", "{folder}/y.h5mu"], "settings.json"),
    "wrong suffix": (["annotate", "{data}", "--model", "{folder}", "-o", "{folder}/y.csv"], r".h5mu"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_readable_block(case, data, folder):
    arguments, words = BAD_INPUT[case]
    result = run(*[argument.format(data=data, folder=folder) for argument in arguments])
    assert result.exit_code == 1
    blocks = result.stderr.split("Error: ")
    assert len(blocks) == 2 and words in blocks[1]
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_name_that_cannot_be_written_is_found_before_training(data, folder):
    mdata = read(data)
    mdata["rna"].obs["CD4/CD8"] = 1.0
    mdata.write_h5mu(folder / "slash.h5mu") if not NEW else mdata["rna"].obs.pop("CD4/CD8")
    if NEW:  # the installed anndata writes no such file, and reads one that an older one wrote
        mdata.write_h5mu(folder / "slash.h5mu")
        with h5py.File(folder / "slash.h5mu", "a") as file:
            obs = file["mod/rna/obs"]
            obs["CD4/CD8"] = np.ones(N_CELLS)
            obs["CD4/CD8"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
            obs.attrs["column-order"] = np.array(["CD4/CD8"], dtype=h5py.string_dtype())
    result = run("train", folder / "slash.h5mu", "-o", folder / "slash", "--epochs", 1, "--format", "zarr")
    assert result.exit_code == 1
    assert "mdata['rna'].obs['CD4/CD8'] cannot be written to .zarr files by anndata" in result.stderr
    assert "Rename it" in result.stderr and "CD4_CD8" in result.stderr
    assert not (folder / "slash").exists()


@pytest.mark.parametrize("command", ["annotate", "impute"])
def test_stores_of_zarr_are_read_and_written(trained, data, folder, command):
    store, out = folder / "data.zarr", folder / f"{command}.zarr"
    write(read(data), store)
    options = ["--source", "rna", "--target", "adt"] if command == "impute" else []
    result = run(command, store, "--model", trained, "-o", out, *options)
    assert result.exit_code == 0, result.stderr
    mdata = scmoe.datasets.read(out)
    assert "scmoe_adt_from_rna" in mdata.obsm if command == "impute" else "scmoe_label" in mdata.obs


def test_training_and_pretraining_write_stores_of_zarr(data, folder):
    for command, result in (("train", "result.zarr"), ("pretrain", "result.zarr")):
        out = folder / f"{command}-zarr"
        done = run(command, data, "-o", out, "--epochs", 1, "--accelerator", "cpu", "--format", "zarr")
        assert done.exit_code == 0, done.stderr
        assert scmoe.datasets.read(out / result).n_obs == N_CELLS


def test_ctrl_c_says_how_to_go_on(data, folder, monkeypatch):
    import scmoe.tl._train

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(scmoe.tl._train, "train", interrupted)
    result = run("train", data, "-o", folder / "stopped")
    assert result.exit_code == INTERRUPTED == 130
    assert "--resume" in result.stderr


def test_h5ad_is_one_modality(folder):
    adata = counts(np.random.default_rng(1), 20, "gene")
    adata.write_h5ad(folder / "one.h5ad")
    result = run("train", folder / "one.h5ad", "-o", folder / "one", "--modality", "spleen", "--epochs", 1)
    assert result.exit_code == 0, result.stderr
    assert list(read(folder / "one" / "result.h5mu").mod) == ["spleen"]


def test_labels_and_batches_of_an_h5ad_are_used(folder):
    adata = counts(np.random.default_rng(1), 20, "gene")
    adata.obs["batch"] = np.repeat(["one", "two"], N_CELLS // 2)
    adata.obs["cell_type"] = np.resize(["even", "odd"], N_CELLS)
    adata.write_h5ad(folder / "columns.h5ad")
    keys = ["--batch-key", "batch", "--labels-key", "cell_type"]
    result = run("train", folder / "columns.h5ad", "-o", folder / "columns", *keys, "--epochs", 1)
    assert result.exit_code == 0, result.stderr
    assert set(read(folder / "columns" / "result.h5mu").obs["scmoe_label"]) <= {"even", "odd"}


@pytest.fixture(scope="module")
def pretrained(data, folder) -> Path:
    result = run("pretrain", data, "-o", folder / "genes", "--epochs", 1, "--accelerator", "cpu")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"Written to {folder / 'genes'}: result.h5ad, model/\n"
    return folder / "genes"


def test_pretrain_writes_results_and_a_model(pretrained):
    assert {path.name for path in pretrained.iterdir()} == {"result.h5ad", "model", "run.toml"}
    adata = ad.read_h5ad(pretrained / "result.h5ad")
    model = scmoe.model.XTRIMOGENE.load(pretrained / "model", adata)
    np.testing.assert_array_equal(model.get_latent_representation(), adata.obsm["X_xtrimogene"])
    assert adata.varm["xtrimogene"].shape == (30, 64) and len(adata.uns["xtrimogene"]["history"]) == 1
    assert list(adata.var_names) == [f"gene{i}" for i in range(30)] and model.config.encoder_layers == 2


def test_pretraining_on_a_folder_of_files(folder):
    (folder / "many").mkdir()
    rna = scmoe.datasets.bmmc_cite()["rna"]
    for i, rows in enumerate((slice(0, 60), slice(60, 150))):
        scmoe.datasets.write(rna[rows, 100 * i :].copy(), folder / "many" / f"part{i}.h5ad")
    options = ["--on-disk", "--epochs", 1, "--accelerator", "cpu", "--devices", 1]
    result = run("pretrain", folder / "many", "-o", folder / "of_many", *options)
    assert result.exit_code == 0, result.output
    adata = ad.read_h5ad(folder / "of_many" / "result.h5ad")
    assert adata.shape == (150, 900) and adata.obs["source"].value_counts().to_dict() == {"part1": 90, "part0": 60}


def test_pretraining_is_not_overwritten_by_accident(pretrained, data):
    before = (pretrained / "result.h5ad").stat().st_mtime_ns
    result = run("pretrain", data, "-o", pretrained, "--epochs", 1)
    assert result.exit_code == 1 and "--overwrite" in result.stderr
    assert (pretrained / "result.h5ad").stat().st_mtime_ns == before
    result = run("pretrain", data, "-o", pretrained, "--epochs", 1, "--overwrite", "--accelerator", "cpu", "--seed", 1)
    assert result.exit_code == 0, result.stderr
    assert (pretrained / "result.h5ad").stat().st_mtime_ns > before


def test_interrupted_pretraining_is_resumed(data, tmp_path, monkeypatch):
    from scmoe.model import XTRIMOGENE

    arguments = ["pretrain", data, "--epochs", 3, "--accelerator", "cpu", "-o"]
    assert run(*arguments, tmp_path / "straight").exit_code == 0
    train = XTRIMOGENE.train

    @wraps(train)
    def interrupted(model, max_epochs, **kwargs):
        class Interrupt(scmoe.train._fit.Callback):
            def on_train_epoch_start(self, trainer, pl_module) -> None:
                if trainer.current_epoch == 2:
                    raise KeyboardInterrupt

        train(model, max_epochs, **kwargs, callbacks=[Interrupt()])

    monkeypatch.setattr(XTRIMOGENE, "train", interrupted)
    result = run(*arguments, tmp_path / "run")
    assert result.exit_code == INTERRUPTED and "--resume" in result.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"checkpoints", "run.toml"}
    monkeypatch.setattr(XTRIMOGENE, "train", train)
    result = run(*arguments, tmp_path / "run", "--resume")
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"result.h5ad", "model", "run.toml"}
    first, second = (ad.read_h5ad(tmp_path / name / "result.h5ad") for name in ("straight", "run"))
    np.testing.assert_array_equal(first.obsm["X_xtrimogene"], second.obsm["X_xtrimogene"])


def test_pretraining_of_an_h5ad_with_a_vocabulary_and_a_layer(folder):
    adata = counts(np.random.default_rng(1), 20, "gene")
    adata.layers["raw"], adata.X = adata.X.copy(), np.log1p(adata.X)
    adata.write_h5ad(folder / "layer.h5ad")
    names = [f"gene{i}" for i in range(25)]
    (folder / "genes.csv").write_text("\n".join(["symbol", *names]))
    options = ["--layer", "raw", "--vocabulary", folder / "genes.csv", "--epochs", 1, "--accelerator", "cpu"]
    result = run("pretrain", folder / "layer.h5ad", "-o", folder / "layer", *options)
    assert result.exit_code == 0, result.stderr
    assert scmoe.model.XTRIMOGENE.load(folder / "layer" / "model").genes == names


PRETRAIN_BAD_INPUT = {
    "no file": (["{folder}/none.h5mu"], "none.h5mu"),
    "no modality": (["{data}", "--modality", "atac"], "atac"),
    "no counts": (["{folder}/logs.h5ad"], "counts"),
    "no layer": (["{data}", "--layer", "raw"], "no layer 'raw'"),
    "no vocabulary": (["{data}", "--vocabulary", "{folder}/none.csv"], "none.csv"),
    "other genes": (["{data}", "--vocabulary", "{folder}/others.json"], "0 genes of the data are in the vocabulary"),
    "nothing to resume": (["{data}", "--resume"], "interrupted training"),
}


@pytest.mark.parametrize("case", PRETRAIN_BAD_INPUT)
def test_bad_input_of_pretrain_is_one_readable_block(case, data, folder):
    logs = counts(np.random.default_rng(1), 20, "gene")
    logs.X = np.log1p(logs.X)
    logs.write_h5ad(folder / "logs.h5ad")
    (folder / "others.json").write_text('["CD3E", "CD8A"]')
    arguments, words = PRETRAIN_BAD_INPUT[case]
    result = run(
        "pretrain", *[argument.format(data=data, folder=folder) for argument in arguments], "-o", folder / "unmade"
    )
    assert result.exit_code == 1
    blocks = result.stderr.split("Error: ")
    assert len(blocks) == 2 and words in blocks[1]
    assert "Traceback" not in result.output and result.stdout == ""


def test_a_gene_model_is_not_taken_for_another(pretrained, data, folder):
    result = run("annotate", data, "--model", pretrained, "-o", folder / "wrong.h5mu")
    assert result.exit_code == 1 and "holds a XTRIMOGENE model, not SCMOE" in result.stderr


@pytest.mark.parametrize("command", [["map"], ["embed"], ["denoise", "--modality", "adt"]])
def test_commands_for_new_cells(trained, data, folder, command):
    output = folder / f"{command[0]}.h5mu"
    arguments = [*command, str(data), "--model", str(trained), "-o", str(output)]
    assert run(*arguments).exit_code == 0
    written = scmoe.datasets.read(output)
    assert ("scmoe_mapping_score" in written.obs) == (command == ["map"])
    assert ("scmoe_denoised" in written["adt"].layers) == (command[0] == "denoise")
    assert ("X_scmoe" in written.obsm) == (command[0] != "denoise")
    before = output.stat().st_mtime_ns
    again = run(*arguments)
    assert again.exit_code == 1 and "--overwrite" in again.stderr
    assert output.stat().st_mtime_ns == before
    assert run(*arguments, "--overwrite").exit_code == 0


def test_data_stay_on_disk(trained, data, folder):
    caches, results = folder / "caches", []
    for options in ([], ["--on-disk", "--cache-dir", caches]):
        output = folder / f"disk{len(options)}.h5mu"
        assert run("embed", data, "--model", trained, "-o", output, *options).exit_code == 0
        results.append(scmoe.datasets.read(output).obsm["X_scmoe"])
    np.testing.assert_array_equal(*results)
    assert len(list(caches.iterdir())) == 1
    assert run("cache", "remove", data, "--cache-dir", caches).exit_code == 0
    assert list(caches.iterdir()) == []
    refused = run("embed", data, "--model", trained, "-o", folder / "no.h5mu", "--cache-dir", caches)
    assert refused.exit_code == 1 and "--cache-dir" in refused.stderr and "--on-disk" in refused.stderr


def test_an_atlas_is_trained_on(data, tmp_path):
    pytest.importorskip("annbatch", reason="annbatch is not installed: pip install 'scmoe[atlas]'")
    mdata = scmoe.datasets.read(data)
    for i in range(2):
        write(mdata[mdata.obs_names[i::2]].copy(), tmp_path / "atlas" / f"s{i}.zarr")
    where = ["--atlas", "--max-epochs", 1, "--accelerator", "cpu"]
    assert run("train", tmp_path / "atlas", "-o", tmp_path / "of_atlas", *where).exit_code == 0
    result = scmoe.datasets.read(tmp_path / "of_atlas" / "result.h5mu")
    assert result.n_obs == N_CELLS and "c1-s1" in result.obs_names and "X_scmoe" in result.obsm
    refused = run("train", tmp_path / "atlas", "-o", tmp_path / "no", *where, "--on-disk")
    assert refused.exit_code == 1 and "leave --on-disk" in refused.stderr
    refused = run("train", tmp_path, "-o", tmp_path / "no", *where)
    assert refused.exit_code == 1 and "is no atlas" in refused.stderr


def test_features_are_chosen_for_a_prediction(trained, data, folder):
    name = scmoe.datasets.read(data)["adt"].var_names[2]
    arguments = ["impute", data, "--model", trained, "--source", "rna", "--target", "adt", "-o", folder / "chosen.h5mu"]
    assert run(*arguments, "--features", name, "--sd").exit_code == 0
    written = scmoe.datasets.read(folder / "chosen.h5mu")
    for key in ("scmoe_adt_from_rna", "scmoe_adt_from_rna_sd"):
        assert list(written.obsm[key].columns) == [name]
    unknown = run(*arguments, "--features", "XYZ", "--overwrite")
    assert unknown.exit_code == 1 and "--features names 1 features" in unknown.stderr


def test_cells_without_a_batch_are_of_an_unknown_one(trained, data, folder):
    mdata = scmoe.datasets.read(data)
    mdata.obs["batch"] = np.resize(["a", "b", "b"], N_CELLS)
    write(mdata, folder / "batches.h5mu")
    model = folder / "with_batches"
    assert run("train", folder / "batches.h5mu", "-o", model, "--batch", "batch", "--epochs", 1).exit_code == 0
    result = run("map", data, "--model", model, "-o", folder / "q.h5mu")
    assert result.exit_code == 0
    assert read(folder / "q.h5mu").obs["scmoe_mapping_score"].notna().all()


def test_one_modality_goes_to_h5ad_and_several_do_not(trained, data, folder):
    write(scmoe.datasets.read(data)["rna"], folder / "rna.h5ad")
    arguments = ["--model", trained, "-o", folder / "mapped.h5ad"]
    assert run("map", folder / "rna.h5ad", *arguments).exit_code == 0
    adata = ad.read_h5ad(folder / "mapped.h5ad")
    assert "X_scmoe" in adata.obsm and "scmoe_mapping_score" in adata.obs
    result = run("map", data, *arguments, "--overwrite")
    assert result.exit_code == 1 and "holds one modality" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--layer", "rna"], "--layer must look like rna=raw_counts"),
        (["--layer", "x=y"], "--layer names the modality 'x'"),
        (["--layer", "rna=y"], "--layer names the layer 'y' of rna"),
        (["--genome", "hg19"], "genome"),
        (["--use-var", "mine"], "--use-var mine is not a column"),
        (["--split-key", "mine"], "--split-key mine is not a column"),
    ],
)
def test_bad_options_are_named(data, folder, options, words):
    result = run("train", data, "-o", folder / "refused", "--epochs", 1, *options)
    assert result.exit_code == 1 and words in result.stderr
    assert not (folder / "refused" / "model").exists()


def test_counts_of_a_layer_are_used(data, folder):
    mdata = scmoe.datasets.read(data)
    molecules = mdata["rna"].X.copy()
    mdata["rna"].layers["molecules"] = molecules
    mdata["rna"].X = molecules * 0
    write(mdata, folder / "layer.h5mu")
    arguments = [folder / "layer.h5mu", "-o", folder / "of_layer", "--layer", "rna=molecules"]
    assert run("train", *arguments, "--epochs", 1).exit_code == 0
    result = scmoe.datasets.read(folder / "of_layer" / "result.h5mu")
    np.testing.assert_array_equal(result["rna"].layers["counts"], molecules)


def test_completion_of_the_shell(monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    result = run("--show-completion", "bash")
    assert result.exit_code == 0 and "complete" in result.stdout


@pytest.mark.parametrize("number", ["SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"])
def test_a_process_beside_the_first_touches_no_output(tmp_path, monkeypatch, number):
    monkeypatch.setenv(number, "10")
    with training_output(tmp_path / "new", False, False, result="result.h5mu", size=0, source=tmp_path):
        assert not (tmp_path / "new").exists()
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    with training_output(tmp_path, False, True, result="result.h5mu", size=0, source=tmp_path):
        pass
    assert checkpoint.exists()


@pytest.mark.parametrize("devices", ["0", "-1", "two", "1.5"])
def test_a_number_of_devices_that_is_none(data, folder, devices):
    result = run("train", data, "-o", folder / "x", f"--devices={devices}")
    assert result.exit_code == 1
    message = " ".join(result.stderr.split())
    assert f" --devices must be 'auto' or a number from 1 on; found '{devices}'" in message


@pytest.mark.parametrize(("on_disk", "strategy"), [(False, "ddp_spawn"), (True, "ddp_fork")])
def test_processes_share_data_on_disk(on_disk, strategy):
    where = Devices(Accelerator.cpu, "2", 1).train_kwargs(on_disk=on_disk)
    assert where == {"accelerator": "cpu", "devices": 2, "strategy": strategy}
