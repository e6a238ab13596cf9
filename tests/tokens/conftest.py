"""Small random counts, and ways to look at tokens."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from scmoe.tokens._make import make_tokenizer
from scmoe.tokens._tokens import Tokens


@pytest.fixture(scope="session")
def counts() -> sparse.csr_matrix:
    """90 cells (two blocks and a part) x 40 genes; cells 3 and 89 are empty, gene 7 is never seen."""
    rng = np.random.default_rng(0)
    dense = rng.poisson(rng.gamma(0.5, 2.0, size=40), size=(90, 40)).astype(np.float32)
    dense[[3, 89]] = 0
    dense[:, 7] = 0
    return sparse.csr_matrix(dense)


@pytest.fixture(scope="session")
def row() -> Callable[..., sparse.csr_matrix]:
    """A function: some values to a matrix of one cell."""
    return lambda *values: sparse.csr_matrix(np.array([values], dtype=np.float64))


@pytest.fixture(scope="session")
def encode() -> Callable[..., list[tuple[int, float]]]:
    """A function: kind and counts to (gene, value) pairs of the first cell; fitted on these counts unless told."""

    def pairs(kind: str, counts: sparse.csr_matrix, fit: sparse.csr_matrix | None = None, **settings: object) -> list:
        tokens = make_tokenizer(kind, **settings).fit(counts if fit is None else fit).transform(counts)
        return cell(tokens, 0)

    return pairs


def cell(tokens: Tokens, i: int) -> list[tuple[int, float]]:
    part = slice(tokens.offsets[i], tokens.offsets[i + 1])
    return list(zip(tokens.gene[part].tolist(), tokens.value[part].tolist(), strict=True))


@pytest.fixture(scope="session")
def cells() -> Callable[[Tokens], list[list[tuple[int, float]]]]:
    """A function: tokens to a list of (gene, value) pairs for each cell."""
    return lambda tokens: [cell(tokens, i) for i in range(len(tokens.lengths))]
