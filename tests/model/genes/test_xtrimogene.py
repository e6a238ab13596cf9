"""`XTRIMOGENE`: data and settings that it takes, and those that it refuses."""

import anndata as ad
import numpy as np
import pytest
from mudata import MuData
from scipy import sparse

from scmoe.io._quiet import quiet_mudata
from scmoe.model import XTRIMOGENE
from scmoe.model.genes._encoding import rows_of
from scmoe.model.genes._inference import fit_axes_of
from scmoe.tokens._continuous import ContinuousTokenizer
from scmoe.tokens._vocabulary import Vocabulary


def query_of(genes: ad.AnnData, counts: np.ndarray) -> ad.AnnData:
    """The same cells and genes with other counts."""
    return ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=genes.obs, var=genes.var)


def test_given_gene_embeddings_are_the_start(genes, tiny_genes, fit_genes):
    given = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    given[3] = np.nan
    model = fit_genes(genes, network={"gene_embeddings": given}, max_epochs=1, plan_kwargs={"lr": 1e-9})
    found = model.get_gene_embeddings().to_numpy()
    known = np.arange(40) != 3
    distance = [np.linalg.norm(x[known][:, None] - x[known], axis=-1)[np.triu_indices(39, 1)] for x in (given, found)]
    assert np.corrcoef(*distance)[0, 1] > 0.8 and np.isfinite(found).all()
    assert np.square(found[known]).mean() == pytest.approx(1, rel=1e-3)


def raise_to_log(adata):
    adata.X = np.log1p(adata.X.toarray())


def negative(adata):
    adata.X = adata.X.toarray() - 1


def without_names(adata):
    adata.var_names = [f"ENSMUSG{i:011d}" for i in range(40)]


@pytest.mark.parametrize(
    ("change", "setup", "error", "match"),
    [
        (raise_to_log, {}, ValueError, "counts"),
        (negative, {}, ValueError, "adata.X|negative"),
        (None, {"layer": "raw"}, KeyError, "There is no layer 'raw'"),
        (None, {"column": "symbol"}, KeyError, "adata.var has no column 'symbol'"),
        (
            None,
            {"values": "log"},
            ValueError,
            "values must be one of 'counts', 'ambient', 'lognormalized'; found 'log'",
        ),
        (None, {"vocabulary": ["a", "b"]}, TypeError, r"vocabulary must be a Vocabulary or None; found"),
        (None, {"vocabulary": Vocabulary(("a", "b"))}, ValueError, "0 genes of the data are in the vocabulary"),
        (
            without_names,
            {"vocabulary": Vocabulary(tuple(f"ENSG{i:011d}" for i in range(40)))},
            ValueError,
            r"different species \(ENSMUSG and ENSG\)",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused_at_setup(genes, contents, change, setup, error, match):
    if change is not None:
        change(genes)
    before = contents(genes)
    with pytest.raises(error, match=match):
        XTRIMOGENE.setup_anndata(genes, **setup)
    assert contents(genes) == before


def test_what_is_no_anndata_is_refused(genes, pretrained):
    with quiet_mudata():
        mdata = MuData({"rna": genes})
    for vocabulary in (None, Vocabulary(tuple(genes.var_names))):
        with pytest.raises(TypeError, match=r"found a MuData. Of a MuData, pass one modality: mdata\['rna'\]"):
            XTRIMOGENE.setup_anndata(mdata, vocabulary=vocabulary)
    with pytest.raises(TypeError, match="found a MuData"):
        pretrained.impute(["gene1"], mdata)


def test_views_are_refused_at_setup_and_fine_as_queries(genes, pretrained):
    with pytest.raises(ValueError, match=r"is a view of another AnnData. Call adata = adata.copy\(\)"):
        XTRIMOGENE.setup_anndata(genes[:30])
    assert len(pretrained.get_latent_representation(genes[:30])) == 30


def test_setup_writes_identifiers_only(genes, contents, written):
    before = contents(genes)
    XTRIMOGENE.setup_anndata(genes)
    assert written(before, genes) == {"uns/_scvi_uuid", "uns/_scvi_manager_uuid"}


def test_counts_of_a_layer_and_names_of_a_column_are_read(genes, fit_genes):
    expected = fit_genes(genes.copy()).get_latent_representation()
    genes.layers["raw"], genes.X = genes.X.copy(), np.log1p(genes.X.toarray())
    genes.var["symbol"], genes.var_names = list(genes.var_names), [f"id{i}" for i in range(40)]
    model = fit_genes(genes, setup={"layer": "raw", "column": "symbol"})
    np.testing.assert_array_equal(model.get_latent_representation(), expected)
    assert model.genes[0] == "gene0"


def test_genes_without_a_name_are_left_out_and_reported(genes, fit_genes, capsys):
    genes.var["symbol"] = [None, "", " ", np.nan, *genes.var_names[4:]]
    model = fit_genes(genes, setup={"column": "symbol"})
    assert model.genes == list(genes.var_names[4:])
    assert "4 of the data have no name and are left out" in capsys.readouterr().err
    read = model.setup.read(genes)
    np.testing.assert_array_equal(read.counts.toarray(), genes.X.toarray()[:, 4:])
    np.testing.assert_array_equal(read.totals, genes.X.toarray().sum(1))


def test_a_checkpoint_of_other_genes_is_refused(genes, fit_genes, tmp_path):
    fit_genes(genes, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match="of a training on other data"):
        fit_genes(genes[:, ::-1].copy(), checkpoint_dir=tmp_path, resume=True)


def test_numbers_of_numpy_are_numbers(genes):
    XTRIMOGENE.setup_anndata(genes)
    assert XTRIMOGENE(genes, seed=np.int64(3)).seed == 3
    with pytest.raises(TypeError, match=r"seed must be a whole number.*found 0\.5"):
        XTRIMOGENE(genes, seed=0.5)


def test_normalized_values_can_be_said_to_be_such(genes, fit_genes):
    counts = genes.X.toarray()
    expected = fit_genes(genes.copy()).get_latent_representation()
    genes.X = np.log1p(1e4 * counts / np.maximum(counts.sum(1, keepdims=True), 1)).astype(np.float32)
    model = fit_genes(genes, setup={"values": "lognormalized"})
    np.testing.assert_allclose(np.abs(model.get_latent_representation()), np.abs(expected), atol=0.05)
    with pytest.raises(ValueError, match="depth_tokens need raw counts.*read as 'lognormalized'"):
        fit_genes(genes, setup={"values": "lognormalized"}, network={"depth_tokens": True})


def test_cells_without_counts_are_named(genes, tiny_genes, capsys):
    tiny_genes(genes)
    assert "1 cells have no counts and get no tokens: cell5." in capsys.readouterr().err


def test_data_without_counts_are_refused(genes, tiny_genes):
    model = tiny_genes(query_of(genes, np.zeros((64, 40))))
    with pytest.raises(ValueError, match="No cell has a count of a gene that the model knows"):
        model.train(1)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"max_epochs": 0}, ValueError, "max_epochs must be a whole number of at least 1 or None; found 0"),
        ({"batch_size": 1.5}, TypeError, "batch_size must be a whole number"),
        ({"mask_zero": 0.1}, TypeError, r"no argument 'mask_zero'\. Pass plan_kwargs="),
        ({"plan_kwargs": {"lrr": 1}}, TypeError, r"PretrainConfig has no argument 'lrr'\. Did you mean 'lr'"),
        ({"train_size": 0.01}, ValueError, "at least 2 cells; found 1"),
        ({"train_size": 1.0, "early_stopping": True}, ValueError, "early_stopping needs validation cells"),
        ({"resume": True}, ValueError, "resume=True needs the checkpoint_dir"),
    ],
)
def test_arguments_of_the_training(genes, tiny_genes, arguments, error, match):
    with pytest.raises(error, match=match):
        tiny_genes(genes).train(**{"max_epochs": 1, "accelerator": "cpu", **arguments})


def test_questions_that_cannot_be_answered(pretrained, genes, tiny_genes, tmp_path):
    with pytest.raises(ValueError, match="pooling must be one of 'joint', .*; found 'sum'"):
        pretrained.get_latent_representation(pooling="sum")
    with pytest.raises(ValueError, match="no depth tokens. Train one with depth_tokens=True"):
        pretrained.get_latent_representation(pooling="depth")
    with pytest.raises(KeyError, match=r"does not know the gene 'CD3E' \(1 of 2\)"):
        pretrained.impute(["gene1", "CD3E"])
    with pytest.raises(ValueError, match="not learned labels. Call tuned = model.fine_tune"):
        pretrained.predict()
    with pytest.raises(ValueError, match=r"The depth asked for must look like .* found 'deep'"):
        tiny_genes_trained_depth(tiny_genes, genes).get_latent_representation(depth="deep")
    untrained = tiny_genes(genes)
    for question in (untrained.impute, untrained.get_gene_embeddings, untrained.get_gene_context):
        with pytest.raises(RuntimeError, match=r"not trained yet. Call model.train\(\) first"):
            question()
    with pytest.raises(ValueError, match="not trained yet: there is nothing to save"):
        untrained.save(tmp_path / "model")


def tiny_genes_trained_depth(tiny_genes, genes):
    model = tiny_genes(genes, depth_tokens=True)
    model.train(1, accelerator="cpu", enable_progress_bar=False)
    return model


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"gene_embeddings": np.zeros((3, 2))}, r"one row for each of the 40 genes; found \(3, 2\)"),
        ({"gene_embeddings": np.full((40, 2), np.nan)}, "no row without NaN"),
    ],
)
def test_arguments_of_the_model(genes, tiny_genes, arguments, match):
    with pytest.raises(ValueError, match=match):
        tiny_genes(genes, **arguments)


def test_repr(pretrained, genes, tiny_genes):
    text = repr(pretrained)
    assert "trained for 10 epochs" in text and "genes: 40, read as counts, continuous tokens" in text
    assert "1 layer(s), width 16, 1 expert(s)" in text and "labels: none; seed: 0" in text
    assert "not trained" in repr(tiny_genes(genes))


def test_cells_beyond_the_limit_of_the_tokenizer_are_reported(genes, fit_genes, caplog):
    model = fit_genes(genes, network={"tokenizer": "rank"})
    model.tokenizer.limit = 2
    with caplog.at_level("WARNING", logger="scmoe"):
        model.get_latent_representation()
    assert "express more than 2 genes" in caplog.text


def test_of_very_many_cells_some_fix_start_and_axes(genes, fit_genes, monkeypatch):
    monkeypatch.setattr("scmoe.model.genes._pretraining.N_FITTED", 20)
    read: list[int] = []
    transform = ContinuousTokenizer.transform

    def counted(self, counts, totals):
        read.append(counts.shape[0])
        return transform(self, counts, totals)

    monkeypatch.setattr(ContinuousTokenizer, "transform", counted)
    model = fit_genes(genes)
    assert read[0] == 20  # the start
    train = model.train_indices
    sample = rows_of(model.setup.read(genes), train[np.linspace(0, len(train) - 1, 20).astype(int)])
    for pooling, axes in fit_axes_of(model, sample).items():
        np.testing.assert_allclose(model.axes[pooling].directions, axes.directions, atol=1e-5)
