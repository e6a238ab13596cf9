"""The encoder of a published model, from its files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scmoe._log import logger
from scmoe.model.genes.published._checkpoint import Checkpoint, read_checkpoint
from scmoe.model.genes.published._kinds import N_SCBERT_CODES, alpha_of, n_layers, of_type
from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.published._encoder import Rows, State
from scmoe.nn.published._form import HEAD_WIDTH, PublishedForm
from scmoe.nn.published._make import ENCODERS
from scmoe.tokens._make import make_tokenizer
from scmoe.tokens._rank import RankTokenizer
from scmoe.tokens._tokenizer import Tokenizer

SCGPT_LENGTH = 1200
"""Tokens that scGPT reads of a cell, its own among them."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A published encoder, and what cells have to be for it.

    Parameters
    ----------
    config
        Size and form.
    state
        Weights by name.
    genes
        Names of the genes, in order.
    tokenizer
        Fitted.
    """

    config: GeneConfig
    state: State
    genes: tuple[str, ...]
    tokenizer: Tokenizer


def read_encoder(
    path: str | os.PathLike[str],
    kind: str,
    genes: str | os.PathLike[str] | Sequence[str] | None,
    medians: str | os.PathLike[str] | None,
) -> Encoding:
    """See `scmoe.model.XTRIMOGENE.from_published`, whose errors it raises."""
    checkpoint = read_checkpoint(path, kind, genes, use="cell")
    name = checkpoint.file.name
    try:
        config = CONFIGS[kind](checkpoint)
        state = ENCODERS[config.form.kind].read(checkpoint.tensors, _rows(checkpoint), config.encoder_layers)  # type: ignore[union-attr]
    except KeyError as error:
        raise ValueError(
            f"{name} does not hold the whole encoder of {kind}: the tensor {error} is missing. Take the file of the "
            "whole model, as it was published."
        ) from error
    state = {key: tensor.detach().float().contiguous() for key, tensor in state.items()}
    wrong = next((key for key, tensor in state.items() if not torch.isfinite(tensor).all()), None)
    if wrong is not None:
        raise ValueError(f"{name} holds numbers that are not finite (in {wrong!r}). Copy or download it again.")
    tokenizer = make_tokenizer(config.tokenizer, **config.token_settings)
    tokenizer.n_genes = len(checkpoint.genes)
    if isinstance(tokenizer, RankTokenizer):
        if medians is None:
            raise ValueError(
                f"{kind} ranks genes by their counts over the medians of its corpus: pass medians=, the JSON file from "
                "its genes to their medians."
            )
        tokenizer.medians = checkpoint.medians(medians)
    elif medians is not None:
        raise ValueError(f"medians= is for geneformer; {kind} has none. Leave it out.")
    return Encoding(config=config, state=state, genes=checkpoint.genes, tokenizer=tokenizer)


def _rows(checkpoint: Checkpoint) -> Rows:
    special = {name: checkpoint.rows.index(name) for name in checkpoint.special}
    return Rows(torch.from_numpy(np.flatnonzero(checkpoint.is_gene)), special)


def _scgpt(checkpoint: Checkpoint) -> GeneConfig:
    layer, settings = checkpoint.tensors["transformer_encoder.layers.0.linear1.weight"], checkpoint.settings
    form = PublishedForm(
        kind="scgpt",
        hidden=len(layer),
        max_length=SCGPT_LENGTH - 1,
        cls_value=float(settings.get("pad_value", PublishedForm.cls_value)),
    )
    expected = {"embsize": checkpoint.table.shape[1], "nlayers": n_layers("scgpt", checkpoint.tensors)}
    _check(checkpoint, settings, expected | {"d_hid": form.hidden, "input_emb_style": "continuous", "pre_norm": False})
    return _config(checkpoint, form, settings.get("nheads"), tokenizer="bins")


def _geneformer(checkpoint: Checkpoint) -> GeneConfig:
    tensors, settings = checkpoint.tensors, checkpoint.settings
    n_positions = len(tensors["bert.embeddings.position_embeddings.weight"])
    special_tokens = {"<cls>", "<eos>"} <= set(checkpoint.special)
    form = PublishedForm(
        kind="geneformer",
        hidden=len(tensors["bert.encoder.layer.0.intermediate.dense.weight"]),
        max_length=n_positions - 2 * special_tokens,
        special_tokens=special_tokens,
    )
    expected = {"hidden_size": checkpoint.table.shape[1], "num_hidden_layers": n_layers("geneformer", tensors)}
    expected |= {"intermediate_size": form.hidden, "max_position_embeddings": n_positions}
    _check(checkpoint, settings, expected | {"vocab_size": len(checkpoint.table), "hidden_act": "relu"})
    return _config(checkpoint, form, settings.get("num_attention_heads"), tokenizer="rank")


def _scbert(checkpoint: Checkpoint) -> GeneConfig:
    tensors, layer = checkpoint.tensors, "performer.net.layers.0"
    n_codes = len(tensors["token_emb.weight"])
    if n_codes != N_SCBERT_CODES:
        raise ValueError(f"scBERT has {N_SCBERT_CODES} values; found {n_codes} rows in 'token_emb.weight'.")
    features = tensors[f"{layer}.0.fn.fast_attention.projection_matrix"]
    form = PublishedForm(kind="scbert", hidden=len(tensors[f"{layer}.1.fn.fn.w1.weight"]), head_width=features.shape[1])
    n_heads = len(tensors[f"{layer}.0.fn.to_q.weight"]) // form.head_width
    return _config(checkpoint, form, n_heads, tokenizer="integer")


def _scfoundation(checkpoint: Checkpoint) -> GeneConfig:
    tensors, of_encoder = checkpoint.tensors, of_type(checkpoint.settings).get("encoder", {})
    form = PublishedForm(
        kind="scfoundation",
        hidden=len(tensors["encoder.transformer_encoder.0.linear1.weight"]),
        alpha=alpha_of(checkpoint.settings),
    )
    expected = {"hidden_dim": checkpoint.table.shape[1], "depth": n_layers("scfoundation", tensors)}
    _check(checkpoint, of_encoder, expected)
    n_bins = len(tensors["token_emb.emb.weight"])
    return _config(checkpoint, form, of_encoder.get("heads"), tokenizer="continuous", depth_tokens=True, n_bins=n_bins)


CONFIGS = {"scgpt": _scgpt, "geneformer": _geneformer, "scbert": _scbert, "scfoundation": _scfoundation}


def _check(checkpoint: Checkpoint, settings: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise if settings are not those of the tensors."""
    for name, value in expected.items():
        if settings.get(name, value) != value:
            raise ValueError(
                f"The settings of {checkpoint.kind} say {name}={settings[name]!r}; the tensors of "
                f"{checkpoint.file.name} need {value!r}. They belong to models of another size or form: take both "
                "from one folder."
            )


def _config(checkpoint: Checkpoint, form: PublishedForm, n_heads: int | None, **settings: Any) -> GeneConfig:
    width = checkpoint.table.shape[1]
    if n_heads is None:
        n_heads = max(width // HEAD_WIDTH, 1)
        logger.info(
            "%s: no settings say how many heads there are; taken for %d, as all published sizes have width %d",
            *(checkpoint.file.name, n_heads, HEAD_WIDTH),
        )
    if form.kind != "scbert" and width % n_heads:
        raise ValueError(
            f"{checkpoint.file.name} has states of width {width}, which {n_heads} heads cannot share. Take the "
            "settings that belong to these weights."
        )
    return GeneConfig(
        encoder_layers=n_layers(checkpoint.kind, checkpoint.tensors),
        encoder_heads=n_heads,
        encoder_width=width,
        published=form,
        **settings,
    )


def check_fit(module: torch.nn.Module, state: Mapping[str, Tensor], config: GeneConfig) -> None:
    """Raise if a tensor has another shape than the network that all of them describe."""
    assert config.form is not None
    for name, own in module.state_dict().items():
        if own.shape != state[name].shape:
            raise ValueError(
                f"The weights of {config.form.kind} do not fit each other: {name!r} must have the shape "
                f"{tuple(own.shape)}; found {tuple(state[name].shape)}. Copy or download the file again. Settings: "
                f"{asdict(config.form)}."
            )
