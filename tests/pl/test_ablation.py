import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

import scmoe.pl
from scmoe.explain import expert_ablation_table
from scmoe.explain._groups import ALL_CELLS


def drawn(ax) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


@pytest.mark.parametrize("group", [ALL_CELLS, "T"])
def test_draws_the_increase_relative_to_the_loss(mdata, group):
    ax = scmoe.pl.ablation(mdata, group=group)
    table = mdata.uns["scmoe"]["ablation"].query("group == @group")
    table = table.assign(relative=table["increase"] / table["loss"])
    expected = table.pivot(index="hidden", columns="outcome", values="relative")
    np.testing.assert_allclose(drawn(ax), expected.loc[["rna", "adt"], ["rna", "adt", "label"]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["rna", "adt", "label"]


def test_no_increase_is_the_middle_of_the_colors(mdata):
    assert scmoe.pl.ablation(mdata).images[0].norm(0.0) == pytest.approx(0.5)


def test_what_may_be_chance_is_hatched(mdata):
    table = mdata.uns["scmoe"]["ablation"]
    table["increase"], table["standard_error"] = 1.0, 0.4
    here = (table["hidden"] == "adt") & (table["outcome"] == "label")
    table.loc[here, "standard_error"] = 0.6
    table.loc[(table["hidden"] == "rna") & (table["outcome"] == "adt"), "standard_error"] = np.nan
    patches = [patch for patch in scmoe.pl.ablation(mdata).patches if isinstance(patch, Rectangle)]
    assert sorted((patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in patches) == [(1, 0), (2, 1)]
    assert all(patch.get_hatch() for patch in patches)


def test_outcome_without_loss_or_without_cells_is_left_gray(mdata):
    table = mdata.uns["scmoe"]["ablation"]
    table.loc[(table["hidden"] == "adt") & (table["outcome"] == "label"), "loss"] = 0.0
    mdata.uns["scmoe"]["ablation"] = table[(table["hidden"] != "rna") | (table["outcome"] != "label")]
    shown = np.ma.filled(drawn(scmoe.pl.ablation(mdata)).astype(float), np.nan)
    assert np.isnan(shown[:, 2]).all() and np.isfinite(shown[:, :2]).all()


def test_title_tells_which_cells(mdata):
    assert scmoe.pl.ablation(mdata, group="T").get_title(loc="left").endswith(", T\n7 cells (test)")


def test_unknown_group(mdata):
    with pytest.raises(KeyError, match="no group 'Platelet'; the table has all cells, B, NK, T"):
        scmoe.pl.ablation(mdata, group="Platelet")


def test_table_from_a_file_has_categories(mdata):
    expected = drawn(scmoe.pl.ablation(mdata))
    table = mdata.uns["scmoe"]["ablation"]
    mdata.uns["scmoe"]["ablation"] = table.astype(
        dict.fromkeys(["group", "hidden", "outcome", "how", "cells"], "category")
    )
    assert isinstance(mdata.uns["scmoe"]["ablation"]["group"].dtype, pd.CategoricalDtype)
    np.testing.assert_array_equal(drawn(scmoe.pl.ablation(mdata)), expected)


@pytest.mark.parametrize("layer", [0, 1])
def test_experts_are_drawn_over_what_is_expected(mdata, layer):
    rng = np.random.default_rng(0)
    use, change = rng.dirichlet(np.ones(4), size=(30, 2)), rng.random((30, 2, 4))
    change[:, 0, 1] = 0
    table = expert_ablation_table(use, change, mdata.obs["cell_type"]).assign(cells="test")
    mdata.uns["scmoe"] = {**mdata.uns["scmoe"], "expert_ablation": table}
    ax = scmoe.pl.ablation(mdata, experts=True, layer=layer)
    here = table[table["layer"] == layer].assign(ratio=lambda rows: rows["change"] / rows["expected"])
    expected = here.pivot(index="group", columns="expert", values="ratio").loc[here["group"].unique()]
    np.testing.assert_allclose(drawn(ax), expected.clip(1 / 30, 30))
    assert [label.get_text() for label in ax.get_yticklabels()][0] == "all cells (30)"
    assert ax.images[0].norm(1.0) == pytest.approx(0.5)


def test_experts_that_were_not_asked_for(mdata):
    with pytest.raises(KeyError, match=r"scmoe.tl.ablation\(..., experts=True"):
        scmoe.pl.ablation(mdata, experts=True)
