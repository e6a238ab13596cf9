"""Gradients of parts of the training loss on the experts, and their inner products."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from numpy.typing import NDArray
from torch import Tensor

from scmoe.data._dataset import Batch
from scmoe.data._presence import locate
from scmoe.nn._block import Tokens
from scmoe.nn._experts import Experts
from scmoe.nn._network import Network
from scmoe.nn._router import Routing
from scmoe.nn._threads import threads_for
from scmoe.train._config import TrainConfig
from scmoe.train._objective import draw_groups, further_losses, pair_losses

Definition = Literal["target", "source", "token", "task"]
"""What the gradients that are compared belong to, see `scmoe.tl.gradient_conflict`."""
DEFINITIONS: tuple[Definition, ...] = get_args(Definition)


class Call(NamedTuple):
    """One call of a block's experts."""

    experts: Experts
    x: Tensor
    """(T, d)"""
    routing: Routing
    output: Tensor
    """(T, d), part of the graph of the loss."""


class Pass(NamedTuple):
    """A forward pass and the parts of its loss."""

    pairs: Tensor
    """(V, V): weighted loss of decoding each target (row) from each source (column); from its own state on the
    diagonal."""
    tasks: dict[str, Tensor]
    """Weighted losses; their sum is the training loss."""
    calls: list[Call]
    """Of each block."""
    tokens: Tokens

    @property
    def whole(self) -> Tensor:
        """The training loss."""
        return torch.stack(list(self.tasks.values())).sum()


class GradientGrams(NamedTuple):
    """Inner products of gradients on the parameters of each expert, in each of n batches."""

    names: list[str]
    """The K modalities or tasks that the gradients belong to."""
    gram: NDArray[np.float64]
    """(n, layers, experts, K, K)"""
    reference: NDArray[np.float64]
    """(n, layers, experts, G, G): the same of G random groups of cells, G = V, or 2 for tasks."""
    loss: NDArray[np.float64]
    """(n,): the training loss, without noise and dropout."""


def weighted_pairs(losses: Tensor, told: Tensor, config: TrainConfig) -> Tensor:
    """Losses of pairs (V targets, V sources) with weights that make their sum the decoding part of the whole loss."""
    V = len(losses)
    own = torch.eye(V, dtype=torch.bool, device=losses.device)
    cross = told & ~own
    return losses * (config.own_weight / V * own + config.cross_weight / cross.sum().clamp(min=1) * cross)


def forward(network: Network, batch: Batch, config: TrainConfig, group: Tensor) -> Pass:
    """The training loss of a batch with these attention groups (B, V), both on the host.

    And what the experts were called with.
    """
    batch, group = move_data_to_device(batch, network.device), group.to(network.device)
    calls: list[Call] = []

    def keep(experts: Experts, given: tuple[Tensor, Routing], output: Tensor) -> None:
        calls.append(Call(experts, *given, output))

    hooks = [block.moe.experts.register_forward_hook(keep) for block in network.blocks]
    z = network.standardize(batch.dense_values(), batch.observed)
    try:
        encoded = network.encode(
            z, batch.presence, network.scale_covariates(batch.covariates), group, values=batch.values
        )
    finally:
        for hook in hooks:
            hook.remove()
    pairs = weighted_pairs(*pair_losses(network, encoded, z, batch, group), config)
    terms = further_losses(network, encoded, batch, group, config.balance_scope)
    weighted = {name: getattr(config, f"{name}_weight") * loss for name, loss in terms.items()}
    router = weighted.pop("balance") + weighted.pop("z")
    tasks = {"reconstruction": pairs.sum(), "router": router, **weighted}
    return Pass(pairs, tasks, calls, encoded.tokens)


def by_loss(calls: Sequence[Call], losses: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of K losses, of each block (K, E, parameters of an expert); zero where a loss does not reach."""
    parameters = [list(call.experts.parameters()) for call in calls]
    flat = [each for of_block in parameters for each in of_block]
    of_losses = [
        iter(torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True, materialize_grads=True))
        for loss in losses
    ]
    return [torch.stack([flatten([next(each) for _ in block]) for each in of_losses]) for block in parameters]


def by_token(calls: Sequence[Call], loss: Tensor, label_T: Tensor, n_labels: int) -> list[Tensor]:
    """The gradient of a loss through the tokens of each label, of each block (K, E, parameters of an expert).

    The sum over the labels is the whole gradient, since parameters act on tokens one by one.
    """
    outputs = [call.output for call in calls]
    arrived = torch.autograd.grad(loss, outputs, retain_graph=True, allow_unused=True, materialize_grads=True)
    found = []
    for call, grad in zip(calls, arrived, strict=True):
        parameters, parts = list(call.experts.parameters()), []
        for label in range(n_labels):
            mine = label_T == label
            routing = Routing(*(None if x is None else x[mine].detach() for x in call.routing))  # type: ignore[arg-type]
            again = call.experts(call.x[mine].detach(), routing)
            parts.append(flatten(torch.autograd.grad(again, parameters, grad[mine])))
        found.append(torch.stack(parts))
    return found


def flatten(gradients: Sequence[Tensor]) -> Tensor:
    """Gradients of w1, b1, w2, b2 as one row an expert."""
    return torch.cat([each.flatten(1) for each in gradients], dim=1)


def part_of(batch: Batch, cells: Tensor) -> Batch:
    """Some cells (positions in ascending order) of a batch on the host."""
    mask = batch.presence.mask
    rows = [(here.cumsum(0) - 1)[cells[here[cells]]] for here in mask.T]

    def pick(arrays: Sequence[Tensor | None]) -> list[Any]:
        return [None if x is None else x[row] for x, row in zip(arrays, rows, strict=True)]

    return Batch(
        pick(batch.dense_values()),
        pick(batch.observed),
        pick(batch.counts),
        locate(mask[cells]),
        batch.covariates[cells],
        None if batch.similarity is None else batch.similarity[cells][:, cells],
    )


def measure(
    network: Network,
    modalities: Sequence[str],
    batches: Iterable[Batch],
    config: TrainConfig,
    *,
    definition: Definition,
    seed: int,
) -> GradientGrams:
    """Gradients of a network on each of some batches; leaves the network in evaluation mode.

    Attention groups and random groups of cells are drawn from the seed, the same for any network of these modalities.
    """
    network.eval()
    found: list[tuple[NDArray[np.float64], NDArray[np.float64], float]] = []
    names = list(modalities)
    with torch.enable_grad(), threads_for(network.config.n_hidden), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for batch in batches:
            group = draw_groups(len(batch.presence.mask), len(modalities), config.p_split, torch.device("cpu"))
            done = forward(network, batch, config, group)
            if definition == "task":
                names = list(done.tasks)
            n_groups = 2 if definition == "task" else len(modalities)
            reference = random_gradients(network, batch, config, group, definition, n_groups)
            found.append((gram(gradients_of(done, definition)), gram(reference), done.whole.item()))
            if not all(np.isfinite(each).all() for each in found[-1]):
                raise ValueError(
                    f"The gradients of batch {len(found)} are not finite numbers. Look for extreme values in the data."
                )
    grams, references, losses = zip(*found, strict=True)
    return GradientGrams(names, np.stack(grams), np.stack(references), np.array(losses))


def gradients_of(done: Pass, definition: Definition) -> list[Tensor]:
    """Gradients of the modalities, or of the tasks, of each block (K, E, parameters of an expert)."""
    if definition == "token":
        return by_token(done.calls, done.whole, done.tokens.modality, len(done.pairs))
    losses: dict[str, Sequence[Tensor]] = {
        "target": done.pairs.sum(1).unbind(),
        "source": done.pairs.sum(0).unbind(),
        "task": list(done.tasks.values()),
    }
    return by_loss(done.calls, losses[definition])


def random_gradients(
    network: Network, batch: Batch, config: TrainConfig, group: Tensor, definition: Definition, n_groups: int
) -> list[Tensor]:
    """Gradients of each block (G, E, parameters), of G random groups of cells.

    They are of the loss that the definition takes apart.

    Every group is a batch of its own. To split the gradient of the whole batch by cell would not do: a loss that
    compares cells, as that of the graph does, pushes them in opposite directions, whatever they are.
    """
    parts = []
    for cells in torch.randperm(len(group)).tensor_split(n_groups):
        cells = cells.sort().values
        done = forward(network, part_of(batch, cells), config, group[cells])
        loss = done.pairs.sum() if definition in ("target", "source") else done.whole
        parts.append(by_loss(done.calls, [loss]))
    return [torch.cat(of_block) for of_block in zip(*parts, strict=True)]


def gram(gradients: Sequence[Tensor]) -> NDArray[np.float64]:
    """(layers, experts, K, K) inner products of the gradients (K, E, P) of each block."""
    return np.stack([torch.einsum("kep,lep->ekl", g.double(), g.double()).cpu().numpy() for g in gradients])
