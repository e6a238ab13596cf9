import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from scmoe.benchmark._scores import kmeans_scores
from scmoe.benchmark.demo._scores import compare_clusters, compare_imputation, to_markdown
from scmoe.io._quiet import quiet_mudata


@pytest.fixture
def mdata() -> MuData:
    """Three separate groups of cells; the last protein varies in the first cell only."""
    rng = np.random.default_rng(0)
    group = np.arange(60) % 3
    center = 10 * rng.normal(size=(3, 12))
    values = center[group] + rng.normal(size=(60, 12))
    proteins = values[:, :4] @ rng.normal(size=(4, 5))
    proteins[:, 4] = np.arange(60) == 0
    with quiet_mudata():
        mdata = MuData({"rna": ad.AnnData(values), "adt": ad.AnnData(proteins)})
    mdata.obs["cell_type"] = np.array(["B", "T", "NK"])[group]
    mdata.obsm["X_scmoe"] = center[group][:, :4]
    return mdata


def test_kmeans_is_averaged_over_seeds(mdata):
    values = np.random.default_rng(1).normal(size=(60, 4))
    labels = mdata.obs["cell_type"]
    expected = [
        adjusted_rand_score(labels, KMeans(3, n_init=10, random_state=seed).fit_predict(values)) for seed in range(5)
    ]
    assert kmeans_scores(values, labels)["ari"] == pytest.approx(np.mean(expected))


def test_cells_without_a_label_are_left_out(mdata):
    labels = mdata.obs["cell_type"].copy()
    labels[:10] = None
    values = mdata.obsm["X_scmoe"].copy()
    values[:10] = 1e6
    assert kmeans_scores(values, labels) == pytest.approx({"ari": 1, "nmi": 1})


def test_separate_groups_are_found_on_both_sides(mdata):
    scores = compare_clusters(mdata, "X_scmoe", "cell_type")
    assert scores["scmoe"]["ari"] == pytest.approx(1)
    assert scores["pca"]["ari"] == pytest.approx(1)


def test_imputation_is_scored_on_held_out_cells_and_varying_features(mdata):
    held_out = np.arange(60) >= 45
    truth = pd.DataFrame(mdata["adt"].X, index=mdata.obs_names)
    predicted = truth.copy()
    predicted[~held_out] = 1e6
    scores = compare_imputation(mdata, predicted, held_out, source="rna", target="adt")
    assert scores["scmoe"] == pytest.approx({"pearson": 1, "r2": 1})
    assert scores["ridge_on_pca"]["pearson"] > 0.9
    assert scores["mean"]["pearson"] == 0 and scores["mean"]["r2"] <= 0
    assert (scores["n_features"], scores["n_dropped"], scores["n_held_out"], scores["n_train"]) == (4, 1, 15, 45)


def test_table_shows_both_sides():
    imputation = {"source": "rna", "target": "adt", "n_train": 8, "n_held_out": 2, "n_features": 5, "n_dropped": 1}
    scores = {"scmoe": {"pearson": 0.7, "r2": 0.5}, "ridge_on_pca": {"pearson": 0.6, "r2": 0.4}}
    text = to_markdown(
        {
            "seed": 3,
            "n_cells": 10,
            "n_labels": 4,
            "kmeans": {"scmoe": {"ari": 0.5, "nmi": 0.7}, "pca": {"ari": 0.4, "nmi": 0.6}},
            "imputation": {**imputation, **scores, "mean": {"pearson": 0.0, "r2": -0.1}},
            "seconds": {"train": 1.0, "total": 2.0},
            "peak_memory_gib": 0.5,
        }
    )
    lines = text.splitlines()
    assert all(line.count("|") == 6 for line in lines[:7])
    assert "|  0.500 |    0.400 |     +0.100 |" in lines[2]
    assert "1 without variance dropped" in text
