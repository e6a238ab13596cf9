import numpy as np
import pandas as pd
import pytest
from mudata import read_h5mu

import scmoe
from scmoe.datasets._write import write
from scmoe.explain import usage_summary
from scmoe.io._quiet import quiet_mudata

TABLES = ("expert_usage", "expert_summary", "expert_usage_groupby")


@pytest.fixture
def usage(mosaic, trained_mosaic):
    scmoe.tl.expert_usage(mosaic, trained_mosaic, groupby="cell_type")
    return mosaic.uns["scmoe"]["expert_usage"]


def test_writes_the_table_and_each_modality_s_shares(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.expert_usage(mosaic, trained_mosaic, groupby="cell_type", key_added="a")
    shares = {f"mod/{name}/obsm/a_router" for name in mosaic.mod}
    assert written(before, mosaic) == shares | {f"uns/a/{name}" for name in TABLES}
    assert mosaic.uns["a"]["expert_usage_groupby"] == "cell_type"


def test_shares_of_a_cell_sum_to_one(mosaic, trained_mosaic):
    scmoe.tl.expert_usage(mosaic, trained_mosaic)
    assert mosaic.uns["scmoe"]["expert_usage_groupby"] == ""
    for name in mosaic.mod:
        shares = mosaic[name].obsm["scmoe_router"]
        assert shares.shape == (mosaic[name].n_obs, 4)
        np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)


def test_shares_of_a_group_sum_to_one(usage):
    sums = usage.groupby(["layer", "modality", "group"])[["soft", "hard"]].sum()
    np.testing.assert_allclose(sums, 1, rtol=1e-5)
    assert set(usage["group"]) == {"all cells", "B", "NK", "T"}


def test_a_group_is_the_mean_of_its_cells(mosaic, usage):
    cells = (mosaic.obs["cell_type"] == "NK") & mosaic.obs_names.isin(mosaic["adt"].obs_names)
    shares = mosaic["adt"].obsm["scmoe_router"][cells[mosaic["adt"].obs_names].to_numpy()]
    rows = usage[(usage["modality"] == "adt") & (usage["group"] == "NK")]
    np.testing.assert_allclose(rows.sort_values("expert")["soft"], shares.mean(0), rtol=1e-5)
    assert (rows["n_cells"] == cells.sum()).all()


def test_summary_is_of_the_stored_shares(mosaic, trained_mosaic):
    scmoe.tl.expert_usage(mosaic, trained_mosaic, groupby="cell_type", n_permutations=20, seed=3)
    soft, hard = (trained_mosaic.get_router_activations(mosaic, kind=kind) for kind in ("soft", "hard"))
    expected = usage_summary(soft, hard, mosaic.obs["cell_type"], n_permutations=20, seed=3)
    stored = mosaic.uns["scmoe"]["expert_summary"]
    pd.testing.assert_frame_equal(stored.drop(columns="untrained_mean").reset_index(drop=True), expected)


def test_summary_stands_beside_untrained_routers(mosaic, trained_mosaic):
    scmoe.tl.expert_usage(mosaic, trained_mosaic, groupby="cell_type")
    stored = mosaic.uns["scmoe"]["expert_summary"]
    row = ["layer", "by", "share", "modality", "statistic", "first", "second"]
    values = []
    for draw in range(5):
        soft, hard = (trained_mosaic.get_router_activations(mosaic, kind=k, untrained=draw) for k in ("soft", "hard"))
        table = usage_summary(soft, hard, mosaic.obs["cell_type"], n_permutations=1)
        values.append(table.set_index(row)["value"])
    expected = sum(values) / 5
    tested = stored[stored["p"].notna()]
    np.testing.assert_allclose(tested["untrained_mean"], expected[pd.MultiIndex.from_frame(tested[row])])
    assert stored.loc[stored["p"].isna(), "untrained_mean"].isna().all()
    assert len(set(map(float, (v.sum() for v in values)))) == 5


@pytest.mark.parametrize("key", ["expert_usage", "expert_summary"])
def test_tables_survive_a_file(mosaic, trained_mosaic, tmp_path, key):
    scmoe.tl.expert_usage(mosaic, trained_mosaic, groupby="cell_type")
    write(mosaic, tmp_path / "a.h5mu")
    with quiet_mudata():
        stored = read_h5mu(tmp_path / "a.h5mu").uns["scmoe"][key]
    pd.testing.assert_frame_equal(stored, mosaic.uns["scmoe"][key], check_dtype=False, check_categorical=False)


def test_cells_without_any_group(mosaic, trained_mosaic):
    mosaic.obs["nothing"] = pd.Categorical([None] * mosaic.n_obs)
    with pytest.raises(ValueError, match="the group of every cell is missing"):
        scmoe.tl.expert_usage(mosaic, trained_mosaic, groupby="nothing")


def test_groups_that_gaps_made_decimal_are_groups(paired, trained):
    paired.obs["group"] = np.where(np.arange(120) % 9, np.arange(120) % 2, np.nan)
    scmoe.tl.expert_usage(paired, trained, groupby="group", n_permutations=1)
    assert set(paired.uns["scmoe"]["expert_usage"]["group"]) == {"all cells", "0", "1"}


def test_a_group_that_is_called_like_all_is_refused(paired, trained, contents):
    paired.obs["group"] = np.resize(["all cells", "b"], 120)
    before = contents(paired)
    for verb in (scmoe.tl.expert_usage, scmoe.tl.expert_cards, scmoe.tl.attention, scmoe.tl.ablation):
        with pytest.raises(ValueError, match="groupby='group' has a group 'all cells'"):
            verb(paired, trained, groupby="group")
    assert contents(paired) == before
