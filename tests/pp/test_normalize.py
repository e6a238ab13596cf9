"""Normalization: totals, centering, and that each cell stands alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from scmoe.pp._normalize import MIN_CENTERED, clr, log_normalize

COUNTS = hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 10_000))


@given(COUNTS)
@settings(deadline=None)
def test_totals_are_ten_thousand(values: np.ndarray) -> None:
    for convert in (np.asarray, sparse.csr_matrix, sparse.csr_array):
        result = log_normalize(convert(values))
        result = result.toarray() if sparse.issparse(result) else result
        assert result.dtype == np.float32
        empty = values.sum(1) == 0
        np.testing.assert_allclose(np.expm1(result.astype(float)).sum(1)[~empty], 1e4, rtol=1e-4)
        assert (result[empty] == 0).all()


@given(COUNTS)
@settings(deadline=None)
def test_clr_rows_have_mean_zero_and_keep_their_order(values: np.ndarray) -> None:
    result = clr(sparse.csr_matrix(values))
    assert result.dtype == np.float32
    if values.shape[1] >= MIN_CENTERED:
        np.testing.assert_allclose(result.mean(1, dtype=float), 0, atol=1e-5)
    np.testing.assert_allclose(result - result[:, :1], np.log1p(values) - np.log1p(values[:, :1]), atol=1e-5)


@given(COUNTS, st.permutations(range(6)))
@settings(deadline=None)
def test_each_cell_is_prepared_on_its_own(values: np.ndarray, order: list[int]) -> None:
    rows = [i for i in order if i < len(values)][:2]
    for step in (clr, log_normalize):
        np.testing.assert_allclose(step(values)[rows], step(values[rows]), rtol=1e-6)


def test_repeated_entries_of_a_sparse_matrix_are_added_first() -> None:
    repeated = sparse.csr_matrix((np.array([1.0, 2.0, 1.0]), np.array([0, 0, 1]), np.array([0, 3])), shape=(1, 2))
    np.testing.assert_allclose(log_normalize(repeated).toarray(), log_normalize(np.array([[3.0, 1.0]])))
    assert repeated.nnz == 3


def test_one_and_two_proteins_keep_their_signal() -> None:
    values = np.array([[3, 8], [0, 2]])
    np.testing.assert_allclose(clr(values), np.log1p(values), rtol=1e-6)
    np.testing.assert_allclose(clr(values[:, :1]), np.log1p(values[:, :1]), rtol=1e-6)


def test_what_a_cell_lacks_counts_neither_in_its_mean_nor_in_its_total() -> None:
    values = np.array([[3.0, np.nan, 1.0, 8.0], [0.0, 2.0, 5.0, 4.0]])
    over = np.array([True, True, False, True])
    for row, present in ((0, [0, 3]), (1, [0, 1, 3])):
        logarithm = np.log1p(values[row])
        np.testing.assert_allclose(clr(values, over)[row], logarithm - logarithm[present].mean(), rtol=1e-6)
        scaled = np.log1p(values[row] / values[row, present].sum() * 1e4)
        np.testing.assert_allclose(log_normalize(values, over)[row], scaled, rtol=1e-6)
        sparse_result = log_normalize(sparse.csr_matrix(values), over).toarray()
        np.testing.assert_allclose(sparse_result, log_normalize(values, over), rtol=1e-6)
