import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse

from scmoe.tokens._integer import IntegerTokenizer


def level(count: int, total: int) -> int:
    """The highest k with 2**k <= 1 + 1e4 count / total, in exact arithmetic."""
    value = 1 + Fraction(10_000 * count, total)
    return min(max(k for k in range(60) if 2**k <= value), 5)


def test_against_exact_arithmetic(counts: sparse.csr_matrix, cells: Callable) -> None:
    deep = counts * 997  # totals beyond 10 000, where single counts vanish
    deep.data += 1
    for matrix in (counts, deep):
        expected = [
            [(gene, lv) for gene, count in enumerate(cell) if (lv := level(int(count), max(int(cell.sum()), 1)))]
            for cell in matrix.toarray()
        ]
        assert cells(IntegerTokenizer().transform(matrix)) == expected


@pytest.mark.parametrize(("x", "expected"), [(1.01, 1), (1.99, 1), (2.01, 2), (0.99, None), (4.999, 4), (9.0, 5)])
def test_fractions_are_cut_off(x: float, expected: int | None, row: Callable) -> None:
    value = (2**x - 1) / 1e4  # of a total of 1
    found = IntegerTokenizer().transform(row(value), totals=np.ones(1)).value.tolist()
    assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize("k", range(1, 6))
def test_levels_begin_at_whole_numbers(k: int, row: Callable) -> None:
    total = 10_000
    values = IntegerTokenizer().transform(row(2**k - 1, total - 2**k + 1)).value
    assert values[0] == k == math.log2(1 + 2**k - 1)


def test_single_counts_of_deep_cells_have_no_token(row: Callable) -> None:
    assert IntegerTokenizer().transform(row(1, 20_000)).gene.tolist() == [1]


def test_codes_end_at_the_highest_level(row: Callable) -> None:
    tokenizer = IntegerTokenizer(max_level=3)
    assert tokenizer.n_codes == 4 and tokenizer.transform(row(1, 1)).value.tolist() == [3, 3]
    with pytest.raises(ValueError, match="max_level must be a whole number of at least 1"):
        IntegerTokenizer(max_level=0)
