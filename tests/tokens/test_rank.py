from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scmoe.tokens._rank import RankTokenizer


def reference(counts: np.ndarray, medians: np.ndarray) -> list[list[int]]:
    """Genes of each cell by descending count / median, ties by place."""
    keys = [[(-c / m, g) for g, (c, m) in enumerate(zip(cell, medians, strict=True)) if c > 0] for cell in counts]
    return [[gene for _, gene in sorted(cell)] for cell in keys]


def genes(tokens: object, cells: Callable) -> list[list[int]]:
    return [[gene for gene, _ in cell] for cell in cells(tokens)]


def test_medians_are_of_cells_with_counts(counts: sparse.csr_matrix) -> None:
    dense = counts.toarray().astype(float)
    scaled = 1e4 * dense / np.maximum(dense.sum(1, keepdims=True), 1)
    expected = [np.median(column[column > 0]) if (column > 0).any() else np.nan for column in scaled.T]
    np.testing.assert_allclose(RankTokenizer().fit(counts).medians, expected, rtol=1e-6)


def test_medians_use_totals_over_all_genes(counts: sparse.csr_matrix) -> None:
    own = np.asarray(counts.sum(axis=1)).ravel()
    both = [RankTokenizer().fit(counts, totals).medians for totals in (own, 2 * own)]
    np.testing.assert_allclose(both[0], 2 * both[1])


def test_order_against_reference(counts: sparse.csr_matrix, cells: Callable) -> None:
    tokenizer = RankTokenizer().fit(counts)
    tokens = tokenizer.transform(counts)
    assert genes(tokens, cells) == reference(counts.toarray(), tokenizer.medians)
    assert all([value for _, value in cell] == list(range(1, len(cell) + 1)) for cell in cells(tokens))


def test_ties_are_in_the_order_of_the_vocabulary(cells: Callable) -> None:
    tokenizer = RankTokenizer(medians=np.array([2.0, 1.0, 4.0, 1.0]))
    tokens = tokenizer.transform(sparse.csr_matrix([[2.0, 1, 4, 2]]))
    assert genes(tokens, cells) == [[3, 0, 1, 2]]


@given(st.integers(0, 1000), st.sampled_from([2, 3, 7, 10]))
def test_order_does_not_depend_on_the_scale_of_a_cell(seed: int, factor: int) -> None:
    rng = np.random.default_rng(seed)
    counts = sparse.csr_matrix(rng.poisson(1.0, size=(3, 50)).astype(float))
    tokenizer = RankTokenizer(medians=rng.choice([0.5, 1.0, 3.0, 7.0], size=50))
    assert tokenizer.transform(counts).gene.tolist() == tokenizer.transform(counts * factor).gene.tolist()


def test_limit_cuts_the_lowest_and_reports(counts: sparse.csr_matrix, cells: Callable) -> None:
    whole, cut = (RankTokenizer(limit=limit).fit(counts).transform(counts) for limit in (2048, 6))
    assert genes(cut, cells) == [cell[:6] for cell in genes(whole, cells)]
    assert cut.n_cut.tolist() == np.maximum(whole.lengths - 6, 0).tolist()
    assert whole.n_cut.sum() == 0


def test_genes_without_median_are_left_out_and_reported(
    counts: sparse.csr_matrix, cells: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    query = counts.copy()[:2].tolil()
    query[0, 7] = 9
    tokens = RankTokenizer().fit(counts).transform(query.tocsr())
    assert 7 not in tokens.gene and tokens.n_cut.sum() == 0
    assert tokens.lengths.tolist() == np.diff(counts.indptr)[:2].tolist()
    assert "rank: 1 genes have counts here but in none of the training cells" in capsys.readouterr().err


def test_errors(counts: sparse.csr_matrix) -> None:
    with pytest.raises(ValueError, match=r"needs the medians of genes\. Call fit"):
        RankTokenizer().transform(counts)
    with pytest.raises(ValueError, match="No training cell has counts"):
        RankTokenizer().fit(counts[[3]])
    with pytest.raises(ValueError, match="limit must be a whole number of at least 1"):
        RankTokenizer(limit=0)
