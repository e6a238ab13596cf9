import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from scmoe.metrics import frequency_groups, recall_slope


def test_zheng68k_in_three_groups():
    """Test support of the specification, section 1; F1 of CD34+ cells (19) says that rarity alone does not decide."""
    support = {
        "CD8 cytotoxic": 2031,
        "CD8 naive": 1636,
        "NK": 853,
        "Treg": 612,
        "B": 558,
        "CD4 memory": 303,
        "CD14 mono": 195,
        "dendritic": 194,
        "CD4 naive": 185,
        "CD34+": 19,
        "Th2": 9,
    }
    groups = frequency_groups(support)
    assert groups.index[groups == "tail"].tolist() == ["dendritic", "CD4 naive", "CD34+", "Th2"]
    assert groups.index[groups == "head"].tolist() == ["CD8 cytotoxic", "CD8 naive", "NK"]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5, 5, 5], ["tail"] * 3), ([1, 1, 1, 9], ["tail"] * 3 + ["head"]), ([0, 4, 9], ["tail", "middle", "head"])],
)
def test_equal_numbers_are_in_one_group(counts, expected):
    assert frequency_groups(pd.Series(counts, index=list("abcd")[: len(counts)])).tolist() == expected


def test_slope_is_the_rank_correlation_with_log_n():
    rng = np.random.default_rng(0)
    n, recall = pd.Series(rng.integers(1, 900, 12)), pd.Series(rng.random(12))
    assert recall_slope(recall, n) == pytest.approx(spearmanr(np.log(n), recall).statistic)
    recall[3] = np.nan
    assert recall_slope(recall, n) == pytest.approx(spearmanr(np.log(n.drop(3)), recall.drop(3)).statistic)


@pytest.mark.parametrize(
    "recall", [{"a": 0.1, "b": 0.9}, {"a": 0.5, "b": 0.5, "c": 0.5}, {"a": 1, "b": 0, "c": np.nan}]
)
def test_no_slope_without_a_trend_to_see(recall):
    assert np.isnan(recall_slope(recall, {"a": 1, "b": 10, "c": 100}))


@pytest.mark.parametrize("n_train", [{"a": 3, "b": -1}, {"a": 3}, {"a": 3, "b": np.nan}])
def test_numbers_of_all_labels_are_needed(n_train):
    with pytest.raises(ValueError, match="for 'b'. A label that training lacks has 0"):
        recall_slope({"a": 0.5, "b": 0.4}, n_train)
