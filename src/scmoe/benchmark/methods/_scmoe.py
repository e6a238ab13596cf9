"""What this package adds to the comparison: its defaults, and variants that differ in one thing."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe.benchmark._baselines import dense
from scmoe.benchmark._predicted import Predicted, from_counts, on_lines
from scmoe.data._setup import prepared_kinds
from scmoe.nn._config import NetworkConfig

PARTS = ("network", "linear")
"""What a prediction is a mixture of."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Settings that differ from the defaults.

    Parameters
    ----------
    network
        Fields of `scmoe.model.NetworkConfig`.
    training
        Fields of `scmoe.model.TrainConfig`.
    likelihoods
        Likelihood by kind of modality (see `scmoe.pp.prepare`).
    """

    network: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    likelihoods: dict[str, str] = field(default_factory=dict)


_DEFAULT = NetworkConfig()
_DENSE = {"n_experts": 1, "top_k": 1, "expert_hidden": _DEFAULT.top_k * _DEFAULT.expert_hidden}
ALWAYS = {"scmoe": Variant(), "scmoe_dense": Variant(network=_DENSE)}
"""Run by default; the dense one computes as much for each token as the default."""
ABLATION = {
    "scmoe_patch": Variant(network={"tokenizer": "patch"}),
    "scmoe_frozen": Variant(network={"train_programs": False}),
    "scmoe_no_graph": Variant(training={"graph_weight": 0.0}),
    "scmoe_no_cross": Variant(training={"cross_weight": 0.0}),
    "scmoe_no_own": Variant(training={"own_weight": 0.0}),
    "scmoe_no_mask": Variant(network={"feature_dropout": 0.0}),
    "scmoe_fused_only": Variant(training={"p_split": 0.0}),
    "scmoe_16_experts": Variant(network={"n_experts": 16}),
}
LIKELIHOODS = {
    "scmoe_nb_rna": Variant(likelihoods={"rna": "nb"}),
    "scmoe_nb_protein": Variant(likelihoods={"protein": "nb"}),
    "scmoe_poisson": Variant(likelihoods={"rna": "poisson", "protein": "poisson", "peaks": "poisson"}),
    "scmoe_bernoulli": Variant(likelihoods={"peaks": "bernoulli"}),
}
TOKENS = {"scmoe_genes": Variant(network={"tokenizer": "genes"})}
"""The gene encoder of `scmoe.model.XTRIMOGENE` from scratch, beside the programs of RNA; takes about 30 times as long."""
VARIANTS = {**ALWAYS, **ABLATION, **LIKELIHOODS, **TOKENS}
EMBEDDING_PARTS = {"scmoe_states": "network", "scmoe_programs": "linear"}
"""What the embedding of `scmoe` is made of, each alone."""
GROUPS = {
    "ablation": [*ALWAYS, *ABLATION],
    "likelihoods": ["scmoe", *LIKELIHOODS],
    "tokens": ["scmoe", "scmoe_patch", *TOKENS],
}
"""Variants to run together: each takes one ingredient of the recipe away, or replaces it."""


def embed(method: str, mdata: MuData, batch: str | None, seed: int) -> NDArray[np.floating]:
    """The joint embedding, or a part of it, trained on all cells."""
    if method in EMBEDDING_PARTS:
        model = fit("scmoe", mdata, seed, batch_key=batch)
        return model.get_latent_representation(part=EMBEDDING_PARTS[method])
    return fit(method, mdata, seed, batch_key=batch).get_latent_representation()


def predict(
    method: str, train: MuData, test: MuData, source: str, target: str, batch: str | None, seed: int
) -> Predicted:
    """The target of the test cells, which have the source alone."""
    return predicted(fit(method, train, seed, batch_key=batch), train, test, source, target)


def predicted(model: Any, train: MuData, test: MuData, source: str, target: str) -> Predicted:
    """The target of the test cells by a trained model; what counts are expected is normalized as the target is.

    `train` are cells with both modalities, for the lines of `from_counts`.
    """
    likelihood = model.setup.likelihood(target)
    if not likelihood.reads_counts:
        mean, sd = model.impute(source, target, test, return_sd=True)
        if model.config.tokenizer == "patch":  # without programs there is no linear part
            return Predicted(values=mean, sd=sd)
        parts = {part: model.impute(source, target, test, part=part) for part in PARTS}
        return Predicted(values=mean, parts=parts, weight=model.mixture_weight(source, target), sd=sd)
    known, new = (model.impute(source, target, cells) for cells in (train, test))
    observed = dense(train.mod[target].X)
    if not likelihood.expects_counts:
        return Predicted(values=on_lines(known, new, observed))
    return Predicted(values=from_counts(known, new, model.setup.kinds[target], observed))


def annotate(method: str, train: MuData, test: MuData, labels: str, seed: int) -> pd.DataFrame:
    """Probabilities of the training labels in test cells, which have no label."""
    found = fit(method, train, seed, labels_key=labels).predict(test, soft=True)
    assert isinstance(found, pd.DataFrame)
    return found


def fit(method: str, mdata: MuData, seed: int, **setup: Any) -> Any:
    """A variant, trained on `mdata`."""
    from scmoe.model._scmoe import SCMOE

    variant = VARIANTS[method]
    kinds = prepared_kinds(mdata, list(mdata.mod))
    likelihoods = {name: variant.likelihoods[kind] for name, kind in kinds.items() if kind in variant.likelihoods}
    SCMOE.setup_mudata(mdata, likelihoods=likelihoods, **setup)
    model = SCMOE(mdata, seed=seed, **variant.network)
    model.train(accelerator="cpu", enable_progress_bar=False, plan_kwargs=variant.training)
    return model
