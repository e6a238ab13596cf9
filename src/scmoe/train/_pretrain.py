"""Masked-gene pretraining: settings and losses."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from scmoe.arguments._checked import checks_fields
from scmoe.data.genes._dataset import GeneBatch
from scmoe.losses._balance import balance_loss, z_loss
from scmoe.nn.genes._encoder import GeneStates
from scmoe.nn.genes._network import GeneNetwork
from scmoe.tokens._masking import MaskingPolicy
from scmoe.train._config import StepConfig
from scmoe.train._objective import masked_mean


@checks_fields
@dataclass(frozen=True, kw_only=True)
class PretrainConfig(StepConfig):
    """How the gene network is pretrained; every field is a key of ``plan_kwargs`` of `scmoe.model.XTRIMOGENE.train`.

    Parameters
    ----------
    lr
        Peak learning rate of AdamW.
    weight_decay
        Weight decay of the matrices.
    warmup
        Share of the steps in which the learning rate rises; it then falls along a cosine.
    gradient_clip
        Largest norm of the gradient.
    ema
        Decay of the running average of the weights, which is what the model keeps.
    mask_nonzero, mask_zero
        Shares of a cell's expressed genes and of its other genes that are masked and to be predicted. With 90 % zeros
        the defaults mask about as many of both.
    balance_weight, z_weight
        Weights of the router's balance loss and z-loss, where there is more than one expert.
    """

    weight_decay: float = 0.0
    mask_nonzero: float = MaskingPolicy.nonzero_rate
    mask_zero: float = MaskingPolicy.zero_rate
    balance_weight: float = 0.01
    z_weight: float = 1e-3

    def __post_init__(self) -> None:
        """Check the fields."""
        _ = self.policy  # checks the rates
        if not self.mask_nonzero and not self.mask_zero:
            raise ValueError("mask_nonzero and mask_zero are both 0: there is nothing to predict. Raise mask_nonzero.")

    @property
    def policy(self) -> MaskingPolicy:
        """What is masked."""
        return MaskingPolicy(nonzero_rate=self.mask_nonzero, zero_rate=self.mask_zero)


def pretrain_objective(network: GeneNetwork, batch: GeneBatch, config: PretrainConfig) -> dict[str, Tensor]:
    """Losses of a batch.

    Returns
    -------
    dict
        Scalars: ``loss``, the mean squared error of the masked genes (the paper's equation 5 divides by another
        number), or their cross-entropy, with what regularizes the router; ``nonzero`` and ``zero``, the mean squared
        errors of masked genes that are expressed and that are not, where such are masked; ``balance`` and ``z`` where
        there are experts.
    """
    encoded = network.encode(batch.gene, batch.value, batch.seen)
    states = network.decode(encoded, batch.gene, batch.asked, batch.hidden, batch.unknown)
    outputs = network.outputs(encoded, states, batch.asked)
    error = (network.values(outputs) - batch.target).square()
    loss = error
    if network.config.target == "class":
        classes = batch.target.round().long()
        loss = F.cross_entropy(outputs.flatten(0, 1), classes.flatten(), reduction="none").view_as(error)
    expressed = batch.hidden & (batch.target > 0)
    terms = {"loss": masked_mean(loss, batch.hidden)}
    if config.mask_nonzero:
        terms["nonzero"] = masked_mean(error, expressed)
    if config.mask_zero:
        terms["zero"] = masked_mean(error, batch.hidden & ~expressed)
    return with_router_losses(terms, encoded, network, config)


def with_router_losses(
    terms: dict[str, Tensor], encoded: GeneStates, network: GeneNetwork, config: PretrainConfig
) -> dict[str, Tensor]:
    """The terms, with the router's among them, and in training in the loss."""
    if network.config.n_experts == 1:
        return terms
    terms = terms | {
        "balance": torch.stack([balance_loss(routing) for routing in encoded.routing]).sum(),
        "z": torch.stack([z_loss(routing) for routing in encoded.routing]).sum(),
    }
    if network.training:
        terms["loss"] = terms["loss"] + config.balance_weight * terms["balance"] + config.z_weight * terms["z"]
    return terms
