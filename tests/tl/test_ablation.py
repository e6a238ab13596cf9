import pandas as pd
import pytest
from mudata import read_h5mu

import scmoe
from scmoe.datasets._write import write
from scmoe.explain import ablation_table
from scmoe.io._quiet import quiet_mudata


@pytest.fixture
def with_test(paired, fit_model):
    """A model that keeps test cells, and its data."""
    return fit_model(paired, setup={"labels_key": "cell_type"}, train_size=0.5, validation_size=0.2), paired


def test_writes_only_the_table(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.ablation(mosaic, trained_mosaic, groupby="batch", key_added="a")
    assert written(before, mosaic) == {"uns/a/ablation"}
    assert set(mosaic.uns["a"]["ablation"]["group"]) == {"all cells", "donor1", "donor2"}


@pytest.mark.parametrize("how", ["hide", "permute"])
def test_table_holds_the_means_of_its_cells(paired, trained, how):
    scmoe.tl.ablation(paired, trained, groupby="cell_type", how=how, indices=range(60), seed=2)
    table = paired.uns["scmoe"]["ablation"]
    assert set(table["how"]) == {how} and set(table["cells"]) == {"chosen"}
    scmoe.tl.ablation(
        paired, trained, groupby="cell_type", how=how, indices=paired.obs_names[:60], seed=2, key_added="n"
    )
    pd.testing.assert_frame_equal(paired.uns["n"]["ablation"], table)
    found = trained.get_ablation(paired, range(60), how=how, seed=2)
    expected = ablation_table(
        found.loss, found.loss_hidden, ["rna", "adt"], found.outcomes, paired.obs["cell_type"].iloc[:60]
    )
    pd.testing.assert_frame_equal(table[expected.columns].reset_index(drop=True), expected)


def test_test_cells_of_the_training_data_by_default(with_test):
    model, mdata = with_test
    scmoe.tl.ablation(mdata, model)
    table = mdata.uns["scmoe"]["ablation"]
    assert set(table["cells"]) == {"test"} and set(table["n_cells"]) == {len(model.test_indices)} == {36}
    rise = model.get_ablation(indices=model.test_indices)
    row = table[(table["hidden"] == "rna") & (table["outcome"] == "label")].iloc[0]
    assert row["increase"] == pytest.approx((rise.loss_hidden - rise.loss)[:, 0, 2].mean(), rel=1e-5)


def test_all_cells_of_other_data(with_test, fresh):
    model, _ = with_test
    query = fresh("paired")
    scmoe.tl.ablation(query, model)
    table = query.uns["scmoe"]["ablation"]
    assert set(table["cells"]) == {"all"} and set(table["n_cells"]) == {120}


def test_a_split_is_not_used_on_other_data_that_the_model_was_loaded_with(with_test, fresh, tmp_path):
    model, _ = with_test
    model.save(tmp_path / "model")
    with quiet_mudata():
        query = fresh("paired")[:100].copy()
    scmoe.tl.ablation(query, scmoe.model.SCMOE.load(tmp_path / "model", query))
    assert set(query.uns["scmoe"]["ablation"]["cells"]) == {"all"}


def test_cells_without_labels_do_not_count_for_the_label(paired, trained):
    paired.obs["cell_type"] = paired.obs["cell_type"].astype(str)
    paired.obs.loc[paired.obs_names[:40], "cell_type"] = "Unknown"
    scmoe.tl.ablation(paired, trained, indices=range(120))
    n_cells = paired.uns["scmoe"]["ablation"].groupby("outcome")["n_cells"].unique()
    assert n_cells.map(list).to_dict() == {"rna": [120], "adt": [120], "label": [80]}
    del paired.obs["cell_type"]
    scmoe.tl.ablation(paired, trained)
    assert set(paired.uns["scmoe"]["ablation"]["outcome"]) == {"rna", "adt"}


def test_tables_survive_a_file(paired, trained, tmp_path):
    scmoe.tl.attention(paired, trained, groupby="cell_type")
    scmoe.tl.ablation(paired, trained, groupby="cell_type")
    write(paired, tmp_path / "result.h5mu")
    with quiet_mudata():
        back = read_h5mu(tmp_path / "result.h5mu")
    for name in ("attention", "ablation"):
        stored, kept = paired.uns["scmoe"][name], back.uns["scmoe"][name]
        pd.testing.assert_frame_equal(kept, stored, check_index_type=False, check_dtype=False, check_names=False)
        assert not stored.isna().any(axis=None)
    assert scmoe.pl.attention(back, group="T", head=1, beside_ablation=True) is not None


@pytest.mark.parametrize(
    ("data", "arguments", "error", "match"),
    [
        ("paired", {"groupby": "type"}, KeyError, "groupby='type' is not a column"),
        ("paired", {"how": "drop"}, ValueError, "how must be one of"),
        ("paired", {"indices": []}, ValueError, "none of the 0 cells has two"),
        ("single", {}, ValueError, "none of the 120 cells has two of rna, adt"),
    ],
)
def test_bad_input(fresh, trained, data, arguments, error, match):
    mdata = fresh(data)
    before = set(mdata.uns)
    with pytest.raises(error, match=match):
        scmoe.tl.ablation(mdata, trained, **arguments)
    assert set(mdata.uns) == before


def test_untrained_model(paired, tiny):
    scmoe.model.SCMOE.setup_mudata(paired)
    with pytest.raises(RuntimeError, match="not trained yet"):
        scmoe.tl.ablation(paired, scmoe.model.SCMOE(paired, **tiny))


def test_model_of_a_single_modality(single, tl_train):
    model = tl_train(single)
    with pytest.raises(ValueError, match="single modality, 'rna'"):
        scmoe.tl.ablation(single, model)


def test_names_that_files_cannot_hold_are_refused(paired, trained):
    with pytest.raises(ValueError, match="without '/' .* found 'a/b'"):
        scmoe.tl.ablation(paired, trained, key_added="a/b")
    assert "a/b" not in paired.uns


def test_experts_in_place_of_modalities(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.ablation(mosaic, trained_mosaic, groupby="cell_type", experts=True, key_added="a")
    assert written(before, mosaic) == {"uns/a/expert_ablation"}
    stored = mosaic.uns["a"]["expert_ablation"]
    found = trained_mosaic.get_expert_ablation(mosaic)
    expected = scmoe.explain.expert_ablation_table(*found, mosaic.obs["cell_type"])
    pd.testing.assert_frame_equal(stored[expected.columns].reset_index(drop=True), expected)
    assert set(stored["cells"]) == {"all"}


def test_experts_are_always_left_out(paired, trained):
    with pytest.raises(ValueError, match="how='permute' is for modalities"):
        scmoe.tl.ablation(paired, trained, experts=True, how="permute")
