"""How values were made, told from the values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scmoe.pp._normalize import log_normalize
from scmoe.pp._values import describe, judge


def counts(seed: int = 0, n_cells: int = 40, n_features: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.lognormal(0, 1, n_features) * rng.lognormal(0, 0.5, (n_cells, 1))).astype(float)


def without_ambient(x: np.ndarray, seed: int = 1) -> np.ndarray:
    """Counts from which a share of the mean profile was subtracted, differing from cell to cell."""
    share = np.random.default_rng(seed).uniform(0.05, 0.3, (len(x), 1))
    return np.maximum(x - share * x.sum(1, keepdims=True) * x.mean(0) / x.mean(0).sum(), 0)


@given(st.integers(0, 30), st.sampled_from([1.0, float(np.log(2)), float(np.log(10))]))
@settings(deadline=None, max_examples=30)
def test_logarithms_of_counts_are_known_whatever_the_base_and_the_choice_of_features(seed: int, base: float) -> None:
    values = np.asarray(log_normalize(counts(seed))) / base
    assert judge(values).name == "logarithms"
    assert judge(values[:, ::2]).name == "logarithms"
    assert judge(sparse.csc_matrix(values)).reason == judge(values).reason


@given(st.integers(0, 30))
@settings(deadline=None, max_examples=30)
def test_counts_times_a_factor_for_each_cell_are_scaled(seed: int) -> None:
    x = counts(seed)
    factor = np.random.default_rng(seed).uniform(0.3, 0.9, (len(x), 1))
    assert judge(x * factor)[:3] == ("scaled", "multiples of one value in each cell", True)
    totals = judge(without_ambient(x) / without_ambient(x).sum(1, keepdims=True) * 1e6)
    assert totals[:3] == ("scaled", "values that sum to 1e+06 in each cell", True)
    assert totals.total == pytest.approx(1e6)


@pytest.mark.parametrize("size", [0.05, 1.0, 100.0])
def test_counts_without_ambient_molecules_are_neither(size: float) -> None:
    origin = judge(without_ambient(counts()) * size)
    assert origin.name == ("large" if size >= 1 else "unknown")  # above 20, no logarithm
    assert origin.uneven == (size >= 1)


def test_logarithms_of_what_was_scaled_to_one_total_are_known_by_the_total() -> None:
    x = without_ambient(counts())
    assert "sum to 10000 in each cell" in judge(np.log1p(x / x.sum(1, keepdims=True) * 1e4)).reason


def centered_cells(x: np.ndarray) -> np.ndarray:
    return np.log1p(x) - np.log1p(x).mean(1, keepdims=True)


def standardized(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / x.std(0)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (counts(), "counts"),
        (counts() > 0, "binary"),
        (np.zeros((4, 5)), "empty"),
        (np.where(counts() == 2, np.nan, counts()), "counts"),
        (np.sqrt(counts() / counts().sum(1, keepdims=True) * 1e4), "large"),
        (np.asarray(log_normalize(counts())), "logarithms"),
        (centered_cells(counts()), "centered"),
        (centered_cells(counts())[:1], "centered"),
        (standardized(np.log1p(counts())), "standardized"),
        (np.clip(standardized(np.log1p(counts())), -3, 3), "standardized"),
        (standardized(np.log1p(counts()))[:4], "signed"),  # too few cells to tell
        (np.log1p(counts()) - np.log1p(counts()).mean(0), "signed"),
    ],
)
def test_values_of_any_kind_are_described(values: np.ndarray, name: str) -> None:
    assert describe(values).name == name
    assert describe(sparse.csr_matrix(values)).name == name


@pytest.mark.parametrize(("base", "factor"), [("e", 1.0), ("2", np.log(2)), ("10", np.log(10))])
@pytest.mark.parametrize("total", [1e3, 1e4, 1e6])
def test_base_and_total_of_logarithms(base: str, factor: float, total: float) -> None:
    x = counts()
    origin = describe(np.log1p(x / x.sum(1, keepdims=True) * total) / factor)
    assert origin.base == base and origin.total == pytest.approx(total, rel=1e-3)
