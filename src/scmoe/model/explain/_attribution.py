"""Which features of a cell made a target what it is."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from scmoe._align import Indices
from scmoe.arguments._checked import checks_arguments
from scmoe.data._dataset import MosaicDataset
from scmoe.model._features import to_numpy
from scmoe.model._fitted import Fitted, FittedModel, Reading, nan_where_absent, query
from scmoe.model.explain._targets import Target
from scmoe.nn.genes._tokenizer import GeneTokenizer

Method = Literal["integrated_gradients", "gradient_input"]
N_STEPS = 32
"""Points on the way from the mean cell to a cell."""
MAX_MEMORY = 1e9
"""Bytes."""
FLOAT = 4
COPIES = 10
"""Arrays of a cell's features that are there at once: values, gradients, sums, and what makes them."""
TOKEN_COPIES = 32
"""Arrays of a token's width that a block keeps for the backward pass."""


class MeanAttributions(NamedTuple):
    """Of one target, over cells."""

    signed: dict[str, np.ndarray]
    """Of each modality (D,): mean attribution; 0 in cells that lack the modality."""
    absolute: dict[str, np.ndarray]
    """Of each modality (D,): mean size of the attribution."""
    slope: dict[str, np.ndarray]
    """Of each modality (D,): Σ a z / Σ z² over the cells, the target's change for one standard deviation more of a
    feature."""
    level: dict[str, np.ndarray]
    """Of each modality (D,): mean of z over the cells that have it, in standard deviations from the mean cell."""
    value: float
    """Mean value of the target."""
    baseline: float
    """Mean value of the target in the mean cell."""
    explained: float
    """Share of the cells' differences from the mean cell that their attributions add up to: Σ (Σ_j a_j) Δ / Σ Δ² over
    cells."""
    n_cells: int


@checks_arguments
def get_attributions(
    self: FittedModel,
    target: Target,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    *,
    method: Method = "integrated_gradients",
    n_steps: int = N_STEPS,
    max_memory: float = MAX_MEMORY,
) -> dict[str, np.ndarray]:
    r"""What each feature of each cell adds to a target.

    Integrated gradients (Sundararajan et al. 2017, equation 1) from the mean of the training cells, which is 0 in
    standardized features z, to the cell: :math:`a_j = z_j \\int_0^1 \\partial f(αz)/\\partial z_j \\, dα` by the
    midpoint rule. Where the choice of experts changes on the way f jumps, which no gradient sees: the sum over features
    is then not all of f(z) - f(0), and `get_mean_attributions` gives both for comparison.

    Parameters
    ----------
    target
        From `label_target`, `group_targets` or `feature_target`.
    adata, indices
        Which cells.
    method
        ``"integrated_gradients"``, or ``"gradient_input"``: z times the gradient at z, one pass in place of `n_steps`.
    n_steps
        Points on the way.
    max_memory
        Bytes that are taken at most, besides data and model.

    Returns
    -------
    dict
        Of each modality (n, features) float32, in the target's unit; NaN in cells that lack the modality, or when the
        target is predicted without looking at it.

    Raises
    ------
    ValueError
        `method` is unknown, `n_steps` is below 1, or the result is larger than `max_memory`.

    Examples
    --------
    >>> target = model.label_target("B")
    >>> attributions = model.get_attributions(target, indices=range(20), n_steps=4)
    >>> attributions["adt"].shape
    (20, 134)
    """
    fitted, dataset, cells = query(self, adata, indices)
    size = FLOAT * len(cells) * sum(map(len, fitted.feature_names.values()))
    if size > max_memory:
        raise ValueError(
            f"Attributions of {len(cells)} cells take {size / 1e9:.1f} GB, more than max_memory={max_memory / 1e9:g} "
            "GB. Ask for "
            "fewer cells, for their mean (get_mean_attributions, scmoe.tl.attribute), or for more memory."
        )
    out = {name: np.full((len(cells), len(names)), np.nan, np.float32) for name, names in fitted.feature_names.items()}
    for reading, found in attribute(fitted, target, dataset, cells, method, n_steps, max_memory - size):
        mask = reading.batch.presence.mask
        for v, array in enumerate(out.values()):
            values = reading.batch.presence.scatter(found[v], v)
            array[reading.rows] = nan_where_absent(mask[:, v], values)
    return out


@checks_arguments
def get_mean_attributions(
    self: FittedModel,
    target: Target,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    *,
    method: Method = "integrated_gradients",
    n_steps: int = N_STEPS,
    max_memory: float = MAX_MEMORY,
) -> MeanAttributions:
    """`get_attributions` averaged over cells while they pass.

    Parameters
    ----------
    target, adata, indices, method, n_steps, max_memory
        As in `get_attributions`.

    Returns
    -------
    MeanAttributions
        ``signed`` and ``absolute`` means of each modality's features, their ``slope``, and their ``level`` (how high
        they are in these cells, in standard deviations from the mean cell); ``value`` and ``baseline``, the target's
        means over the cells and over mean cells; ``explained``, how much of the difference the attributions add up to
        (1 but for jumps where the choice of experts changes); ``n_cells``.

    Raises
    ------
    ValueError
        As `get_attributions`, or there is no cell.

    Examples
    --------
    >>> mean = model.get_mean_attributions(model.label_target("B"), indices=range(20), n_steps=4)
    >>> mean.n_cells
    20
    """
    fitted, dataset, cells = query(self, adata, indices)
    if not len(cells):
        raise ValueError(f"There is no cell to explain {target.name!r} in.")
    sums = {name: np.zeros((5, len(names))) for name, names in fitted.feature_names.items()}
    n_present, totals = dict.fromkeys(fitted.modalities, 0), np.zeros(4)
    for reading, found in attribute(fitted, target, dataset, cells, method, n_steps, max_memory):
        for name, a, z in zip(fitted.modalities, found, reading.z, strict=True):
            parts = [a.sum(0), a.abs().sum(0), (a * z).sum(0), z.square().sum(0), z.sum(0)]
            sums[name] += to_numpy(torch.stack(parts))
            n_present[name] += len(z)
        value, baseline = (target_value(fitted, target, r).double() for r in (reading, at_mean(reading)))
        presence, gap = reading.batch.presence, value - baseline
        total = torch.stack([presence.scatter(a.sum(1), v) for v, a in enumerate(found)]).sum(0)
        totals += [float(x.sum()) for x in (value, baseline, total * gap, gap * gap)]
    n = len(cells)
    return MeanAttributions(
        {name: total[0] / n for name, total in sums.items()},
        {name: total[1] / n for name, total in sums.items()},
        {name: total[2] / np.maximum(total[3], 1e-12) for name, total in sums.items()},
        {name: total[4] / max(n_present[name], 1) for name, total in sums.items()},
        float(totals[0] / n),
        float(totals[1] / n),
        float(totals[2] / totals[3]) if totals[3] else 1.0,
        n,
    )


def attribute(
    fitted: Fitted,
    target: Target,
    dataset: MosaicDataset,
    cells: np.ndarray,
    method: str,
    n_steps: int,
    max_memory: float,
) -> Iterator[tuple[Reading, list[Tensor]]]:
    """Batches of cells, with the attributions (n_v, D) of each modality."""
    steps = [1.0] if method == "gradient_input" else [(i + 0.5) / n_steps for i in range(n_steps)]
    for reading in fitted.read(dataset, cells, cells_within(fitted, max_memory), target.shown):
        gradient = [torch.zeros_like(x) for x in reading.z]
        for alpha in steps:
            for total, part in zip(gradient, input_gradients(fitted, target, reading, alpha), strict=True):
                total += part
        yield reading, [x * total / len(steps) for x, total in zip(reading.z, gradient, strict=True)]


@torch.enable_grad()
def input_gradients(fitted: Fitted, target: Target, reading: Reading, alpha: float) -> Sequence[Tensor]:
    z = [(alpha * x).requires_grad_() for x in reading.z]
    chunk = fitted.encode_reading(reading._replace(z=z), loadings=target.loadings)
    return torch.autograd.grad(target.values(chunk).sum(), z, materialize_grads=True)


@torch.no_grad()
def target_value(fitted: Fitted, target: Target, reading: Reading) -> Tensor:
    return target.values(fitted.encode_reading(reading, loadings=target.loadings))


def cells_within(fitted: Fitted, max_memory: float) -> int:
    """Cells whose forward and backward pass fit into the memory, by what is kept for each."""
    c, n_tokens = fitted.config, len(fitted.modalities) * fitted.config.n_tokens
    features = COPIES * sum(map(len, fitted.feature_names.values()))
    block = TOKEN_COPIES * c.n_hidden + 2 * c.n_heads * n_tokens + 4 * c.top_k * c.expert_hidden
    encoders = [each.encoder for each in fitted.network.tokenizers if isinstance(each, GeneTokenizer)]
    genes = sum(
        each.n_genes * each.config.encoder_layers * TOKEN_COPIES * each.config.encoder_width for each in encoders
    )
    cell = FLOAT * (features + genes + c.n_layers * n_tokens * block)
    if cell > max_memory:
        raise ValueError(
            f"One cell takes about {cell / 1e6:.0f} MB, more than max_memory={max_memory / 1e6:.0f} MB allows. Raise "
            "it."
        )
    return int(max_memory // cell)


def at_mean(reading: Reading) -> Reading:
    """The same cells with all features at their means."""
    return reading._replace(z=[torch.zeros_like(x) for x in reading.z])
