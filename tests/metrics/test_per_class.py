import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from scmoe.metrics import per_class_scores

LABELS = ["B", "NK", "T", "pDC"]


@pytest.fixture
def cells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and predicted labels of 300 cells, no "pDC" among either, and donors of different accuracy."""
    rng = np.random.default_rng(0)
    truth, donor = rng.choice(LABELS[:3], 300, p=[0.6, 0.1, 0.3]), rng.integers(3, size=300)
    wrong = rng.random(300) < np.array([0.1, 0.3, 0.6])[donor]
    return truth, np.where(wrong, rng.choice(LABELS[:3], 300), truth), donor


def test_as_of_scikit_learn(cells):
    truth, predicted, _ = cells
    predicted[predicted == "NK"] = "B"  # never predicted: F1 of 0
    table = per_class_scores(truth, predicted, labels=LABELS, n_boot=0)
    expected = precision_recall_fscore_support(truth, predicted, labels=LABELS[:3], zero_division=0)
    np.testing.assert_allclose(table.loc[LABELS[:3], ["precision", "recall", "f1", "support"]].T, expected)
    assert table.loc["NK", ["precision", "f1"]].tolist() == [0, 0]
    assert table.loc["pDC", ["precision", "recall", "f1"]].isna().all() and table.loc["pDC", "support"] == 0


def test_declined_cells_are_found_nowhere():
    table = per_class_scores(["B", "B", "T"], ["B", "Unknown", "T"], labels=["B", "T"], n_boot=0)
    assert table.loc["B", ["precision", "recall"]].tolist() == [1, 0.5]


@pytest.mark.parametrize("within", [False, True])
def test_intervals_are_those_of_drawing_cells(cells, within):
    truth, predicted, donor = cells
    groups = donor if within else np.zeros_like(donor)
    rng, drawn = np.random.default_rng(1), []
    members = [np.flatnonzero(groups == each) for each in np.unique(groups)]
    for _ in range(600):
        chosen = np.concatenate([rng.choice(each, len(each)) for each in members])
        drawn.append(precision_recall_fscore_support(truth[chosen], predicted[chosen], labels=LABELS[:3])[:3])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    table = per_class_scores(truth, predicted, labels=LABELS, groups=groups, n_boot=4000)
    for score, a, b in zip(("precision", "recall", "f1"), low, high, strict=True):
        np.testing.assert_allclose(table.loc[LABELS[:3], f"{score}_low"], a, atol=0.05)
        np.testing.assert_allclose(table.loc[LABELS[:3], f"{score}_high"], b, atol=0.05)


def test_drawing_within_donors_narrows_the_interval():
    """All cells of a label are right in one donor and wrong in the other: nothing is left to chance within donors."""
    truth, donor = np.repeat("B", 40), np.repeat(["d1", "d2"], 20)
    predicted = np.where(donor == "d1", "B", "T")
    within = per_class_scores(truth, predicted, labels=["B", "T"], groups=donor).loc["B"]
    across = per_class_scores(truth, predicted, labels=["B", "T"], groups=np.zeros(40)).loc["B"]
    assert within["recall_low"] == within["recall_high"] == 0.5
    assert across["recall_low"] < 0.4 and across["recall_high"] > 0.6


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_without_donors_are_wilson_s(cells, level):
    truth, predicted, _ = cells
    table = per_class_scores(truth, predicted, labels=LABELS, level=level)
    for name in LABELS[:3]:
        right, support, n = ((a & b).sum() for a, b in _masks(truth == name, predicted == name))
        for score, total in (("recall", support), ("precision", n), ("f1", support + n - right)):
            low, high = proportion_confint(right, total, alpha=1 - level, method="wilson")
            ends = (2 * low / (1 + low), 2 * high / (1 + high)) if score == "f1" else (low, high)
            assert table.loc[name, [f"{score}_low", f"{score}_high"]].tolist() == pytest.approx(ends)
            assert ends[0] < table.loc[name, score] < ends[1]
    assert table.loc["pDC", ["f1_low", "recall_high", "precision_low"]].isna().all()


def _masks(true: np.ndarray, named: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(true, named), (true, true), (named, named)]


def test_a_score_of_1_has_an_interval():
    row = per_class_scores(["B"] * 3, ["B"] * 3, labels=["B"]).loc["B"]
    assert row["f1"] == row["f1_high"] == 1 and 0.5 < row["f1_low"] < 0.7


def test_seed_decides(cells):
    first, same, other = (per_class_scores(*cells[:2], labels=LABELS, groups=cells[2], seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, same)
    assert not first["f1_low"].equals(other["f1_low"])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"groups": ["d1"]}, "a group for each of the 2 cells; found 1"),
        ({"groups": ["d1", None]}, "groups has no entry for 1 of 2 cells, the first is number 1"),
        ({"groups": pd.Series([np.nan, 1.0], index=["c1", "c2"])}, "the first is 'c1'"),
        ({"n_boot": -1}, "n_boot must be a whole number of at least 0; found -1"),
        ({"level": 1.0}, "level must be a number above 0 and below 1; found 1.0"),
    ],
)
def test_bad_requests(arguments, match):
    with pytest.raises(ValueError, match=match):
        per_class_scores(["B", "T"], ["B", "T"], labels=["B", "T"], **arguments)
