"""Forms of scMoE to replicate: our default, the paper's and the published code's, and each with one thing changed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lightning.pytorch import Callback
from mudata import MuData
from torch import Tensor

from scmoe.benchmark.methods._scmoe import Variant
from scmoe.data._covariates import n_covariates
from scmoe.data._presence import Presence
from scmoe.data.sparse._features import Features
from scmoe.data.sparse._rows import Values
from scmoe.model._scmoe import SCMOE
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Encoded, Network
from scmoe.train._presets import FORM, LOSSES, PRESETS


@dataclass(frozen=True, kw_only=True)
class Form:
    """A model and how it is trained.

    Parameters
    ----------
    variant
        Settings that differ from the defaults.
    epochs, batch_size
        None: the defaults.
    published
        Whether it is trained as the published code trains: every decoder reads every modality's state after all have
        been fused, losses are summed over all V² pairs, and no cell is kept for validation.
    """

    variant: Variant = Variant()
    epochs: int | None = None
    batch_size: int | None = None
    published: bool = False

    @property
    def clusters(self) -> bool:
        """Whether there is a clustering head."""
        return self.published and self.variant.training["cluster_weight"] > 0

    def changed(self, *, network: dict[str, Any] | None = None, training: dict[str, Any] | None = None) -> "Form":
        """The same with some settings replaced."""
        old = self.variant
        variant = Variant(network=old.network | (network or {}), training=old.training | (training or {}))
        return replace(self, variant=variant)

    def dense(self, *, equal: str) -> "Form":
        """The same with one dense layer, as large as a token's experts ("compute") or as all ("parameters")."""
        config = NetworkConfig(**self.variant.network)
        size = config.expert_hidden * (config.top_k if equal == "compute" else config.n_experts)
        return self.changed(network={"n_experts": 1, "top_k": 1, "expert_hidden": size})


OURS, REFERENCE, PAPER = "scmoe", "reference", "paper"
_REFERENCE = Form(
    variant=Variant(
        network={
            **FORM,
            "n_tokens": 8,  # of the script; the paper has 4
            "n_heads": 1,
            "n_experts": 16,
            "residual": "reference",
            "gate": "softmax_after_topk",
        },
        training={**LOSSES, "lr": PRESETS["dyngen"].lr, "p_split": 1.0},
    ),
    epochs=PRESETS["dyngen"].max_epochs,
    batch_size=PRESETS["dyngen"].batch_size,
    published=True,
)
BASES = {
    OURS: Form(),
    REFERENCE: _REFERENCE,
    PAPER: _REFERENCE.changed(network={"n_tokens": 4, "residual": "paper", "gate": "topk_of_softmax"}),
}
IDENTIFICATION, PREDICTION = "identification", "prediction"
ONE_TASK = {
    IDENTIFICATION: _REFERENCE.changed(training={"cross_weight": 0.0}),
    PREDICTION: _REFERENCE.changed(training={"cluster_weight": 0.0}),
}
"""The reference form with one task: groups, without predictions of one modality from another (each is still decoded
from its own state, or Table 2 could have no row of it), or predictions, without a clustering head."""
DENSE = {"dense, equal compute": "compute", "dense, equal parameters": "parameters"}
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    REFERENCE: {
        "4 experts": {"network": {"n_experts": 4}},
        "8 experts": {"network": {"n_experts": 8}},
        "32 experts": {"network": {"n_experts": 32}},
        "k = 1": {"network": {"top_k": 1}},
        "k = 4": {"network": {"top_k": 4}},
        "router per modality": {"network": {"router": "per_modality"}},
        "2 patches": {"network": {"n_tokens": 2}},
        "4 patches": {"network": {"n_tokens": 4}},
        "16 patches": {"network": {"n_tokens": 16}},
        "residual of the paper": {"network": {"residual": "paper"}},
        "residual prenorm": {"network": {"residual": "prenorm"}},
        "gate of the paper": {"network": {"gate": "topk_of_softmax"}},
        "balance pooled": {"training": {"balance_scope": "pooled"}},
    },
    OURS: {
        "16 experts": {"network": {"n_experts": 16}},
        "k = 1": {"network": {"top_k": 1}},
        "k = 4": {"network": {"top_k": 4}},
        "router per modality": {"network": {"router": "per_modality"}},
        "2 tokens": {"network": {"n_tokens": 2}},
        "8 tokens": {"network": {"n_tokens": 8}},
        "balance per modality": {"training": {"balance_scope": "per_modality"}},
        "patch tokens": {"network": {"tokenizer": "patch"}},
    },
}
"""What Table 3 changes in the bases, besides the dense layers."""
ABLATIONS = {
    base: {f"{base}: {name}": BASES[base].dense(equal=equal) for name, equal in DENSE.items()}
    | {f"{base}: {name}": BASES[base].changed(**change) for name, change in changes.items()}
    for base, changes in CHANGES.items()
}
FORMS = BASES | ONE_TASK | ABLATIONS[REFERENCE] | ABLATIONS[OURS]


class FusedNetwork(Network):
    """A network whose modalities see each other whatever the attention groups say.

    So decoders that are to predict an unseen modality have seen it: the leak of the published code.
    """

    def encode(
        self,
        z: Sequence[Features],
        presence: Presence,
        covariates: Tensor,
        group: Tensor | None = None,
        *,
        values: Sequence[Values] | None = None,
        n_fixed: Sequence[int] | None = None,
        return_attention: bool = False,
    ) -> Encoded:
        """As `Network.encode`, without groups."""
        return super().encode(
            z, presence, covariates, values=values, n_fixed=n_fixed, return_attention=return_attention
        )


def build(form: Form, mdata: MuData, n_clusters: int, seed: int, **setup: Any) -> SCMOE:
    """An untrained model; `n_clusters` is the size of the clustering head of forms that have one."""
    SCMOE.setup_mudata(mdata, **setup)
    if not form.published:
        return SCMOE(mdata, seed=seed, **form.variant.network)
    model = SCMOE(mdata, seed=seed, n_clusters=n_clusters if form.clusters else None, **form.variant.network)
    sizes = [len(model.feature_names[name]) for name in model.modalities]
    likelihoods = [model.setup.likelihoods[name] for name in model.modalities]
    fused = FusedNetwork(sizes, likelihoods, n_covariates(model.setup), model.config)
    fused.load_state_dict(model.module.state_dict())
    model.module = fused.eval()
    return model


def train_form(
    model: SCMOE, form: Form, max_epochs: int | None = None, callbacks: Sequence[Callback] = ()
) -> dict[str, Any]:
    """Train, at most `max_epochs`; returns the fields of `TrainConfig` that were used."""
    V = len(model.modalities)
    training = dict(form.variant.training)
    if form.published:  # sums over pairs, where the objective takes means
        pairs = {"own_weight": V, "cross_weight": V * (V - 1)}
        training |= {name: training.get(name, 1.0) * n_pairs for name, n_pairs in pairs.items()}
    limits = [n_epochs for n_epochs in (form.epochs, max_epochs) if n_epochs is not None]
    model.train(
        min(limits, default=None),
        batch_size=form.batch_size,
        train_size=1.0 if form.published else 0.9,
        plan_kwargs=training,
        callbacks=callbacks,
        accelerator="cpu",
        enable_progress_bar=False,
    )
    return training


def settings_of(form: Form) -> dict[str, Any]:
    """For the hash of a result."""
    return asdict(form)
