"""Markers of planted types, what is not tested, and what scanpy reads of it."""

import logging

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from sklearn.cluster import KMeans

import scmoe
from scmoe.io._quiet import quiet_mudata
from scmoe.tl._untested import warn_of_tests


def table(mdata: MuData, **kwargs) -> pd.DataFrame:
    scmoe.tl.markers(mdata, **{"groupby": "cell_type", **kwargs})
    return mdata.uns[kwargs.get("key_added", "scmoe")]["markers"].astype({"group": str, "feature": str})


def messages(caplog) -> str:
    return "\n".join(record.getMessage() for record in caplog.records)


@pytest.fixture
def log(caplog):
    logger = logging.getLogger("scmoe")
    logger.propagate = True
    caplog.set_level("INFO", logger="scmoe")
    yield caplog
    logger.propagate = False


def test_planted_genes_are_found(paired: MuData) -> None:
    rows = table(paired, batch_key="batch")
    for i, group in enumerate(("B", "NK", "T")):
        for modality, prefix in (("rna", "gene"), ("adt", "protein")):
            own = rows[(rows["group"] == group) & (rows["modality"] == modality)]
            n = paired[modality].n_vars // 3
            planted = {f"{prefix}{j}" for j in range(i, 3 * n, 3)}
            assert set(own["feature"].head(n)) == planted
            found = own[own["feature"].isin(planted)]
            assert (found["p_adjusted"] < 0.05).mean() > 0.9 and (found["auc"] > 0.6).all()
            assert (found["log_fold_change"] > 1).all()
    of_rna = rows[rows["modality"] == "rna"]
    assert (of_rna.loc[of_rna["log_fold_change"] > 1, "detection_in"] > 0).all()
    assert rows["n_cells"].isin(paired.obs["cell_type"].value_counts()).all()


def test_scanpy_reads_the_tests(paired: MuData, tmp_path) -> None:
    rows = table(paired)
    for file in ("data.h5mu", "data.zarr"):
        scmoe.datasets.write(paired, tmp_path / file)
        again = scmoe.datasets.read(tmp_path / file)
        dots = sc.pl.rank_genes_groups_dotplot(
            again["rna"], key="scmoe_markers", n_genes=2, show=False, return_fig=True
        )
        assert list(dots.var_names)
        frame = sc.get.rank_genes_groups_df(again["rna"], group="NK", key="scmoe_markers")
        own = rows[(rows["group"] == "NK") & (rows["modality"] == "rna")]
        assert list(frame["names"]) == list(own["feature"])
        np.testing.assert_allclose(frame["pvals_adj"], own["p_adjusted"])
        pd.testing.assert_frame_equal(
            again.uns["scmoe"]["markers"].astype({"feature": str}).reset_index(drop=True)[["feature", "score"]],
            rows.reset_index(drop=True)[["feature", "score"]],
            check_dtype=False,
        )


def test_one_anndata_has_the_results(paired: MuData) -> None:
    adata = paired["rna"].copy()
    adata.obs["cell_type"] = paired.obs["cell_type"]
    scmoe.tl.markers(adata, groupby="cell_type")
    assert set(adata.uns["scmoe"]["markers"]["modality"]) == {"rna"} and "scmoe_markers" in adata.uns


def test_reference_is_one_group(paired: MuData) -> None:
    rows = table(paired, reference="NK", modality="rna")
    assert set(rows["group"]) == {"B", "T"}
    alone = paired[paired.obs["cell_type"].isin(["B", "NK"]).to_numpy()].copy()
    expected = table(alone, modality="rna")
    pd.testing.assert_frame_equal(
        rows[rows["group"] == "B"].reset_index(drop=True), expected[expected["group"] == "B"].reset_index(drop=True)
    )
    with pytest.raises(KeyError, match="no group"):
        table(paired, reference="monocyte")


def test_model_adds_effects_and_changes_no_test(paired: MuData, trained) -> None:
    plain = table(paired, batch_key="batch", key_added="plain")
    rows = table(paired, model=trained)  # compared within the batches of the model
    pd.testing.assert_series_equal(rows["p_value"], plain["p_value"])
    change = rows["log_fold_change_denoised"]
    assert (rows["log_fold_change_denoised_lower"] <= change).all()
    assert (change <= rows["log_fold_change_denoised_upper"]).all()
    clear = rows[(rows["modality"] == "rna") & (rows["log_fold_change"].abs() > 2)]
    assert (np.sign(clear["log_fold_change"]) == np.sign(clear["log_fold_change_denoised"])).mean() > 0.9


def test_feature_absent_from_a_batch_is_not_zero_there(raw: MuData) -> None:
    """Proteins that the second batch did not measure, as zeros: the test is that of the cells of the first."""
    absent = raw.obs["batch"].loc[raw["adt"].obs_names] == "donor2"
    raw["adt"].X[np.ix_(absent.to_numpy(), [0, 1])] = 0
    zeros = raw.copy()
    scmoe.pp.prepare(raw)
    scmoe.pp.prepare(zeros, missing="never")
    first = raw[(raw.obs["batch"] == "donor1").to_numpy()].copy()
    rows, alone, wrong = (table(mdata, modality="adt").set_index(["group", "feature"]) for mdata in (raw, first, zeros))
    for at in (("B", "protein0"), ("NK", "protein1")):
        assert rows.loc[at, "auc"] == pytest.approx(alone.loc[at, "auc"], abs=0.02)
        assert rows.loc[at, "detection_in"] == alone.loc[at, "detection_in"]
        assert wrong.loc[at, "auc"] < 0.8 * alone.loc[at, "auc"] and wrong.loc[at, "detection_in"] < 0.8


def test_values_that_are_missing_are_left_out(mosaic: MuData) -> None:
    rows = table(mosaic, modality="ephys").set_index(["group", "feature"])
    x = mosaic["ephys"].X[:, 2]
    names = mosaic.obs["cell_type"].loc[mosaic["ephys"].obs_names].to_numpy()
    is_in, is_there = names == "B", ~np.isnan(x)
    from scipy.stats import mannwhitneyu

    u = mannwhitneyu(x[is_in & is_there], x[~is_in & is_there])
    auc = u.statistic / ((is_in & is_there).sum() * (~is_in & is_there).sum())
    assert rows.loc[("B", "ephys2"), "auc"] == pytest.approx(auc)
    assert rows["log_fold_change"].isna().all()


def test_cells_without_entry_and_groups_of_one_cell(paired: MuData, log) -> None:
    labels = paired.obs["cell_type"].astype(object)
    labels.iloc[:10], labels.iloc[10] = np.nan, "single"
    paired.obs["cell_type"] = labels
    rows = table(paired)
    assert "nan" not in set(rows["group"])
    assert rows.loc[rows["group"] == "single", "p_value"].isna().all()
    assert rows.loc[rows["group"] == "B", "p_value"].notna().all()
    assert "10 of 120 cells have no entry" in messages(log) and "single (1)" in messages(log)


def test_group_that_is_a_batch(paired: MuData, log) -> None:
    paired.obs["condition"] = np.where(paired.obs["batch"] == "donor1", "sick", "well")
    with pytest.raises(ValueError, match="tl.differential"):
        table(paired, groupby="condition", batch_key="batch")
    paired.obs["three"] = paired.obs["cell_type"].astype(str).where(paired.obs["batch"] == "donor1", "all of donor 2")
    rows = table(paired, groupby="three", batch_key="batch")
    assert rows.loc[rows["group"] == "all of donor 2", "p_value"].isna().all()
    assert rows.loc[rows["group"] == "B", "p_value"].notna().all()
    assert "cannot be told from these" in messages(log)


def test_a_likely_batch_is_named(paired: MuData, log) -> None:
    table(paired)
    assert "batch_key='batch'" in messages(log)


@pytest.mark.parametrize("groups", [["a"] * 120, [np.nan] * 120])
def test_one_group_is_refused(paired: MuData, groups: list) -> None:
    paired.obs["one"] = groups
    with pytest.raises(ValueError, match="at least two groups"):
        table(paired, groupby="one")


def test_clusters_of_the_same_values_are_said(raw: MuData, tl_train, log) -> None:
    scmoe.pp.split_counts(raw, modality="rna")
    scmoe.pp.prepare(raw)
    model = tl_train(raw, labels_key="cell_type", n_clusters=3)
    log.clear()
    table(raw, groupby="scmoe_cluster", modality="rna")
    assert "too small" not in messages(log)
    table(raw, groupby="scmoe_cluster")
    assert "adt: obs['scmoe_cluster']" in messages(log) and "split_counts" in messages(log)
    table(raw, model=model)
    assert "is what the model was trained with" in messages(log)


def test_held_out_counts_are_what_is_tested(raw: MuData) -> None:
    scmoe.pp.split_counts(raw)
    scmoe.pp.prepare(raw)
    rows = table(raw, modality="rna")
    only = raw.copy()
    only["rna"].layers["counts"] = only["rna"].layers.pop("counts_held_out")
    pd.testing.assert_frame_equal(rows, table(only, modality="rna"))


def test_another_training_removes_the_tests(paired: MuData, tl_train) -> None:
    table(paired)
    tl_train(paired)
    assert "markers" not in paired.uns["scmoe"] and "scmoe_markers" not in paired["rna"].uns


def test_logarithms_without_counts(paired: MuData) -> None:
    mods = {}
    for name in ("rna",):
        mods[name] = paired[name].copy()
        mods[name].X, mods[name].layers = sparse.csr_matrix(mods[name].X), {}
    with quiet_mudata():
        mdata = MuData(mods)
    mdata.obs["cell_type"] = paired.obs["cell_type"]
    rows = table(mdata)
    assert rows[rows["group"] == "B"].iloc[0]["log_fold_change"] > 1


def test_shuffled_genes_are_not_found(raw: MuData) -> None:
    rng = np.random.default_rng(0)
    values = raw["rna"].X.toarray()
    for j in range(0, 60, 2):
        values[:, j] = rng.permutation(values[:, j])
    raw["rna"].X = sparse.csr_matrix(values)
    scmoe.pp.prepare(raw)
    rows = table(raw, modality="rna", batch_key="batch")
    is_shuffled = rows["feature"].isin([f"gene{j}" for j in range(0, 60, 2)])
    assert (rows.loc[is_shuffled, "p_adjusted"] < 0.05).mean() <= 0.05
    assert (rows.loc[~is_shuffled, "p_adjusted"] < 0.05).mean() > 0.8


def test_layers_of_a_model_are_said_not_to_be_for_tests_once(paired: MuData, trained, log) -> None:
    warn_of_tests.cache_clear()
    scmoe.tl.denoise(paired, trained, modality="rna")
    assert messages(log).count("scmoe.tl.markers") == 1
    scmoe.tl.impute(paired, trained, source="rna", target="adt")
    assert messages(log).count("scmoe.tl.markers") == 1


def test_clusters_of_one_kind_of_cells_have_no_markers_in_counts_set_aside() -> None:
    """Cells that differ by sampling alone, in clusters: the counts that made these differ, and the others do not."""
    shares: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(4):
        counts = sparse.csr_matrix(np.random.default_rng(seed).poisson(3.0, (600, 20)).astype(np.float32))
        for is_split, values in shares.items():
            adata = AnnData(counts, obs=pd.DataFrame(index=[f"cell{i}" for i in range(600)]))
            adata.var_names = [f"gene{i}" for i in range(20)]
            if is_split:
                scmoe.pp.split_counts(adata, seed=seed)
            scmoe.pp.prepare(adata, kinds={"rna": "rna"})
            adata.obs["kmeans"] = KMeans(3, n_init=3, random_state=0).fit_predict(adata.X.toarray()).astype(str)
            scmoe.tl.markers(adata, groupby="kmeans")
            values.append(float((adata.uns["scmoe"]["markers"]["p_value"] < 0.05).mean()))
    assert np.mean(shares[False]) > 0.12 and np.mean(shares[True]) < 0.09, shares
