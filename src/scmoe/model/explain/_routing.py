"""How a trained model works inside: routing and attention."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.data._dataset import MosaicDataset
from scmoe.io._memory import check_memory
from scmoe.model._fitted import BATCH_SIZE, Fitted, FittedModel, nan_where_absent, query
from scmoe.nn._router import TopKRouter

FEWER = "Ask for fewer cells: indices=..., or for modalities instead of tokens."


@checks_arguments
@torch.no_grad()
def get_router_activations(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    kind: Literal["soft", "hard"] = "soft",
    batch_size: int = BATCH_SIZE,
    *,
    untrained: int | None = None,
) -> dict[str, np.ndarray]:
    """Which experts the cells use, by modality.

    Parameters
    ----------
    adata, indices
        Which cells.
    kind
        ``"soft"``: mean weight of each expert over the modality's tokens; ``"hard"``: share of the tokens' choices.
    batch_size
        Cells at once.
    untrained
        A seed: of random routers, as they are before training, in place of the model's own. They show what experts
        seem to specialize in because tokens differ, without a router having learned it. None: the model's own.

    Returns
    -------
    dict
        Of each modality an array (n, layers, experts) float32; rows sum to one (soft ones to less with
        ``gate="topk_of_softmax"``) and are NaN in cells that lack the modality.

    Examples
    --------
    >>> model.get_router_activations(kind="soft")["rna"].shape[0]
    600
    """
    if kind not in ("soft", "hard"):
        raise ValueError(f"kind must be 'soft' or 'hard'; found {kind!r}.")
    fitted, dataset, cells = query(self, adata, indices)
    if untrained is not None:
        fitted = with_untrained_routers(fitted, untrained)
    return router_use(fitted, dataset, cells, kind, batch_size)


@torch.no_grad()
def router_use(
    fitted: Fitted, dataset: MosaicDataset, cells: np.ndarray, kind: str, batch_size: int = BATCH_SIZE
) -> dict[str, np.ndarray]:
    """Of a fitted model; see `get_router_activations`."""
    c, V = fitted.config, len(fitted.modalities)
    out = np.full((V, len(cells), c.n_layers, c.n_experts), np.nan, np.float32)
    for chunk in fitted.encode(dataset, cells, batch_size, loadings="trained"):
        cell, modality = chunk.batch.presence.mask.cpu().numpy().nonzero()
        for layer, routing in enumerate(chunk.encoded.routing):
            gates = routing.gates()
            use = gates if kind == "soft" else (gates > 0) / c.top_k
            out[modality, chunk.rows.start + cell, layer] = use.unflatten(0, (-1, c.n_tokens)).mean(1).float().cpu()
    return dict(zip(fitted.modalities, out, strict=True))


def with_untrained_routers(fitted: Fitted, seed: int) -> Fitted:
    """The same network with routers as they are before a training: random, of the seed."""
    network = copy.deepcopy(fitted.network)
    device = network.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for block in network.blocks:
            block.moe.router = TopKRouter(network.n_modalities, fitted.config).to(device)
    return replace(fitted, network=network)


@checks_arguments
@torch.no_grad()
def get_attention(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
    *,
    kind: Literal["mean", "heads", "rollout", "tokens"] = "mean",
) -> np.ndarray:
    r"""How much modalities, or their tokens, attend to each other.

    Parameters
    ----------
    adata, indices
        Which cells.
    batch_size
        Cells at once.
    kind
        ``"mean"``: mean over the heads of a layer; ``"heads"``: each head; ``"rollout"``: how much of a token's
        input, from before the first layer, reaches a token after each layer, if a token keeps half of itself and
        takes the other half from where it attends to; ``"tokens"``: mean over the heads, token by token.

    Returns
    -------
    numpy.ndarray
        (n, layers, V, V) float32, for ``"heads"`` (n, layers, heads, V, V): attention of the tokens of a modality
        (last axis but one) to all tokens of another (last axis), mean over query tokens. For ``"tokens"`` (n, layers,
        N, N), with the tokens of all modalities, one modality after another. Rows sum to one; NaN in rows of absent
        modalities, 0 in columns.

    Raises
    ------
    ValueError
        `kind` is none of its options, or memory would not hold the tokens of so many cells.

    Notes
    -----
    Rollout :math:`R_l = \tfrac{1}{2} (A_l + I) R_{l-1}`, :math:`R_{-1} = I`, over tokens, A the mean over heads:
    Abnar and Zuidema 2020,
    `doi:10.18653/v1/2020.acl-main.385 <https://doi.org/10.18653/v1/2020.acl-main.385>`__. The halves stand for the
    skip connection around attention, which ``residual="reference"`` has not; experts are left out.

    Examples
    --------
    >>> attention = model.get_attention()
    """
    fitted, dataset, cells = query(self, adata, indices)
    c, V = fitted.config, len(fitted.modalities)
    if kind == "tokens":
        N = V * c.n_tokens
        check_memory(4 * len(cells) * c.n_layers * N**2, f"Attention of {N} tokens of {len(cells)} cells", FEWER)
        tokens = np.empty((len(cells), c.n_layers, N, N), np.float32)
        for chunk in fitted.encode(dataset, cells, batch_size, loadings="trained", return_attention=True):
            here = chunk.batch.presence.mask.repeat_interleave(c.n_tokens, dim=1)
            for layer, weights in enumerate(weights_of(chunk.encoded.attention, kind)):
                tokens[chunk.rows, layer] = nan_where_absent(here, weights)
        return tokens
    heads = (c.n_heads,) if kind == "heads" else ()
    out = np.full((len(cells), c.n_layers, *heads, V, V), np.nan, np.float32)
    for chunk in fitted.encode(dataset, cells, batch_size, loadings="trained", return_attention=True):
        here = chunk.batch.presence.mask
        for layer, weights in enumerate(weights_of(chunk.encoded.attention, kind)):
            blocks = weights.unflatten(-1, (V, c.n_tokens)).sum(-1).unflatten(-2, (V, c.n_tokens)).mean(-2)
            out[chunk.rows, layer] = nan_where_absent(here[:, None] if heads else here, blocks)
    return out


def weights_of(attention: Sequence[Tensor], kind: str) -> Iterator[Tensor]:
    """Of each layer, its attention (B, H, N, N) as `SCMOE.get_attention` wants it: as it is, or (B, N, N)."""
    rollout: Tensor | None = None
    for weights in attention:
        mean = weights.mean(1)
        if kind == "rollout":
            kept = (mean + torch.eye(mean.shape[-1]).to(mean)) / 2
            mean = rollout = kept if rollout is None else kept @ rollout
        yield weights if kind == "heads" else mean
