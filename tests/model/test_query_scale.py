"""A query on another scale is refused or warned of by whatever is asked of a model."""

import numpy as np
import pytest

import scmoe
from scmoe.io._quiet import quiet_mudata

QUESTIONS = {
    "get_latent_representation": lambda model, query: model.get_latent_representation(query),
    "get_results": lambda model, query: model.get_results(query),
    "predict": lambda model, query: model.predict(query),
    "get_annotation": lambda model, query: model.get_annotation(query),
    "get_unknown_score": lambda model, query: model.get_unknown_score(query),
    "get_mapping_score": lambda model, query: model.get_mapping_score(query),
    "impute": lambda model, query: model.impute("rna", "adt", query),
    "get_normalized": lambda model, query: model.get_normalized("rna", query),
    "get_router_activations": lambda model, query: model.get_router_activations(query),
    "get_attention": lambda model, query: model.get_attention(query),
    "get_activations": lambda model, query: model.get_activations("states", query),
    "get_mean_attributions": lambda model, query: model.get_mean_attributions(model.label_target("B"), query),
    "tl.embed": lambda model, query: scmoe.tl.embed(query, model),
    "tl.annotate": lambda model, query: scmoe.tl.annotate(query, model),
    "tl.impute": lambda model, query: scmoe.tl.impute(query, model, source="rna", target="adt"),
    "tl.denoise": lambda model, query: scmoe.tl.denoise(query, model, modality="rna"),
    "tl.map_query": lambda model, query: scmoe.tl.map_query(query, model),
}


def on_scale(query, change):
    """A query of which no record is left, as after a concatenation."""
    query = query.copy()
    query.uns.clear()
    query["rna"].layers.clear()
    query["rna"].X = change(query["rna"].X.toarray())
    with quiet_mudata():
        query.update()
    return query


@pytest.mark.parametrize("question", QUESTIONS)
def test_another_scale_is_refused_and_nothing_is_written(trained, paired, contents, question):
    query = on_scale(paired, lambda x: x / np.log(2))
    before = contents(query)
    with pytest.raises(ValueError, match=r"mdata\['rna'\]\.X holds logarithms to base 2 .*; the model learned from"):
        QUESTIONS[question](trained, query)
    assert contents(query) == before


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_doubtful_scale_is_warned_of(trained, paired, caplog, question):
    trained._said = None
    QUESTIONS[question](trained, on_scale(paired, lambda x: x - x.mean(0)))
    assert "mdata['rna'].X holds values of which" in caplog.text


def test_it_is_said_once(trained, paired, caplog):
    query = on_scale(paired, lambda x: x - x.mean(0))
    trained._said = None
    for _ in range(3):
        trained.get_latent_representation(query)
        trained.predict(query)
    assert caplog.text.count("are negative; the model learned from") == 1


def test_a_saved_model_knows_its_scale(trained, paired, tmp_path):
    trained.save(tmp_path / "model")
    loaded = scmoe.model.SCMOE.load(tmp_path / "model")
    assert loaded.setup == trained.setup and loaded.setup.scale("rna").base == "e"
    with pytest.raises(ValueError, match="to base 2"):
        loaded.predict(on_scale(paired, lambda x: x / np.log(2)))


def gene_query(genes, change):
    query = genes.copy()
    query.X = change(query.X.toarray())
    return query


GENE_QUESTIONS = {
    "get_latent_representation": lambda model, query: model.get_latent_representation(query),
    "impute": lambda model, query: model.impute(["gene0"], query),
    "get_gene_context": lambda model, query: model.get_gene_context(query, range(3)),
    "fine_tune": lambda model, query: model.fine_tune("cell_type", query, max_epochs=1, accelerator="cpu"),
}


@pytest.mark.parametrize("question", GENE_QUESTIONS)
def test_binary_values_for_a_gene_model_of_counts(pretrained, genes, caplog, question):
    pretrained._said = None
    GENE_QUESTIONS[question](pretrained, gene_query(genes, lambda x: (x > 0).astype(np.float32)))
    assert caplog.text.count("adata.X holds 0 and 1 alone; the model learned from raw counts") == 1


def test_few_cells_for_a_gene_model_of_counts(pretrained, genes, caplog):
    pretrained.get_latent_representation(genes[:2].copy())
    assert "the model learned from" not in caplog.text


def test_logarithms_for_a_gene_model_of_fractional_counts(genes, fit_genes, tmp_path, caplog):
    rng = np.random.default_rng(0)
    training = gene_query(genes, lambda x: np.maximum(x - rng.uniform(0, 0.9, x.shape), 0))
    model = fit_genes(training, setup={"values": "ambient"})
    model.save(tmp_path / "model")
    loaded = scmoe.model.XTRIMOGENE.load(tmp_path / "model")
    assert loaded.setup == model.setup
    loaded.get_latent_representation(training[:5].copy())
    assert "the model learned from" not in caplog.text
    for change in (np.log1p, lambda x: np.log1p(x / np.maximum(x.sum(1, keepdims=True), 1) * 1e4)):
        with pytest.raises(ValueError, match="must hold counts without ambient RNA.*found logarithms of"):
            loaded.get_latent_representation(gene_query(genes, change))
