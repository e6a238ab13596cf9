"""An AnnData in place of a MuData: every verb of `pp`, `tl` and `pl`, and every method of the model."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from mudata import MuData

import scmoe
from scmoe.datasets._anndata import as_mudata, modality_of, to_anndata
from scmoe.io._quiet import quiet_mudata

SCMOE = scmoe.model.SCMOE
VOLATILE = ("uns/_scvi", "uns/scmoe/params/seconds")
TAGS = ["gene0", "gene1", "gene2"]
TARGETS = {"targets": ["B", "T"]}
DONORS = {"condition": "half", "sample_key": "quarter"}


def majority(data: Any, model: Any) -> None:
    scmoe.tl.annotate(data, model)
    scmoe.tl.majority_vote(data, groupby="batch")


WRITERS: dict[str, Callable[[Any, Any], Any]] = {
    "pp.assign_tags": lambda data, model: scmoe.pp.assign_tags(data, "rna", features=TAGS, key_added="tag"),
    "pp.augment": lambda data, model: scmoe.pp.augment(data, "cell_type"),
    "pp.niche": lambda data, model: scmoe.pp.niche(data),
    "pp.oversample": lambda data, model: scmoe.pp.oversample(data, "cell_type"),
    "pp.prepare": lambda data, model: scmoe.pp.prepare(data),
    "pp.split": lambda data, model: scmoe.pp.split(data, labels_key="cell_type"),
    "pp.split_counts": lambda data, model: scmoe.pp.split_counts(data),
    "pp.undersample": lambda data, model: scmoe.pp.undersample(data, "cell_type"),
    "tl.abundance": lambda data, model: scmoe.tl.abundance(data, groupby="cell_type", **DONORS),
    "tl.ablation": lambda data, model: scmoe.tl.ablation(data, model),
    "tl.annotate": lambda data, model: scmoe.tl.annotate(data, model),
    "tl.attention": lambda data, model: scmoe.tl.attention(data, model, groupby="cell_type"),
    "tl.attribute": lambda data, model: scmoe.tl.attribute(data, model, **TARGETS),
    "tl.cluster": lambda data, model: scmoe.tl.cluster(data, n_clusters=3),
    "tl.deletion": lambda data, model: scmoe.tl.deletion(data, model, **TARGETS),
    "tl.denoise": lambda data, model: scmoe.tl.denoise(data, model, modality="rna"),
    "tl.differential": lambda data, model: scmoe.tl.differential(
        data, modality="rna", without_replicates=True, min_cells=2, **DONORS
    ),
    "tl.embed": lambda data, model: scmoe.tl.embed(data, model),
    "tl.expert_cards": lambda data, model: scmoe.tl.expert_cards(data, model),
    "tl.expert_stability": lambda data, model: scmoe.tl.expert_stability(data, {"a": model, "b": model}),
    "tl.expert_usage": lambda data, model: scmoe.tl.expert_usage(data, model, groupby="batch"),
    "tl.gradient_conflict": lambda data, model: scmoe.tl.gradient_conflict(data, model, n_batches=2, batch_size=40),
    "tl.impute": lambda data, model: scmoe.tl.impute(data, model, source="rna", target="rna_niche"),
    "tl.majority_vote": lambda data, model: majority(data, model),
    "tl.map_query": lambda data, model: scmoe.tl.map_query(data, model),
    "tl.markers": lambda data, model: scmoe.tl.markers(data, model, groupby="cell_type"),
    "tl.tcav": lambda data, model: scmoe.tl.tcav(data, model, n_random=10, cells={"b": data.obs["cell_type"] == "B"}),
    "tl.umap": lambda data, model: scmoe.tl.umap(data),
}
"""What each verb is called with; ``tl.train``, ``tl.pretrain`` and ``pl.report`` have tests of their own."""
FIGURES: dict[str, Callable[[Any], Any]] = {
    "pl.ablation": lambda data: scmoe.pl.ablation(data),
    "pl.attention": lambda data: scmoe.pl.attention(data),
    "pl.attribution": lambda data: scmoe.pl.attribution(data),
    "pl.deletion": lambda data: scmoe.pl.deletion(data),
    "pl.expert_card": lambda data: scmoe.pl.expert_card(data, 0),
    "pl.expert_stability": lambda data: scmoe.pl.expert_stability(data),
    "pl.expert_usage": lambda data: scmoe.pl.expert_usage(data),
    "pl.gradient_conflict": lambda data: scmoe.pl.gradient_conflict(data),
    "pl.history": lambda data: scmoe.pl.history(data),
    "pl.imputed": lambda data: scmoe.pl.imputed(data, source="rna", target="rna_niche", features="gene3"),
    "pl.markers": lambda data: scmoe.pl.markers(data),
    "pl.tcav": lambda data: scmoe.pl.tcav(data),
}


def verbs(package: str) -> list[str]:
    """Public verbs that take data as their first argument."""
    module = importlib.import_module(f"scmoe.{package}")
    names = []
    for name in module.__all__:
        first = next(iter(inspect.signature(getattr(module, name)).parameters.values()))
        if "Data" in (text := str(first.annotation)) and "DataFrame" not in text:
            names.append(f"{package}.{name}")
    return names


def as_scanpy_has_it(mdata: MuData) -> ad.AnnData:
    """The cells of a MuData of one modality as a single AnnData."""
    adata = mdata["rna"].copy()
    adata.obs = mdata.obs.copy()
    return adata


@pytest.fixture
def pair(fresh: Callable[[str], MuData]) -> tuple[MuData, ad.AnnData]:
    """The same raw counts as a MuData and as an AnnData, prepared each by itself."""
    mdata = fresh("raw")
    mdata["rna"].obsm["spatial"] = np.random.default_rng(0).uniform(size=(mdata.n_obs, 2))
    mdata.obs["quarter"] = [str(i % 4) for i in range(mdata.n_obs)]
    mdata.obs["half"] = [str(i % 2) for i in range(mdata.n_obs)]
    adata = as_scanpy_has_it(mdata)
    with quiet_mudata():
        mdata = MuData({"rna": mdata["rna"].copy()})
    mdata.obs = adata.obs.copy()
    for data in (mdata, adata):
        scmoe.pp.prepare(data)
    return mdata, adata


@pytest.fixture
def niches(pair: tuple[MuData, ad.AnnData]) -> tuple[MuData, ad.AnnData]:
    """The pair with a second modality: that of the spatial neighbors."""
    for data in pair:
        scmoe.pp.niche(data)
    return pair


@pytest.fixture(scope="session")
def of_niches(fresh: Callable[[str], MuData], fit_model: Callable[..., Any]) -> Any:
    """A model of such data."""
    mdata = fresh("single")
    mdata["rna"].obsm["spatial"] = np.random.default_rng(0).uniform(size=(mdata.n_obs, 2))
    mdata.uns["scmoe"] = {"prepare": {"rna": {"kind": "rna", "reason": ""}}}
    scmoe.pp.niche(mdata)
    setup = {"labels_key": "cell_type", "batch_key": "batch"}
    return fit_model(mdata, setup=setup, max_epochs=15, plan_kwargs={"lr": 1e-2})


def as_of_adata(contents: dict[str, Any], paths: set[str]) -> dict[str, Any]:
    """What was written to a MuData at these paths, as an AnnData should hold it; what a modality has comes first."""
    paths = {path for path in paths if not path.startswith((*VOLATILE, "mod/rna_niche"))}
    of_cells = {path: contents.get(path) for path in paths if not path.startswith("mod/")}
    return of_cells | {path.removeprefix("mod/rna/"): contents.get(path) for path in paths if path.startswith("mod/")}


def check_same(mdata: MuData, before: dict[str, Any], adata: ad.AnnData, contents: Callable, written: Callable) -> None:
    """What was written to the MuData since `before` is in the AnnData."""
    expected = as_of_adata(contents(mdata), written(before, mdata))
    after = contents(adata)
    assert expected
    assert {path: after.get(path) for path in expected} == expected


def test_every_verb_is_tried():
    """A new one goes into the tables above, or takes an AnnData by itself."""
    public = {name for package in ("pp", "tl", "pl") for name in verbs(package)}
    assert public - {"tl.pretrain", "tl.train", "pl.report"} == WRITERS.keys() | FIGURES.keys()


@pytest.mark.parametrize("name", sorted(name for name in WRITERS if name.startswith("pp")))
def test_preparation_does_to_an_anndata_what_it_does_to_a_mudata(pair, name, contents):
    mdata, adata = pair
    results = [WRITERS[name](data, None) or data for data in pair]
    assert isinstance(results[0], MuData) and isinstance(results[1], ad.AnnData)
    assert results[1].obs_names.equals(results[0].obs_names)
    np.testing.assert_array_equal(results[1].X.toarray(), results[0]["rna"].X.toarray())
    pd.testing.assert_frame_equal(results[1].obs, results[0].obs)
    prepared = [{k: v for k, v in contents(each).items() if k.startswith("uns/scmoe/prepare")} for each in results]
    assert prepared[0] == prepared[1] and prepared[0]
    if name == "pp.niche":
        np.testing.assert_array_equal(adata.obsm["rna_niche"].toarray(), mdata["rna_niche"].X.toarray())
    assert not set(adata.obsm) & {"rna"}


@pytest.mark.parametrize("name", sorted(name for name in WRITERS if name.startswith("tl")))
def test_a_tool_writes_to_an_anndata_what_it_writes_to_a_mudata(niches, of_niches, contents, written, name):
    mdata, adata = niches
    if name in ("tl.umap", "tl.cluster"):
        for data in niches:
            scmoe.tl.embed(data, of_niches)
    before, before_adata = contents(mdata), contents(adata)
    for data in niches:
        WRITERS[name](data, of_niches)
    check_same(mdata, before, adata, contents, written)
    others = {path for path in written(before_adata, adata) if "scmoe" not in path}
    assert others == ({"obsm/X_umap"} if name == "tl.umap" else set())


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_figure_is_drawn_of_an_anndata(niches, of_niches, name):
    tool = {"pl.attribution": "tl.attribute", "pl.expert_card": "tl.expert_cards", "pl.imputed": "tl.impute"}
    pixels = []
    for data in niches:
        if name == "pl.history":
            data.uns["scmoe"] = {"history": pd.DataFrame({"train_loss": [2.0, 1.0]})}
        else:
            WRITERS[tool.get(name, name.replace("pl", "tl"))](data, of_niches)
        FIGURES[name](data)
        canvas = plt.gcf().canvas
        canvas.draw()
        pixels.append(np.asarray(canvas.buffer_rgba()).copy())
        plt.close("all")
    np.testing.assert_array_equal(*pixels)


# ---- training, models and queries


@pytest.mark.filterwarnings("ignore")
def test_training_and_scanpy_after_it(pair, tl_train, contents, written):
    mdata, adata = pair
    before = contents(mdata)
    models = [tl_train(data, labels_key="cell_type", batch_key="batch", max_epochs=10) for data in pair]
    check_same(mdata, before, adata, contents, written)
    assert models[1].modalities == ["rna"] and "rna" not in adata.obsm
    scmoe.tl.umap(adata)
    sc.tl.rank_genes_groups(adata, "scmoe_cluster", method="t-test")
    sc.pl.umap(adata, color=["scmoe_cluster", "gene3"], show=False)
    plt.close("all")


def test_results_are_replaced_and_removed_as_in_a_mudata(pair, tl_train, contents, written):
    mdata, adata = pair
    for data in pair:
        model = tl_train(data, labels_key="cell_type")
        scmoe.tl.expert_usage(data, model)
        scmoe.tl.denoise(data, model, modality="rna")
        tl_train(data)
    assert {name for name in adata.obs if "scmoe" in name} == {"scmoe_cluster", "scmoe_split"}
    assert set(adata.obsm) == {"spatial", "X_scmoe", "scmoe_state", "scmoe_router"}
    assert adata.uns["scmoe"].keys() == mdata.uns["scmoe"].keys()
    assert list(filter(None, adata.layers)) == ["counts"]


def test_the_data_of_a_model_are_known_again(pair, tl_train):
    """Only then do tools know which cells were held out."""
    _, adata = pair
    model = tl_train(adata)
    assert as_mudata(adata, model) is model.adata
    copy = adata.copy()
    assert as_mudata(copy, model) is not model.adata
    np.testing.assert_array_equal(model.get_latent_representation(copy), model.get_latent_representation())


def test_setup_then_model(pair, tiny):
    _, adata = pair
    SCMOE.setup_anndata(adata, labels_key="cell_type")
    adata.obs["later"] = 1
    model = SCMOE(adata, **tiny)
    assert model.setup.labels == ["B", "NK", "T"] and "later" in model.adata.obs
    model.view_anndata_setup(adata)
    with pytest.raises(ValueError, match="not set up"):
        SCMOE(scmoe.datasets.from_anndata(adata[:50].copy()))


def test_methods_of_a_model_read_an_anndata(pair, trained, tmp_path, contents):
    mdata, adata = pair
    before = contents(adata)
    for method in ("get_latent_representation", "predict", "get_mapping_score", "get_unknown_score"):
        np.testing.assert_array_equal(getattr(trained, method)(adata), getattr(trained, method)(mdata))
    np.testing.assert_array_equal(trained.get_annotation(adata).probability, trained.get_annotation(mdata).probability)
    np.testing.assert_array_equal(trained.impute("rna", "adt", adata), trained.impute("rna", "adt", mdata))
    np.testing.assert_array_equal(trained.predict(adata[:7]), trained.predict(mdata)[:7])
    target = trained.label_target("B")
    attributions = [trained.get_attributions(target, data, n_steps=2)["rna"] for data in pair]
    np.testing.assert_array_equal(*attributions)
    trained.save(tmp_path / "model")
    loaded = SCMOE.load(tmp_path / "model", adata)
    np.testing.assert_array_equal(loaded.predict(), trained.predict(mdata))
    assert contents(adata) == before


def test_a_query_of_new_batches(pair, trained, contents, written):
    mdata, adata = pair
    for data in pair:
        data.obs["batch"] = np.where(np.arange(data.n_obs) % 2, "new", "donor1")
    before = contents(mdata)
    for data in pair:
        assert "new" in scmoe.tl.map_query(data, trained, adapt=True).setup.batches
    check_same(mdata, before, adata, contents, written)
    np.testing.assert_array_equal(
        trained.adapt(adata).get_latent_representation(adata), trained.adapt(mdata).get_latent_representation(mdata)
    )


# ---- what an AnnData is called, and what is no single modality


def test_names_of_modalities(raw, trained, fit_model):
    rna, adt = raw["rna"], raw["adt"]
    assert modality_of(adt) == "rna"
    assert modality_of(adt, trained) == "adt" and modality_of(rna, trained) == "rna"
    adt.var["feature_types"] = "Antibody Capture"
    assert modality_of(adt) == "adt"
    with quiet_mudata():
        scmoe.pp.prepare(gex := MuData({"gex": rna.copy()}))
    model = fit_model(gex)
    assert modality_of(rna, model) == "gex"
    rna.uns["scmoe"] = {"prepare": {"gex": {"kind": "rna", "reason": "named"}}}
    assert modality_of(rna) == "gex"


def test_features_of_no_modality_of_a_model(pair, trained):
    _, adata = pair
    adata.var_names = [f"other{i}" for i in range(adata.n_vars)]
    del adata.uns["scmoe"]
    with pytest.raises(ValueError, match=r"any of the model's modalities: it has 0, 0 of the features of rna, adt"):
        trained.predict(adata)


def test_several_types_of_features_are_to_be_split(raw):
    both = ad.concat([raw["rna"], raw["adt"]], axis=1)
    both.var["feature_types"] = ["Gene Expression"] * 60 + ["Antibody Capture"] * 12
    both.obs["batch"] = "a"
    with pytest.raises(ValueError, match=r"several types \(60 Gene Expression, 12 Antibody Capture\).*from_anndata"):
        scmoe.pp.prepare(both)
    mdata = scmoe.datasets.from_anndata(both)
    assert list(mdata.mod) == ["rna", "adt"] and "batch" in mdata.obs
    with pytest.raises(TypeError, match="must be an AnnData; found a MuData"):
        scmoe.datasets.from_anndata(mdata)


def test_a_view_is_refused_where_it_would_be_written_to(pair, trained):
    _, adata = pair
    with pytest.raises(ValueError, match=r"Call adata = adata\.copy\(\) first"):
        scmoe.tl.embed(adata[:50], trained)
    with pytest.raises(ValueError, match=r"Call adata = adata\.copy\(\) first"):
        SCMOE.setup_mudata(adata[:50])


def test_a_prepared_copy_of_an_anndata_is_one(raw, contents):
    adata = raw["rna"]
    before = contents(adata)
    copy = scmoe.pp.prepare(adata[:50], copy=True)
    assert contents(adata) == before
    scmoe.pp.prepare(some := adata[:50].copy())
    assert contents(copy) == contents(some)


def test_an_error_leaves_an_anndata_as_it_was(pair, contents):
    _, adata = pair
    before = contents(adata)
    with pytest.raises(KeyError, match="nothing"):
        scmoe.tl.train(adata, batch_key="nothing")
    assert contents(adata) == before


@pytest.mark.parametrize("name", sorted(WRITERS.keys() | FIGURES.keys()))
@pytest.mark.parametrize("data", [None, "cells.h5ad", np.zeros((3, 2))], ids=["nothing", "a path", "an array"])
def test_what_is_neither_is_refused(trained, name, data):
    package, verb = name.split(".")
    arguments = {"cell_type"} if verb in ("augment", "oversample", "undersample") else ()
    with pytest.raises(TypeError, match=r"must be an? (MuData|AnnData) or .*; found .*\. Read one"):
        getattr(getattr(scmoe, package), verb)(data, *arguments)


def test_errors_say_what_mdata_is(pair):
    _, adata = pair
    with pytest.raises(KeyError) as error:
        scmoe.tl.umap(adata)
    assert error.value.__notes__[0].startswith("mdata['rna'] is the AnnData that you passed.")


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_files_of_an_anndata_with_results(pair, of_niches, tmp_path, contents, suffix):
    _, adata = pair
    scmoe.pp.niche(adata)
    scmoe.tl.map_query(adata, of_niches)
    expected = adata.obsm["X_scmoe"].copy()
    getattr(adata, f"write_{suffix}")(tmp_path / f"a.{suffix}")
    again = getattr(ad, f"read_{suffix}")(tmp_path / f"a.{suffix}")
    del again.obsm["X_scmoe"]
    scmoe.tl.map_query(again, of_niches)
    np.testing.assert_array_equal(again.obsm["X_scmoe"], expected)
    assert set(again.obsm) == set(adata.obsm) and set(again.obs) == set(adata.obs)


def test_names_as_keywords(pair, trained):
    _, adata = pair
    scmoe.tl.embed(mdata=adata, model=trained)
    assert "X_scmoe" in adata.obsm
    assert next(iter(inspect.signature(scmoe.tl.embed).parameters.values())).annotation == MuData | ad.AnnData


def test_a_niche_of_other_genes_is_told(pair, trained):
    _, adata = pair
    scmoe.pp.niche(adata)
    fewer = adata[:, :40].copy()
    with pytest.raises(ValueError, match=r"obsm\['rna_niche'\] is of 60 features, and adata has 40 now"):
        scmoe.tl.embed(fewer, trained)


def test_a_column_of_the_modality_s_name_stays(pair, trained):
    """mudata keeps the mask of a modality under its name."""
    _, adata = pair
    adata.obsm["rna"] = mine = np.arange(240.0).reshape(120, 2)
    scmoe.tl.embed(adata, trained)
    np.testing.assert_array_equal(adata.obsm["rna"], mine)


def test_a_column_that_both_tables_have_is_kept_twice_where_they_differ(raw):
    with quiet_mudata():
        mdata = MuData({"rna": raw["rna"].copy()})
    mdata["rna"].obs["batch"], mdata.obs["batch"] = "mine", "all"
    mdata["rna"].obs["lane"], mdata.obs["lane"] = 1, 1.0
    adata = to_anndata(mdata)
    assert set(adata.obs["batch"]) == {"all"} and set(adata.obs["rna:batch"]) == {"mine"}
    assert "rna:lane" not in adata.obs
