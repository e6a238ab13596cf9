"""What the study of experts compares: settings that differ from the defaults, one at a time and together."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from scmoe.nn._config import NetworkConfig

_DEFAULT = NetworkConfig()


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Settings of one network.

    Parameters
    ----------
    network
        Fields of `scmoe.model.NetworkConfig`.
    training
        Fields of `scmoe.model.TrainConfig`.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """For results' keys."""
        return asdict(self)


def _dense(width: int) -> Arm:
    return Arm(network={"n_experts": 1, "top_k": 1, "expert_hidden": width})


DEFAULT, DENSE_ACTIVE, DENSE_TOTAL = "default", "dense, equal active", "dense, equal total"
CONTROLS = {
    DENSE_ACTIVE: _dense(_DEFAULT.top_k * _DEFAULT.expert_hidden),
    DENSE_TOTAL: _dense(_DEFAULT.n_experts * _DEFAULT.expert_hidden),
}
"""As large as what a token uses of the default, and as all of its experts."""
FACTORS = {
    "2 experts": Arm(network={"n_experts": 2}),
    "4 experts": Arm(network={"n_experts": 4}),
    "16 experts": Arm(network={"n_experts": 16}),
    "32 experts": Arm(network={"n_experts": 32}),
    "64 experts": Arm(network={"n_experts": 64}),
    "coarse: 1 of 4 x 256": Arm(network={"n_experts": 4, "top_k": 1, "expert_hidden": 256, "gate": "topk_of_softmax"}),
    "fine: 4 of 16 x 64": Arm(network={"n_experts": 16, "top_k": 4, "expert_hidden": 64}),
    "fine: 8 of 32 x 32": Arm(network={"n_experts": 32, "top_k": 8, "expert_hidden": 32}),
    "gate: top k of softmax": Arm(network={"gate": "topk_of_softmax"}),
    "balance: none": Arm(training={"balance_weight": 0.0}),
    "balance: loss of 0.1": Arm(training={"balance_weight": 0.1}),
    "router: one a modality": Arm(network={"router": "per_modality"}),
    "router: sees the cell": Arm(network={"router_input": "cell"}),
    "router: starts from clusters": Arm(network={"router_start": "clusters"}),
    "2 blocks": Arm(network={"n_layers": 2}),
}
"""One factor at a time. With a single expert a token, weights must not sum to one, or the router would not learn."""
_FINE = {"n_experts": 32, "top_k": 8, "expert_hidden": 32}
COMBINATIONS = {
    "B: fine, sees the cell": Arm(network={**_FINE, "router_input": "cell"}),
    "C: clusters, sees the cell, no balance": Arm(
        network={"router_start": "clusters", "router_input": "cell"}, training={"balance_weight": 0.0}
    ),
}
"""Of five that were likeliest to pay, those whose settings are still there: both route by what the cell is."""
MIXTURES = {DEFAULT: Arm(), **FACTORS, **COMBINATIONS}
LARGER = ("16 experts", "32 experts", "64 experts", "2 blocks")
"""Larger in all than the default, and so than the dense networks: shown, and not chosen for the confirmation."""
ARMS = {**CONTROLS, **MIXTURES}
