import numpy as np
import pandas as pd
import pytest

from scmoe.io._files import WriteError
from scmoe.pl import _figures
from scmoe.pl._figures import save_figures


def test_every_stored_result_gets_a_figure(mdata, tmp_path):
    mdata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(mdata.n_obs, 2))
    files = save_figures(mdata, tmp_path / "figures", color=["cell_type"])
    assert set(files) == {"history", "expert_usage", "expert_usage_by_group", "attention", "ablation", "umap_cell_type"}
    assert all(file.stat().st_size > 0 for file in files.values())


def test_what_is_not_stored_is_left_out(mdata, tmp_path):
    del mdata.uns["scmoe"]["attention"], mdata.uns["scmoe"]["ablation"], mdata.uns["scmoe"]["history"]
    mdata.uns["scmoe"]["expert_usage_groupby"] = ""
    assert set(save_figures(mdata, tmp_path, color=["cell_type"])) == {"expert_usage"}


@pytest.mark.parametrize(("n_cells", "min_cells"), [({"B": 4}, 5), ({"B": 4, "NK": 4, "T": 4}, 1)])
def test_small_groups_are_left_out_unless_all_are_small(mdata, tmp_path, monkeypatch, n_cells, min_cells):
    table = mdata.uns["scmoe"]["expert_usage"]
    table["n_cells"] = table["group"].map(n_cells).fillna(table["n_cells"]).astype(int)
    drawn = []
    monkeypatch.setattr(_figures, "expert_usage", lambda *args, **kwargs: drawn.append(kwargs.get("min_cells")))
    save_figures(mdata, tmp_path)
    assert drawn == [None, min_cells]


def test_file_in_place_of_the_folder_is_named(mdata, tmp_path):
    (tmp_path / "figures").write_text("a file")
    with pytest.raises(WriteError, match="figures: a file is in the way"):
        save_figures(mdata, tmp_path / "figures")


def test_columns_with_slashes_have_a_file_each(mdata, tmp_path):
    mdata.obsm["X_umap"] = np.zeros((30, 2))
    for name in ("cell/type", "cell_type"):
        mdata.obs[name] = pd.Categorical(np.resize(["B", "T"], 30))
    files = save_figures(mdata, tmp_path, color=["cell/type", "cell_type"])
    assert files["umap_cell_type"].name == "umap_cell_type.png"
    assert files["umap_cell/type"].name == "umap_cell_type_.png"
    assert all(path.is_file() for path in files.values())
