"""What was not measured, told from zeros, against a slow reference; and masks of the user."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scmoe.pp._missing import MIN_EVIDENCE, detect, find_panels, never_measured, panels_of_mask


def slow_detection(x: np.ndarray, codes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    size, above = np.zeros((n, x.shape[1])), np.zeros((n, x.shape[1]))
    for row, code in zip(x, codes, strict=True):
        for j, value in enumerate(row):
            if code >= 0 and not math.isnan(value):
                size[code, j] += 1
                above[code, j] += value > 0
    return size, above


@given(st.integers(0, 1000), st.sampled_from([np.asarray, sparse.csr_matrix, sparse.csc_matrix]))
@settings(deadline=None, max_examples=50)
def test_detection_is_that_of_a_loop(seed: int, convert) -> None:
    rng = np.random.default_rng(seed)
    x = rng.poisson(0.5, (12, 5)).astype(float)
    x[rng.random(x.shape) < 0.1] = np.nan
    codes = rng.integers(-1, 3, 12)
    found = detect(convert(x), codes, 3)
    size, above = slow_detection(x, codes, 3)
    np.testing.assert_array_equal(found.n_cells, size)
    np.testing.assert_array_equal(found.n_detected, above)
    expected = [
        above[:, j].sum() / size[above[:, j] > 0, j].sum() if above[:, j].any() else 0 for j in range(x.shape[1])
    ]
    np.testing.assert_allclose(found.rates(), expected)


def table(rates: list[float], n_cells: int = 200, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Two batches of cells in which features are above zero at these rates."""
    rng = np.random.default_rng(seed)
    x = (rng.random((2 * n_cells, len(rates))) < rates).astype(float) * 3
    return x, pd.DataFrame({"donor": np.repeat(["a", "b"], n_cells), "cell_type": np.tile(["x", "y"], n_cells)})


def test_a_protein_that_is_zero_in_one_batch_was_not_measured_there() -> None:
    x, obs = table([0.9, 0.9, 0.5])
    x[200:, 1] = 0
    panels = find_panels(x, obs, is_protein=True, batch_key=None)
    assert (panels.column, panels.categories) == ("donor", ["a", "b"])
    np.testing.assert_array_equal(panels.missing, [[False] * 3, [False, True, False]])
    np.testing.assert_array_equal(panels.mask()[[0, 399]], panels.missing)
    assert panels.rows("adt", ["p0", "p1", "p2"]).to_numpy().tolist() == [["adt", "donor", "b", "p1"]]


def test_a_column_of_types_is_no_batch_unless_the_user_says_so() -> None:
    x, obs = table([0.9, 0.9])
    x[1::2, 1] = 0
    assert not find_panels(x, obs, is_protein=True, batch_key=None).missing.any()
    assert find_panels(x, obs, is_protein=True, batch_key="cell_type").missing.sum() == 1


def test_single_genes_that_a_donor_lacks_are_biology_and_a_panel_is_not() -> None:
    x, obs = table([0.6] * 400)
    x[200:, :1] = 0
    assert not find_panels(x, obs, is_protein=False, batch_key="donor").missing.any()
    x[200:, :40] = 0
    assert find_panels(x, obs, is_protein=False, batch_key="donor").missing[1].sum() == 40


def test_rare_features_and_small_batches_say_nothing() -> None:
    x, obs = table([0.9] * 8 + [0.05] * 8)
    x[200:, 8:] = 0  # 200 cells at a rate of .05: e^-10
    assert not find_panels(x, obs, is_protein=True, batch_key="donor").missing.any()
    x[200:, :4] = 0
    few = np.r_[0:200, 200:204]
    assert not find_panels(x[few], obs.iloc[few], is_protein=True, batch_key="donor").missing.any()


@given(st.floats(0.01, 0.99), st.integers(1, 500))
@settings(deadline=None)
def test_evidence_is_the_probability_of_zeros(rate: float, n: int) -> None:
    found = detect(np.zeros((n, 1)), np.zeros(n, int), 1)
    missing = never_measured(found, np.array([rate]), is_protein=False)
    assert bool(missing[0, 0]) == (-n * math.log1p(-rate) >= MIN_EVIDENCE)


def test_a_protein_that_no_cell_has_was_not_measured() -> None:
    x, obs = table([0.9, 0.0])
    panels = find_panels(x, obs[["cell_type"]], is_protein=True, batch_key=None)
    assert panels.column == ""
    np.testing.assert_array_equal(panels.missing, [[False, True]])
    assert not find_panels(x, obs[["cell_type"]], is_protein=False, batch_key=None).missing.any()


def test_masks_become_panels() -> None:
    cells, features = pd.Index(["c0", "c1", "c2"]), pd.Index(["f0", "f1"])
    mask = np.array([[False, True], [False, False], [False, True]])
    frame = pd.DataFrame(mask[::-1], cells[::-1], features)
    frame.loc["other"], frame["unknown"] = True, True
    of_more = frame[["unknown", "f1", "f0"]].astype("boolean")
    for given_mask in (mask, sparse.csr_matrix(mask), frame.drop(columns="unknown").iloc[:3], of_more):
        np.testing.assert_array_equal(panels_of_mask(given_mask, "adt", cells, features).mask(), mask)


@pytest.mark.parametrize(
    ("mask", "match"),
    [
        (np.zeros((3, 3), bool), r"3 cells x 2 features; found bool of shape \(3, 3\)"),
        (np.zeros((3, 2)), "found float64"),
        (
            pd.DataFrame(np.zeros((3, 2), bool), list("abx"), ["f0", "f1"]),
            "each of the 3 cells, by name; it lacks 1, the first is 'c'",
        ),
        (pd.DataFrame(False, list("abc"), ["f1", "f2"]), "each of the 2 features, by name; it lacks 1, .* 'f0'"),
        (pd.DataFrame(pd.NA, list("abc"), ["f0", "f1"], dtype="boolean"), "found object"),
    ],
)
def test_masks_of_another_shape_are_refused(mask, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        panels_of_mask(mask, "adt", pd.Index(list("abc")), pd.Index(["f0", "f1"]))
