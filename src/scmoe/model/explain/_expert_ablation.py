"""What an expert is worth to a trained model: how its predictions change without it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.model._features import cross_scores, to_numpy
from scmoe.model._fitted import BATCH_SIZE, Chunk, Fitted, FittedModel, Reading, query
from scmoe.nn._block import Block
from scmoe.nn._router import Routing, TopKRouter, route


class ExpertsAblated(NamedTuple):
    """Of n cells, the use of each expert, and what predictions change by without it; L layers with E experts."""

    use: np.ndarray
    """(n, L, E) float32: mean weight of the expert over the tokens that predict; NaN in cells that cannot be predicted
    for want of another modality."""
    change: np.ndarray
    """(n, L, E) float32: squared change of predicted scores over their variance in these cells, mean over targets."""


@checks_arguments
@torch.no_grad()
def get_expert_ablation(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
) -> ExpertsAblated:
    """How the network's predictions of each modality from all others change when one expert is taken away.

    The tokens that would use it take the next best expert instead.

    Parameters
    ----------
    adata, indices
        Which cells.
    batch_size
        Cells at once.

    Returns
    -------
    ExpertsAblated
        Use of the experts and change of the predictions, cell by cell.

    Raises
    ------
    ValueError
        The model has a single modality, or no expert more than a token uses.
    """
    c, names = self.config, self.modalities
    if len(names) < 2:
        raise ValueError(
            f"Experts are judged by predictions of one modality from others; this model has {names[0]!r} alone."
        )
    if c.n_experts <= c.top_k:
        raise ValueError(
            f"Without one of n_experts={c.n_experts}, a token could not use top_k={c.top_k}. Train a model with more."
        )
    fitted, dataset, cells = query(self, adata, indices)
    blocks = list(fitted.network.blocks)
    use, change = np.zeros((2, len(cells), len(blocks), c.n_experts))
    n_targets = np.zeros(len(cells))
    for target in range(len(names)):
        sources = [v for v in range(len(names)) if v != target]
        at = np.flatnonzero(dataset.present[cells][:, sources].any(axis=1))
        whole, moved = [], np.zeros((len(at), len(blocks), c.n_experts))
        for reading in fitted.read(dataset, cells[at], batch_size, sources):
            chunk, scores = predicted(fitted, reading, target)
            use[at[chunk.rows]] += shares(chunk, c.n_tokens)
            whole.append(scores)
            for layer, expert in np.ndindex(moved.shape[1:]):
                with without_expert(blocks[layer], expert):
                    _, without = predicted(fitted, reading, target)
                moved[chunk.rows, layer, expert] = np.square(without - scores).sum(axis=1)
        if whole:
            change[at] += moved / np.concatenate(whole).var(axis=0).sum()
        n_targets[at] += 1
    size = np.where(n_targets, n_targets, np.nan)[:, None, None]
    return ExpertsAblated((use / size).astype(np.float32), (change / size).astype(np.float32))


def predicted(fitted: Fitted, reading: Reading, target: int) -> tuple[Chunk, np.ndarray]:
    """Cells from which the target is hidden, encoded, and its scores (B, K) as the network predicts them."""
    chunk = fitted.encode_reading(reading, loadings="trained")
    sources = [v for v in range(len(fitted.modalities)) if v != target]
    return chunk, to_numpy(cross_scores(fitted.network, chunk, sources, target, reading.covariates))


def shares(chunk: Chunk, n_tokens: int) -> np.ndarray:
    """Mean weight of each expert over a cell's tokens, (B, L, E)."""
    mask = chunk.batch.presence.mask
    cell = mask.nonzero()[:, 0]
    parts = []
    for routing in chunk.encoded.routing:
        of_pairs = routing.gates().unflatten(0, (-1, n_tokens)).mean(1)
        sums = of_pairs.new_zeros(len(mask), of_pairs.shape[1]).index_add(0, cell, of_pairs)
        parts.append(to_numpy(sums / mask.sum(1, keepdim=True).clamp(min=1)))
    return np.stack(parts, axis=1)


@contextmanager
def without_expert(block: Block, expert: int) -> Iterator[None]:
    """In the context, no token of the block chooses the expert."""

    def choose_others(router: TopKRouter, _: object, routing: Routing) -> Routing:
        noisy = routing.noisy.clone()
        noisy[:, expert] = -torch.inf
        weight, others = route(noisy, router.top_k, router.gate)
        return routing._replace(weight=weight, expert=others)

    hook = block.moe.router.register_forward_hook(choose_others)
    try:
        yield
    finally:
        hook.remove()
