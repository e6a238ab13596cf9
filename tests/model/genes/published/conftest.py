"""Small checkpoints with random weights, in the layouts of the published models: all that their encoders need."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from scipy import sparse
from torch import Tensor

N, D, HIDDEN, LAYERS, HEADS = 6, 8, 12, 2, 2
HEAD_WIDTH, BINS = 3, 4
GENES = ["A1BG", "CD4", "CD8A", "FOXP3", "GNLY", "MS4A1"]
N_POSITIONS = 5
"""Of Geneformer, so that a cell with all six genes is cut."""
MEDIANS = [2.1, 0.47, 1.3, 3.9, 0.26, 2.9]
ALPHA = 0.7


@dataclass
class Files:
    """A checkpoint, and what it holds."""

    path: Path
    kind: str
    tensors: dict[str, Tensor]
    arguments: dict[str, Any] = field(default_factory=dict)
    genes: list[str] = field(default_factory=lambda: list(GENES))


def drawn(seed: int) -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(shape, generator=generator)


def linear(draw, name: str, n_out: int, n_in: int) -> dict[str, Tensor]:
    return {f"{name}.weight": draw(n_out, n_in), f"{name}.bias": draw(n_out)}


def norm(draw, name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": 1 + 0.3 * draw(D), f"{name}.bias": 0.3 * draw(D)}


def torch_layer(draw, name: str, fused: bool = False) -> dict[str, Tensor]:
    qkv = "Wqkv." if fused else "in_proj_"
    tensors = {f"{name}.self_attn.{qkv}weight": draw(3 * D, D), f"{name}.self_attn.{qkv}bias": draw(3 * D)}
    tensors |= linear(draw, f"{name}.self_attn.out_proj", D, D)
    tensors |= linear(draw, f"{name}.linear1", HIDDEN, D) | linear(draw, f"{name}.linear2", D, HIDDEN)
    return tensors | norm(draw, f"{name}.norm1") | norm(draw, f"{name}.norm2")


def scgpt(folder: Path, seed: int = 0, *, fused: bool = False) -> Files:
    draw, rows = drawn(seed), ["<pad>", "CD4", "<cls>", "A1BG", "FOXP3", "CD8A", "MS4A1", "<eoc>", "GNLY"]
    tensors = {"encoder.embedding.weight": draw(len(rows), D), **norm(draw, "encoder.enc_norm")}
    tensors |= linear(draw, "value_encoder.linear1", D, 1) | linear(draw, "value_encoder.linear2", D, D)
    tensors |= norm(draw, "value_encoder.norm") | linear(draw, "decoder.fc.0", D, D)
    for i in range(LAYERS):
        tensors |= torch_layer(draw, f"transformer_encoder.layers.{i}", fused)
    torch.save(tensors, folder / "best_model.pt")
    (folder / "vocab.json").write_text(json.dumps({name: row for row, name in enumerate(rows)}))
    settings = {"embsize": D, "nheads": HEADS, "d_hid": HIDDEN, "nlayers": LAYERS, "pad_value": -2, "dropout": 0.2}
    (folder / "args.json").write_text(json.dumps(settings))
    return Files(folder, "scgpt", tensors, genes=[name for name in rows if name[0] != "<"])


def geneformer(folder: Path, seed: int = 0, *, special: tuple[str, ...] = ()) -> Files:
    draw, rows = drawn(seed), ["<pad>", "<mask>", *special, *(f"ENSG{i:011d}" for i in range(N))]
    n_positions = N_POSITIONS + len(special)
    start = "bert.embeddings"
    tensors = {
        f"{start}.word_embeddings.weight": draw(len(rows), D),
        f"{start}.position_embeddings.weight": draw(n_positions, D),
        f"{start}.token_type_embeddings.weight": draw(2, D),
        **norm(draw, f"{start}.LayerNorm"),
    }
    for i in range(LAYERS):
        layer = f"bert.encoder.layer.{i}"
        for name in ("query", "key", "value"):
            tensors |= linear(draw, f"{layer}.attention.self.{name}", D, D)
        tensors |= linear(draw, f"{layer}.attention.output.dense", D, D)
        tensors |= norm(draw, f"{layer}.attention.output.LayerNorm") | norm(draw, f"{layer}.output.LayerNorm")
        tensors |= linear(draw, f"{layer}.intermediate.dense", HIDDEN, D)
        tensors |= linear(draw, f"{layer}.output.dense", D, HIDDEN)
    save_file(tensors, folder / "model.safetensors")
    settings = {"hidden_size": D, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "hidden_act": "relu"}
    settings |= {"intermediate_size": HIDDEN, "max_position_embeddings": n_positions, "vocab_size": len(rows)}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "token_dictionary.json").write_text(json.dumps({name: row for row, name in enumerate(rows)}))
    genes = [name for name in rows if name[0] != "<"]
    (folder / "medians.json").write_text(json.dumps(dict(zip(genes, MEDIANS, strict=True))))
    return Files(folder, "geneformer", tensors, {"medians": folder / "medians.json"}, genes)


def geneformer2(folder: Path, seed: int = 0) -> Files:
    """The second series, with a token before and one behind the genes."""
    return geneformer(folder, seed, special=("<cls>", "<eos>"))


def scbert(folder: Path, seed: int = 0) -> Files:
    draw, inner = drawn(seed), HEADS * HEAD_WIDTH
    tensors = {"token_emb.weight": draw(7, D), "pos_emb.emb.weight": draw(N + 1, D).double(), **norm(draw, "norm")}
    for i in range(LAYERS):
        attention, forward = f"performer.net.layers.{i}.0", f"performer.net.layers.{i}.1"
        tensors |= norm(draw, f"{attention}.norm") | norm(draw, f"{forward}.norm")
        tensors |= {f"{attention}.fn.to_{name}.weight": draw(inner, D) for name in "qkv"}
        tensors |= linear(draw, f"{attention}.fn.to_out", D, inner)
        # As many as the published code draws: h ln h.
        tensors[f"{attention}.fn.fast_attention.projection_matrix"] = draw(
            int(HEAD_WIDTH * np.log(HEAD_WIDTH)), HEAD_WIDTH
        )
        tensors |= linear(draw, f"{forward}.fn.fn.w1", 4 * D, D) | linear(draw, f"{forward}.fn.fn.w2", D, 4 * D)
    tensors |= linear(draw, "to_out", 7, D) | {"performer.calls_since_last_redraw": torch.tensor(3)}
    torch.save({"epoch": 7, "model_state_dict": tensors}, folder / "panglao_pretrain.pth")
    return Files(folder, "scbert", tensors, {"genes": GENES})


def scfoundation(folder: Path, seed: int = 0) -> Files:
    draw = drawn(seed)
    tensors = {"pos_emb.weight": draw(N + 3, D), "token_emb.emb.weight": draw(BINS, D), **norm(draw, "encoder.norm")}
    tensors |= linear(draw, "token_emb.mlp", BINS, 1) | linear(draw, "token_emb.mlp2", BINS, BINS)
    for i in range(LAYERS):
        tensors |= torch_layer(draw, f"encoder.transformer_encoder.{i}")
    of_type = {"bin_alpha": ALPHA, "bin_num": BINS, "encoder": {"hidden_dim": D, "depth": LAYERS, "heads": HEADS}}
    config = {"model": "mae_autobin", "model_config": {"mae_autobin": of_type}}
    part = {"config": config, "state_dict": {f"model.{name}": tensor for name, tensor in tensors.items()}}
    other = {"config": config, "state_dict": {f"model.{name}": 0 * tensor for name, tensor in tensors.items()}}
    torch.save({"gene": other, "cell": part}, folder / "models.ckpt")
    return Files(folder, "scfoundation", tensors, {"genes": GENES})


WRITERS = {write.__name__: write for write in (scgpt, geneformer, geneformer2, scbert, scfoundation)}


@pytest.fixture(params=WRITERS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """A checkpoint of each kind."""
    return WRITERS[request.param](tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Files]:
    """Writes a checkpoint of a kind."""
    return lambda name, **arguments: WRITERS[name](tmp_path, **arguments)


@pytest.fixture
def cells(files: Files) -> ad.AnnData:
    """Cells of the genes of the checkpoint and one more: no two equal counts in a cell, two genes at least."""
    rng = np.random.default_rng(0)
    names = [*files.genes[::-1], "OTHER"]
    counts = np.stack([rng.permutation(len(names)) for _ in range(30)]).astype(np.float32) ** 2
    counts[rng.random(counts.shape) < 0.3] = 0
    counts[(counts[:, :-1] > 0).sum(1) < 2, :2] = [3, 50]  # of one count alone scGPT draws the bin
    obs = pd.DataFrame({"cell_type": np.where(counts[:, 1] > 0, "a", "b")}, index=[f"cell{i}" for i in range(30)])
    return ad.AnnData(sparse.csr_matrix(counts), obs, pd.DataFrame(index=names))
