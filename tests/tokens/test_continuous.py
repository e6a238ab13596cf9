from collections.abc import Callable

import numpy as np
from scipy import sparse

from scmoe.tokens._continuous import ContinuousTokenizer


def test_value_is_the_logarithm_of_the_share(counts: sparse.csr_matrix) -> None:
    dense = counts.toarray().astype(float)
    tokens = ContinuousTokenizer().transform(counts)
    expected = np.log1p(1e4 * dense / np.maximum(dense.sum(1, keepdims=True), 1))
    np.testing.assert_allclose(tokens.value, expected[dense > 0], rtol=1e-6)
    assert tokens.gene.tolist() == counts.indices.tolist()


def test_totals_of_all_genes(row: Callable) -> None:
    tokens = ContinuousTokenizer().transform(row(1, 0, 3), totals=np.array([8.0]))
    np.testing.assert_allclose(tokens.value, np.log1p([1e4 / 8, 3e4 / 8]), rtol=1e-6)


def test_tokens_do_not_share_memory_with_the_counts(counts: sparse.csr_matrix) -> None:
    tokens = ContinuousTokenizer().transform(counts)
    assert not np.shares_memory(tokens.gene, counts.indices) and not np.shares_memory(tokens.value, counts.data)
