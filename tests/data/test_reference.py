"""The features that a normalization ranges over."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scmoe.data._reference import Reference, fit_reference, to_reference
from scmoe.pp._normalize import clr, log_normalize

NAMES = [f"f{i}" for i in range(12)]
ALL = np.ones(12, bool)


def counts(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(4, (20, 12)) + 1


def test_a_common_total_is_known_from_the_values() -> None:
    found = fit_reference(log_normalize(counts()), "rna", NAMES, ALL, ALL)
    assert found is not None and found.features == NAMES
    assert found.total == pytest.approx(1e4, rel=1e-4)
    assert fit_reference(log_normalize(counts())[:, :8], "rna", NAMES[:8], ALL[:8], ALL[:8]) is None
    assert fit_reference(log_normalize(counts()), "continuous", NAMES, ALL, ALL) is None


def test_a_common_mean_of_proteins() -> None:
    assert fit_reference(clr(counts()), "protein", NAMES, ALL, ALL) == Reference(NAMES, 0.0)
    assert fit_reference(np.log1p(counts()), "protein", NAMES, ALL, ALL) is None


@pytest.mark.parametrize("kind", ["rna", "protein"])
def test_where_panels_differ_it_is_what_all_cells_have(kind: str) -> None:
    shared = np.arange(12) < 7
    values = clr(counts()) if kind == "protein" else log_normalize(counts())
    found = fit_reference(values, kind, NAMES, ALL, shared)
    assert found is not None and found.features == NAMES[:7]


@given(st.integers(0, 100), st.sampled_from([np.asarray, sparse.csr_matrix, sparse.csc_matrix]))
@settings(deadline=None, max_examples=30)
def test_more_features_are_scaled_as_fewer_would_have_been(seed: int, convert) -> None:
    over = np.isin(np.arange(12), np.random.default_rng(seed).permutation(12)[:8])
    some = [name for name, used in zip(NAMES, over, strict=True) if used]
    expected = log_normalize(counts(seed)[:, over])
    out, note = to_reference(convert(log_normalize(counts(seed))), NAMES, Reference(some, 1e4), "rna")
    assert "over the 8 features" in note
    out = out.toarray() if sparse.issparse(out) else out
    np.testing.assert_allclose(out[:, over], expected, rtol=1e-4)
    centered, _ = to_reference(clr(counts(seed)), NAMES, Reference(some, 0.0), "adt")
    np.testing.assert_allclose(centered[:, over], clr(counts(seed)[:, over]), atol=1e-5)


def test_what_fits_already_is_not_copied() -> None:
    for values, total in ((log_normalize(counts()), 1e4), (clr(counts()), 0.0)):
        same, note = to_reference(values, NAMES, Reference(NAMES, total), "x")
        assert same is values and not note


def test_without_some_of_the_features_the_total_is_not_known() -> None:
    values = log_normalize(counts()[:, :8])
    same, note = to_reference(values, NAMES[:8], Reference(NAMES, 1e4), "rna")
    assert same is values and "4 of the 12 features" in note


def test_another_total_is_brought_to_that_of_the_training_data() -> None:
    million = np.log1p(np.expm1(log_normalize(counts()).astype(float)) * 100).astype(np.float32)
    out, _ = to_reference(million, NAMES, Reference(NAMES, 1e4), "rna")
    np.testing.assert_allclose(out, log_normalize(counts()), rtol=1e-4)
