import numpy as np
import pytest

from scmoe.tokens._tokens import Tokens

TOKENS = Tokens(
    gene=np.array([4, 1, 2], np.int32),
    value=np.array([0.5, 1.5, 2.5], np.float32),
    offsets=np.array([0, 2, 2, 3]),
    n_cut=np.zeros(3, np.int64),
)


def test_padded_puts_each_cell_in_a_row() -> None:
    gene, value, seen = TOKENS.padded()
    assert gene.tolist() == [[4, 1], [0, 0], [2, 0]]
    assert value.tolist() == [[0.5, 1.5], [0, 0], [2.5, 0]]
    assert seen.tolist() == [[True, True], [False, False], [True, False]]
    assert (gene.dtype, value.dtype) == (np.int32, np.float32)


def test_padded_takes_a_length() -> None:
    gene, _, seen = TOKENS.padded(4)
    assert gene.shape == (3, 4) and seen.sum() == 3


def test_padded_refuses_to_cut() -> None:
    with pytest.raises(ValueError, match="at most 1 tokens a cell, found 2 in cell 0"):
        TOKENS.padded(1)


def test_padded_without_any_token() -> None:
    empty = Tokens(TOKENS.gene[:0], TOKENS.value[:0], np.zeros(3, np.int64), np.zeros(2, np.int64))
    assert empty.padded()[0].shape == (2, 0)
