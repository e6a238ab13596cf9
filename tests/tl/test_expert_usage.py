import numpy as np
import pytest

import scmoe


@pytest.fixture
def usage(mosaic, trained_mosaic):
    scmoe.tl.expert_usage(mosaic, trained_mosaic, groupby="cell_type")
    return mosaic.uns["scmoe"]["expert_usage"]


def test_writes_the_table_and_each_modality_s_shares(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.expert_usage(mosaic, trained_mosaic, groupby="cell_type", key_added="a")
    shares = {f"mod/{name}/obsm/a_router" for name in mosaic.mod}
    assert written(before, mosaic) == shares | {"uns/a/expert_usage", "uns/a/expert_usage_groupby"}
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
