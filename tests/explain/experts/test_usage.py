import numpy as np
import pandas as pd
import pytest

from scmoe.explain import usage_table

N_CELLS, N_LAYERS, N_EXPERTS = 12, 2, 3


@pytest.fixture
def shares():
    rng = np.random.default_rng(0)
    values = {
        name: {m: rng.dirichlet(np.ones(N_EXPERTS), size=(N_CELLS, N_LAYERS)) for m in ("rna", "adt")}
        for name in ("soft", "hard")
    }
    for kind in values.values():
        kind["adt"][:4] = np.nan
    return values["soft"], values["hard"]


@pytest.fixture
def groups():
    return pd.Series(["B", "B", "T", "T", "T", "T", "B", "B", None, "NK", "NK", "NK"])


def test_against_loops_over_cells(shares, groups):
    soft, hard = shares
    for row in usage_table(soft, hard, groups).itertuples():
        cells = [
            cell
            for cell in range(N_CELLS)
            if row.group in ("all cells", groups[cell]) and not np.isnan(soft[row.modality][cell]).any()
        ]
        assert row.n_cells == len(cells)
        assert row.soft == pytest.approx(np.mean([soft[row.modality][c, row.layer, row.expert] for c in cells]))
        assert row.hard == pytest.approx(np.mean([hard[row.modality][c, row.layer, row.expert] for c in cells]))


def test_shares_sum_to_one(shares, groups):
    sums = usage_table(*shares, groups).groupby(["layer", "modality", "group"])[["soft", "hard"]].sum()
    np.testing.assert_allclose(sums, 1)


def test_group_without_a_cell_of_the_modality_is_left_out(shares):
    groups = pd.Series(["early"] * 4 + ["late"] * 8)
    table = usage_table(*shares, groups)
    assert set(table.query("modality == 'adt'")["group"]) == {"all cells", "late"}


def test_without_groups_there_is_one(shares):
    table = usage_table(*shares)
    assert table["group"].unique().tolist() == ["all cells"]
    assert len(table) == 2 * N_LAYERS * N_EXPERTS


def test_groups_follow_category_order(shares):
    groups = pd.Series(pd.Categorical(["z", "a"] * 6, categories=["z", "unused", "a"]))
    assert usage_table(*shares, groups)["group"].unique().tolist() == ["all cells", "z", "a"]


@pytest.mark.parametrize(
    ("groups", "match"),
    [(pd.Series(["a"]), "1 entries for 12 cells"), (pd.Series(["all cells"] * 12), "called 'all cells'")],
)
def test_bad_groups(shares, groups, match):
    with pytest.raises(ValueError, match=match):
        usage_table(*shares, groups)


def test_soft_and_hard_must_match(shares):
    soft, hard = shares
    with pytest.raises(ValueError, match="same modalities"):
        usage_table(soft, {"rna": hard["rna"]})
    with pytest.raises(ValueError, match="Modality 'adt'"):
        usage_table(soft, {"rna": hard["rna"], "adt": hard["adt"][:, :1]})


@pytest.mark.parametrize(
    "container", [list, np.array, pd.Categorical, lambda groups: groups.set_axis(list("abcdefghijkl"))]
)
def test_groups_go_by_position_for_arrays_name_no_cells(shares, groups, container):
    pd.testing.assert_frame_equal(usage_table(*shares, container(groups)), usage_table(*shares, groups))
