import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scmoe.tokens._rows import check_cells, float_keys, random_bits, row_blocks, sort_rows, sum_rows


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=8))
def test_sort_rows_against_sorted(rows: list[list[int]]) -> None:
    keys = np.array([key for row in rows for key in row], dtype=np.uint64) << np.uint64(40)
    position, group = sort_rows(keys, np.array([len(row) for row in rows]))
    where = [(i, key) for i, row in enumerate(rows) for key in row]
    expected = sorted(range(len(where)), key=lambda place: (*where[place], place))
    assert position.tolist() == expected
    same = [where[a] == where[b] for a, b in zip(expected, expected[1:], strict=False)]
    assert (group[1:] == group[:-1]).tolist() == same


@given(st.lists(st.floats(2.0**-100, 2.0**100, width=32), min_size=2))
def test_float_keys_have_the_order_of_the_values(values: list[float]) -> None:
    for dtype in (np.float32, np.float64):
        array = np.array(values, dtype)
        assert (np.argsort(float_keys(array), kind="stable") == np.argsort(array, kind="stable")).all()


def test_sum_rows_of_empty_rows() -> None:
    assert sum_rows(np.array([1, 2, 4]), np.array([0, 0, 2, 2, 3, 3])).tolist() == [0, 3, 0, 4, 0]


def test_blocks_hold_all_counts(counts: sparse.csr_matrix) -> None:
    blocks = list(row_blocks(counts))
    assert len(blocks) > 1
    assert np.concatenate([block.gene for block in blocks]).tolist() == counts.indices.tolist()
    assert np.concatenate([block.lengths for block in blocks]).tolist() == np.diff(counts.indptr).tolist()


def test_random_bits_belong_to_the_cell(counts: sparse.csr_matrix) -> None:
    def of_cell(matrix: sparse.csr_matrix, i: int) -> list[int]:
        return random_bits(next(row_blocks(matrix)), 1, 0)[matrix.indptr[i] : matrix.indptr[i + 1]].tolist()

    assert of_cell(counts, 5) == of_cell(counts[[8, 5]], 1) == of_cell(counts[[5]], 0)
    assert of_cell(counts, 5) != of_cell(counts, 6)


def test_random_bits_are_uniform_and_depend_on_seed_and_stream(counts: sparse.csr_matrix) -> None:
    large = sparse.csr_matrix(np.ones((20, 1000), np.float32))
    large.data[::1000] = np.arange(1, 21)  # so that no two cells are alike
    block = next(row_blocks(large))
    draws = [random_bits(block, *key) / 2.0**64 for key in ((0, 0), (0, 1), (1, 0))]
    for draw in draws:
        shares = np.histogram(draw, bins=10, range=(0, 1))[0] / draw.size
        assert shares == pytest.approx(np.full(10, 0.1), abs=5 * (0.09 / draw.size) ** 0.5)
    assert np.abs(np.corrcoef(draws)[np.triu_indices(3, 1)]).max() < 5 / draws[0].size ** 0.5
    assert np.abs(np.corrcoef(draws[0].reshape(20, 1000))[np.triu_indices(20, 1)]).max() < 5 / 1000**0.5


def test_canonical_form_and_totals() -> None:
    messy = sparse.csr_matrix((np.array([1.0, 0, 2, 3]), np.array([2, 1, 0, 2]), np.array([0, 4])), shape=(1, 3))
    before = messy.data.copy(), messy.indices.copy()
    counts, totals = check_cells(messy, None, 3)
    assert (counts.indices.tolist(), counts.data.tolist(), totals.tolist()) == ([0, 2], [2, 4], [6])
    assert (messy.data == before[0]).all() and (messy.indices == before[1]).all()


@pytest.mark.parametrize(
    ("matrix", "totals", "error", "match"),
    [
        (np.ones((2, 3)), None, TypeError, "sparse matrix .* found ndarray"),
        (sparse.csr_matrix([[1.0, -2, 0]]), None, ValueError, "none negative.*found -2"),
        (sparse.csr_matrix([[1.0, np.nan, 0]]), None, ValueError, "found nan"),
        (sparse.csr_matrix([[1.0, np.inf, 0]]), None, ValueError, "found inf"),
        (sparse.csr_matrix([[1.0, 2]]), None, ValueError, "fitted on 3 genes, found 2"),
        (sparse.csr_matrix([[1.0, 2, 0]]), np.ones(2), ValueError, r"each of the 1 cells.*\(2,\)"),
        (sparse.csr_matrix([[1.0, 2, 0]]), np.zeros(1), ValueError, "found 0.0 for cell 0.*add up to 3"),
    ],
)
def test_errors(matrix: object, totals: np.ndarray | None, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        check_cells(matrix, totals, 3)
