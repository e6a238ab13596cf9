import numpy as np
import pytest
from scipy.stats import binomtest

from scmoe.explain.concepts._raised import raised_test

N_FEATURES, N_RANDOM = 40, 99


def directions(rng, n):
    """Random sets of five features, raised by one."""
    rows = np.zeros((n, N_FEATURES))
    for row in rows:
        row[rng.choice(N_FEATURES, 5, replace=False)] = 1
    return rows


def test_a_set_that_drives_the_target_is_found():
    rng = np.random.default_rng(0)
    rows = directions(rng, 1 + N_RANDOM)
    gradient = rng.normal(size=(20, N_FEATURES)) + 2 * rows[0]
    table = raised_test(
        rows, 100, {"up": gradient, "down": -gradient, "other": rng.normal(size=(20, N_FEATURES))}
    ).table
    up, down, other = (row for _, row in table.iterrows())
    assert up["score"] == 1 and up["p"] == 0.01 and up["derivative"] > 0.5
    assert down["score"] == 0 and down["p"] == 0.01 and down["derivative"] == pytest.approx(-up["derivative"])
    assert other["p"] > 0.05


def test_random_sets_are_found_as_often_as_they_should():
    found = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        gradient = rng.normal(size=(15, N_FEATURES)) + rng.normal(size=N_FEATURES)
        found += raised_test(directions(rng, 1 + N_RANDOM), 100, {"a": gradient}).table["p"][0] <= 0.05
    interval = binomtest(found, 400).proportion_ci()
    assert found / 400 <= 0.07, f"{found} of 400, 95 % interval {interval.low:.3f} to {interval.high:.3f}"


def test_derivative_against_a_loop():
    rng = np.random.default_rng(1)
    rows, gradient = directions(rng, 3), rng.normal(size=(12, N_FEATURES))
    row = raised_test(rows, 100, {"a": gradient}).table.iloc[0]
    v = rows[0] / np.sqrt((rows[0] ** 2).sum())
    along = [g @ v for g in gradient]
    assert row["score"] == np.mean([s > 0 for s in along])
    assert row["derivative"] == pytest.approx(np.mean(along) / np.mean([np.sqrt(g @ g) for g in gradient]))
    assert row["n_random"] == 2 and row["n_cells"] == 12 and row["n_concept"] == 100


def test_few_cells_get_no_p_value():
    rng = np.random.default_rng(0)
    row = raised_test(directions(rng, 50), 100, {"rare": rng.normal(size=(2, N_FEATURES))}).table.iloc[0]
    assert row["p"] == 1 and row["note"].startswith("2 cells are too few")


def test_a_layer_after_which_all_is_linear_is_refused():
    with pytest.raises(ValueError, match="the same gradient in all 15 cells"):
        raised_test(np.eye(3), 100, {"a": np.tile([1.0, 2.0, 3.0], (15, 1))})
