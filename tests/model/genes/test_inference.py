"""What a pretrained gene model says about cells and genes, and what that must not depend on."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import scmoe.model.genes._inference as inference
from scmoe.tokens._vocabulary import Vocabulary

POOLINGS = ("joint", "weighted", "mean", "max")


def query_of(genes: ad.AnnData, counts: np.ndarray) -> ad.AnnData:
    """The same cells and genes with other counts."""
    return ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=genes.obs, var=genes.var)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_cell_alone_is_as_it_is_among_others(pretrained, genes, pooling):
    together = pretrained.get_latent_representation(genes, pooling=pooling)
    assert together.dtype == np.float32 and np.isfinite(together).all()
    for cell in (0, 5, 20, 63):
        alone = pretrained.get_latent_representation(genes[[cell]].copy(), pooling=pooling)
        np.testing.assert_allclose(alone[0], together[cell], atol=1e-4)
    np.testing.assert_allclose(
        pretrained.get_latent_representation(genes, batch_size=7, pooling=pooling), together, atol=1e-4
    )
    assert len(np.unique(together.round(3), axis=0)) > 60


def test_indices_choose_and_order_cells(pretrained, genes):
    everything = pretrained.get_latent_representation(genes)
    for indices in ([9, 2, 40], np.arange(64) % 2 == 0, [-1]):
        np.testing.assert_allclose(pretrained.get_latent_representation(genes, indices), everything[indices], atol=1e-4)
        assert list(pretrained.impute(["gene1"], genes, indices).index) == list(genes.obs_names[indices])
    assert pretrained.get_latent_representation(genes, []).shape == (0, everything.shape[1])
    assert pretrained.impute(["gene1"], genes, []).shape == (0, 1)


def test_the_embedding_tells_the_planted_types_apart(pretrained, genes):
    latent = pretrained.get_latent_representation(genes)[np.arange(64) != 5]
    label = genes.obs["cell_type"].to_numpy()[np.arange(64) != 5]
    centers = {name: latent[label == name].mean(0) for name in np.unique(label)}
    nearest = [min(centers, key=lambda name: np.linalg.norm(x - centers[name])) for x in latent]
    assert np.mean(np.array(nearest) == label) > 0.95


def test_depth_tokens_can_be_pooled_and_depth_matters(pretrained_depth, genes):
    latent = pretrained_depth.get_latent_representation(genes, pooling="depth")
    assert latent.shape == (64, 32)
    for rule in ("f2", "a1"):
        assert not np.allclose(pretrained_depth.get_latent_representation(genes, pooling="depth", depth=rule), latent)
    values = pretrained_depth.impute(["gene1"], genes)
    assert not np.allclose(pretrained_depth.impute(["gene1"], genes, depth="a2"), values)


def test_depth_matters_through_the_data(pretrained_depth, pretrained, genes):
    deeper = query_of(genes, genes.X.toarray() * 10)
    assert not np.allclose(*(pretrained_depth.get_latent_representation(each) for each in (genes, deeper)))
    np.testing.assert_allclose(*(pretrained.get_latent_representation(each) for each in (genes, deeper)), atol=1e-3)


def test_the_order_of_genes_does_not_matter(pretrained, genes):
    turned = genes[:, np.random.default_rng(0).permutation(40)].copy()
    np.testing.assert_array_equal(
        pretrained.get_latent_representation(turned), pretrained.get_latent_representation(genes)
    )


def test_gene_embeddings_are_of_the_vocabulary(pretrained, genes):
    found = pretrained.get_gene_embeddings()
    assert list(found.index) == list(genes.var_names) == pretrained.genes and found.shape == (40, 16)
    kind = np.arange(40) % 3
    near = np.corrcoef(found.to_numpy())
    same = kind[:, None] == kind
    np.fill_diagonal(same, False)
    assert near[same].mean() > near[kind[:, None] != kind].mean() + 0.1  # genes of a type are alike


def test_gene_context_is_of_all_genes_in_each_cell(pretrained, pretrained_depth, genes):
    for model in (pretrained, pretrained_depth):
        found = model.get_gene_context(genes, [3, 9, 5])
        assert found.shape == (3, 40, 8) and np.isfinite(found).all()
        np.testing.assert_allclose(model.get_gene_context(genes, [9])[0], found[1], atol=1e-4)
        assert np.abs(found[0] - found[1]).max() > 1e-3


def test_gene_context_of_too_many_cells_is_refused(pretrained, genes, monkeypatch):
    monkeypatch.setattr(inference, "MAX_MEMORY", 4 * 40 * 8 * 10)
    assert len(pretrained.get_gene_context(genes, np.arange(10))) == 10
    with pytest.raises(MemoryError, match=r"The states of 40 genes in 11 cells .*Choose fewer cells with indices="):
        pretrained.get_gene_context(genes, np.arange(11))


@pytest.mark.parametrize("network", [{}, {"depth_tokens": True}, {"tokenizer": "rank"}, {"tokenizer": "bins"}], ids=str)
def test_counts_of_imputed_genes_do_not_matter(genes, fit_genes, network):
    outside = np.full((64, 1), 200)
    genes = ad.concat([genes, ad.AnnData(outside.astype(np.float32), genes.obs, pd.DataFrame(index=["spike"]))], axis=1)
    model = fit_genes(genes, setup={"vocabulary": Vocabulary(tuple(f"gene{i}" for i in range(40)))}, network=network)
    counts = genes.X.toarray()
    expected = model.impute(["gene1", "gene3"])
    changed = counts.copy()
    changed[:, [1, 3]] = np.random.default_rng(0).integers(0, 30, (64, 2))
    changed[:, 40] += counts.sum(1) - changed.sum(1)  # the totals stay
    found = model.impute(["gene1", "gene3"], query_of(genes, changed))
    pd.testing.assert_frame_equal(found, expected)
    assert expected.to_numpy().std(0).min() > 1e-6


@pytest.mark.parametrize("pick", ["all", "some"])
def test_imputed_values_follow_what_was_measured(pretrained, genes, pick):
    names = None if pick == "all" else ["gene0", "gene1", "gene2", "gene3", "gene4", "gene5"]
    found = pretrained.impute(names)
    assert list(found.columns) == (names or pretrained.genes) and list(found.index) == list(genes.obs_names)
    rate = np.array(
        [[8.0 if gene % 3 == kind else 1 for gene in range(40)] for kind in genes.obs["cell_type"].cat.codes]
    )
    columns = [int(name[4:]) for name in found]
    cells, seen = np.arange(64) != 5, np.array(columns) != 7
    between = np.corrcoef(found.to_numpy()[cells][:, seen].ravel(), rate[cells][:, columns][:, seen].ravel())[0, 1]
    assert between > 0.6


def test_genes_named_twice_and_one_gene(pretrained):
    twice, once = pretrained.impute(["gene1", "gene2", "gene1"]), pretrained.impute(["gene2", "gene1"])
    assert list(twice.columns) == ["gene1", "gene2", "gene1"]
    np.testing.assert_array_equal(twice.to_numpy(), once[["gene1", "gene2", "gene1"]].to_numpy())
    np.testing.assert_array_equal(pretrained.impute("gene1").to_numpy().shape, (64, 1))


@pytest.mark.parametrize("model", ["pretrained", "pretrained_depth"])
def test_genes_that_a_query_lacks_are_unknown_not_zero(request, genes, model):
    model = request.getfixturevalue(model)
    lacking = genes[:, 10:].copy()
    as_zero = genes.X.toarray()
    as_zero[:, :10] = 0
    found = model.impute(["gene12"], lacking)
    assert not np.allclose(found, model.impute(["gene12"], query_of(genes, as_zero)), atol=1e-6)
    assert np.isfinite(model.impute(None, lacking)).all(axis=None)
    asked = model.impute(["gene0", "gene12"], lacking)
    np.testing.assert_allclose(asked["gene12"], found["gene12"], atol=1e-5)  # unknown is as masked


def test_a_question_changes_nothing(pretrained, genes, contents):
    before, weights = contents(genes), {k: v.clone() for k, v in pretrained.module.state_dict().items()}
    state = torch.get_rng_state()
    pretrained.get_latent_representation(genes)
    pretrained.impute(["gene1"], genes)
    pretrained.get_gene_context(genes, [1])
    assert contents(genes) == before and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weights[name], x) for name, x in pretrained.module.state_dict().items())


def test_a_query_of_cells_without_counts(pretrained, genes):
    empty = query_of(genes, np.zeros((64, 40)))
    for pooling in POOLINGS:
        found = pretrained.get_latent_representation(empty, pooling=pooling)
        expected = pretrained.get_latent_representation(genes, [5], pooling=pooling)
        np.testing.assert_allclose(found, np.repeat(expected, 64, 0), atol=1e-5)
    assert np.isfinite(pretrained.impute(["gene1"], empty)).all(axis=None)


def test_a_depth_that_would_not_be_used_is_refused(pretrained):
    for ask in (pretrained.get_latent_representation, lambda depth: pretrained.impute(["gene1"], depth=depth)):
        with pytest.raises(ValueError, match="depth= is for models with depth tokens"):
            ask(depth="t4")
