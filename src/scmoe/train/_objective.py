"""The loss of a batch: decode what is there, from states that saw it and from states that did not."""

from collections.abc import Sequence

import torch
from torch import Tensor

from scmoe.data._dataset import Batch
from scmoe.data.sparse._features import Features
from scmoe.data.sparse._rows import dense
from scmoe.losses._balance import balance_by_modality, balance_loss, z_loss
from scmoe.losses._ddc import ddc
from scmoe.losses._graph import graph_loss
from scmoe.losses._labels import LabelLoss
from scmoe.nn._decoder import Decoder
from scmoe.nn._network import Encoded, Network
from scmoe.train._config import TrainConfig


def draw_groups(n_cells: int, n_modalities: int, p_split: float, device: torch.device) -> Tensor:
    """Random attention groups (B, V): modalities of a cell see each other only within a group.

    A share `p_split` of the cells is split: each modality for itself, or, in half of these when there are more than two
    modalities, into two random groups, so that prediction from several sources is learned too (with V modalities, 2 in
    2^V of these draws put all into one group, which fuses the cell after all). The others are fused.
    """
    alone = torch.arange(n_modalities, device=device).expand(n_cells, -1)
    group = alone
    if n_modalities > 2:
        two = torch.randint(0, 2, (n_cells, n_modalities), device=device)
        group = torch.where(torch.rand(n_cells, 1, device=device) < 0.5, two, alone)
    split = torch.rand(n_cells, 1, device=device) < p_split
    return torch.where(split, group, 0)


def reconstruction(decoder: Decoder, scores: Tensor, z: Features, counts: Tensor | None, seen: Tensor | None) -> Tensor:
    """Negative log-likelihood of a modality given decoded scores, mean over features, in comparable units.

    Parameters
    ----------
    decoder
        Of the modality.
    scores
        (..., n_v, K) from `Decoder.scores`.
    z, counts, seen
        Standardized values, raw counts, and which values are observed, each (n_v, D); see `Batch`.

    Returns
    -------
    Tensor (..., n_v).
    """
    if decoder.likelihood.is_squared_error and seen is None and decoder.has_components:
        return decoder.mean_squared_error(scores, z) * decoder.loss_scale
    target = counts if decoder.likelihood.reads_counts else dense(z)
    assert target is not None
    return mean_over_observed(decoder.losses(target, scores), seen) * decoder.loss_scale


def pair_losses(
    network: Network, encoded: Encoded, z: Sequence[Features], batch: Batch, group: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean loss of decoding each modality from its own state, and from others' of other groups (the target unseen).

    Returns
    -------
    losses
        (V targets, V sources); 0 for a pair without any cell that has both, in different groups if they differ.
    has_cells
        (V, V) which pairs have such a cell.
    """
    covariates, presence, V = network.scale_covariates(batch.covariates), batch.presence, network.n_modalities
    losses: list[Tensor] = []
    has_cells: list[Tensor] = []
    for target, decoder in enumerate(network.decoders):
        # Only the cells that have the target are decoded.
        states_n, covariates_n, mask_n, group_n = (
            presence.select(x, target) for x in (encoded.states, covariates, presence.mask, group)
        )
        sources = [source for source in range(V) if source != target]
        # Stacked, not indexed by a list, which would be copied to a GPU while the host waits.
        scores = [decoder.scores(states_n[:, target], covariates_n, own=True)[None]]
        if sources:
            scores.append(decoder.scores(torch.stack([states_n[:, s] for s in sources]), covariates_n, own=False))
        loss = reconstruction(decoder, torch.cat(scores), z[target], batch.counts[target], batch.observed[target])
        rows = dict(zip([target, *sources], loss, strict=True))
        for source in range(V):
            cells = mask_n[:, source]
            if source != target:
                cells = (group_n[:, source] != group_n[:, target]) & cells
            losses.append(masked_mean(rows[source], cells))
            has_cells.append(cells.any())
    return torch.stack(losses).view(V, V), torch.stack(has_cells).view(V, V)


def own_and_cross(losses: Tensor, has_cells: Tensor) -> tuple[Tensor, Tensor]:
    """Means of what `pair_losses` returns on the diagonal, and of the pairs that have cells off it."""
    return losses.diagonal().mean(), masked_mean(off_diagonal(losses), off_diagonal(has_cells))


def off_diagonal(x: Tensor) -> Tensor:
    """The V² - V entries of (V, V) off the diagonal, row by row."""
    V = len(x)
    return x.flatten()[1:].view(V - 1, V + 1)[:, :-1].flatten() if V > 1 else x.new_zeros(0)


def mean_over_observed(loss: Tensor, observed: Tensor | None) -> Tensor:
    """Mean over the features (last axis) that are observed; 0 where none is."""
    if observed is None:
        return loss.mean(-1)
    return (loss * observed).sum(-1) / observed.sum(-1).clamp(min=1)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x over where `mask` holds; 0 where it does not at all."""
    return (x * mask).sum() / mask.sum().clamp(min=1)


def router_losses(encoded: Encoded, n_modalities: int, scope: str) -> tuple[Tensor, Tensor]:
    """Balance loss and z-loss, summed over the blocks."""
    modality = encoded.tokens.modality
    if scope == "per_modality":
        balance = [balance_by_modality(routing, modality, n_modalities) for routing in encoded.routing]
    else:
        balance = [balance_loss(routing) for routing in encoded.routing]
    return torch.stack(balance).sum(), torch.stack([z_loss(routing) for routing in encoded.routing]).sum()


def further_losses(network: Network, encoded: Encoded, batch: Batch, group: Tensor, scope: str) -> dict[str, Tensor]:
    """All losses of encoded cells besides decoding, without their weights; see `objective`."""
    balance, z_term = router_losses(encoded, network.n_modalities, scope)
    terms = {"balance": balance, "z": z_term}
    if batch.similarity is not None:
        fused = (group == group[:, :1]).all(1)
        terms["graph"] = graph_loss(network.graph_head(encoded.joint), batch.similarity, fused)
    if hasattr(network, "cluster_head"):
        terms["cluster"] = torch.stack(ddc(*network.cluster_logits(encoded))).sum()
    return terms


def objective(
    network: Network, batch: Batch, config: TrainConfig, label_loss: LabelLoss | None = None
) -> dict[str, Tensor]:
    """All losses of a batch.

    In training mode the attention groups are random; in evaluation every modality is alone, so that the validation loss
    is deterministic and measures prediction of what was not seen.

    Returns
    -------
    dict
        Scalars: ``loss`` (the weighted sum), ``own``, ``cross``, ``balance``, ``z``, and ``graph``, ``cluster`` and
        ``label`` where there is a neighbor graph, a clustering head or labels in the batch. The weight of the last is
        the network's.
    """
    (n_cells, n_modalities), device = batch.presence.mask.shape, batch.presence.mask.device
    if network.training:
        group = draw_groups(n_cells, n_modalities, config.p_split, device)
    else:
        group = torch.arange(n_modalities, device=device).expand(n_cells, -1)
    z = network.standardize(batch.values, batch.observed)
    covariates = network.scale_covariates(batch.covariates)
    encoded = network.encode(z, batch.presence, covariates, group, values=batch.values)
    own, cross = own_and_cross(*pair_losses(network, encoded, z, batch, group))
    terms = {"own": own, "cross": cross, **further_losses(network, encoded, batch, group, config.balance_scope)}
    if "cluster" in terms and not network.training:  # evaluated on fused cells, as the head is used; trained on both
        fused_encoding = network.encode(z, batch.presence, covariates, values=batch.values)
        terms["cluster"] = torch.stack(ddc(*network.cluster_logits(fused_encoding))).sum()
    weights = {name: getattr(config, f"{name}_weight") for name in terms}
    if label_loss is not None and batch.label is not None:
        terms["label"] = label_loss(network.label_logits(encoded.joint), batch.label)
        weights["label"] = network.config.label_weight
    if not network.training:  # what regularizes the router is no measure of fit
        weights |= {"balance": 0.0, "z": 0.0}
    loss = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
    return {"loss": loss, **terms}
