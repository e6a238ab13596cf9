"""`tl.pretrain`: what it writes where, and nothing else."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scmoe
from scmoe.io._quiet import quiet_mudata
from scmoe.tokens._vocabulary import Vocabulary

SMALL = {"encoder_layers": 1, "encoder_width": 16, "decoder_width": 8, "n_bins": 6, "max_epochs": 1}
TRAIN = {"accelerator": "cpu", "batch_size": 16, "enable_progress_bar": False}


def pretrain(adata, **kwargs):
    return scmoe.tl.pretrain(adata, **{**SMALL, "train_kwargs": TRAIN, **kwargs})


def test_writes_embedding_identities_and_tables(genes, contents, written):
    before = contents(genes)
    model = pretrain(genes)
    changed = written(before, genes)
    assert {path for path in changed if not path.startswith("uns/")} == {"obsm/X_xtrimogene", "varm/xtrimogene"}
    assert {path.split("/")[1] for path in changed if path.startswith("uns/")} == {
        "xtrimogene",
        "_scvi_uuid",
        "_scvi_manager_uuid",
    }
    np.testing.assert_array_equal(genes.obsm["X_xtrimogene"], model.get_latent_representation())
    np.testing.assert_array_equal(genes.varm["xtrimogene"], model.get_gene_embeddings())
    stored = genes.uns["xtrimogene"]
    pd.testing.assert_frame_equal(
        stored["history"].set_index("epoch"), model.history, check_index_type=False, check_column_type=False
    )
    params = stored["params"]
    assert params["seed"] == 0 and params["network"]["encoder_width"] == 16
    assert params["versions"]["scmoe"] == scmoe.__version__ and params["genes"]["n_matched"] == 40
    assert params["train"]["batch_size"] == 16 and params["seconds"] > 0


def test_two_models_side_by_side(genes):
    first, second = pretrain(genes), pretrain(genes, key_added="other", seed=1)
    np.testing.assert_array_equal(genes.obsm["X_xtrimogene"], first.get_latent_representation())
    np.testing.assert_array_equal(genes.obsm["X_other"], second.get_latent_representation())
    assert {"xtrimogene", "other"} <= set(genes.varm) and {"xtrimogene", "other"} <= set(genes.uns)


def test_genes_outside_of_the_vocabulary_have_no_identity(genes):
    vocabulary = Vocabulary((*(f"gene{i}" for i in range(39, 4, -1)), "other"))
    model = pretrain(genes, vocabulary=vocabulary)
    found, identities = genes.varm["xtrimogene"], model.get_gene_embeddings()
    assert np.isnan(found[:5]).all() and np.isfinite(found[5:]).all()
    np.testing.assert_array_equal(found[5:], identities.loc[genes.var_names[5:]])
    report = genes.uns["xtrimogene"]["params"]["genes"]
    assert report["n_matched"] == 35 and report["n_missing"] == 1


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_results_survive_files(genes, tmp_path, form):
    pretrain(genes, train_kwargs={**TRAIN, "checkpoint_dir": tmp_path / "run", "callbacks": [], "resume": False})
    getattr(genes, f"write_{form}")(tmp_path / "data")
    back = getattr(ad, f"read_{form}")(tmp_path / "data")
    np.testing.assert_array_equal(back.obsm["X_xtrimogene"], genes.obsm["X_xtrimogene"])
    np.testing.assert_array_equal(back.varm["xtrimogene"], genes.varm["xtrimogene"])
    stored, kept = genes.uns["xtrimogene"], back.uns["xtrimogene"]
    pd.testing.assert_frame_equal(
        kept["history"], stored["history"], check_index_type=False, check_names=False, check_column_type=False
    )
    assert kept["params"]["network"] == stored["params"]["network"]
    assert kept["params"]["genes"] == stored["params"]["genes"]


def log_normalized(adata):
    adata.X = np.log1p(adata.X.toarray())


def taken_name(adata):
    adata.uns["xtrimogene"] = np.ones(3)


@pytest.mark.parametrize(
    ("change", "arguments", "error", "match"),
    [
        (log_normalized, {}, ValueError, "counts"),
        (taken_name, {}, ValueError, r"adata.uns\['xtrimogene'\] must be free for results; found a ndarray"),
        (None, {"layer": "raw"}, KeyError, "no layer 'raw'"),
        (None, {"key_added": "a/b"}, ValueError, "key_added must be a name without '/'"),
        (None, {"preset": "huge"}, ValueError, "preset must be one of 'tiny'"),
        (None, {"width": 3}, TypeError, "scmoe.tl.pretrain has no argument 'width'"),
        (None, {"max_epochs": 0}, ValueError, "max_epochs must be a whole number"),
        (None, {"train_kwargs": {**TRAIN, "train_size": 2}}, ValueError, "train_size"),
    ],
)
def test_errors_leave_the_data_alone(genes, contents, change, arguments, error, match):
    if change is not None:
        change(genes)
    before = contents(genes)
    with pytest.raises(error, match=match):
        pretrain(genes, **arguments)
    assert contents(genes) == before


def test_a_mudata_is_refused_with_advice(genes):
    with quiet_mudata():
        mdata = MuData({"rna": genes})
    with pytest.raises(TypeError, match=r"Of a MuData, pass one modality: mdata\['rna'\]"):
        pretrain(mdata)
    pretrain(mdata["rna"])
    assert "X_xtrimogene" in mdata["rna"].obsm
