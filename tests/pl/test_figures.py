import numpy as np

from scmoe.pl._figures import save_figures


def test_every_stored_result_gets_a_figure(mdata, tmp_path):
    mdata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(mdata.n_obs, 2))
    files = save_figures(mdata, tmp_path / "figures", color=["cell_type"])
    assert set(files) == {"history", "expert_usage", "expert_usage_by_group", "attention", "umap_cell_type"}
    assert all(file.stat().st_size > 0 for file in files.values())


def test_what_is_not_stored_is_left_out(mdata, tmp_path):
    del mdata.uns["scmoe"]["attention"], mdata.uns["scmoe"]["history"]
    mdata.uns["scmoe"]["expert_usage_groupby"] = ""
    assert set(save_figures(mdata, tmp_path, color=["cell_type"])) == {"expert_usage"}
