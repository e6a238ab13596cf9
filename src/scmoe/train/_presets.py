"""The scMoE paper's settings: its form, and its sizes for each of its data sets (section 3 and appendix C).

The paper's tables name a batch of 64 and so on; of Patch-seq, for which it has none, these are those of its published
script. The learning rate falls along a cosine here, which leaves half of it on average, so it is twice the paper's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from scmoe.data._setup import Setup

PresetName = Literal["dyngen", "dbitseq", "patchseq", "atacseq"]
Objective = Literal["ce", "ddc"]
"""Cross-entropy of labels, or deep divergence-based clustering."""

FORM: dict[str, Any] = {
    "tokenizer": "patch",
    "top_k": 2,
    "residual": "paper",
    "gate": "topk_of_softmax",
    "feature_dropout": 0.0,
    "decoder_dropout": 0.0,
}
"""Of the network."""
LOSSES: dict[str, Any] = {
    "warmup": 0.0,
    "weight_decay": 0.0,
    "ema": 0.0,
    "graph_weight": 0.0,
    "balance_weight": 0.1,
    "balance_scope": "per_modality",
    "z_weight": 0.0,
    "cluster_weight": 0.01,  # applied twice in the published code: 0.1 x 0.1
}
"""Of the training."""
LIKE = {"rna": ("lognormalized", "ambient")}
"""Kinds that stand for another."""
LABEL_WEIGHT = 1.0
"""Of the cross-entropy, as of the other losses of the paper's sum."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The paper's settings for one of its data sets.

    Parameters
    ----------
    kinds
        Kinds of modalities that the data have, see `scmoe.pp.prepare`; none: any two modalities.
    objective
        What the paper trains groups with.
    network
        Fields of `scmoe.model.NetworkConfig`.
    lr, batch_size, max_epochs
        Of the training.
    """

    kinds: tuple[str, ...]
    objective: Objective
    network: Mapping[str, Any]
    lr: float
    batch_size: int
    max_epochs: int

    def network_kwargs(self) -> dict[str, Any]:
        """All fields of the network that differ from the defaults."""
        width = self.network["n_hidden"]
        return {**FORM, "expert_hidden": 2 * width, "decoder_hidden": width, **self.network}

    def plan_kwargs(self, n_modalities: int) -> dict[str, Any]:
        """Fields of `scmoe.model.TrainConfig`; the paper sums over pairs of modalities, where we take means."""
        pairs = {"own_weight": float(n_modalities), "cross_weight": float(n_modalities * (n_modalities - 1))}
        return {**LOSSES, **pairs, "lr": self.lr}


def _size(n_hidden: int, n_tokens: int, n_heads: int, n_experts: int) -> dict[str, Any]:
    return {"n_hidden": n_hidden, "n_tokens": n_tokens, "n_layers": 1, "n_heads": n_heads, "n_experts": n_experts}


PRESETS: dict[PresetName, Preset] = {
    "dyngen": Preset(kinds=(), objective="ddc", network=_size(64, 4, 1, 16), lr=2e-4, batch_size=64, max_epochs=100),
    "dbitseq": Preset(
        kinds=("rna", "protein"), objective="ddc", network=_size(64, 8, 4, 8), lr=2e-4, batch_size=64, max_epochs=100
    ),
    "patchseq": Preset(
        kinds=("continuous",), objective="ddc", network=_size(128, 64, 4, 32), lr=8e-3, batch_size=64, max_epochs=300
    ),
    "atacseq": Preset(
        kinds=("rna", "peaks"), objective="ce", network=_size(64, 8, 1, 8), lr=2e-4, batch_size=16, max_epochs=100
    ),
}
assert get_args(PresetName) == tuple(PRESETS)


def check_preset(name: PresetName, kinds: Mapping[str, str]) -> None:
    """Raise if the data lack modalities that a preset is for.

    Parameters
    ----------
    name
        Of the preset.
    kinds
        Kind of each modality that is used.
    """
    absent = [kind for kind in PRESETS[name].kinds if not {*kinds.values()} & {kind, *LIKE.get(kind, ())}]
    if absent or len(kinds) < 2:
        needed = " and ".join(PRESETS[name].kinds) or "any kind"
        here = ", ".join(f"{modality} ({kind})" for modality, kind in kinds.items())
        raise ValueError(
            f"preset={name!r} is for data with at least two modalities, of {needed}; found {here}. Prepare the data "
            "with scmoe.pp.prepare(mdata, kinds=...) if a modality was taken for something else, or choose another "
            "preset."
        )


def check_objective(objective: Objective | None, labels_key: str | None, network: Mapping[str, Any]) -> None:
    """Raise for an objective that other settings contradict.

    Parameters
    ----------
    objective
        Asked for.
    labels_key
        Column with the labels.
    network
        What is given of the network's settings.
    """
    if objective == "ce" and labels_key is None:
        raise ValueError("objective='ce' learns labels. Name their column: labels_key=...")
    if objective == "ce" and network.get("n_clusters") is not None:
        raise ValueError("objective='ce' learns labels, and n_clusters is for objective='ddc'. Leave one of them out.")
    if objective == "ddc" and network.get("label_weight"):
        raise ValueError("objective='ddc' is without labels, and label_weight learns them. Leave one of them out.")
    if objective == "ddc" and labels_key is None and network.get("n_clusters") is None:
        raise ValueError(
            "objective='ddc' needs a number of clusters: n_clusters=..., or labels_key=... to have as many as labels."
        )


class Settings(NamedTuple):
    """What a training is asked for."""

    network: dict[str, Any]
    """Fields of `scmoe.model.NetworkConfig`."""
    training: dict[str, Any]
    """Arguments of `scmoe.model.SCMOE.train`."""
    max_epochs: int | None

    def of_paper(self, setup: Setup, preset: PresetName | None, objective: Objective | None) -> "Settings":
        """With those of a preset and an objective where nothing else was asked for.

        Raises
        ------
        ValueError
            The data lack modalities that the preset is for, or its objective contradicts them or what was asked for.
        """
        network, training, max_epochs = self
        if preset is not None:
            check_preset(preset, {name: setup.kinds.get(name, "not prepared") for name in setup.modalities})
            own = PRESETS[preset]
            network = {**own.network_kwargs(), **network}
            plan = {**own.plan_kwargs(len(setup.modalities)), **training.get("plan_kwargs", {})}
            training = {"batch_size": own.batch_size, **training, "plan_kwargs": plan}
            max_epochs = own.max_epochs if max_epochs is None else max_epochs
            objective = own.objective if objective is None else objective
            check_objective(objective, setup.labels_key, network)
        if objective == "ce":
            network = {"label_weight": LABEL_WEIGHT, **network}
        elif objective == "ddc":
            network = {"n_clusters": len(setup.labels), **network}
        return Settings(network, training, max_epochs)
