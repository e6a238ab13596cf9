"""Batches of the gene model: what is masked, what is visible, and what is expected."""

import numpy as np
import pytest
import torch
from scipy import sparse, stats

from scmoe.data.genes._dataset import Draw, GeneDataset, target_depth, thin
from scmoe.tokens._counts import Cells
from scmoe.tokens._make import make_tokenizer
from scmoe.tokens._masking import MaskingPolicy
from scmoe.tokens._vocabulary import Vocabulary

N_CELLS, N_GENES = 50, 60
ALL = np.arange(N_CELLS)
KINDS = ("continuous", "rank", "bins", "integer")


@pytest.fixture
def counts() -> np.ndarray:
    """Cell 3 has none; no two counts of a cell above 1 are alike, so that ranks are clear."""
    rng = np.random.default_rng(0)
    dense = rng.poisson(rng.gamma(0.5, 4.0, size=N_GENES), size=(N_CELLS, N_GENES)).astype(np.float32)
    dense[3] = 0
    return dense


def cells_of(dense: np.ndarray, *, outside: float | np.ndarray = 100, missing: tuple[int, ...] = ()) -> Cells:
    """Cells with more counts outside of the vocabulary, and a vocabulary with genes that were not measured."""
    vocabulary = Vocabulary(tuple(f"g{i}" for i in range(dense.shape[1])))
    match = vocabulary.match([name for i, name in enumerate(vocabulary.names) if i not in missing], 0)
    return Cells(sparse.csr_matrix(dense), (dense.sum(1) + outside).astype(np.float64), match)


def dataset_of(cells: Cells, kind: str = "continuous", **settings) -> GeneDataset:
    return GeneDataset(cells, make_tokenizer(kind).fit(cells.counts, cells.totals), **settings)


def tokens_of(batch, b: int) -> dict[int, float]:
    seen = batch.seen[b]
    return dict(zip(batch.gene[b][seen].tolist(), batch.value[b][seen].tolist(), strict=True))


def masked_of(batch, b: int) -> dict[int, float]:
    hidden = batch.hidden[b]
    return dict(zip(batch.asked[b][hidden].tolist(), batch.target[b][hidden].tolist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_masked_genes_are_invisible_and_the_others_are_not(counts, kind):
    cells = cells_of(counts)
    batch = dataset_of(cells, kind, policy=MaskingPolicy())[Draw(ALL, (0, 1))]
    for b in ALL:
        visible, masked = set(tokens_of(batch, b)), set(masked_of(batch, b))
        expressed = set(np.flatnonzero(counts[b]).tolist())
        assert not visible & masked and visible <= expressed
        if kind != "integer":  # whose lowest level has no token
            assert visible == expressed - masked
    assert batch.hidden.sum() == sum(len(masked_of(batch, b)) for b in ALL)  # no gene is asked twice


def test_targets_and_values_are_logarithms_of_shares_of_the_whole_cell(counts):
    cells = cells_of(counts)
    batch = dataset_of(cells, policy=MaskingPolicy())[Draw(ALL, (0, 1))]
    expected = np.log1p(1e4 * counts / np.maximum(cells.totals, 1)[:, None])
    for b in ALL:
        for found in (tokens_of(batch, b), masked_of(batch, b)):
            np.testing.assert_allclose(list(found.values()), expected[b, list(found)], rtol=1e-5)
    assert (batch.target[~batch.hidden] == 0).all()


def test_rates_of_masks(counts):
    cells = cells_of(counts)
    data, n_draws = dataset_of(cells, policy=MaskingPolicy(nonzero_rate=0.3, zero_rate=0.05)), 20
    drawn = [data[Draw(ALL, (0, i))] for i in range(n_draws)]
    for expressed, rate in ((True, 0.3), (False, 0.05)):
        n = n_draws * ((counts > 0) == expressed).sum()
        found = sum(int((batch.hidden & ((batch.target > 0) == expressed)).sum()) for batch in drawn)
        assert stats.binomtest(found, n, rate).pvalue > 1e-4


@pytest.mark.parametrize("depth", [None, "t4"])
def test_draws_are_functions_of_their_seed(counts, depth):
    data = dataset_of(cells_of(counts), policy=MaskingPolicy(), depth=depth)
    first, again, other = (data[Draw(ALL, seed)] for seed in ((0, 1, 2), (0, 1, 2), (0, 1, 3)))
    for name in ("gene", "value", "seen", "asked", "hidden", "target"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert first.asked.shape != other.asked.shape or not torch.equal(first.asked, other.asked)


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_masked_genes_change_nothing_but_the_targets(counts, kind):
    tokenizer = make_tokenizer(kind).fit(sparse.csr_matrix(counts), counts.sum(1) + 100)
    before = cells_of(counts)
    first = GeneDataset(before, tokenizer, policy=MaskingPolicy())[Draw(ALL, (0, 1))]
    changed, rng = counts.copy(), np.random.default_rng(1)
    for b in ALL:
        for gene, target in masked_of(first, b).items():
            if target > 0:
                changed[b, gene] = rng.integers(1, 50)
    after = Cells(sparse.csr_matrix(changed), before.totals + changed.sum(1).max(), before.match)
    before = Cells(before.counts, after.totals, before.match)  # the same totals, and room for the new counts
    first, second = (
        GeneDataset(each, tokenizer, policy=MaskingPolicy())[Draw(ALL, (0, 1))] for each in (before, after)
    )
    for name in ("gene", "value", "seen", "asked", "hidden"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert not torch.equal(first.target, second.target)


def test_without_seed_or_policy_everything_is_visible(counts):
    cells = cells_of(counts)
    for data, seed in ((dataset_of(cells, policy=MaskingPolicy()), None), (dataset_of(cells), (0, 1))):
        batch = data[Draw(ALL, seed)]
        assert batch.asked.shape == (N_CELLS, 0) and batch.seen.sum() == (counts > 0).sum()


def test_cells_come_in_the_order_asked_for(counts):
    label = np.arange(N_CELLS) % 3
    batch = dataset_of(cells_of(counts), label=label)[Draw(np.array([7, 2, 9]), None)]
    assert batch.label.tolist() == [1, 2, 0]
    for b, cell in enumerate((7, 2, 9)):
        assert sorted(tokens_of(batch, b)) == np.flatnonzero(counts[cell]).tolist()
    assert dataset_of(cells_of(counts))[Draw(ALL, None)].label.tolist() == [-1] * N_CELLS


def test_cells_without_counts_are_padding(counts):
    batch = dataset_of(cells_of(counts, outside=0), policy=MaskingPolicy())[Draw(np.array([3, 3]), (0, 1))]
    assert batch.gene.shape[1] == 1 and not batch.seen.any()
    assert (batch.target == 0).all()


def test_genes_that_were_not_measured_are_unknown_and_never_asked(counts):
    counts[:, [4, 11]] = 0
    data = dataset_of(cells_of(counts, missing=(4, 11)), policy=MaskingPolicy(zero_rate=0.9), depth="t4")
    batch = data[Draw(ALL, (0, 1))]
    assert np.flatnonzero(batch.unknown).tolist() == [4, 11] and len(batch.unknown) == N_GENES + 2
    assert not np.isin(batch.asked[batch.hidden], [4, 11]).any()
    assert np.isin(12, batch.asked[batch.hidden])
    assert dataset_of(cells_of(counts))[Draw(ALL, None)].unknown is None


@pytest.mark.parametrize(("rule", "wanted"), [("t4", 4.0), ("f2", np.log10(2 * 250)), ("a5", np.log10(250) + 5)])
def test_depth_tokens_come_first(rule, wanted):
    cells = cells_of(np.full((1, 5), 30, np.float32))
    batch = dataset_of(cells, depth=rule)[Draw(np.array([0]), None)]
    assert batch.gene[0].tolist() == [5, 6, 0, 1, 2, 3, 4] and batch.seen.all()
    np.testing.assert_allclose(batch.value[0, :2], [np.log10(250), wanted], rtol=1e-6)


def test_half_of_the_masked_cells_are_read_at_a_fraction_of_their_depth(counts):
    cells = cells_of(np.tile(counts[[0, 1, 2, 4]], (200, 1)))
    batch = dataset_of(cells, policy=MaskingPolicy(), depth="t4")[Draw(np.arange(800), (0, 1))]
    read, wanted = 10 ** batch.value[:, 0].double(), 10 ** batch.value[:, 1].double()
    np.testing.assert_allclose(wanted, cells.totals, rtol=1e-5)
    share = (read / wanted).numpy()
    thinned = share < 1 - 1e-5
    assert (share <= 1 + 1e-5).all() and stats.binomtest(int(thinned.sum()), 800, 0.5).pvalue > 1e-4
    assert stats.kstest(share[thinned], stats.uniform(0.1, 0.9).cdf).pvalue > 1e-3
    plain = dataset_of(cells, policy=MaskingPolicy())[Draw(np.arange(800), (0, 1))]
    assert torch.equal(batch.target, plain.target)  # at the full depth


def test_thinning_keeps_some_of_the_counts(counts):
    cells = cells_of(counts)
    thinned, total = thin(cells.counts, cells.totals, np.random.default_rng(0))
    dense = thinned.toarray()
    assert (dense <= counts).all() and (dense == dense.round()).all() and thinned.data.all()
    untouched = total == cells.totals
    np.testing.assert_array_equal(dense[untouched], counts[untouched])
    assert 0 < untouched.sum() < N_CELLS
    outside = total - dense.sum(1)
    assert ((outside >= 0) & (outside <= 100)).all()
    share, kept = total / cells.totals, dense.sum(1) / np.maximum(counts.sum(1), 1)
    assert np.corrcoef(share[counts.sum(1) > 0], kept[counts.sum(1) > 0])[0, 1] > 0.95


def test_thinning_leaves_the_counts_alone(counts):
    cells = cells_of(counts)
    dataset_of(cells, policy=MaskingPolicy(), depth="t4")[Draw(ALL, (0, 1))]
    np.testing.assert_array_equal(cells.counts.toarray(), counts)


@pytest.mark.parametrize(
    ("rule", "expected"), [("t4", [1e4, 1e4]), ("f2", [20, 200]), ("f0.5", [5, 50]), ("a1", [100, 1000])]
)
def test_rules_of_the_depth_asked_for(rule, expected):
    np.testing.assert_allclose(target_depth(rule, np.array([10.0, 100.0])), expected)


@pytest.mark.parametrize("rule", ["", "4", "x4", "t", "tfour", "tnan", "tinf", "t400", "f-1"])
def test_other_rules_are_refused(rule):
    with pytest.raises(ValueError, match=r"must look like 't4', 'f2' or 'a1'; found '.*'\."):
        target_depth(rule, np.array([10.0]))
