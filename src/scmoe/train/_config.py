"""The training's hyper-parameters: written once, here."""

from dataclasses import dataclass
from typing import Literal

from scmoe.arguments._checked import checks_fields


@dataclass(frozen=True, kw_only=True)
class StepConfig:
    """What any training of this package needs; `TrainConfig` and its like document the fields."""

    lr: float = 3e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    gradient_clip: float = 1.0
    ema: float = 0.98


@checks_fields
@dataclass(frozen=True, kw_only=True)
class TrainConfig(StepConfig):
    """How the network is trained; every field is a key of ``plan_kwargs`` of `scmoe.model.SCMOE.train`.

    Parameters
    ----------
    lr
        Peak learning rate of AdamW.
    weight_decay
        Weight decay of the matrices (biases, norms and positions have none).
    warmup
        Share of the steps in which the learning rate rises; it then falls along a cosine.
    gradient_clip
        Largest norm of the gradient.
    ema
        Decay of the running average of the weights, which is what the model keeps.
    p_split
        Share of the training cells whose modalities cannot see each other. Those learn to predict absent modalities
        (the modality dropout of this model); the others learn to fuse.
    own_weight, cross_weight
        Weights of decoding a modality from its own state, and from the states of modalities that never saw it.
    graph_weight
        Weight of the loss that keeps neighbors, over all modalities, close in the embedding; 0: no graph is built.
    balance_weight, z_weight
        Weights of the router's balance loss and z-loss.
    balance_scope
        ``"pooled"``: the experts are balanced over all tokens, so that modalities may specialize;
        ``"per_modality"``: within each modality (the published code).
    cluster_weight
        Weight of the deep divergence-based clustering loss, when `scmoe.model.NetworkConfig.n_clusters` is given.
    """

    p_split: float = 0.5
    own_weight: float = 1.0
    cross_weight: float = 4.0
    graph_weight: float = 2.0
    balance_weight: float = 0.01
    z_weight: float = 1e-3
    balance_scope: Literal["pooled", "per_modality"] = "pooled"
    cluster_weight: float = 0.1
