"""Published encoders in use: zero-shot, frozen, fine-tuned, saved, and as the gene encoder of an `SCMOE`."""

import json

import mudata
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import scmoe
from scmoe.io._quiet import quiet_mudata
from scmoe.model import SCMOE, XTRIMOGENE
from scmoe.nn.genes._tokenizer import GeneTokenizer

FAST = {"max_epochs": 1, "batch_size": 8, "accelerator": "cpu", "enable_progress_bar": False}
SMALL = {"n_hidden": 8, "n_heads": 2, "n_experts": 2, "expert_hidden": 8, "n_programs": 3, "decoder_hidden": 8}


def load(files, **arguments) -> XTRIMOGENE:
    return XTRIMOGENE.from_published(files.path, files.kind, **{**files.arguments, "min_share": 0.1, **arguments})


def changed(before: torch.nn.Module, after: torch.nn.Module) -> set[str]:
    others = after.state_dict()
    return {name for name, tensor in before.state_dict().items() if not torch.equal(tensor, others[name])}


@pytest.fixture
def model(files) -> XTRIMOGENE:
    return load(files)


def test_zero_shot_needs_no_training_and_comes_back(model, cells, tmp_path):
    found = model.get_latent_representation(cells)
    assert found.shape == (30, model.module.pooled_width) and found.std(0).min() > 0
    alone = model.get_latent_representation(cells, ["cell4"])
    np.testing.assert_allclose(alone[0], found[4], atol=1e-5)
    for pooling, width in {"joint": 16, "mean": 8, "max": 8, "weighted": 8}.items():
        assert model.get_latent_representation(cells, pooling=pooling).shape == (30, width)
    assert "as published" in repr(model)
    model.save(tmp_path / "model")
    loaded = XTRIMOGENE.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.get_latent_representation(cells), found)
    assert loaded.config == model.config and repr(loaded) == repr(model)


def test_genes_of_the_data_may_be_few_and_in_any_order(model, cells):
    expected = model.get_latent_representation(cells)
    np.testing.assert_allclose(model.get_latent_representation(cells[:, ::-1].copy()), expected, atol=1e-5)


@pytest.mark.parametrize("trainable", ["head", "last", "all"])
def test_fine_tuning_changes_what_it_is_asked_to(model, cells, tmp_path, trainable):
    tuned = model.fine_tune("cell_type", cells, trainable=trainable, **FAST)
    names = changed(model.module, tuned.module)
    assert not [name for name in names if trainable == "head" or (trainable == "last" and name.startswith("blocks.0"))]
    assert any(name.startswith("blocks.1") for name in names) == (trainable != "head")
    assert any(name.startswith("blocks.0") for name in names) == (trainable == "all")
    assert not changed(model.module, load_again(model, tmp_path / "before").module)
    tuned.save(tmp_path / "tuned")
    found = tuned.predict(cells, soft=True)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert found.equals(XTRIMOGENE.load(tmp_path / "tuned").predict(cells, soft=True))


def load_again(model: XTRIMOGENE, path) -> XTRIMOGENE:
    model.save(path)
    return XTRIMOGENE.load(path)


def test_the_vectors_of_scbert_genes_never_learn(write, request):
    model = load(write("scbert"))
    learned = {id(weight) for weight in model.module.trained(last=False)}
    frozen = {name for name, weight in model.module.named_parameters() if id(weight) not in learned}
    assert frozen == {"gene", "end"}


def test_the_head_learns_on_the_frozen_embedding(model, cells):
    tuned = model.fine_tune("cell_type", cells, trainable="head", **{**FAST, "max_epochs": 20})
    accuracy = (tuned.predict(cells) == cells.obs["cell_type"]).mean()
    assert accuracy > cells.obs["cell_type"].value_counts(normalize=True).max() + 0.1


def test_what_needs_a_decoder_is_refused(model, cells):
    for call in (model.impute, model.get_gene_context):
        with pytest.raises(NotImplementedError, match=f"encoder of {model.config.form.kind}, without a decoder"):
            call(adata=cells)
    with pytest.raises(NotImplementedError, match="without a decoder"):
        model.train()


def test_own_pooling_is_of_published_encoders(pretrained, genes):
    with pytest.raises(ValueError, match="is the vector of a published encoder"):
        pretrained.get_latent_representation(genes, pooling="cell")


# As the gene encoder of an SCMOE.


@pytest.fixture
def mdata(cells) -> mudata.MuData:
    cells.var_names = cells.var_names.astype(str)
    other = cells[:, :3].copy()
    other.var_names = ["p1", "p2", "p3"]
    with quiet_mudata():
        mdata = mudata.MuData({"rna": cells.copy(), "prot": other})
    scmoe.pp.prepare(mdata, kinds={"rna": "rna", "prot": "protein"})
    return mdata


def make(model: XTRIMOGENE, mdata: mudata.MuData, path, **settings) -> SCMOE:
    model.save(path)
    SCMOE.setup_mudata(mdata)
    return SCMOE(mdata, tokenizer="genes", pretrained=path, **SMALL, **settings)


def encoder_of(scmoe_model: SCMOE) -> GeneTokenizer:
    tokenizer = scmoe_model.module.tokenizers[scmoe_model.modalities.index("rna")]
    assert isinstance(tokenizer, GeneTokenizer)
    return tokenizer


def test_scmoe_reads_what_the_encoder_makes_of_cells(model, cells, mdata, tmp_path):
    tokenizer = encoder_of(make(model, mdata, tmp_path / "encoder")).eval()
    x = torch.from_numpy(mdata["rna"].X.toarray())
    with torch.no_grad():
        found = tokenizer.pooled(x, x > 0).numpy()
    expected = model.get_latent_representation(cells)
    if model.config.form.kind in ("scbert", "scfoundation"):  # all genes of SCMOE are slots; no depth is known
        assert found.shape == (30, 8 if model.config.form.kind == "scbert" else 16) and found.std(0).min() > 0
    else:
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("train_gene_encoder", [False, True])
def test_scmoe_trains_with_a_frozen_or_a_learning_encoder(model, mdata, tmp_path, train_gene_encoder):
    joint = make(model, mdata, tmp_path / "encoder", train_gene_encoder=train_gene_encoder)
    before = make(model, mdata, tmp_path / "again")
    joint.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    assert bool(changed(encoder_of(before).encoder, encoder_of(joint).encoder)) == train_gene_encoder
    found = joint.get_latent_representation()
    assert np.isfinite(found).all()
    joint.save(tmp_path / "scmoe")
    np.testing.assert_allclose(SCMOE.load(tmp_path / "scmoe", mdata).get_latent_representation(), found, atol=1e-6)


def test_a_frozen_encoder_is_for_gene_tokens(mdata):
    SCMOE.setup_mudata(mdata)
    with pytest.raises(ValueError, match="train_gene_encoder is for tokenizer='genes'; found tokenizer='program'"):
        SCMOE(mdata, train_gene_encoder=False, **SMALL)


# Files that do not fit.


def test_cells_without_common_genes_are_refused(model, cells):
    cells.var_names = [f"ENSMUSG{i}" for i in range(cells.n_vars)]
    with pytest.raises(ValueError, match="0 genes of the data are in the vocabulary"):
        model.get_latent_representation(cells)


def test_another_kind_is_named(files):
    other = "scgpt" if files.kind != "scgpt" else "geneformer"
    with pytest.raises((ValueError, FileNotFoundError), match=f"not hold the weights of {other}|no weights of {other}"):
        XTRIMOGENE.from_published(files.path, other)


@pytest.mark.parametrize(
    ("kind", "file", "setting", "value"),
    [
        ("scgpt", "args.json", "embsize", 512),
        ("scgpt", "args.json", "nlayers", 12),
        ("scgpt", "args.json", "input_emb_style", "category"),
        ("geneformer", "config.json", "hidden_size", 256),
        ("geneformer", "config.json", "hidden_act", "gelu"),
    ],
)
def test_settings_of_another_size_are_refused(write, kind, file, setting, value):
    files = write(kind)
    settings = json.loads((files.path / file).read_text()) | {setting: value}
    (files.path / file).write_text(json.dumps(settings))
    with pytest.raises(
        ValueError, match=f"say {setting}={value!r}; the tensors of .* They belong to models of another"
    ):
        load(files)


def test_a_number_of_heads_that_does_not_fit_is_refused(write):
    files = write("scgpt")
    settings = json.loads((files.path / "args.json").read_text()) | {"nheads": 3}
    (files.path / "args.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="states of width 8, which 3 heads cannot share"):
        load(files)


def test_without_settings_heads_are_of_the_published_width(write, capsys):
    files = write("scgpt")
    (files.path / "args.json").unlink()
    assert load(files).config.encoder_heads == 1
    assert "no settings say how many heads there are; taken for 1" in capsys.readouterr().err


def test_missing_odd_and_broken_tensors_are_refused(write):
    files = write("geneformer")
    path, name = files.path / "model.safetensors", "bert.encoder.layer.1.output.dense.weight"
    tensors = load_file(path)
    for tensor, match in {
        None: f"not hold the whole encoder of geneformer: the tensor '{name}' is missing",
        torch.zeros(8, 5): r"'blocks.1.down.weight' must have the shape \(8, 12\); found \(8, 5\)",
        torch.full((8, 12), torch.nan): "numbers that are not finite",
    }.items():
        save_file(
            {key: x for key, x in tensors.items() if key != name} | ({} if tensor is None else {name: tensor}), path
        )
        with pytest.raises(ValueError, match=match):
            load(files)


def test_medians_are_for_geneformer(write):
    files = write("geneformer")
    with pytest.raises(ValueError, match="pass medians="):
        load(files, medians=None)
    medians = files.path / "medians.json"
    with pytest.raises(ValueError, match="medians= is for geneformer; scgpt has none"):
        load(write("scgpt"), medians=medians)


def test_parallel_training_and_flash_attention_only_rename_tensors(write, tmp_path):
    files = write("scgpt")
    expected = load(files).module.state_dict()
    fused = {f"module.{name.replace('in_proj_', 'Wqkv.')}": tensor for name, tensor in files.tensors.items()}
    torch.save(fused, files.path / "best_model.pt")
    for name, tensor in load(files).module.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
