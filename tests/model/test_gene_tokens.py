"""`SCMOE` with gene tokens: from scratch, from a pretrained encoder, and in all that a model is used for."""

import json
import shutil

import mudata
import numpy as np
import pytest
import torch
from scipy import sparse

import scmoe
from scmoe.io._quiet import quiet_mudata
from scmoe.model._gene_tokens import check_scale
from scmoe.model.genes._inference import pool_cells
from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.nn.genes._tokenizer import GeneTokenizer

ENCODER = {"encoder_layers": 1, "encoder_width": 8, "decoder_width": 4, "n_bins": 4}
GENES = {"tokenizer": "genes", "gene_encoder": ENCODER}


@pytest.fixture
def folder(pretrained, tmp_path):
    pretrained.save(tmp_path / "encoder")
    return tmp_path / "encoder"


@pytest.fixture
def same_genes(genes):
    """The cells that `pretrained` was trained on, as RNA of a MuData."""
    with quiet_mudata():
        mdata = mudata.MuData({"rna": genes.copy()})
    scmoe.pp.prepare(mdata)
    return mdata


@pytest.fixture(scope="module")
def model(fresh, fit_model):
    """Trained from scratch, not to be changed."""
    return fit_model(fresh("paired"), setup={"labels_key": "cell_type", "batch_key": "batch"}, network=GENES)


def untrained(mdata, tiny, **settings):
    scmoe.model.SCMOE.setup_mudata(mdata)
    return scmoe.model.SCMOE(mdata, **tiny, **{"tokenizer": "genes", **settings})


def test_only_rna_gets_an_encoder(model):
    assert [type(each) for each in model.module.tokenizers] == [GeneTokenizer, ProgramTokenizer]


def test_training_starts_from_the_training_cells(fresh, fit_model):
    """Pooled states of the training cells are centered and whitened, and identities are not those drawn at random."""
    frozen = fit_model(fresh("paired"), network=GENES, max_epochs=1, plan_kwargs={"lr": 1e-9})
    tokenizer = frozen.module.tokenizers[0]
    x = torch.from_numpy(frozen.adata["rna"].X.toarray()[frozen.train_indices])
    with torch.no_grad():
        white = (tokenizer.pooled(x, x > 0) - tokenizer.mean) @ tokenizer.whiten
    torch.testing.assert_close(white.mean(0), torch.zeros(16), atol=1e-3, rtol=0)
    axes = white[:, :15]  # normalized states lie in a plane: the 16th axis is empty
    torch.testing.assert_close(axes.T @ axes / len(x), torch.eye(15), atol=2e-2, rtol=0)
    drawn = untrained(fresh("paired"), {}, **GENES).module.tokenizers[0].encoder.gene
    assert (drawn - tokenizer.encoder.gene).abs().max() > 0.1


def test_training_changes_the_encoder_and_what_is_read_of_it(model):
    tokenizer = model.module.tokenizers[0]
    assert tokenizer.readout.abs().max() > 1e-4
    assert np.isfinite(model.get_latent_representation()).all()


def test_pretrained_states_are_those_of_the_gene_model(folder, pretrained, genes, same_genes, tiny):
    tokenizer = untrained(same_genes, tiny, pretrained=folder).module.tokenizers[0]
    x = torch.from_numpy(same_genes["rna"].X.toarray())
    with torch.no_grad():
        found = tokenizer.pooled(x, x > 0).numpy()
    np.testing.assert_allclose(found, pool_cells(pretrained, pretrained.setup.read(genes), "joint"), atol=1e-5)


def test_pretrained_states_do_not_depend_on_the_order_of_genes(folder, same_genes, tiny):
    with quiet_mudata():
        other = mudata.MuData({"rna": same_genes["rna"][:, ::-1].copy()})
    other.uns = same_genes.uns
    pooled = []
    for mdata in (same_genes, other):
        tokenizer = untrained(mdata, tiny, pretrained=folder).module.tokenizers[0]
        x = torch.from_numpy(mdata["rna"].X.toarray())
        pooled.append(tokenizer.pooled(x, x > 0).detach())
    torch.testing.assert_close(*pooled)


def test_unmatched_genes_start_from_the_mean(folder, pretrained, paired, tiny, capsys):
    """The gene model knows gene0 to gene39; the data have 20 more."""
    gene = untrained(paired, tiny, pretrained=folder).module.tokenizers[0].encoder.gene.detach()
    assert torch.equal(gene[:40], pretrained.module.gene.detach())
    torch.testing.assert_close(gene[40:], gene[:40].mean(0).expand(20, -1))
    assert "rna: the pretrained encoder knows 40 of 60 genes; the other 20 start" in capsys.readouterr().err


def test_training_keeps_the_pretrained_start(folder, pretrained, paired, fit_model):
    network = {"tokenizer": "genes", "pretrained": folder}
    trained = fit_model(paired, network=network, max_epochs=1, plan_kwargs={"lr": 1e-9})
    torch.testing.assert_close(trained.module.tokenizers[0].encoder.gene[:40], pretrained.module.gene)


def test_saved_model_needs_no_pretrained_folder(folder, paired, tmp_path, tl_train):
    model = tl_train(paired, tokenizer="genes", pretrained=folder)
    shutil.rmtree(folder)
    model.save(tmp_path / "model")
    loaded = scmoe.model.SCMOE.load(tmp_path / "model", paired)
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())
    assert (
        loaded.config == model.config and json.loads(json.dumps(model.config.gene_encoder)) == model.config.gene_encoder
    )


def test_results_can_be_written(paired, tl_train, tmp_path):
    tl_train(paired, **GENES)
    paired.write_h5mu(tmp_path / "data.h5mu")
    stored = mudata.read_h5mu(tmp_path / "data.h5mu").uns["scmoe"]["params"]["network"]
    assert stored["tokenizer"] == "genes" and stored["gene_encoder"]["encoder_width"] == 8


def test_cells_without_rna_and_genes_that_a_query_lacks(mosaic, fit_model):
    scmoe.pp.prepare(mosaic)
    model = fit_model(mosaic, network=GENES)
    assert np.isfinite(model.get_latent_representation()).all()
    with quiet_mudata():
        query = mudata.MuData({"rna": mosaic["rna"][:, :30].copy()})
    assert np.isfinite(model.get_latent_representation(query)).all()


def test_counts_are_read_normalized(paired, fit_model):
    model = fit_model(paired, setup={"likelihoods": {"rna": "nb"}}, network=GENES)
    assert np.isfinite(model.impute("adt", "rna")).all()


def test_attributions_reach_the_encoder(model):
    target = model.label_target("T")
    found = model.get_mean_attributions(target, indices=range(20), n_steps=4)
    assert np.isfinite(found.signed["rna"]).all() and np.abs(found.signed["rna"]).max() > 0
    assert np.isfinite(model.get_gradients(target, "tokens", indices=range(20))).all()
    shift = np.ones((1, 60), np.float32)
    assert np.abs(model.get_directions("tokens", "rna", shift, indices=range(20))).max() > 0


def test_model_can_be_adapted(model, fresh):
    query = fresh("paired")
    query.obs["batch"] = "donor3"
    assert np.isfinite(model.adapt(query).get_latent_representation(query)).all()


def test_no_rna(paired, tiny):
    with quiet_mudata():
        proteins = mudata.MuData({"adt": paired["adt"].copy()})
    proteins.uns = paired.uns
    with pytest.raises(ValueError, match="kind 'rna' or 'lognormalized'; found 'adt': protein"):
        untrained(proteins, tiny)


def test_data_that_were_not_prepared(paired, tiny):
    del paired.uns["scmoe"]
    for adata in paired.mod.values():
        del adata.layers["counts"]
    with pytest.raises(ValueError, match="found 'rna': not prepared, 'adt': not prepared"):
        untrained(paired, tiny)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"tokenizer": "program"}, "Pass tokenizer='genes' with pretrained="),
        ({"gene_encoder": "tiny"}, "Leave gene_encoder or pretrained out"),
    ],
)
def test_settings_that_contradict_a_pretrained_encoder(folder, paired, tiny, settings, match):
    with pytest.raises(ValueError, match=match):
        untrained(paired, tiny, pretrained=folder, **settings)


def test_pretrained_models_of_another_form(model, pretrained_depth, fit_genes, genes, paired, tiny, tmp_path):
    coded = fit_genes(genes, network={"tokenizer": "rank"}, max_epochs=1)
    for name, wrong, match in (
        ("depth", pretrained_depth, "depth_tokens=False"),
        ("rank", coded, "the codes of tokenizer='rank'"),
        ("scmoe", model, "holds a SCMOE model, not XTRIMOGENE"),
    ):
        wrong.save(tmp_path / name)
        with pytest.raises(ValueError, match=match):
            untrained(paired, tiny, pretrained=tmp_path / name)


def test_genes_that_do_not_fit(folder, paired, tiny):
    paired["rna"].var_names = [f"Gene{i}" for i in range(60)]
    with pytest.raises(ValueError, match="genes of 'rna' do not fit the pretrained encoder.*another species"):
        untrained(paired, tiny, pretrained=folder)


def test_values_on_another_scale(paired, fit_model):
    paired["rna"].X = paired["rna"].layers["counts"].astype(np.float32)
    setup = {"likelihoods": {"rna": "gaussian"}}
    with pytest.raises(ValueError, match=r"reads ln\(1 \+ 1e4 count / total\) of 'rna'; found a cell"):
        fit_model(paired, setup=setup, network=GENES)


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ([0, -0.5, 2], "found the value -0.5"),
        (np.log1p([4e5, 6e5, 0]), r"counts so add up to 1e\+06"),
        (np.log1p([4e3, 6e3, 0]), None),
        (np.log1p([4e2, 0, 0]), None),
    ],
)
def test_scale_of_values(row, match):
    values = sparse.csr_matrix(np.atleast_2d(np.asarray(row, np.float32)))
    if match is None:
        check_scale(values, "rna")
        return
    with pytest.raises(ValueError, match=match):
        check_scale(values, "rna")


def test_an_encoder_that_would_not_be_used_is_refused(fresh, tiny):
    with pytest.raises(ValueError, match="gene_encoder is for tokenizer='genes'; found tokenizer='program'"):
        untrained(fresh("paired"), tiny, tokenizer="program", gene_encoder="3m")
    with pytest.raises(TypeError, match=r"pretrained must be text or a Path or None; found 3"):
        untrained(fresh("paired"), tiny, pretrained=3)


def test_genes_that_a_batch_lacks_are_fine(raw, tiny):
    x = raw["rna"].X.toarray()
    x[(raw.obs["batch"].loc[raw["rna"].obs_names] == "donor2").to_numpy(), :30] = 0
    raw["rna"].X = sparse.csr_matrix(x)
    scmoe.pp.prepare(raw)
    assert "missing" in raw.uns["scmoe"]
    scmoe.tl.train(raw, tokenizer="genes", max_epochs=1, **tiny)
    assert np.isfinite(raw.obsm["X_scmoe"]).all()
