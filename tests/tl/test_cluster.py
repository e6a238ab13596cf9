import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import scmoe


@pytest.fixture
def embedded(paired, trained):
    scmoe.tl.embed(paired, trained)
    return paired


@pytest.mark.parametrize("arguments", [{}, {"n_clusters": 3}], ids=["leiden", "kmeans"])
def test_writes_one_column_to_each_table(embedded, contents, written, arguments):
    before = contents(embedded)
    scmoe.tl.cluster(embedded, **arguments)
    assert written(before, embedded) == {f"{part}obs/scmoe_cluster" for part in ("", "mod/rna/", "mod/adt/")}


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 7, 120])
def test_exactly_as_many_as_asked_for(embedded, n_clusters):
    scmoe.tl.cluster(embedded, n_clusters=n_clusters)
    assert embedded.obs["scmoe_cluster"].nunique() == n_clusters


@pytest.mark.parametrize("arguments", [{"resolution": 0.1}, {"n_clusters": 3}], ids=["leiden", "kmeans"])
def test_finds_the_planted_types(embedded, arguments):
    scmoe.tl.cluster(embedded, **arguments)
    assert adjusted_rand_score(embedded.obs["cell_type"], embedded.obs["scmoe_cluster"]) > 0.9


def test_clusters_are_numbered_by_size(embedded):
    scmoe.tl.cluster(embedded, n_clusters=12)
    column = embedded.obs["scmoe_cluster"]
    assert isinstance(column.dtype, pd.CategoricalDtype)
    assert column.cat.categories.to_list() == [str(i) for i in range(12)]
    sizes = column.value_counts().loc[column.cat.categories]
    assert sizes.is_monotonic_decreasing


def test_resolution_makes_more_clusters(embedded):
    scmoe.tl.cluster(embedded, resolution=0.1)
    coarse = embedded.obs["scmoe_cluster"].nunique()
    scmoe.tl.cluster(embedded, resolution=5)
    assert embedded.obs["scmoe_cluster"].nunique() > coarse


@pytest.mark.parametrize("arguments", [{}, {"n_clusters": 5}], ids=["leiden", "kmeans"])
def test_same_seed_same_clusters(embedded, arguments):
    scmoe.tl.cluster(embedded, seed=1, **arguments)
    first = embedded.obs["scmoe_cluster"].copy()
    np.random.seed(0)
    scmoe.tl.cluster(embedded, seed=1, **arguments)
    assert first.equals(embedded.obs["scmoe_cluster"])


def test_the_head_clusters_without_an_embedding(paired, fit_model):
    model = fit_model(paired, network={"n_clusters": 3})
    scmoe.tl.cluster(paired, model, method="ddc", key_added="head")
    pairs = pd.crosstab(paired.obs["head_cluster"], model.predict_clusters())
    assert ((pairs > 0).sum(axis=1) == 1).all()


def test_keys_do_not_mix(embedded, trained):
    scmoe.tl.embed(embedded, trained, key_added="other")
    embedded.obsm["X_other"] = np.zeros_like(embedded.obsm["X_other"])
    embedded.obsm["X_other"][:60] = 1
    scmoe.tl.cluster(embedded, n_clusters=2, key_added="other")
    assert (embedded.obs["other_cluster"][:60] != embedded.obs["other_cluster"].iloc[-1]).all()
    assert "scmoe_cluster" not in embedded.obs
