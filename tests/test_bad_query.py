"""Queries and questions that a trained model cannot answer: the message says where and what to do, and nothing is
written."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scmoe
from scmoe.io._quiet import quiet_mudata


def mudata_of(**mods: ad.AnnData) -> MuData:
    with quiet_mudata():
        return MuData(mods)


def named_otherwise(query: MuData) -> MuData:
    query["rna"].var_names = [f"ENSG{i:011}" for i in range(60)]
    with quiet_mudata():
        query.update()
    return query


def infinite(query: MuData) -> MuData:
    query["adt"].X[0, 2] = np.inf
    return query


def unprepared(query: MuData) -> MuData:
    query["rna"].X = query["rna"].layers["counts"].copy()
    del query.uns["scmoe"]
    return query


def prepared_otherwise(query: MuData) -> MuData:
    query["rna"].X = query["rna"].layers["counts"].copy()
    scmoe.pp.prepare(query, kinds={"rna": "protein"})
    return query


QUERIES = {
    "raw counts": (
        unprepared,
        ValueError,
        r"mdata\['rna'\]\.X holds raw counts; the model learned from logarithms .* Run scmoe\.pp\.prepare",
    ),
    "prepared otherwise": (prepared_otherwise, ValueError, "prepared as 'protein', but the model learned from 'rna'"),
    "features named otherwise": (
        named_otherwise,
        ValueError,
        r"mdata\['rna'\] has 0 of the model's 60 features.*'ENSG00000000000', .*hold Ensembl identifiers",
    ),
    "no known modality": (
        lambda m: mudata_of(atac=m["rna"].copy()),
        ValueError,
        "none of the model's modalities, rna, adt; found atac",
    ),
    "infinite value": (infinite, ValueError, "found inf for feature 'protein2'"),
    "a table": (lambda m: m.obs, TypeError, "mdata must be a MuData or an AnnData; found a DataFrame"),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_that_does_not_fit_is_refused(paired, trained, contents, name):
    change, error, match = QUERIES[name]
    query = change(paired)
    before = contents(query)
    tools = (scmoe.tl.embed, scmoe.tl.annotate, scmoe.tl.map_query, scmoe.tl.expert_usage, scmoe.tl.attention)
    for ask in tools:
        with pytest.raises(error, match=match):
            ask(query, trained)
    with pytest.raises(error, match=match):
        scmoe.tl.impute(query, trained, source="rna", target="adt")
    assert contents(query) == before


def proteins_alone(mdata: MuData) -> MuData:
    query = mudata_of(adt=mdata["adt"].copy())
    query.obs["batch"] = "donor1"
    return query


def by_depth(mdata: MuData, model) -> None:
    with quiet_mudata():
        with_depth = mdata.copy()
    with_depth.obs["depth"] = np.linspace(0, 1, mdata.n_obs)
    scmoe.tl.expert_usage(with_depth, model, groupby="depth")


QUESTIONS = {
    "no cell with the source": (
        lambda m, o: o.impute("rna", "adt", proteins_alone(m)),
        ValueError,
        "None of the 120 cells has rna",
    ),
    "groups of decimal numbers": (by_depth, ValueError, r"mdata.obs\['depth'\] \(groupby\) must hold groups"),
    "target among the sources": (lambda m, o: o.impute("rna", "rna", m), ValueError, "other than itself.*from .*'adt'"),
    "no source": (lambda m, o: o.impute([], "adt", m), ValueError, r"found \[\]"),
    "unknown source": (lambda m, o: o.impute("atac", "adt", m), KeyError, "no modality 'atac'; it has rna, adt"),
    "unknown target": (lambda m, o: o.impute("rna", "atac", m), KeyError, "no modality 'atac'"),
    "unknown modality": (lambda m, o: o.get_latent_representation(m, modality="x"), KeyError, "no modality 'x'"),
    "no clustering head": (lambda m, o: o.predict_clusters(m), ValueError, "no clustering head"),
    "kind of activation": (lambda m, o: o.get_router_activations(m, kind="x"), ValueError, "'soft', 'hard'"),
    "clustering method": (
        lambda m, o: scmoe.tl.cluster(m, o, method="x"),
        ValueError,
        "must be one of 'leiden'",
    ),
    "no embedding": (lambda m, o: scmoe.tl.cluster(m), KeyError, r"Run scmoe\.tl\.embed"),
    "number without k-means": (
        lambda m, o: scmoe.tl.cluster(m, method="leiden", n_clusters=3),
        ValueError,
        "n_clusters",
    ),
    "k-means without number": (lambda m, o: scmoe.tl.cluster(m, method="kmeans"), ValueError, "n_clusters"),
    "clustering head without model": (lambda m, o: scmoe.tl.cluster(m, method="ddc"), ValueError, "needs the model"),
    "unknown group, usage": (lambda m, o: scmoe.tl.expert_usage(m, o, groupby="x"), KeyError, "groupby='x' is not"),
    "unknown group, attention": (lambda m, o: scmoe.tl.attention(m, o, groupby="x"), KeyError, "groupby='x' is not"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_without_an_answer_is_refused(paired, trained, contents, name):
    ask, error, match = QUESTIONS[name]
    before = contents(paired)
    with pytest.raises(error, match=match):
        ask(paired, trained)
    assert contents(paired) == before


def test_more_clusters_than_cells(paired, trained):
    scmoe.tl.embed(paired, trained)
    with pytest.raises(ValueError, match="between 1 and the number of cells, 120; found 121"):
        scmoe.tl.cluster(paired, n_clusters=121)


def with_half_the_genes(query: MuData) -> MuData:
    return mudata_of(rna=query["rna"][:, ::2].copy(), adt=query["adt"].copy())


def with_two_proteins(query: MuData) -> MuData:
    return mudata_of(rna=query["rna"].copy(), adt=query["adt"][:, ["protein3", "protein4"]].copy())


def with_more(query: MuData) -> MuData:
    extra = ad.AnnData(np.ones((120, 1), np.float32), obs=query["adt"].obs, var=pd.DataFrame(index=["CD99"]))
    return mudata_of(rna=query["rna"].copy(), adt=ad.concat([extra, query["adt"]], axis=1))


def of_a_new_batch(query: MuData) -> MuData:
    query.obs["batch"] = "donor9"
    return query


@pytest.mark.parametrize("change", [with_half_the_genes, with_two_proteins, with_more, of_a_new_batch])
def test_an_unusual_query_is_answered(paired, trained, contents, change):
    truth = paired.obs["cell_type"].astype(str)
    query = of_a_new_batch(change(paired))
    before = contents(query)
    assert (trained.predict(query) == truth[query.obs_names]).mean() > 0.8
    for source, target in (("rna", "adt"), ("adt", "rna")):
        predicted = trained.impute(source, target, query)
        assert predicted.shape == (120, len(trained.feature_names[target])) and np.isfinite(predicted).all()
    assert contents(query) == before


def test_features_that_the_model_does_not_know_change_nothing(paired, trained):
    query = with_more(paired)
    query.obs["batch"] = paired.obs["batch"]
    expected = trained.get_latent_representation(paired)[paired.obs_names.get_indexer(query.obs_names)]
    np.testing.assert_array_equal(trained.get_latent_representation(query), expected)


def test_absent_features_are_not_taken_for_zero(paired, trained):
    zeros = paired["rna"].copy()
    zeros.X = zeros.X.toarray() * (np.arange(60) % 2 == 0)
    queries = [paired, with_half_the_genes(paired), mudata_of(rna=zeros, adt=paired["adt"].copy())]
    full, masked, filled = (
        trained.get_latent_representation(of_a_new_batch(query), modality="rna") for query in queries
    )
    assert np.square(masked - full).sum() < np.square(filled - full).sum()


def test_an_untrained_model_says_so(paired, tiny):
    scmoe.model.SCMOE.setup_mudata(paired)
    model = scmoe.model.SCMOE(paired, **tiny)
    with pytest.raises(RuntimeError, match=r"not trained yet. Call model\.train"):
        model.get_latent_representation()


def test_labels_from_a_model_without_labels(mosaic, trained_mosaic):
    with pytest.raises(ValueError, match="trained without labels"):
        scmoe.tl.annotate(mosaic, trained_mosaic)


def test_the_same_feature_name_in_two_modalities_is_normal(paired, fit_model):
    paired["adt"].var_names = [f"gene{i}" for i in range(12)]
    with quiet_mudata():
        paired.update()
    assert fit_model(paired).impute("rna", "adt").shape == (120, 12)
