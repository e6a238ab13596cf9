"""Results never take the place of what they are made from, of what users keep, or of each other."""

import copy
from dataclasses import replace

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scmoe
from scmoe._keys import Keys
from scmoe.datasets._write import write
from scmoe.io._quiet import quiet_mudata
from scmoe.tl._write import drop_results, result_paths, write_obs, write_to_modality, write_uns

N_CELLS = 120
TWO = pd.Categorical(np.resize(["a", "b"], N_CELLS))
VERBS = {
    "train": lambda mdata, model: scmoe.tl.train(mdata),
    "map_query": scmoe.tl.map_query,
    "embed": scmoe.tl.embed,
    "annotate": scmoe.tl.annotate,
    "cluster": scmoe.tl.cluster,
    "umap": lambda mdata, model: scmoe.tl.umap(mdata),
    "denoise": lambda mdata, model: scmoe.tl.denoise(mdata, model, modality="rna"),
    "impute": lambda mdata, model: scmoe.tl.impute(mdata, model, source="rna", target="adt"),
    "ablation": scmoe.tl.ablation,
    "attention": scmoe.tl.attention,
    "attribute": scmoe.tl.attribute,
    "deletion": scmoe.tl.deletion,
    "expert_cards": scmoe.tl.expert_cards,
    "expert_stability": lambda mdata, model: scmoe.tl.expert_stability(mdata, {"a": model, "b": model}),
    "expert_usage": scmoe.tl.expert_usage,
    "gradient_conflict": scmoe.tl.gradient_conflict,
    "tcav": scmoe.tl.tcav,
}


@pytest.fixture
def annotated(paired: MuData) -> MuData:
    """Data with results of an earlier model, some of them corrected by hand."""
    write_obs(paired, "scmoe", {"scmoe_label": TWO, "scmoe_cluster": TWO, "scmoe_unknown_score": np.ones(N_CELLS)})
    write_to_modality(paired, "scmoe", "rna/layers/scmoe_denoised", paired["rna"].X.toarray())
    paired.obs["scmoe_label"] = TWO
    return paired


def reading(model, **setup):
    """The model as if it had been trained with other columns or layers."""
    other = copy.copy(model)
    other.setup = replace(model.setup, **setup)
    return other


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"labels_key": "scmoe_label"}, r"mdata.obs\['scmoe_label'\] \(labels_key\)"),
        ({"batch_key": "scmoe_cluster"}, r"mdata.obs\['scmoe_cluster'\] \(batch_key\)"),
        ({"batch_key": "rna:scmoe_cluster"}, r"mdata.obs\['rna:scmoe_cluster'\] \(batch_key\)"),
        ({"categorical_covariate_keys": ["scmoe_cluster"]}, r"\(categorical_covariate_keys\)"),
        ({"continuous_covariate_keys": ["scmoe_unknown_score"]}, r"\(continuous_covariate_keys\)"),
        ({"split_key": "scmoe_label"}, r"mdata.obs\['scmoe_label'\] \(split_key\)"),
        ({"layers": {"rna": "scmoe_denoised"}}, r"mdata\['rna'\].layers\['scmoe_denoised'\] \(layers\)"),
    ],
)
def test_training_does_not_replace_what_it_reads(annotated, tl_train, contents, arguments, place):
    annotated.obs["rna:scmoe_cluster"] = TWO
    before = contents(annotated)
    with pytest.raises(ValueError, match=place + r" is read, .* key_added='scmoe2'"):
        tl_train(annotated, **arguments)
    assert contents(annotated) == before


def test_training_under_another_name_keeps_what_it_reads(annotated, tl_train, contents, written):
    before = contents(annotated)
    tl_train(annotated, labels_key="scmoe_label", layers={"rna": "scmoe_denoised"}, key_added="scmoe2")
    assert not [path for path in written(before, annotated) if "scmoe2" not in path and "_scvi" not in path]


@pytest.mark.parametrize(
    ("verb", "setup"),
    [
        ("map_query", {"batch_key": "scmoe_cluster"}),
        ("map_query", {"layers": {"rna": "scmoe_denoised", "adt": None}}),
        ("annotate", {"labels_key": "scmoe_label"}),
        ("denoise", {"layers": {"rna": "scmoe_denoised", "adt": None}}),
        ("impute", {"layers": {"rna": None, "adt": "scmoe_adt_from_rna"}}),
        ("cluster", {"batch_key": "scmoe_cluster"}),
    ],
)
def test_verbs_do_not_replace_what_the_model_reads(annotated, trained, contents, verb, setup):
    annotated["adt"].layers["scmoe_adt_from_rna"] = annotated["adt"].X.copy()
    before = contents(annotated)
    arguments = {"method": "ddc"} if verb == "cluster" else {}
    call = scmoe.tl.cluster if verb == "cluster" else VERBS[verb]
    with pytest.raises(ValueError, match="is read, and would be replaced or removed by results of the name 'scmoe'"):
        call(annotated, reading(trained, **setup), **arguments)
    assert contents(annotated) == before


@pytest.mark.parametrize("verb", VERBS)
def test_something_else_under_the_name_is_refused_first(paired, trained, contents, verb):
    paired.uns["scmoe"] = "notes of mine"
    before = contents(paired)
    with pytest.raises(ValueError, match=r"uns\['scmoe'\] must be free for results; found a str"):
        VERBS[verb](paired, trained)
    assert contents(paired) == before


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0b", "\ud800", "x" * 151, "_index", "pca", "umap"])
def test_names_that_cannot_be_stored_are_refused(name):
    with pytest.raises(ValueError, match="key_added"):
        Keys(name=name)


def test_results_of_two_names_do_not_meet(paired, trained, contents):
    """``obsm["X_scmoe_labeled"]`` is one of the arrays of the name "scmoe"."""
    scmoe.tl.embed(paired, trained)
    before = contents(paired)
    with pytest.raises(ValueError, match=r"mdata.obsm\['X_scmoe_labeled'\] holds results of the name 'scmoe'"):
        scmoe.tl.embed(paired, trained, key_added="scmoe_labeled")
    assert contents(paired) == before


def test_what_scanpy_keeps_in_uns_is_no_result(paired, trained):
    for name in ("neighbors", "umap", "a/b"):
        paired.uns[name] = {"params": {"n_neighbors": 15}}
    scmoe.tl.embed(paired, trained, key_added="neighbors")
    drop_results(paired, "neighbors")
    assert paired.uns["neighbors"] == paired.uns["umap"] == {"params": {"n_neighbors": 15}}


def test_results_do_not_replace_the_mask_of_a_modality(paired, trained):
    with quiet_mudata():
        mdata = MuData({**paired.mod, "X_scmoe": paired["rna"].copy()})
    with pytest.raises(ValueError, match="A modality is called 'X_scmoe'"):
        scmoe.tl.embed(mdata, trained)
    assert mdata.obsm["X_scmoe"].dtype == bool


def test_what_users_keep_under_names_of_results_stays(paired, tl_train):
    write_uns(paired, "scmoe", history=pd.DataFrame({"loss": [1.0]}))
    paired.uns["scmoe"] |= {"imbalance": {"rho": 10.0}, "notes": "mine", "tcav": "see page 3"}
    paired.obs["scmoe_label"] = "by hand"
    paired.obsm["scmoe_label_probability"] = np.ones((N_CELLS, 2), bool)
    paired["rna"].layers["scmoe_denoised"] = np.ones((N_CELLS, 60), bool)
    paired["adt"].layers["scmoe_adt_from_rna"] = np.ones((N_CELLS, 12), bool)
    for _ in range(2):
        tl_train(paired)
    assert {"imbalance", "notes", "tcav", "prepare"} <= set(paired.uns["scmoe"])
    assert (paired.obs["scmoe_label"] == "by hand").all()
    assert paired.obsm["scmoe_label_probability"].all()
    assert paired["rna"].layers["scmoe_denoised"].all() and paired["adt"].layers["scmoe_adt_from_rna"].all()


@pytest.mark.parametrize("suffix", ["h5mu", "zarr", None])
def test_what_was_written_is_known_after_files_and_choices(paired, trained, tmp_path, suffix):
    before = set(paired.obs), set(paired.obsm), set(paired["adt"].layers)
    for verb in ("embed", "annotate", "impute", "denoise", "expert_usage", "umap"):
        VERBS[verb](paired, trained)
    paired.uns["scmoe"]["notes"] = "mine"
    if suffix is None:
        with quiet_mudata():
            mdata = paired[:50].copy()
    else:
        write(paired, path := tmp_path / f"data.{suffix}")
        mdata = scmoe.datasets.read(path)
    drop_results(mdata, "scmoe")
    assert (set(mdata.obs), set(mdata.obsm), set(mdata["adt"].layers)) == before
    assert set(mdata.uns["scmoe"]) == {"prepare", "notes"} and mdata["rna"].obsm == {}


def test_joined_parts_keep_what_is_no_longer_known(paired, trained):
    scmoe.tl.annotate(paired, trained)
    with quiet_mudata():
        joined = mudata.concat([paired[:60].copy(), paired[60:].copy()])
    assert result_paths(joined, "scmoe") == []
    drop_results(joined, "scmoe")
    assert "scmoe_label" in joined.obs


def test_an_anndata_knows_what_was_written(paired, tl_train):
    adata = paired["rna"].copy()
    adata.obs["scmoe_label"] = "by hand"
    tl_train(adata)
    adata.uns["scmoe"]["notes"] = "mine"
    tl_train(adata)
    assert set(adata.obs) == {"scmoe_label", "scmoe_cluster", "scmoe_split"}
    assert (adata.obs["scmoe_label"] == "by hand").all()
    assert adata.uns["scmoe"]["notes"] == "mine"


@pytest.mark.parametrize("form", ["anndata", "mudata"])
def test_what_is_where_results_go_gets_another_name(paired, trained, form, contents, capsys):
    data = paired["rna"].copy() if form == "anndata" else paired
    data.obs["scmoe_label"] = data.obs["scmoe_label_before"] = "by hand"
    data.obsm["X_scmoe"] = np.ones((N_CELLS, 2), bool)
    (data if form == "anndata" else data["rna"]).layers["scmoe_denoised"] = np.ones((N_CELLS, 60), bool)
    for _ in range(2):
        for verb in ("annotate", "embed", "denoise"):
            VERBS[verb](data, trained)
    assert (data.obs["scmoe_label_before2"] == "by hand").all() and set(data.obs["scmoe_label"]) <= {"B", "NK", "T"}
    assert data.obsm["X_scmoe_before"].all() and data.obsm["X_scmoe"].shape == (N_CELLS, 16)
    assert (data if form == "anndata" else data["rna"]).layers["scmoe_denoised_before"].all()
    assert not any(key.endswith("_before3") or key == "X_scmoe_before2" for key in [*data.obs, *data.obsm])
    assert "obs['scmoe_label'] was there before and is now called 'scmoe_label_before2'" in capsys.readouterr().err


@pytest.mark.parametrize("hierarchy", [{"B": "B"}, {"x": "y"}])
def test_a_tree_that_is_none_is_refused_first(paired, trained, monkeypatch, hierarchy):
    monkeypatch.setattr(type(trained), "get_annotation", lambda *args, **kwargs: pytest.fail("worked"))
    with pytest.raises(ValueError, match="hierarchy"):
        scmoe.tl.annotate(paired, trained, hierarchy=hierarchy)


@pytest.mark.parametrize("form", ["anndata", "mudata"])
def test_maps_of_users_are_moved(paired, trained, form):
    data = paired["rna"].copy() if form == "anndata" else paired
    scmoe.tl.embed(data, trained)
    for value in (1.0, 2.0):
        data.obsm["X_umap"] = np.full((N_CELLS, 2), value)
        for _ in range(2):
            scmoe.tl.umap(data)
    assert np.array_equal(data.obsm["X_umap"], data.obsm["scmoe_umap"])
    assert data.obsm["X_umap_before"].mean() == 1 and data.obsm["X_umap_before2"].mean() == 2
    assert "X_umap_before3" not in data.obsm


def test_settings_that_could_not_be_stored_are_refused_first(paired, tl_train, contents):
    paired.obs["a/b"] = paired.obs["a_b"] = TWO
    before = contents(paired)
    with pytest.raises(ValueError, match="not distinct"):
        tl_train(paired, categorical_covariate_keys=["a/b", "a_b"])
    assert contents(paired) == before


def test_genes_too_are_written_under_a_name_that_files_hold(genes):
    assert isinstance(genes, ad.AnnData)
    with pytest.raises(ValueError, match="scanpy keeps its own"):
        scmoe.tl.pretrain(genes, key_added="pca")
