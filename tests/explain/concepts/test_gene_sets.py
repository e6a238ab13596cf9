import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe.data._setup import Setup
from scmoe.explain.concepts._gene_sets import (
    expression_bins,
    gene_set_scores,
    marker_concepts,
    moments,
    raised_concepts,
    random_set,
    rises,
    set_weights,
)

N_CELLS, N_GENES = 50, 80


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return rng.poisson(rng.uniform(0.1, 4, N_GENES), (N_CELLS, N_GENES)).astype(np.float32)


def test_score_is_the_set_s_mean_minus_that_of_genes_of_like_expression(values):
    genes = np.array([3, 10, 60])
    found = gene_set_scores(values, genes, 0, np.random.default_rng(0))[:, 0]
    z = (values - values.mean(0)) / values.std(0)
    rank = np.argsort(np.argsort(values.mean(0), kind="stable"))
    expected = np.zeros(N_CELLS)
    for gene in genes:
        bin_ = rank // 20 == rank[gene] // 20  # 80 genes make four bins
        controls = [g for g in np.flatnonzero(bin_) if g not in genes]
        expected += (z[:, gene] - z[:, controls].mean(1)) / len(genes)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sparse_values_score_as_dense_ones(values):
    genes = np.array([3, 10, 60])
    scores = [gene_set_scores(x, genes, 4, np.random.default_rng(0)) for x in (values, sparse.csr_matrix(values))]
    np.testing.assert_allclose(*scores, atol=1e-5)
    assert scores[0].shape == (N_CELLS, 5)


def test_missing_values_count_as_the_mean(values):
    values[4, 3] = np.nan
    mean, std = moments(values)
    assert mean[3] == pytest.approx(np.nanmean(values[:, 3]))
    other = np.nan_to_num(values, nan=mean[3])
    other[4, 3] += std[3]
    change = [gene_set_scores(x, np.array([3]), 0, np.random.default_rng(0))[:, 0] for x in (values, other)]
    assert change[1][4] - change[0][4] == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(change[0][:4], change[1][:4], atol=0.1)


def test_random_sets_have_the_set_s_bins_and_other_genes():
    bins = np.repeat([0, 1, 2], 20)
    genes = np.array([0, 1, 45])
    for seed in range(20):
        drawn = random_set(bins, genes, np.random.default_rng(seed))
        assert sorted(bins[drawn]) == [0, 0, 2] and not set(drawn) & set(genes) and len(set(drawn)) == 3


def test_a_set_of_all_genes_of_a_bin_has_no_controls_there():
    np.testing.assert_allclose(set_weights(np.zeros(3, dtype=int), np.arange(3)), 1 / 3)


def test_genes_are_looked_up_in_the_modality_that_has_them(paired):
    setup = Setup.from_mudata(paired)
    found = marker_concepts(paired, setup, {"a": ["protein3", "protein5"], "b": ["gene0"]}, seed=0)
    assert [(each.name, each.kind, each.matched.shape) for each in found] == [
        ("a", "markers", (50, 120)),
        ("b", "markers", (50, 120)),
    ]
    values = np.asarray(paired["adt"][paired.obs_names, ["protein3", "protein5"]].X).mean(1)
    assert np.corrcoef(values, found[0].scores)[0, 1] > 0.5


@pytest.mark.parametrize(
    ("genes", "match"),
    [
        (["gene1", "gene2", "gene59x"], "lacks 1 of the 3 genes of the set 'a'.*'gene59x'.*gene59"),
        ([], "at least one gene; found \\[\\]"),
        ("gene1", "must be a list"),
    ],
)
def test_bad_gene_sets(paired, genes, match):
    with pytest.raises(ValueError, match=match):
        marker_concepts(paired, Setup.from_mudata(paired), {"a": genes}, seed=0)


def test_a_rise_is_from_the_low_half_to_the_high_tenth(values):
    values[3, 5] = np.nan
    found = rises(values)
    for gene in (0, 5, 79):
        x = np.where(np.isnan(values[:, gene]), np.nanmean(values[:, gene]), values[:, gene])
        ordered = np.sort(x)
        expected = ordered[-5:].mean() - ordered[:25].mean()
        assert found[gene] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(rises(sparse.csr_matrix(np.nan_to_num(values))), rises(np.nan_to_num(values)), rtol=1e-4)
    assert rises(np.ones((50, 3)))[0] == 0


def test_raised_genes_are_those_of_the_model(paired):
    setup = Setup.from_mudata(paired)
    part = paired["rna"][:, ["gene7", "gene3", "gene5", *(f"gene{i}" for i in range(20, 60))]].copy()
    query = MuData({"rna": part, "adt": paired["adt"].copy()})
    spreads = {name: np.ones(len(features)) for name, features in setup.feature_names.items()}
    [found] = raised_concepts(query, setup, {"a": ["gene5", "gene7"]}, spreads, n_matched=4, seed=0)
    assert found.modality == "rna" and len(found.sets) == 5 and found.rise.shape == (60,)
    assert found.sets[0].tolist() == [5, 7]
    there = {3, 5, 7, *range(20, 60)}
    assert all(set(genes) <= there and len(genes) == 2 for genes in found.sets)
    assert not found.rise[[0, 1, 2]].any() and found.rise[5] > 0
    [halved] = raised_concepts(query, setup, {"a": ["gene5"]}, {"rna": np.full(60, 2.0)}, n_matched=4, seed=0)
    np.testing.assert_allclose(halved.rise, found.rise / 2)


def test_counts_are_read_as_the_model_reads_them(raw):
    """In any sparse format, and divided by the total over the model's features."""
    setup = Setup.from_mudata(raw, likelihoods={"rna": "nb", "adt": "nb"})
    spreads = {"rna": np.ones(60)}
    [expected] = raised_concepts(raw, setup, {"a": ["gene5"]}, spreads, n_matched=1, seed=0)
    counts = raw["rna"].X.toarray()
    more = np.hstack([counts, 9 * counts[:, ::-1]])
    rna = AnnData(sparse.csc_matrix(more), obs=pd.DataFrame(index=raw["rna"].obs_names))
    rna.var_names = [*raw["rna"].var_names, *(f"other{i}" for i in range(60))]
    query = MuData({"rna": rna, "adt": raw["adt"].copy()})
    [found] = raised_concepts(query, setup, {"a": ["gene5"]}, spreads, n_matched=1, seed=0)
    np.testing.assert_allclose(found.rise, expected.rise, rtol=1e-6)


def test_bins_hold_equally_many_genes():
    assert np.bincount(expression_bins(np.random.default_rng(0).random(80))).tolist() == [20] * 4
