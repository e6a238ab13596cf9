import numpy as np
import pytest

import scmoe.pl
from scmoe.explain import usage_summary
from scmoe.explain._groups import ALL_CELLS


def drawn(ax) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def labels(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_modality_rows_are_the_stored_shares(mdata):
    ax = scmoe.pl.expert_usage(mdata)
    table = mdata.uns["scmoe"]["expert_usage"].query("layer == 1 and group == @ALL_CELLS")
    expected = table.pivot(index="modality", columns="expert", values="soft").loc[["rna", "adt"]]
    np.testing.assert_allclose(drawn(ax), expected)
    assert labels(ax.yaxis) == ["rna", "adt"]


@pytest.mark.parametrize(("view", "axis"), [("row", 1), ("column", 0)])
@pytest.mark.parametrize("by", ["modality", "group"])
def test_view_normalizes_its_direction(mdata, view, axis, by):
    np.testing.assert_allclose(drawn(scmoe.pl.expert_usage(mdata, by=by, view=view)).sum(axis=axis), 1)


def test_group_averages_modalities_by_their_cells(mdata):
    ax = scmoe.pl.expert_usage(mdata, by="group", value="hard")
    table = mdata.uns["scmoe"]["expert_usage"].query("layer == 1 and group == 'NK' and expert == 2")
    expected = np.average(table["hard"], weights=table["n_cells"])
    assert drawn(ax)[labels(ax.yaxis).index("NK (10)"), 2] == pytest.approx(expected)
    assert ax.get_ylabel() == "cell type (cells)"


def test_one_modality_of_a_group(mdata):
    ax = scmoe.pl.expert_usage(mdata, by="group", modality="adt", layer=0)
    table = mdata.uns["scmoe"]["expert_usage"].query("layer == 0 and group == 'B' and modality == 'adt'")
    np.testing.assert_allclose(drawn(ax)[labels(ax.yaxis).index("B (10)")], table["soft"])


def test_small_groups_can_be_left_out(mdata):
    table = mdata.uns["scmoe"]["expert_usage"]
    table.loc[table["group"] == "B", "n_cells"] = 4
    ax = scmoe.pl.expert_usage(mdata, by="group", min_cells=5)
    assert [name.split()[0] for name in labels(ax.yaxis)] == ["NK", "T"]


def test_numbers_are_written_where_there_is_room(mdata):
    assert len(scmoe.pl.expert_usage(mdata).texts) == 8


def test_color_bar_states_the_view(mdata):
    ax = scmoe.pl.expert_usage(mdata)
    label = ax.figure.axes[-1].get_ylabel()
    assert "routing weight, rows sum to 1" in label
    assert "0.25" in label


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"modality": "atac"}, KeyError, "no modality 'atac'; the table has rna, adt"),
        ({"layer": 7}, KeyError, "no layer 7; the table has 2 layers"),
        ({"by": "cell"}, ValueError, "by must be one of 'modality', 'group'; found 'cell'"),
        ({"view": "both"}, ValueError, "view must be"),
        ({"by": "group", "min_cells": 99}, ValueError, "the largest has 10"),
        ({"value": "medium"}, ValueError, "value must be"),
    ],
)
def test_bad_arguments(mdata, arguments, error, match):
    with pytest.raises(error, match=match):
        scmoe.pl.expert_usage(mdata, **arguments)


def test_table_without_groups(mdata):
    table = mdata.uns["scmoe"]["expert_usage"]
    mdata.uns["scmoe"]["expert_usage"] = table[table["group"] == ALL_CELLS]
    with pytest.raises(KeyError, match="groupby"):
        scmoe.pl.expert_usage(mdata, by="group")


@pytest.fixture
def summarized(mdata):
    """The summary beside the table, in each combination of what can be drawn with its own numbers."""
    rng = np.random.default_rng(1)
    soft, hard = ({m: rng.dirichlet(np.ones(4), size=(30, 2)) for m in ("rna", "adt")} for _ in range(2))
    groups = mdata.obs["cell_type"]
    mdata.uns["scmoe"]["expert_summary"] = usage_summary(soft, hard, groups, n_permutations=20)
    return mdata


@pytest.mark.parametrize("value", ["soft", "hard"])
@pytest.mark.parametrize("view", ["row", "column"])
@pytest.mark.parametrize(("by", "modality"), [("modality", None), ("group", None), ("group", "adt")])
def test_title_tells_the_information_of_what_is_drawn(summarized, value, view, by, modality):
    title = scmoe.pl.expert_usage(summarized, by=by, value=value, view=view, modality=modality).get_title(loc="left")
    table = summarized.uns["scmoe"]["expert_summary"].query("layer == 1 and statistic == 'mutual_information'")
    chosen = (table["by"] == by) & (table["share"] == value) & (table["modality"] == (modality or "all modalities"))
    (row,) = table[chosen].itertuples()
    share = f"{row.value / row.maximum:.0%}"
    assert title.endswith(f"\nI({by}; expert) = {row.value:.3f} nats ({share}), p = {row.p:.2g}")


def test_title_without_a_summary(mdata):
    assert scmoe.pl.expert_usage(mdata).get_title(loc="left") == "Which experts serve each modality"
