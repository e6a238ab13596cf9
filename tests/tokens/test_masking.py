import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scmoe.tokens._masking import MaskingPolicy


def random_counts(n_cells: int, n_genes: int, density: float, seed: int = 0) -> sparse.csr_matrix:
    matrix = sparse.random(n_cells, n_genes, density, format="csr", random_state=seed)
    matrix.sort_indices()
    return matrix


@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.03, 0.5, 0.99]),
    st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    st.booleans(),
)
def test_only_zeros_are_drawn_and_none_twice(seed: int, rate: float, density: float, with_missing: bool) -> None:
    counts = random_counts(5, 30, density, seed)
    missing = np.arange(30) % 4 == 0 if with_missing else None
    masked = MaskingPolicy(zero_rate=rate).draw(counts, np.random.default_rng(seed), missing)
    assert (counts.toarray()[masked.zero_row, masked.zero_gene] == 0).all()
    flat = masked.zero_row * 30 + masked.zero_gene
    assert (np.diff(flat) > 0).all()
    assert masked.stored.shape == (counts.nnz,)
    assert not with_missing or not missing[masked.zero_gene].any()


def test_each_position_has_the_rate() -> None:
    counts = random_counts(3, 7, 0.4)
    policy, rng = MaskingPolicy(nonzero_rate=0.3, zero_rate=0.2), np.random.default_rng(0)
    n, zeros, stored = 4000, np.zeros((3, 7)), np.zeros(counts.nnz)
    for _ in range(n):
        masked = policy.draw(counts, rng)
        zeros[masked.zero_row, masked.zero_gene] += 1
        stored += masked.stored
    empty = counts.toarray() == 0
    assert zeros[empty] / n == pytest.approx(np.full(empty.sum(), 0.2), abs=4.5 * np.sqrt(0.16 / n))
    assert stored / n == pytest.approx(np.full(counts.nnz, 0.3), abs=4.5 * np.sqrt(0.21 / n))


def test_positions_are_drawn_independently() -> None:
    counts, rng = sparse.csr_matrix((1, 8)), np.random.default_rng(1)
    drawn = np.zeros((5000, 8))
    for i in range(5000):
        drawn[i, MaskingPolicy(zero_rate=0.3).draw(counts, rng).zero_gene] = 1
    assert np.abs(np.corrcoef(drawn.T)[np.triu_indices(8, 1)]).max() < 4.5 / np.sqrt(5000)


def test_default_masks_about_as_many_zeros_as_counts() -> None:
    """Numbers of the specification: 1926 counts of 19 264 genes, 578 of them and 520 zeros hidden."""
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix((rng.random((40, 19_264)) < 0.1).astype(np.float32))
    masked = MaskingPolicy().draw(counts, rng)
    assert masked.stored.sum() / 40 == pytest.approx(578, rel=0.03)
    assert len(masked.zero_row) / 40 == pytest.approx(520, rel=0.03)


def test_same_generator_state_gives_the_same_draw() -> None:
    counts = random_counts(20, 100, 0.2)
    one, other = (MaskingPolicy().draw(counts, np.random.default_rng(5)) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_no_cells() -> None:
    masked = MaskingPolicy().draw(sparse.csr_matrix((0, 10)), np.random.default_rng(0))
    assert masked.stored.size == masked.zero_row.size == 0


@pytest.mark.parametrize(
    "rates", [{"nonzero_rate": 1.0}, {"nonzero_rate": -0.1}, {"zero_rate": 1.5}, {"zero_rate": np.nan}]
)
def test_rates_out_of_range(rates: dict[str, float]) -> None:
    (name,) = rates
    with pytest.raises(ValueError, match=f"{name} must be a number of at least 0 and below 1"):
        MaskingPolicy(**rates)
