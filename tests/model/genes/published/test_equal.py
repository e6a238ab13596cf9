"""Encoders beside slow references written from the papers, and beside the packages that publish the networks.

`nox -s published` installs these packages.
"""

import importlib.util
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scmoe.model import XTRIMOGENE

LAYERS, HEADS, D, HIDDEN = 2, 2, 8, 12
ALPHA, LIMIT = 0.7, 5
MEDIANS = [2.1, 0.47, 1.3, 3.9, 0.26, 2.9]


def load(files) -> XTRIMOGENE:
    return XTRIMOGENE.from_published(files.path, files.kind, **files.arguments, min_share=0.1)


# Slow references: one cell, one head and one position at a time, in double precision.


class Reference:
    """Tensors as arrays of doubles, and the steps that the papers name."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.arrays = {name: tensor.double().numpy() for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self[f"{name}.weight"].T + self[f"{name}.bias"]

    def norm(self, name: str, x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
        centered = x - x.mean(-1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + eps)
        return scaled * self[f"{name}.weight"] + self[f"{name}.bias"]


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, n_heads: int) -> np.ndarray:
    """Softmax attention (m, d), position by position."""
    out, h = np.zeros_like(q), q.shape[1] // n_heads
    for head in range(n_heads):
        part = slice(head * h, (head + 1) * h)
        for i in range(len(q)):
            weight = np.exp(k[:, part] @ q[i, part] / math.sqrt(h))
            out[i, part] = weight @ v[:, part] / weight.sum()
    return out


def torch_layers(ref: Reference, prefix: str, x: np.ndarray) -> np.ndarray:
    for i in range(LAYERS):
        layer = f"{prefix}.{i}"
        q, k, v = np.split(
            x @ ref[f"{layer}.self_attn.in_proj_weight"].T + ref[f"{layer}.self_attn.in_proj_bias"], 3, 1
        )
        x = ref.norm(f"{layer}.norm1", x + ref.linear(f"{layer}.self_attn.out_proj", attention(q, k, v, HEADS)))
        x = ref.norm(f"{layer}.norm2", x + ref.linear(f"{layer}.linear2", ref.linear(f"{layer}.linear1", x).clip(0)))
    return x


def scgpt(ref: Reference, files, counts: np.ndarray, total: float) -> np.ndarray:
    """Bins of the expressed genes by 51 quantiles, a token of the cell with the value -2; its state at length 1."""
    rows = {"<cls>": 2, "CD4": 1, "A1BG": 3, "FOXP3": 4, "CD8A": 5, "MS4A1": 6, "GNLY": 8}
    expressed = np.flatnonzero(counts)
    edges = np.quantile(counts[expressed], np.linspace(0, 1, 50))
    bins = np.searchsorted(edges, counts[expressed], side="right").astype(float)
    names = ["<cls>", *(files.genes[i] for i in expressed)]
    value = np.concatenate([[-2.0], bins])[:, None]
    gene = ref.norm("encoder.enc_norm", np.stack([ref["encoder.embedding.weight"][rows[name]] for name in names]))
    hidden = ref.linear("value_encoder.linear2", ref.linear("value_encoder.linear1", value).clip(0))
    x = torch_layers(ref, "transformer_encoder.layers", gene + ref.norm("value_encoder.norm", hidden))
    return x[0] / np.linalg.norm(x[0])


EMBEDDINGS = "word", "position", "token_type"


def geneformer(ref: Reference, files, counts: np.ndarray, total: float) -> np.ndarray:
    """Genes by descending count over median, at most five; the mean of their states."""
    n_special = len(ref["bert.embeddings.position_embeddings.weight"]) - LIMIT
    order = sorted(np.flatnonzero(counts), key=lambda gene: -counts[gene] / MEDIANS[gene])[:LIMIT]
    row = [2 + n_special + gene for gene in order]
    row = [2, *row, 3] if n_special else row
    x = (
        ref["bert.embeddings.word_embeddings.weight"][row]
        + ref["bert.embeddings.position_embeddings.weight"][: len(row)]
    )
    x = ref.norm("bert.embeddings.LayerNorm", x + ref["bert.embeddings.token_type_embeddings.weight"][0], 1e-12)
    for i in range(LAYERS):
        layer = f"bert.encoder.layer.{i}"
        qkv = (ref.linear(f"{layer}.attention.self.{name}", x) for name in ("query", "key", "value"))
        mixed = ref.linear(f"{layer}.attention.output.dense", attention(*qkv, HEADS))
        x = ref.norm(f"{layer}.attention.output.LayerNorm", x + mixed, 1e-12)
        up = ref.linear(f"{layer}.intermediate.dense", x).clip(0)
        x = ref.norm(f"{layer}.output.LayerNorm", x + ref.linear(f"{layer}.output.dense", up), 1e-12)
    return (x[1:-1] if n_special else x).mean(0)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * np.vectorize(lambda each: 0.5 * (1 + math.erf(each / math.sqrt(2))))(x)


def scbert(ref: Reference, files, counts: np.ndarray, total: float) -> np.ndarray:
    """Levels log2(1 + 1e4 c / total), cut off and at most 5, of all genes and one more place; the mean over genes."""
    level = [min(int(math.log2(1 + 1e4 * count / total)), 5) for count in counts] + [0]
    x = ref["token_emb.weight"][level] + ref["pos_emb.emb.weight"]
    for i in range(LAYERS):
        sub, forward = f"performer.net.layers.{i}.0", f"performer.net.layers.{i}.1"
        y, omega = ref.norm(f"{sub}.norm", x), ref[f"{sub}.fn.fast_attention.projection_matrix"]
        q, k, v = (y @ ref[f"{sub}.fn.to_{name}.weight"].T for name in "qkv")
        h, scale, mixed = omega.shape[1], omega.shape[1] ** -0.25, np.zeros_like(q)
        heads = [slice(start, start + h) for start in range(0, q.shape[1], h)]
        largest = max((scale * k[:, part] @ omega.T).max() for part in heads)
        for part in heads:
            for m in range(len(x)):
                exponent = scale * omega @ q[m, part]
                of_query = np.exp(exponent - (scale * q[m, part]) @ (scale * q[m, part]) / 2 - exponent.max()) + 1e-4
                weight = np.zeros(len(x))
                for n in range(len(x)):
                    key = scale * k[n, part]
                    weight[n] = of_query @ (np.exp(omega @ key - key @ key / 2 - largest) + 1e-4)
                mixed[m, part] = weight @ v[:, part] / weight.sum()
        x = x + ref.linear(f"{sub}.fn.to_out", mixed)
        y = gelu(ref.linear(f"{forward}.fn.fn.w1", ref.norm(f"{forward}.norm", x)))
        x = x + ref.linear(f"{forward}.fn.fn.w2", y)
    return ref.norm("norm", x)[:-1].mean(0)


def scfoundation(ref: Reference, files, counts: np.ndarray, total: float) -> np.ndarray:
    """Values ln(1 + 1e4 c / total) of expressed genes, T = 4 and S = log10 total; states of S, T, maximum and mean."""
    expressed = np.flatnonzero(counts)
    value = np.concatenate([np.log1p(1e4 * counts[expressed] / total), [4.0, math.log10(total)]])
    u = ref.linear("token_emb.mlp", value[:, None])
    u = np.where(u > 0, u, 0.1 * u)
    weight = np.exp(ref.linear("token_emb.mlp2", u) + ALPHA * u)
    embedded = weight / weight.sum(1, keepdims=True) @ ref["token_emb.emb.weight"]
    x = embedded + ref["pos_emb.weight"][[*expressed, len(counts), len(counts) + 1]]
    x = ref.norm("encoder.norm", torch_layers(ref, "encoder.transformer_encoder", x))
    return np.concatenate([x[-1], x[-2], x[:-2].max(0), x[:-2].mean(0)])


REFERENCES = {reference.__name__: reference for reference in (scgpt, geneformer, scbert, scfoundation)}


def test_cells_have_the_vectors_of_the_papers(files, cells):
    found = load(files).get_latent_representation(cells, batch_size=7)
    ref, counts = Reference(files.tensors), cells.X.toarray().astype(float)
    for found_of_cell, row in zip(found, counts, strict=True):
        expected = REFERENCES[files.kind](ref, files, row[:-1][::-1], row.sum())
        np.testing.assert_allclose(found_of_cell, expected, atol=2e-4)


# The packages that publish the networks.


def tokens(n_genes: int = 6, n_codes: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Three cells of five, three and one gene."""
    generator = torch.Generator().manual_seed(0)
    gene = torch.stack([torch.randperm(n_genes, generator=generator)[:n_codes] for _ in range(3)])
    seen = torch.arange(n_codes) < torch.tensor([[5], [3], [1]])
    return gene * seen, (torch.arange(n_codes) + 1.0).expand(3, -1) * seen, seen


@torch.no_grad()
def test_geneformer_is_that_of_transformers(write):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    for name in ("geneformer", "geneformer2"):
        files = write(name)
        bert = transformers.BertModel.from_pretrained(files.path, add_pooling_layer=False).eval()
        gene, value, seen = tokens()
        n_special = len(files.tensors["bert.embeddings.position_embeddings.weight"]) - LIMIT
        encoded = load(files).module.encode(gene, value, seen)
        for i, n in enumerate(seen.sum(1)):
            ids = gene[i, :n] + 2 + n_special
            ids = torch.cat([torch.tensor([2]), ids, torch.tensor([3])]) if n_special else ids
            expected = bert(ids[None]).last_hidden_state[0]
            expected = expected[1:-1] if n_special else expected
            torch.testing.assert_close(encoded.states[i, :n], expected, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(encoded.cell[i], expected.mean(0), atol=1e-5, rtol=1e-5)


def module_of(package: str, module: str) -> types.ModuleType:
    """A module of a package whose own start needs libraries that are of no use here, and no longer install."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"{package} is not installed")
    folder = Path(spec.submodule_search_locations[0])
    names = module.split(".")
    for i in range(1, len(names)):
        shell = types.ModuleType(".".join(names[:i]))
        shell.__path__ = [str(folder.joinpath(*names[1:i]))]
        sys.modules[shell.__name__] = shell
    return importlib.import_module(module)


@pytest.mark.filterwarnings("ignore:flash_attn is not installed", "ignore:.*nested tensors")
@torch.no_grad()
def test_scgpt_is_that_of_its_package(write):
    model = module_of("scgpt", "scgpt.model.model")
    files = write("scgpt")
    published = model.TransformerModel(9, D, HEADS, HIDDEN, LAYERS, vocab={"<pad>": 0}, pad_value=-2).eval()
    missing = published.load_state_dict(files.tensors, strict=False).missing_keys
    assert not [name for name in missing if name.startswith(("encoder.", "value_encoder.", "transformer_encoder."))]
    gene, value, seen = tokens()
    row = torch.tensor([1, 3, 4, 5, 6, 8])[gene]
    row = torch.cat([torch.full((3, 1), 2), row], 1)
    value_of_all = torch.cat([torch.full((3, 1), -2.0), value], 1)
    padding = torch.cat([torch.zeros(3, 1, dtype=torch.bool), ~seen], 1)
    expected = published._encode(row, value_of_all, padding)
    encoded = load(files).module.encode(gene, value, seen)
    torch.testing.assert_close(encoded.cell, nn.functional.normalize(expected[:, 0], dim=1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoded.states[seen], expected[:, 1:][seen], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_scbert_is_the_performer_of_its_package(write):
    """performer-pytorch, of which the authors' code has a copy (with the vectors of genes for positions)."""
    package = module_of("performer_pytorch", "performer_pytorch.performer_pytorch")
    files = write("scbert")
    published = package.PerformerLM(
        num_tokens=7,
        max_seq_len=7,
        dim=D,
        depth=LAYERS,
        heads=HEADS,
        dim_head=3,
        rotary_position_emb=False,
        attn_out_bias=True,
    ).eval()
    published.load_state_dict(
        {name.replace("norm.", "norm."): x.float() for name, x in files.tensors.items()}, strict=False
    )
    gene, value, seen = tokens()
    encoded = load(files).module.encode(gene, value, seen)
    for i in range(3):  # alone: the constant of the published code is that of a batch
        level = torch.zeros(7, dtype=torch.long)
        level[gene[i][seen[i]]] = value[i][seen[i]].long()
        expected = published(level[None], return_encodings=True)[0]
        torch.testing.assert_close(encoded.states[i][seen[i]], expected[gene[i][seen[i]]], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_scfoundation_has_the_layers_of_torch(write):
    files = write("scfoundation")
    module = load(files).module
    gene, value, seen = tokens()
    x = module.value(value) + module.gene[gene]
    for i in range(LAYERS):
        prefix = f"encoder.transformer_encoder.{i}."
        state = {name.removeprefix(prefix): x for name, x in files.tensors.items() if name.startswith(prefix)}
        layer = nn.TransformerEncoderLayer(D, HEADS, HIDDEN, batch_first=True).eval()
        layer.load_state_dict(state)
        x = layer(x, src_key_padding_mask=~seen)
    expected = module.norm(x)
    torch.testing.assert_close(module.encode(gene, value, seen).states[seen], expected[seen], atol=1e-5, rtol=1e-5)
