import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scmoe.explain import ablation_table

NAMES, OUTCOMES = ["rna", "adt"], ["rna", "adt", "label"]
GROUPS = pd.Series(["B", "T", "T", None, "T", "T", "B", "T", "T", "lone", "T", "T"])


@pytest.fixture
def losses() -> tuple[np.ndarray, np.ndarray]:
    """Of 12 cells, some without an outcome; a large offset, in which digits could be lost."""
    rng = np.random.default_rng(0)
    loss = 1000 + rng.normal(size=(12, 2, 3))
    hidden = loss + rng.normal(size=(12, 2, 3))
    loss[2:5, 0], hidden[2:5, 0] = np.nan, np.nan
    loss[6, :, 2], hidden[7, :, 2] = np.nan, np.nan
    return loss, hidden


def test_against_loops_over_cells(losses):
    table = ablation_table(*losses, NAMES, OUTCOMES, GROUPS)
    assert table["group"].unique().tolist() == ["all cells", "B", "T", "lone"]
    assert len(table) == 4 * 2 * 3
    for row in table.itertuples():
        v, o = NAMES.index(row.hidden), OUTCOMES.index(row.outcome)
        before, after = losses[0][:, v, o], losses[1][:, v, o]
        cells = [
            c
            for c in range(12)
            if row.group in ("all cells", GROUPS[c]) and not np.isnan(before[c]) and not np.isnan(after[c])
        ]
        assert row.n_cells == len(cells)
        assert row.loss == pytest.approx(before[cells].mean()) and row.loss_hidden == pytest.approx(after[cells].mean())
        assert row.increase == pytest.approx((after - before)[cells].mean(), abs=1e-9)
        if len(cells) > 1:
            assert row.standard_error == pytest.approx(stats.sem((after - before)[cells]))
        else:
            assert np.isnan(row.standard_error)


def test_equal_increases_have_no_error(losses):
    loss = losses[0]
    table = ablation_table(loss, loss + 0.5, NAMES, OUTCOMES)
    np.testing.assert_allclose(table["increase"], 0.5)
    np.testing.assert_allclose(table["standard_error"], 0, atol=1e-9)


def test_what_no_cell_has_is_left_out(losses):
    loss, hidden = losses
    hidden[:, :, 2] = np.nan
    table = ablation_table(loss, hidden, NAMES, OUTCOMES)
    assert set(table["outcome"]) == {"rna", "adt"}


@pytest.mark.parametrize(
    ("shape", "hidden_shape", "groups", "match"),
    [
        ((12, 2, 2), (12, 2, 2), None, r"2 modalities x 3 outcomes; found the shapes \(12, 2, 2\)"),
        ((12, 2, 3), (11, 2, 3), None, r"\(12, 2, 3\) and \(11, 2, 3\)"),
        ((12, 2, 3), (12, 2, 3), pd.Series(["a"]), "1 entries for 12 cells"),
    ],
)
def test_bad_input(shape, hidden_shape, groups, match):
    with pytest.raises(ValueError, match=match):
        ablation_table(np.zeros(shape), np.zeros(hidden_shape), NAMES, OUTCOMES, groups)
