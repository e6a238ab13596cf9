"""Numbers of section 2 of the specification, and a slow reference with quantiles, as scGPT computes bins."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scmoe.tokens._bins import BinsTokenizer
from scmoe.tokens._make import make_tokenizer

ONE_TO_TEN = (0, *range(1, 11), 0)
Encode = Callable[..., list[tuple[int, float]]]


def span(values: np.ndarray, x: float, n_bins: int) -> tuple[int, int]:
    """Lowest and highest bin of x: edges are quantiles, in exact fractions so that none is off by rounding."""
    ordered, steps = np.sort(values), n_bins - 2
    edges = []
    for k in range(steps + 1):
        place, rest = divmod(k * (len(ordered) - 1), steps)
        after = ordered[min(place + 1, len(ordered) - 1)]
        edges.append(ordered[place] + (after - ordered[place]) * rest / steps)
    left, right = int(np.sum(np.array(edges) <= x)), int(np.sum(np.array(edges) < x))
    return min(right + 1, left), left


@pytest.mark.parametrize(
    ("n_bins", "expected"),
    [(6, [1, 1, 1, 2, 2, 3, 3, 4, 4, 5]), (51, [1, 6, 11, 17, 22, 28, 33, 39, 44, 50])],
)
def test_bins_of_the_specification(
    n_bins: int, expected: list[int], encode: Encode, row: Callable[..., sparse.csr_matrix]
) -> None:
    pairs = encode("bins", row(*ONE_TO_TEN), n_bins=n_bins)
    assert pairs == list(zip(range(1, 11), expected, strict=True))


@pytest.mark.parametrize(("ties", "expected"), [("mid", 19), ("low", 1)])
def test_ties_of_the_specification(
    ties: str, expected: int, encode: Encode, row: Callable[..., sparse.csr_matrix]
) -> None:
    values = [value for _, value in encode("bins", row(0, *[1] * 7, 2, 3, 0), ties=ties)]
    assert values == [expected] * 7 + [43, 50]


def test_random_ties_are_spread_over_the_span() -> None:
    many = sparse.csr_matrix(np.repeat([[0.0, *[1] * 7, 2, 3]], 600, axis=0))
    many = sparse.hstack([many, sparse.csr_matrix(np.arange(4, 604.0)[:, None])]).tocsr()  # no two cells alike
    values = BinsTokenizer(ties="random").transform(many).value.reshape(600, 10)
    low, high = span(np.array([1] * 7 + [2, 3, 4]), 1, 51)
    ones = values[:, :7].ravel()
    assert set(ones) == set(range(low, high + 1))
    assert ones.mean() == pytest.approx((low + high) / 2, abs=5 * np.sqrt((high**2 - 1) / 12 / ones.size))
    assert len(np.unique(values[:, 7:], axis=0)) == 1


@given(
    st.lists(st.sampled_from([0.25, 1, 1, 2, 3, 5, 8]), min_size=1, max_size=60),
    st.sampled_from([3, 4, 6, 51]),
    st.data(),
)
def test_bins_against_quantiles(values: list[float], n_bins: int, data: st.DataObject) -> None:
    ties = data.draw(st.sampled_from(["mid", "low"]))
    row = np.array(values)
    found = make_tokenizer("bins", n_bins=n_bins, ties=ties).transform(sparse.csr_matrix(row[None])).value
    spans = [span(row, x, n_bins) for x in row]
    assert found.tolist() == [low if ties == "low" else (low + high + 1) // 2 for low, high in spans]


@given(st.lists(st.floats(2.0**-8, 2.0**14, width=32), min_size=1, max_size=50, unique=True))
def test_bins_depend_on_the_order_of_values_alone(values: list[float]) -> None:
    row = np.array([values])
    places = np.argsort(np.argsort(row)) + 1.0
    both = [BinsTokenizer().transform(sparse.csr_matrix(each)).value.tolist() for each in (row, places)]
    assert both[0] == both[1]


def test_longer_cells_keep_a_random_subset(counts: sparse.csr_matrix, cells: Callable) -> None:
    whole = cells(BinsTokenizer().transform(counts))
    tokens = BinsTokenizer(max_length=9).transform(counts)
    assert tokens.lengths.tolist() == np.minimum(np.diff(counts.indptr), 9).tolist()
    assert (tokens.lengths + tokens.n_cut).tolist() == np.diff(counts.indptr).tolist()
    for part, pairs in zip(cells(tokens), whole, strict=True):
        assert [pair for pair in pairs if pair in part] == part  # the same bins, in the same order
    assert cells(BinsTokenizer(max_length=9, seed=1).transform(counts)) != cells(tokens)


def test_every_gene_is_kept_as_often() -> None:
    many = sparse.csr_matrix(np.ones((800, 12)) + np.eye(12)[np.arange(800) % 12] * np.arange(800)[:, None])
    kept = np.bincount(BinsTokenizer(max_length=3).transform(many).gene, minlength=12) / 800
    assert kept == pytest.approx(np.full(12, 0.25), abs=5 * np.sqrt(0.25 * 0.75 / 800))


@pytest.mark.parametrize("settings", [{"ties": "random"}, {"max_length": 5}])
def test_draws_do_not_depend_on_the_batch(settings: dict, counts: sparse.csr_matrix, cells: Callable) -> None:
    tokenizer = make_tokenizer("bins", **settings)
    order = np.random.default_rng(1).permutation(counts.shape[0])
    whole = cells(tokenizer.transform(counts))
    assert cells(tokenizer.transform(counts[order])) == [whole[i] for i in order]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"n_bins": 2}, "n_bins must be at least 3"),
        ({"ties": "high"}, "ties must be one of.*found 'high'"),
        ({"max_length": 0}, "max_length must be a whole number of at least 1"),
    ],
)
def test_errors(settings: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        BinsTokenizer(**settings)
