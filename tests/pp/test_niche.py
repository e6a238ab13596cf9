"""`niche`: what is written, in which cells, and what it tells of a tissue."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scmoe.datasets._read import read
from scmoe.datasets._spatial import simulate_spatial
from scmoe.io._quiet import quiet_mudata
from scmoe.pp._niche import niche
from scmoe.pp._prepare import prepare
from scmoe.pp._spatial import neighbor_weights

NAME = "rna_niche"


def dense(values: Any) -> np.ndarray:
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def tissue(**kwargs: Any) -> MuData:
    mdata = simulate_spatial(**{"n_cells": 90, "n_slices": 2, "n_genes": 36, "n_proteins": 5, **kwargs})
    prepare(mdata)
    return mdata


@pytest.mark.parametrize("modality", ["rna", "protein"])
def test_niche_is_the_weighted_mean_of_neighbors(modality: str) -> None:
    mdata = tissue(n_slices=1)
    niche(mdata, modality=modality, n_neighbors=6, include_self=True)
    added, values = mdata[f"{modality}_niche"], mdata[modality].X
    weights = neighbor_weights(mdata.obsm["spatial"], 6, True).toarray()
    np.testing.assert_allclose(dense(added.X), weights @ dense(values), atol=1e-5)
    assert added.X.dtype == np.float32 and sparse.issparse(added.X) == sparse.issparse(values)
    assert added.obs_names.equals(mdata[modality].obs_names) and added.var_names.equals(mdata[modality].var_names)


def test_documented_keys_are_written_and_nothing_else(contents: Callable, written: Callable) -> None:
    mdata = tissue()
    before, rows = contents(mdata), mdata.var.copy()
    niche(mdata, batch_key="slice")
    changed = written(before, mdata)
    kept = {f"obsm/{NAME}", f"obsmap/{NAME}", f"varmap/{NAME}", f"varm/{NAME}"}
    others = {
        path
        for path in changed
        if not path.startswith((f"mod/{NAME}/", f"uns/scmoe/prepare/{NAME}/", "var/", "varm/", "varmap/"))
    }
    assert others <= kept and f"mod/{NAME}/obsm/spatial" in changed
    pd.testing.assert_frame_equal(mdata.var.iloc[: len(rows)], rows)
    assert mdata.uns["scmoe"]["prepare"][NAME]["kind"] == "lognormalized"
    assert {"rna", "protein"} <= set(mdata.uns["scmoe"]["prepare"])


def test_whole_numbers_of_the_mudata_are_kept() -> None:
    mdata = tissue(n_slices=1)
    with quiet_mudata():
        other = mdata.copy()
    del other["rna"].obsm["spatial"]
    for each in (mdata, other):
        each.obsm["spatial"] = (1e6 * each.obsm["spatial"]).astype(int)
        each.obsm["table"] = pd.DataFrame({"rank": np.arange(each.n_obs)}, index=each.obs_names)
        each.varm["rank"] = np.arange(each.n_vars)[:, None]
        before = each.obsm["spatial"].copy(), each.obsm["table"].copy()
        niche(each)
        np.testing.assert_array_equal(each.obsm["spatial"], before[0], strict=True)
        pd.testing.assert_frame_equal(each.obsm["table"], before[1])
        np.testing.assert_array_equal(each.varm["rank"][:, 0], [*range(41), *[np.nan] * 36])
    np.testing.assert_allclose(dense(other[NAME].X), dense(mdata[NAME].X), atol=1e-3)


@pytest.mark.parametrize("modality", ["rna", "protein"])
def test_record_and_values_stay_when_prepared_again(modality: str, contents: Callable) -> None:
    mdata, name = tissue(), f"{modality}_niche"
    prepare(mdata)  # from now on, counts come from their layer
    niche(mdata, modality=modality, batch_key="slice")
    assert mdata.uns["scmoe"]["prepare"][name]["kind"] == "lognormalized"
    before = contents(mdata)
    prepare(mdata)
    assert contents(mdata) == before
    prepare(mdata, kinds={name: "continuous"})
    assert mdata.uns["scmoe"]["prepare"][name]["reason"] == "given by kinds"


def test_removed_niche_can_be_made_again() -> None:
    mdata = tissue()
    niche(mdata, batch_key="slice")
    del mdata.mod[NAME]
    niche(mdata, batch_key="slice", n_neighbors=5)
    assert "5 spatial neighbors" in str(mdata.uns["scmoe"]["prepare"][NAME]["steps"])


def test_order_of_the_cells_does_not_matter() -> None:
    mdata = tissue()
    with quiet_mudata():
        shuffled = mdata[np.random.default_rng(0).permutation(mdata.n_obs)].copy()
    for each in (mdata, shuffled):
        niche(each, batch_key="slice")
    again = shuffled[NAME][mdata.obs_names]
    np.testing.assert_allclose(dense(again.X), dense(mdata[NAME].X), atol=1e-5)


def test_slices_do_not_see_each_other() -> None:
    mdata = tissue()
    niche(mdata, batch_key="slice")
    first = (mdata.obs["slice"] == "slice0").to_numpy()
    with quiet_mudata():
        alone = mdata[first].copy()
    niche(alone, key_added="alone")
    np.testing.assert_allclose(dense(alone["alone"].X), dense(mdata[NAME].X)[first], atol=1e-6)


def test_cells_without_the_modality_have_no_niche_and_are_no_neighbors() -> None:
    mdata = tissue(n_slices=1)
    keep = np.arange(mdata.n_obs) % 3 > 0
    with quiet_mudata():
        part = MuData({"rna": mdata["rna"][keep].copy(), "protein": mdata["protein"].copy()})
        alone = MuData({"rna": mdata["rna"][keep].copy()})
    for each in (part, alone):
        prepare(each)
        niche(each)
    assert part[NAME].obs_names.equals(part["rna"].obs_names)
    np.testing.assert_array_equal(dense(part[NAME].X), dense(alone[NAME].X))
    assert part.obsm[NAME].sum() == keep.sum()


def test_coordinates_of_the_mudata_serve_where_the_modality_has_none() -> None:
    mdata = tissue()
    niche(mdata, batch_key="slice")
    order = np.random.default_rng(0).permutation(mdata.n_obs)
    mdata.mod["rna"] = mdata["rna"][order].copy()
    del mdata["rna"].obsm["spatial"]
    with quiet_mudata():
        mdata.update()
    mdata.obsm["spatial"] = pd.DataFrame(mdata.obsm["spatial"], mdata.obs_names, ["x", "y"])
    niche(mdata, batch_key="slice", key_added="again")
    again = mdata["again"][mdata[NAME].obs_names]
    np.testing.assert_allclose(dense(again.X), dense(mdata[NAME].X), atol=1e-5)


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_disk_round_trip(tmp_path: Path, contents: Callable, suffix: str) -> None:
    mdata = tissue()
    niche(mdata, batch_key="slice")
    with quiet_mudata():
        (mdata.write_h5mu if suffix == "h5mu" else mdata.write_zarr)(tmp_path / f"a.{suffix}")
    again = read(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(dense(again[NAME].X), dense(mdata[NAME].X))
    for key, value in mdata.uns["scmoe"]["prepare"][NAME].items():
        np.testing.assert_array_equal(again.uns["scmoe"]["prepare"][NAME][key], value)


def test_model_trains_on_rna_protein_and_niche(tl_train: Callable) -> None:
    mdata = tissue()
    niche(mdata, batch_key="slice")
    model = tl_train(mdata, batch_key="slice")
    assert model.setup.kinds == {"rna": "rna", "protein": "protein", NAME: "lognormalized"}
    assert mdata[NAME].obsm["X_scmoe"].shape[0] == mdata.n_obs


def centered(values: np.ndarray, slices: pd.Series) -> np.ndarray:
    """Values without the means of the slices."""
    frame = pd.DataFrame(values)
    return (frame - frame.groupby(slices.to_numpy(), observed=True).transform("mean")).to_numpy()


@pytest.fixture(scope="module")
def views() -> Mapping[float, tuple[MuData, np.ndarray, np.ndarray]]:
    """By influence: three slices, and own and neighbors' expression, centered in each slice."""
    found = {}
    for influence in (0.0, 1.0):
        mdata = simulate_spatial(n_slices=3, influence=influence)
        prepare(mdata)
        niche(mdata, batch_key="slice")
        own, around = (centered(dense(mdata[name].X), mdata.obs["slice"]) for name in ("rna", NAME))
        found[influence] = mdata, own, around
    return found


@pytest.mark.parametrize("influence", [0.0, 1.0])
def test_niche_predicts_the_region_of_other_slices_better(views: Mapping, influence: float) -> None:
    mdata, own, around = views[influence]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    region, slices = mdata.obs["region"], mdata.obs["slice"]
    by_own, by_niche = (
        cross_val_score(classifier, x, region, groups=slices, cv=GroupKFold(3)).mean() for x in (own, around)
    )
    assert by_niche > by_own + 0.05


@pytest.mark.parametrize("influence", [0.0, 1.0])
def test_responding_genes_are_predictable_from_neighbors_only_with_influence(views: Mapping, influence: float) -> None:
    mdata, own, around = views[influence]
    responding = (mdata["rna"].var["responds_to"] != "").to_numpy()
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(1, 5, 9)))
    groups, truth = mdata.obs["slice"], own[:, responding]
    scores = {}
    for name, x in (("niche", around), ("own", own[:, ~responding])):
        predicted = cross_val_predict(ridge, x, truth, groups=groups, cv=GroupKFold(3))
        scores[name] = np.median(1 - ((truth - predicted) ** 2).sum(axis=0) / (truth**2).sum(axis=0))
    assert scores["own"] < 0.03
    assert scores["niche"] > 0.08 if influence else scores["niche"] < 0.03


def test_a_mean_is_over_the_neighbors_in_which_a_value_was_measured() -> None:
    from scmoe.pp._niche import _means

    weights = sparse.csr_matrix([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [0.25, 0.75, 0.0]])
    values = np.array([[np.nan, 1.0], [4.0, 2.0], [8.0, np.nan]])
    expected = [[6.0, 2.0], [np.nan, 1.0], [4.0, 0.25 * 1 + 0.75 * 2]]
    np.testing.assert_allclose(_means(weights, values), expected)


@pytest.mark.parametrize("dtype", ["float64", "Float64", "Int64"])
def test_coordinates_may_be_a_table_of_any_numbers(dtype: str) -> None:
    mdata, other = tissue(n_slices=1), tissue(n_slices=1)
    mdata.obsm["spatial"] = np.round(mdata.obsm["spatial"] * 1000)
    other.obsm["spatial"] = pd.DataFrame(mdata.obsm["spatial"], mdata.obs_names, ["x", "y"]).astype(dtype)
    for each in (mdata, other):
        del each["rna"].obsm["spatial"]
        niche(each, n_neighbors=5)
    np.testing.assert_allclose(dense(other[NAME].X), dense(mdata[NAME].X), atol=1e-6)
