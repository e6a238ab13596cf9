"""`tl.train`: what it writes where, and nothing else."""

import numpy as np
import pandas as pd
import pytest
from lightning.pytorch import Callback

import scmoe
from scmoe._check import layer_names
from scmoe.datasets._write import write
from scmoe.io._quiet import quiet_mudata

PARTS = ("", "mod/rna/", "mod/adt/")
STATES = {f"mod/{name}/obsm/scmoe_{what}" for name in ("rna", "adt") for what in ("state", "router")}
EMBEDDED = {part + path for part in PARTS for path in ("obsm/X_scmoe", "obs/scmoe_cluster", "obs/scmoe_split")} | STATES
LABELED = {
    part + path
    for part in PARTS
    for path in (
        "obsm/X_scmoe_labeled",
        "obs/scmoe_label",
        "obs/scmoe_label_confidence",
        "obs/scmoe_label_second",
        "obs/scmoe_label_second_confidence",
        "obs/scmoe_unknown_score",
        "obsm/scmoe_label_probability",
    )
}


def outside_uns(paths):
    return {path for path in paths if not path.startswith("uns/")}


def test_writes_embedding_and_clusters(paired, tl_train, contents, written):
    before = contents(paired)
    tl_train(paired)
    changed = written(before, paired)
    assert outside_uns(changed) == EMBEDDED
    roots = {"/".join(path.split("/")[:3]) for path in changed - outside_uns(changed)}
    assert {root.removeprefix("uns/").split("/")[0] for root in roots} == {"scmoe", "_scvi_uuid", "_scvi_manager_uuid"}
    assert {root.split("/")[2] for root in roots if root.startswith("uns/scmoe")} == {
        "history",
        "diagnostics",
        "params",
    }


def test_labels_are_written_as_well(paired, tl_train, contents, written):
    before = contents(paired)
    tl_train(paired, labels_key="cell_type")
    assert outside_uns(written(before, paired)) == EMBEDDED | LABELED


def test_the_unlabeled_category_may_be_a_number(paired, tl_train):
    paired.obs["number"] = paired.obs["cell_type"].astype(str).map({"B": -1, "NK": 0, "T": 1})
    model = tl_train(paired, labels_key="number", unlabeled_category=-1)
    assert (model.setup.labels, model.setup.unlabeled_category) == (["0", "1"], "-1")


def test_cells_of_the_unlabeled_category_have_no_label(paired, tl_train):
    label = paired.obs["cell_type"].astype(str).to_numpy()
    paired.obs["cell_type"] = np.where(np.arange(len(label)) % 3, label, "to do")
    model = tl_train(paired, labels_key="cell_type", unlabeled_category="to do")
    assert model.setup.labels == sorted(set(label)) and "to do" not in set(paired.obs["scmoe_label"])


def test_what_is_written_is_what_the_model_says(mosaic, tl_train):
    model = tl_train(mosaic, batch_key="batch")
    np.testing.assert_array_equal(mosaic.obsm["X_scmoe"], model.get_latent_representation())
    stored = mosaic.uns["scmoe"]["history"]
    pd.testing.assert_frame_equal(
        stored.set_index("epoch").reset_index(drop=True),
        model.history.reset_index(drop=True),
        check_names=False,
        check_column_type=False,
    )
    params = mosaic.uns["scmoe"]["params"]
    assert params["seed"] == 0 and params["n_train"] == 108 and params["network"]["n_experts"] == 4
    assert params["setup"]["batch_key"] == "batch" and params["versions"]["scmoe"] == scmoe.__version__


@pytest.mark.parametrize("max_epochs", [3, 60])
@pytest.mark.parametrize("form", ["h5mu", "zarr"])
def test_diagnostics_survive_files(paired, tl_train, tmp_path, max_epochs, form):
    model = tl_train(paired, max_epochs=max_epochs)
    path = tmp_path / f"data.{form}"
    if form == "h5mu":
        write(paired, path)
    else:
        with quiet_mudata():
            paired.write_zarr(path)
    stored = scmoe.datasets.read(path).uns["scmoe"]["diagnostics"]
    as_list = {name: list(value) if isinstance(value, np.ndarray) else value for name, value in stored.items()}
    assert as_list == model.diagnostics
    assert bool(model.diagnostics["verdict"]) == (max_epochs == 3)


def test_another_key_leaves_the_first_results(paired, tl_train, contents, written):
    tl_train(paired, labels_key="cell_type")
    before = contents(paired)
    tl_train(paired, key_added="second", seed=1)
    changed = {path for path in written(before, paired) if not path.startswith("uns/")}
    assert changed == {path.replace("scmoe", "second") for path in EMBEDDED}
    assert not any(path.startswith("uns/scmoe/") for path in written(before, paired))


def test_training_again_replaces_the_results(paired, tl_train, contents, written):
    tl_train(paired)
    before = contents(paired)
    tl_train(paired)
    volatile = {"uns/scmoe/params/seconds", "uns/_scvi_manager_uuid"}
    assert written(before, paired) <= volatile


def test_as_many_clusters_as_asked_for(paired, tl_train):
    model = tl_train(paired, n_clusters=5)
    assert model.config.n_clusters == paired.obs["scmoe_cluster"].nunique() == 5


def test_settings_of_all_kinds_can_be_stored(paired, tl_train, tmp_path):
    settings = {"callbacks": [Callback()], "checkpoint_dir": tmp_path, "plan_kwargs": None, "resume": True}
    tl_train(paired, likelihoods={"rna": "nb"}, layers={"adt": None}, train_kwargs=settings)
    write(paired, tmp_path / "data.h5mu")


@pytest.mark.parametrize("data", ["mosaic", "single"])
def test_prepared_choices_are_kept(fresh, tl_train, data, contents, written):
    mdata = fresh(data)
    mdata.uns["scmoe"] = {"prepare": {"rna": {"kind": "rna"}}}
    before = contents(mdata)
    tl_train(mdata)
    assert "uns/scmoe/prepare/rna/kind" not in written(before, mdata)


def test_nothing_stale_stays_beside_new_results(paired, tl_train):
    first = tl_train(paired, labels_key="cell_type")
    scmoe.tl.expert_usage(paired, first)
    scmoe.tl.attention(paired, first)
    scmoe.tl.impute(paired, first, source="rna", target="adt")
    scmoe.tl.denoise(paired, first, modality="rna")
    scmoe.tl.map_query(paired, first)
    paired.obs["scmoe_mine"] = 1
    tl_train(paired)
    assert set(paired.uns["scmoe"]) == {"prepare", "history", "diagnostics", "params", "result_paths"}
    assert {name for name in paired.obs if name.startswith("scmoe")} == {"scmoe_cluster", "scmoe_split", "scmoe_mine"}
    assert {name for name in paired.obsm if "scmoe" in name} == {"X_scmoe"}
    for adata in paired.mod.values():
        assert set(adata.obsm) == {"X_scmoe", "scmoe_state", "scmoe_router"}
        assert set(adata.obs) == {"scmoe_cluster", "scmoe_split"}
    assert all(layer_names(adata) == ["counts"] for adata in paired.mod.values())


def test_what_only_looks_like_a_result_stays(paired, tl_train):
    other = tl_train(paired, key_added="scmoe_b")
    scmoe.tl.impute(paired, other, source="rna", target="adt", key_added="scmoe_b")
    paired.obs["scmoe_age_from_chart"] = 1
    paired.obs["scmoe_adt_from_rna"] = 2
    paired.obsm["scmoe_adt_from_flow"] = np.zeros((120, 2))
    paired["adt"].layers["scmoe_panel_from_rna"] = np.zeros((120, 12))
    tl_train(paired)
    assert {"scmoe_age_from_chart", "scmoe_adt_from_rna", "scmoe_b_cluster"} <= set(paired.obs)
    assert {"scmoe_adt_from_flow", "scmoe_b_adt_from_rna", "X_scmoe_b"} <= set(paired.obsm)
    assert {"scmoe_panel_from_rna", "scmoe_b_adt_from_rna"} <= set(paired["adt"].layers)


def test_what_files_could_not_hold_is_said_before_training(paired, tl_train, capsys):
    paired.uns["pair"] = (1, 2)
    tl_train(paired)
    said = capsys.readouterr().err
    assert said.index("mdata.uns['pair'] cannot be written to .h5 files") < said.index("trained")


def test_one_call_writes_all_that_is_asked_for(paired, tl_train):
    model = tl_train(paired, predict=True, umap=True)
    assert paired.obsm["X_umap"].shape == paired["rna"].obsm["X_umap"].shape == (120, 2)
    routing = model.get_router_activations()
    rows = {name: paired.obs_names.get_indexer(paired[name].obs_names) for name in ("rna", "adt")}
    for source, target in (("rna", "adt"), ("adt", "rna")):
        key, expected = f"scmoe_{target}_from_{source}", model.impute(source, target)
        np.testing.assert_array_equal(paired.obsm[key], expected)
        np.testing.assert_array_equal(paired[target].layers[key], expected[rows[target]])
        np.testing.assert_array_equal(paired[source].obsm["scmoe_router"], routing[source][rows[source], -1])
    tl_train(paired)
    assert {name for name in paired.obsm if "scmoe" in name} == {"X_scmoe"} and "X_umap" not in paired.obsm


def test_predictions_that_memory_would_not_hold_are_refused_before_training(
    paired, tl_train, contents, written, monkeypatch
):
    monkeypatch.setattr("scmoe.io._memory.free_memory", lambda: 1000)
    before = contents(paired)
    with pytest.raises(ValueError, match="Predictions of all modalities take .* Leave predict out"):
        tl_train(paired, predict=True)
    assert not written(before, paired)


def test_a_second_name_can_be_trained_again(paired, tl_train):
    """Tables of two names have the same names within their entries, and do not replace each other."""
    for key in ("scmoe", "other", "other"):
        tl_train(paired, labels_key="cell_type", key_added=key)
    assert {"annotation", "history"} <= set(paired.uns["scmoe"]) & set(paired.uns["other"])


def test_the_note_of_who_was_trained_on_is_no_division_of_the_cells(paired, tl_train):
    """Else cells could not be resampled after a training."""
    model = tl_train(paired, train_kwargs={"train_size": 0.6, "validation_size": 0.2})
    roles = paired.obs["scmoe_split"]
    for name, cells in {"training": model.train_indices, "validation": model.validation_indices}.items():
        assert (roles.iloc[cells] == f"{name} cell").all() and (roles == f"{name} cell").sum() == len(cells)
    assert scmoe.pp.oversample(paired, "cell_type").n_obs > paired.n_obs
    assert scmoe.pp.oversample(paired[roles != "training cell"].copy(), "cell_type").n_obs > 0
