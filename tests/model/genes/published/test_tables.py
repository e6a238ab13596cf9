"""Published weights: small files of the same layout, made here; what could run code is refused without running it."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from scmoe.model.genes.published._tables import PublishedWeights, read_published
from scmoe.tokens._vocabulary import Vocabulary

GENES = ["A1BG", "CD4", "CD8A", "FOXP3"]
WIDTH, BINS = 3, 4


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def scgpt(folder: Path, prefix: str = "") -> Path:
    tensors = {
        "encoder.embedding.weight": drawn(7, WIDTH),
        "encoder.enc_norm.weight": drawn(WIDTH),
        "encoder.enc_norm.bias": drawn(WIDTH),
        "value_encoder.linear1.weight": drawn(WIDTH, 1),
        "transformer_encoder.layers.0.linear1.weight": drawn(5, WIDTH),
        "transformer_encoder.layers.11.linear1.weight": drawn(5, WIDTH),
    }
    torch.save({prefix + name: tensor for name, tensor in tensors.items()}, folder / "best_model.pt")
    rows = {"<cls>": 1, "CD4": 3, "<pad>": 0, "A1BG": 2, "FOXP3": 5, "CD8A": 4, "<eoc>": 6}
    (folder / "vocab.json").write_text(json.dumps(rows))
    return folder / "best_model.pt"


def geneformer(folder: Path, n_rows: int = 6) -> Path:
    tensors = {
        "bert.embeddings.word_embeddings.weight": drawn(n_rows, WIDTH).half(),
        "bert.encoder.layer.0.output.dense.weight": drawn(2, WIDTH),
        "cls.predictions.bias": drawn(n_rows),
    }
    save_file(tensors, folder / "model.safetensors")
    rows = {"<pad>": 0, "<mask>": 1} | {f"ENSG{i}": i for i in range(2, 6)}
    (folder / "token_dictionary.json").write_text(json.dumps(rows))
    (folder / "medians.json").write_text(json.dumps({"ENSG2": 2.5, "ENSG9": 1.0}))
    return folder / "model.safetensors"


def scbert(folder: Path, n_codes: int = 7) -> Path:
    gene2vec = torch.cat([drawn(len(GENES), WIDTH), torch.zeros(1, WIDTH)]).double()
    tensors = {"token_emb.weight": drawn(n_codes, WIDTH), "pos_emb.emb.weight": gene2vec, "norm.weight": drawn(WIDTH)}
    tensors["performer.net.layers.5.0.norm.weight"] = drawn(WIDTH)
    optimizer = {"state": {0: {"step": 3, "exp_avg": drawn(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    held = {"epoch": 7, "model_state_dict": tensors, "optimizer_state_dict": optimizer, "losses": 0.5}
    torch.save(held, folder / "panglao_pretrain.pth")
    return folder / "panglao_pretrain.pth"


class ValueEncoder(nn.Module):
    """Modules and names as in scFoundation's checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp, self.mlp2 = nn.Linear(1, BINS), nn.Linear(BINS, BINS)
        self.emb, self.emb_mask, self.emb_pad = (
            nn.Embedding(BINS, WIDTH),
            nn.Embedding(1, WIDTH),
            nn.Embedding(1, WIDTH),
        )

    def forward(self, value: Tensor, alpha: float) -> Tensor:
        u = nn.functional.leaky_relu(self.mlp(value[:, None]), 0.1)
        return (alpha * u + self.mlp2(u)).softmax(-1) @ self.emb.weight


def scfoundation(folder: Path, encoder: nn.Module | None = None) -> Path:
    tensors = {f"model.token_emb.{name}": x for name, x in (encoder or ValueEncoder()).state_dict().items()}
    tensors["model.pos_emb.weight"] = drawn(len(GENES) + 3, WIDTH)
    tensors |= {f"model.encoder.transformer_encoder.{i}.norm1.weight": drawn(WIDTH) for i in range(2)}
    config = {"model": "mae_autobin", "model_config": {"mae_autobin": {"bin_alpha": 0.7, "bin_num": BINS}}}
    part = {"config": config, "state_dict": tensors}
    other = {"config": config, "state_dict": {name: 0 * x for name, x in tensors.items()}}
    torch.save({"cell": other, "gene": part}, folder / "models.ckpt")
    table = "\n".join(["gene_name\tindex", *(f"{gene}\t{i}" for i, gene in enumerate(GENES))])
    (folder / "index.tsv").write_text(table + "\n")
    return folder / "models.ckpt"


@pytest.mark.parametrize("prefix", ["", "module.", "model.module."])
def test_scgpt_genes_are_rows_after_the_normalization_of_its_network(tmp_path: Path, prefix: str) -> None:
    file = scgpt(tmp_path, prefix)
    found = read_published(file, "scgpt")
    assert found.genes == ("A1BG", "CD4", "CD8A", "FOXP3")
    assert found.special == ("<pad>", "<cls>", "<eoc>")
    held = torch.load(file, weights_only=True)
    norm = nn.LayerNorm(WIDTH)
    norm.load_state_dict({name: held[f"{prefix}encoder.enc_norm.{name}"] for name in ("weight", "bias")})
    expected = norm(held[f"{prefix}encoder.embedding.weight"])[2:6].detach().numpy()
    np.testing.assert_allclose(found.gene_embedding, expected, atol=1e-6)
    assert found.value_embedding is None
    assert found.config == {"width": WIDTH, "n_layers": 2, "n_parameters": 7 * 3 + 3 + 3 + 3 + 15 + 15}


def test_scgpt_special_tokens_that_its_vocabulary_lacks_come_last(tmp_path: Path) -> None:
    file = scgpt(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({gene: i for i, gene in enumerate(GENES)}))
    assert read_published(file, "scgpt").special == ("<pad>", "<cls>", "<eoc>")


def test_geneformer_has_rows_by_identifier_and_medians(tmp_path: Path) -> None:
    geneformer(tmp_path)
    found = read_published(tmp_path, "geneformer", medians=tmp_path / "medians.json")
    assert found.genes == ("ENSG2", "ENSG3", "ENSG4", "ENSG5")
    assert found.special == ("<pad>", "<mask>")
    assert found.gene_embedding.dtype == np.float32
    np.testing.assert_array_equal(found.gene_embedding, drawn(6, WIDTH).half().float()[2:].numpy())
    np.testing.assert_array_equal(found.medians, [2.5, np.nan, np.nan, np.nan])


def test_scbert_has_gene2vec_and_a_vector_for_each_value(tmp_path: Path) -> None:
    found = read_published(scbert(tmp_path), "scbert", genes=GENES)
    assert found.genes == tuple(GENES)
    np.testing.assert_array_equal(found.gene_embedding, drawn(len(GENES), WIDTH).numpy())
    np.testing.assert_array_equal(found.value_embedding, drawn(7, WIDTH).numpy())


def test_scfoundation_values_are_embedded_as_by_its_modules(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = ValueEncoder()
    file = scfoundation(tmp_path, encoder)
    found = read_published(file, "scfoundation", genes=tmp_path / "index.tsv")
    assert found.genes == tuple(GENES)
    np.testing.assert_array_equal(found.gene_embedding, drawn(len(GENES) + 3, WIDTH).numpy()[:4])
    w1, b1, w2, b2, table, alpha = found.value_embedding
    assert alpha == 0.7
    value = np.array([0.0, 1.99, 5.0], np.float32)
    u = value[:, None] * w1 + b1
    u = np.where(u > 0, u, 0.1 * u)
    weights = np.exp(u @ w2.T + b2 + alpha * u)
    expected = encoder(torch.from_numpy(value), 0.7).detach().numpy()
    np.testing.assert_allclose(weights / weights.sum(axis=1, keepdims=True) @ table, expected, atol=1e-6)


def test_rows_are_mapped_by_name_and_unmatched_are_nan(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    found = read_published(scbert(tmp_path), "scbert", genes=GENES)
    matrix, matched = found.map_to(["FOXP3", "none", "A1BG"])
    np.testing.assert_array_equal(matched, [True, False, True])
    np.testing.assert_array_equal(matrix[[0, 2]], found.gene_embedding[[3, 0]])
    assert np.isnan(matrix[1]).all()
    assert matrix.dtype == np.float32
    assert "scbert has 2 of the 3 genes (66.7 %)" in capsys.readouterr().err


def test_vocabulary_without_a_common_gene_is_refused(tmp_path: Path) -> None:
    found = read_published(scbert(tmp_path), "scbert", genes=GENES)
    with pytest.raises(ValueError, match="scbert has 0 of the 1 genes .*It has A1BG.*the vocabulary has ENSG1"):
        found.map_to(["ENSG1"])
    with pytest.raises(ValueError, match="scbert has 1 of the 6 genes .*expected at least 50%"):
        found.map_to(["A1BG", *"abcde"])
    assert found.map_to(["A1BG", *"abcde"], min_share=0.2)[1].tolist() == [True] + 5 * [False]


def test_rows_are_mapped_by_alias_and_without_version(tmp_path: Path) -> None:
    genes = ["ENSG00000000001", "ENSG00000000002.7", "X", "Y"]
    found = read_published(scbert(tmp_path), "scbert", genes=genes)
    wanted = Vocabulary(("A", "ENSG00000000002", "B"), {"ENSG00000000001.3": "A"})
    matrix, matched = found.map_to(wanted)
    np.testing.assert_array_equal(matched, [True, True, False])
    np.testing.assert_array_equal(matrix[:2], found.gene_embedding[:2])


class Malicious:
    """A pickle of it makes a file when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


def dump(held: object, file: Path) -> None:
    file.write_bytes(pickle.dumps(held))


@pytest.mark.parametrize("name", ["best_model.pt", "legacy.bin", "plain.pt", "weights.pkl", "vocab.pkl"])
def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    ran, file = tmp_path / "ran", scgpt(tmp_path)
    held = {"model_state_dict": torch.load(file, weights_only=True), "extra": Malicious(ran)}
    if name == "best_model.pt":
        torch.save(held, file)
    elif name == "legacy.bin":
        torch.save(held, tmp_path / name, _use_new_zipfile_serialization=False)
    else:
        dump(Malicious(ran), tmp_path / name)
    arguments = {"genes": tmp_path / name} if name == "vocab.pkl" else {}
    with pytest.raises(ValueError, match="it was not read, and nothing in it was run|not opened"):
        read_published(file if arguments else tmp_path / name, "scgpt", **arguments)
    assert not ran.exists()
    pickle.loads(pickle.dumps(Malicious(ran)))
    assert ran.exists(), "the pickle would have run"


def test_command_that_converts_a_pickled_dictionary_does_so(tmp_path: Path) -> None:
    file = geneformer(tmp_path)
    rows = json.loads((tmp_path / "token_dictionary.json").read_text())
    (tmp_path / "token_dictionary.json").unlink()
    # As in the published dictionary, whose numbers are NumPy's.
    dump({gene: np.int16(row) for gene, row in rows.items()}, tmp_path / "token_dictionary.pkl")
    with pytest.raises(ValueError, match="token_dictionary.pkl is a pickle, .* not opened") as refused:
        read_published(file, "geneformer")
    command = str(refused.value).split("python -c '")[1].rstrip("'")
    here = Path.cwd()
    try:
        os.chdir(tmp_path)
        exec(command)
    finally:
        os.chdir(here)
    assert read_published(file, "geneformer").genes == ("ENSG2", "ENSG3", "ENSG4", "ENSG5")


@pytest.mark.parametrize("make", [scgpt, geneformer, scbert, scfoundation])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_truncated_file_is_refused(tmp_path: Path, make, share: float) -> None:
    file = make(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=rf"{file.name} is damaged.* Copy or download it again|or is damaged"):
        read_published(file, make.__name__, genes=GENES)


@pytest.mark.parametrize(
    ("make", "kind", "arguments", "match"),
    [
        (scgpt, "gpt", {}, "kind must be one of scgpt, geneformer, scbert, scfoundation; found 'gpt'"),
        (
            scgpt,
            "geneformer",
            {},
            "best_model.pt does not hold the weights of geneformer: .*those of scgpt: pass kind='scgpt'",
        ),
        (
            geneformer,
            "scbert",
            {"genes": GENES},
            "not hold the weights of scbert: the tensor 'pos_emb.emb.weight' is missing",
        ),
        (scbert, "scbert", {}, "scbert does not store the names of its genes: pass genes="),
        (scbert, "scbert", {"genes": GENES[:3]}, "rows for 4 genes and 1 special tokens; found the names of 3 genes"),
        (scbert, "scbert", {"genes": ["A", "B", "A", "C"]}, "genes= names 'A' twice .1 such"),
        (scfoundation, "scfoundation", {"genes": [*GENES, "X"]}, "rows for 4 genes and 3 special .* names of 5 genes"),
        (scgpt, "scgpt", {"genes": GENES}, "For scgpt, genes= must name a JSON file .*; found a list"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, make, kind: str, arguments: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read_published(make(tmp_path), kind, **arguments)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[1, 2]", "vocab.json must hold one JSON object, .*; found a list"),
        ('{"A": 0,', "vocab.json cannot be read as JSON"),
        ('{"A": 0, "B": 2}', "number its 2 entries from 0, each once; found 2 for 'B'"),
        ('{"A": 0, "B": 0}', "found 0 for 'A'"),
        ('{"A": 0, "B": "1"}', "found '1' for 'B'"),
        ('{"A": 0, "B": 1}', "rows for 4 genes and 3 special tokens; found the names of 2 genes"),
    ],
)
def test_dictionary_that_does_not_fit_is_refused(tmp_path: Path, text: str, match: str) -> None:
    file = scgpt(tmp_path)
    (tmp_path / "vocab.json").write_text(text)
    with pytest.raises(ValueError, match=match):
        read_published(file, "scgpt")


def test_tables_of_other_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scBERT has 7 values; found 5 rows"):
        read_published(scbert(tmp_path, n_codes=5), "scbert", genes=GENES)
    encoder = ValueEncoder()
    encoder.mlp2 = nn.Linear(BINS, BINS + 1)
    with pytest.raises(ValueError, match=r"scFoundation's value encoder must have tensors of the shapes .*\(5, 4\)"):
        read_published(scfoundation(tmp_path, encoder), "scfoundation", genes=GENES)


def test_medians_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    file = geneformer(tmp_path)
    (tmp_path / "medians.json").write_text('{"CD4": 1.0}')
    with pytest.raises(ValueError, match="medians= has none of the genes"):
        read_published(file, "geneformer", medians=tmp_path / "medians.json")


@pytest.mark.parametrize(
    ("kind", "arguments", "match"),
    [
        ("geneformer", {}, "no weights of geneformer at .*model.safetensors or pytorch_model.bin"),
        ("scgpt", {"genes": "none.json"}, "no file none.json, which should name the genes"),
        ("scbert", {"genes": "none.tsv"}, "no file none.tsv"),
    ],
)
def test_missing_file_is_named(tmp_path: Path, kind: str, arguments: dict, match: str) -> None:
    scgpt(tmp_path)
    scbert(tmp_path)
    with pytest.raises(FileNotFoundError, match=match):
        read_published(tmp_path, kind, **arguments)


def test_table_of_genes_needs_its_column(tmp_path: Path) -> None:
    (tmp_path / "list.tsv").write_text("symbol\nA1BG\n")
    with pytest.raises(ValueError, match="list.tsv must be tab-separated with a column 'gene_name'; found symbol"):
        read_published(scbert(tmp_path), "scbert", genes=tmp_path / "list.tsv")


def test_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "best_model.pt")
    with pytest.raises(ValueError, match="best_model.pt holds no tensors by name .found epoch"):
        read_published(tmp_path, "scgpt")


def test_result_cannot_be_reassigned(tmp_path: Path) -> None:
    found = read_published(scbert(tmp_path), "scbert", genes=GENES)
    assert isinstance(found, PublishedWeights)
    with pytest.raises(AttributeError):
        found.kind = "scgpt"  # type: ignore[misc]
