"""What the layers of a trained network hold, and how a target changes with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from scmoe._align import Indices, in_order_of
from scmoe.arguments._checked import checks_arguments
from scmoe.data._presence import Presence
from scmoe.model._features import to_numpy
from scmoe.model._fitted import BATCH_SIZE, Chunk, Fitted, FittedModel, Loadings, Reading, query
from scmoe.model.explain._targets import Target, nearest
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Network

INPUT, TOKENS, STATES = "input", "tokens", "states"


def layers_of(config: NetworkConfig) -> list[str]:
    """Names of the layers, from the input on.

    ``"input"``: standardized features of all modalities; ``"tokens"``; of each block ``"block0.attended"``, the tokens
    after attention, which experts read, and ``"block0"``, its output; ``"states"``: states of the modalities, whose
    mean is the joint state. Labels, clusters and linear members of predictions read gene programs of the input as well,
    which only ``"input"`` sees. All layers are those of cells read as labels and the embedding are; the gradients of a
    feature's prediction are those of its own way.
    """
    blocks = [name for i in range(config.n_layers) for name in (f"block{i}.attended", f"block{i}")]
    return [INPUT, TOKENS, *blocks, STATES]


@checks_arguments
@torch.no_grad()
def get_activations(
    self: FittedModel,
    layer: str,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """What a layer holds.

    Parameters
    ----------
    layer
        One of `layers`.
    adata, indices
        Which cells.
    batch_size
        Cells at once.

    Returns
    -------
    numpy.ndarray
        (n, F) float32. Input: the features of all modalities side by side, in standard deviations of the training
        cells; tokens: token by token, modality by modality, each of the network's width. 0 for modalities that a cell
        lacks.

    Raises
    ------
    ValueError
        An unknown layer.

    Examples
    --------
    >>> model.get_activations("input").shape[0]
    600
    """
    check_layer(self.config, layer)
    fitted, dataset, cells = query(self, adata, indices)
    out = [to_numpy(activations(fitted, layer, reading)) for reading in fitted.read(dataset, cells, batch_size, None)]
    return np.concatenate(out) if out else np.zeros((0, 0), np.float32)


@checks_arguments
@torch.no_grad()
def get_directions(
    self: FittedModel,
    layer: str,
    modality: str,
    shifts: np.ndarray | pd.DataFrame,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Where the activations of a layer go when features of a modality are shifted.

    Parameters
    ----------
    layer
        One of `layers`.
    modality
        Its name.
    shifts
        (S, features): what is added to the standardized features of all cells, one shift at a time. A frame names the
        features.
    adata, indices
        Which cells.
    batch_size
        Cells at once.

    Returns
    -------
    numpy.ndarray
        (S, F) float32: mean change of the activations over the cells that have the modality.

    Raises
    ------
    KeyError
        A modality that the model does not have.
    ValueError
        An unknown layer, shifts that do not fit the modality, or no cell with it.
    """
    check_layer(self.config, layer)
    v, n_features = self.fitted.position(modality), len(self.feature_names[modality])
    shifts = in_order_of(shifts, pd.Index(self.feature_names[modality]), "shifts", "features", axis=1)
    if np.ndim(shifts) != 2 or shifts.shape[1] != n_features:
        raise ValueError(f"shifts must be any number x {n_features} features; found the shape {np.shape(shifts)}.")
    fitted, dataset, cells = query(self, adata, indices)
    cells = cells[dataset.present[cells, v]]
    if not len(cells):
        raise ValueError(f"No cell has the modality {modality!r}, so nothing can be shifted.")
    total: Tensor | float = 0.0
    for reading in fitted.read(dataset, cells, batch_size, None):
        z, before = reading.z, activations(fitted, layer, reading).sum(0)
        moved = []
        for shift in torch.from_numpy(np.array(shifts, np.float32)):
            shifted = [x + shift.to(x) if u == v else x for u, x in enumerate(z)]
            moved.append(activations(fitted, layer, reading._replace(z=shifted)).sum(0) - before)
        total = total + torch.stack(moved)
    assert isinstance(total, Tensor)
    return to_numpy(total / len(cells))


@checks_arguments
def get_gradients(
    self: FittedModel,
    target: Target,
    layer: str,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """How a target changes with what a layer holds.

    The choice of experts is taken as it is: gradients do not see that a change of the input may change it.

    Parameters
    ----------
    target
        From `label_target`, `group_targets` or `feature_target`.
    layer
        One of `layers`.
    adata, indices
        Which cells.
    batch_size
        Cells at once.

    Returns
    -------
    numpy.ndarray
        (n, F) float32, in the order of `get_activations`.

    Raises
    ------
    ValueError
        An unknown layer.

    Examples
    --------
    >>> gradients = model.get_gradients(model.label_target("B"), "input", indices=range(20))
    """
    check_layer(self.config, layer)
    fitted, dataset, cells = query(self, adata, indices)
    out = []
    with torch.enable_grad():
        for reading in fitted.read(dataset, cells, batch_size, target.shown):
            reading = reading._replace(z=[x.requires_grad_() for x in reading.z])
            chunk, tensors = forward(fitted, layer, reading, target.loadings)
            gradients = torch.autograd.grad(target.values(chunk).sum(), tensors, materialize_grads=True)
            out.append(to_numpy(flat(layer, reading.batch.presence, gradients)))
    return np.concatenate(out) if out else np.zeros((0, 0), np.float32)


def check_layer(config: NetworkConfig, layer: str) -> None:
    """Raise for an unknown layer."""
    if layer not in (layers := layers_of(config)):
        raise ValueError(f"This model has no layer {layer!r}{nearest(layer, layers)}")


def activations(fitted: Fitted, layer: str, reading: Reading) -> Tensor:
    """(B, F)."""
    tensors = reading.z if layer == INPUT else forward(fitted, layer, reading)[1]
    return flat(layer, reading.batch.presence, tensors)


def forward(fitted: Fitted, layer: str, reading: Reading, loadings: Loadings = "fixed") -> tuple[Chunk, list[Tensor]]:
    """Encode, and the tensors of a layer, on which all that comes later depends."""
    if layer in (INPUT, STATES):
        chunk = fitted.encode_reading(reading, loadings=loadings)
        return chunk, reading.z if layer == INPUT else [chunk.encoded.states]
    with watched(fitted.network, layer) as held:
        chunk = fitted.encode_reading(reading, loadings=loadings)
    return chunk, held


@contextmanager
def watched(network: Network, layer: str) -> Iterator[list[Tensor]]:
    """Within the context, a forward pass puts the tokens (B, N, d) of a layer into the list."""
    held: list[Tensor] = []
    block, _, part = layer.removeprefix("block").partition(".")
    if layer == TOKENS:
        hook = network.blocks[0].register_forward_pre_hook(lambda _, inputs: held.append(inputs[0]))
    elif part:
        norm = network.blocks[int(block)].norm_experts
        hook = norm.register_forward_pre_hook(lambda _, inputs: held.append(inputs[0]))
    else:
        hook = network.blocks[int(block)].register_forward_hook(lambda _, __, output: held.append(output[0]))
    try:
        yield held
    finally:
        hook.remove()


def flat(layer: str, presence: Presence, tensors: Sequence[Tensor]) -> Tensor:
    """Activations or gradients of a layer as (B, F), 0 for the modalities that a cell lacks."""
    if layer == INPUT:
        return torch.cat([presence.scatter(x, v) for v, x in enumerate(tensors)], 1)
    (h,) = tensors
    there = presence.mask.repeat_interleave(h.shape[1] // presence.mask.shape[1], 1)
    return (h * there[..., None]).flatten(1)
