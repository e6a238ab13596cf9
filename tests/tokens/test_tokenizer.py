"""The edge-case matrix of section 6 of the specification, and what holds for all tokenizers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from scmoe.tokens._counts import read_cells
from scmoe.tokens._make import make_tokenizer
from scmoe.tokens._vocabulary import Vocabulary

KINDS = ("rank", "bins", "integer", "continuous")
every_kind = pytest.mark.parametrize("kind", KINDS)
Encode = Callable[..., list[tuple[int, float]]]
Row = Callable[..., sparse.csr_matrix]
LN = lambda share: float(np.float32(np.log1p(1e4 * share)))


@every_kind
def test_all_zero_cell_has_no_token(kind: str, counts: sparse.csr_matrix) -> None:
    tokens = make_tokenizer(kind).fit(counts).transform(counts[[3, 0, 3]])
    assert tokens.lengths[[0, 2]].tolist() == [0, 0] and tokens.lengths[1] > 0
    assert np.isfinite(tokens.value).all()


@pytest.mark.parametrize(("kind", "value"), [("rank", 1), ("bins", 26), ("integer", 5), ("continuous", LN(1))])
def test_one_gene(kind: str, value: float, encode: Encode, row: Row) -> None:
    assert encode(kind, row(0, 3, 0)) == [(1, pytest.approx(value))]


@pytest.mark.parametrize(
    ("kind", "values"), [("bins", [26] * 3), ("integer", [5] * 3), ("continuous", [LN(1 / 3)] * 3)]
)
def test_equal_counts_have_equal_values(kind: str, values: list[float], encode: Encode, row: Row) -> None:
    assert encode(kind, row(2, 0, 2, 2)) == list(zip([0, 2, 3], map(pytest.approx, values), strict=True))


def test_equal_counts_are_ranked_by_ascending_median(encode: Encode, row: Row) -> None:
    training = sparse.csr_matrix(np.array([[5.0, 1, 3], [5, 1, 3]]))
    assert encode("rank", row(1, 1, 1), fit=training) == [(1, 1), (2, 2), (0, 3)]


@pytest.fixture
def adata() -> AnnData:
    data = AnnData(np.array([[3.0, 1, 7, 2]], np.float32))
    data.var_names = ["B", "A", "new", "C"]
    return data


@every_kind
def test_unseen_gene_is_dropped(kind: str, adata: AnnData) -> None:
    cells = read_cells(adata, Vocabulary(("A", "B", "C")))
    tokens = make_tokenizer(kind).fit(cells.counts).transform(cells.counts)
    assert sorted(tokens.gene.tolist()) == [0, 1, 2] and cells.match.unmatched == ["new"]


@every_kind
def test_gene_absent_from_the_data_has_no_token(kind: str, adata: AnnData) -> None:
    cells = read_cells(adata, Vocabulary(("A", "absent", "B", "C")))
    tokens = make_tokenizer(kind).fit(cells.counts).transform(cells.counts)
    assert sorted(tokens.gene.tolist()) == [0, 2, 3]
    assert cells.match.missing.tolist() == [False, True, False, False]


@every_kind
def test_duplicated_genes_are_summed_first(kind: str, encode: Encode, row: Row) -> None:
    twice = AnnData(np.array([[3.0, 1, 4]], np.float32))
    twice.var_names = ["A", "B", "A"]
    cells = read_cells(twice, Vocabulary(("A", "B")))
    assert encode(kind, cells.counts, fit=row(1, 1)) == encode(kind, row(7, 1), fit=row(1, 1))


@every_kind
def test_negative_values_are_an_error(kind: str, counts: sparse.csr_matrix, row: Row) -> None:
    with pytest.raises(ValueError, match="none negative.*found -1"):
        make_tokenizer(kind).fit(counts).transform(sparse.csr_matrix(([-1.0], ([0], [5])), shape=(1, 40)))


@every_kind
def test_ten_times_the_counts_give_the_same_tokens(kind: str, counts: sparse.csr_matrix) -> None:
    tokenizer = make_tokenizer(kind).fit(counts)
    once, more = tokenizer.transform(counts), tokenizer.transform(counts * 10)
    assert once.gene.tolist() == more.gene.tolist()
    np.testing.assert_allclose(once.value, more.value, rtol=1e-6)


def test_ten_times_the_counts_of_one_total_changes_levels(row: Row) -> None:
    tokenizer, total = make_tokenizer("integer"), np.array([1e5])
    assert tokenizer.transform(row(10, 20), total).value.tolist() == [1, 1]
    assert tokenizer.transform(row(100, 200), total).value.tolist() == [3, 4]


@every_kind
def test_permuted_genes_give_the_same_pairs(kind: str, counts: sparse.csr_matrix, cells: Callable) -> None:
    rng = np.random.default_rng(2)
    counts, order = counts.copy(), rng.permutation(40)
    counts.data += rng.random(counts.nnz, dtype=np.float32)  # ties of ranks are in the order of the vocabulary
    permuted = counts[:, order]
    # Other cells than those fitted on: two genes whose medians lie in one cell are ties there.
    before = cells(make_tokenizer(kind).fit(counts[:45]).transform(counts[45:]))
    after = cells(make_tokenizer(kind).fit(permuted[:45]).transform(permuted[45:]))
    for one, other in zip(before, after, strict=True):
        other = [(int(order[gene]), value) for gene, value in other]
        assert sorted(one) == [(gene, pytest.approx(value, rel=1e-6)) for gene, value in sorted(other)]


@every_kind
def test_fractional_counts_are_fine(kind: str, encode: Encode, row: Row) -> None:
    pairs = encode(kind, row(0.5, 0, 2.25, 1.5), fit=row(1, 1, 1, 1))
    expected = {
        "rank": [(2, 1), (3, 2), (0, 3)],
        "bins": [(0, 1), (2, 50), (3, 25)],
        "integer": [(0, 5), (2, 5), (3, 5)],
        "continuous": [(gene, LN(c / 4.25)) for gene, c in ((0, 0.5), (2, 2.25), (3, 1.5))],
    }
    assert pairs == [(gene, pytest.approx(value)) for gene, value in expected[kind]]


@pytest.mark.parametrize(
    ("kind", "settings", "n_kept"),
    [("rank", {"limit": 2}, 2), ("bins", {"max_length": 2}, 2), ("integer", {}, 4), ("continuous", {}, 4)],
)
def test_cells_longer_than_the_limit(kind: str, settings: dict[str, Any], n_kept: int, row: Row) -> None:
    long = row(4, 3, 2, 1)
    tokens = make_tokenizer(kind, **settings).fit(long).transform(long)
    assert tokens.lengths.tolist() == [n_kept] and tokens.n_cut.tolist() == [4 - n_kept]


@every_kind
def test_input_is_not_changed_and_any_sparse_format_will_do(
    kind: str, counts: sparse.csr_matrix, cells: Callable
) -> None:
    messy = sparse.vstack([counts, counts]).tocsc()
    messy.data[::5] = 0
    before = messy.copy()
    tokenizer = make_tokenizer(kind).fit(messy)
    clean = messy.tocsr()
    clean.eliminate_zeros()
    assert cells(tokenizer.transform(messy)) == cells(tokenizer.transform(clean))
    assert (messy.data == before.data).all() and (messy.indices == before.indices).all()


@every_kind
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
def test_type_of_the_counts_does_not_matter(kind: str, dtype: type, counts: sparse.csr_matrix, cells: Callable) -> None:
    tokenizer = make_tokenizer(kind).fit(counts)
    tokens = tokenizer.transform(counts.astype(dtype))
    assert (tokens.gene.dtype, tokens.value.dtype, tokens.offsets.dtype) == (np.int32, np.float32, np.int64)
    one, other = cells(tokens), cells(tokenizer.transform(counts))
    assert [[g for g, _ in cell] for cell in one] == [[g for g, _ in cell] for cell in other]
    np.testing.assert_allclose(tokens.value, tokenizer.transform(counts).value, rtol=1e-6)


@every_kind
def test_no_cells(kind: str, counts: sparse.csr_matrix) -> None:
    tokens = make_tokenizer(kind).fit(counts).transform(counts[:0])
    assert tokens.offsets.tolist() == [0] and tokens.gene.size == 0


@every_kind
def test_codes_stay_in_range(kind: str, counts: sparse.csr_matrix) -> None:
    tokenizer = make_tokenizer(kind).fit(counts)
    value = tokenizer.transform(counts).value
    if tokenizer.n_codes is None:
        assert value.min() > 0
    else:
        assert set(value) <= set(range(1, tokenizer.n_codes))
