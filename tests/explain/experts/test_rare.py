"""Experts of rare groups, against slow references."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from scmoe.explain.experts._rare import rare_usage_table

SIZES = {"common": 60, "some": 20, "rare": 4}
GROUPS = pd.Series(np.repeat(list(SIZES), list(SIZES.values())))


def shares(seed=0, n_layers=2, n_experts=5):
    rng = np.random.default_rng(seed)
    return {name: rng.dirichlet(np.ones(n_experts), size=(len(GROUPS), n_layers)) for name in ("rna", "adt")}


def test_numbers_are_those_of_means_over_cells_and_modalities():
    soft = shares()
    table = rare_usage_table(soft, GROUPS, n_permutations=5)
    assert list(table["group"]) == ["rare", "some", "common"] * 2 and list(table["n_cells"]) == [4, 20, 60] * 2
    both = (soft["rna"] + soft["adt"]) / 2
    for row in table.itertuples():
        mine = both[(GROUPS == row.group).to_numpy(), row.layer].mean(0)
        assert row.entropy == pytest.approx(entropy(mine))
        assert row.effective_experts == pytest.approx(np.exp(row.entropy))
        assert row.divergence == pytest.approx(jensenshannon(mine, both[:, row.layer].mean(0)) ** 2)


def test_chance_alone_sets_few_cells_apart_and_the_null_says_so():
    table = rare_usage_table(shares(n_layers=1), GROUPS, n_permutations=200).set_index("group")
    assert table.loc["rare", "divergence"] > 3 * table.loc["common", "divergence"]
    assert table.loc["rare", "null_divergence"] == pytest.approx(table.loc["rare", "divergence"], rel=1)
    assert (table["p"] > 0.01).all()


def test_a_rare_group_with_an_expert_of_its_own_is_found():
    soft = shares(n_layers=1)
    for values in soft.values():
        values[(GROUPS == "rare").to_numpy()] = np.eye(5)[2]
    table = rare_usage_table(soft, GROUPS, n_permutations=200).set_index("group")
    assert table.loc["rare", "p"] == pytest.approx(1 / 201)
    assert table.loc["rare", "effective_experts"] == pytest.approx(1)
    assert table.loc["rare", "entropy"] < table.loc["rare", "null_entropy"]


def test_absent_modalities_and_missing_groups_are_left_out():
    soft, groups = shares(), GROUPS.where(GROUPS != "some")
    soft["adt"][::2] = np.nan
    table = rare_usage_table(soft, groups, n_permutations=5)
    assert set(table["group"]) == {"rare", "common"} and np.isfinite(table.drop(columns="group").to_numpy(float)).all()


@pytest.mark.parametrize(
    ("groups", "n", "match"),
    [
        (pd.Series([None] * len(GROUPS)), 5, "groups names no group"),
        (GROUPS[:3], 5, "found 3 entries for 84 cells"),
        (GROUPS, 0, "n_permutations must be a whole number of at least 1; found 0"),
    ],
)
def test_errors(groups, n, match):
    with pytest.raises(ValueError, match=match):
        rare_usage_table(shares(), groups, n_permutations=n)
