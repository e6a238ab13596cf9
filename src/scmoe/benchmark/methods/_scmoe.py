"""What this package adds to the comparison: its defaults, and variants that differ in one thing."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._matrix import dense
from scmoe.benchmark._inputs import ANNOTATE, Facts, Fold, Mosaic, Run
from scmoe.benchmark._outputs import (
    Embedding,
    Integration,
    Prediction,
    QueryMapping,
    Uncertainty,
    from_counts,
    on_lines,
)
from scmoe.benchmark.methods._method import Method
from scmoe.data._setup import prepared_kinds
from scmoe.nn._config import NetworkConfig
from scmoe.train._presets import LABEL_WEIGHT

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
"""The gene encoder of `scmoe.model.XTRIMOGENE` from scratch, beside the programs of RNA; it takes 30 times as long."""
VARIANTS = {**ALWAYS, **ABLATION, **LIKELIHOODS, **TOKENS}
SUPERVISED = "scmoe_supervised"
"""Of `ANNOTATE` alone: labels shape the network, whose own head tells them. `scmoe` reads them off features that no
label has shaped."""
SUPERVISION = Variant(network={"label_weight": LABEL_WEIGHT})
EMBEDDING_PARTS = {"scmoe_states": "network", "scmoe_programs": "linear"}
"""What the embedding of `scmoe` is made of, each alone."""
GROUPS = {
    "ablation": [*ALWAYS, *ABLATION],
    "likelihoods": ["scmoe", *LIKELIHOODS],
    "tokens": ["scmoe", "scmoe_patch", *TOKENS],
}
"""Variants to run together: each takes one ingredient of the recipe away, or replaces it."""


def embed(mdata: MuData, run: Run) -> Embedding:
    """The joint embedding, or a part of it, trained on all cells but those for validation."""
    model, part = fit_embedding(mdata, run)
    held_out = np.isin(np.arange(mdata.n_obs), model.validation_indices)
    return Embedding(points=model.get_latent_representation(part=part), held_out=held_out)


def map_query(reference: MuData, query: MuData, run: Run) -> QueryMapping:
    """The same of the cells that a model was trained on, and of new cells, with the mapping score of these."""
    model, part = fit_embedding(reference, run)
    return QueryMapping(
        reference=model.get_latent_representation(part=part),
        query=model.get_latent_representation(query, part=part),
        score=None if run.method in EMBEDDING_PARTS else model.get_mapping_score(query),
    )


def fit_embedding(mdata: MuData, run: Run) -> tuple[Any, str]:
    """The trained model of a method, and the part of its embedding that is meant."""
    part = EMBEDDING_PARTS.get(run.method)
    return fit("scmoe" if part else run.method, mdata, run.seed, batch_key=run.batch), part or "mixture"


def predict(train: MuData, test: MuData, run: Run) -> Prediction:
    """The target of the test cells, which have the source alone."""
    return predicted(fit(run.method, train, run.seed, batch_key=run.batch), train, test, run.source, run.target)


def predicted(model: Any, train: MuData, test: MuData, source: str, target: str) -> Prediction:
    """The target of the test cells by a trained model; what counts are expected is normalized as the target is.

    `train` are cells with both modalities, for the lines of `from_counts`.
    """
    likelihood = model.setup.likelihood(target)
    if not likelihood.reads_counts:
        mean, *spread = model.impute(source, target, test, return_sd=True, return_interval=True)
        uncertainty = Uncertainty(*spread)
        if model.config.tokenizer == "patch":  # without programs there is no linear part
            return Prediction(values=mean, uncertainty=uncertainty)
        parts = {part: model.impute(source, target, test, part=part) for part in PARTS}
        weight = model.mixture_weight(source, target)
        return Prediction(values=mean, parts=parts, weight=weight, uncertainty=uncertainty)
    known, new = (model.impute(source, target, cells) for cells in (train, test))
    observed = dense(train.mod[target].X)
    if not likelihood.expects_counts:
        return Prediction(values=on_lines(known, new, observed))
    return Prediction(values=from_counts(known, new, model.setup.kinds[target], observed))


def annotate(fold: Fold, run: Run) -> pd.DataFrame:
    """Probabilities of the training labels in test cells; without batches, for those of held-out donors are new."""
    test, train = fold.test_cells(), fold.training_cells()
    probability = fit(run.method, train, run.seed, labels_key=run.labels).predict(test, soft=True)
    assert isinstance(probability, pd.DataFrame)
    return probability


def annotate_supervised(fold: Fold, run: Run) -> pd.DataFrame:
    """The same by the head of a network that has learned the labels of training cells."""
    test, train = fold.test_cells(), fold.training_cells()
    model = train_variant(SUPERVISION, train, run.seed, labels_key=run.labels)
    probability = model.predict_supervised(test, soft=True)
    assert isinstance(probability, pd.DataFrame)
    return probability


def integrate(mosaic: Mosaic, run: Run) -> Integration:
    """An embedding of all cells and both missing modalities by one model."""
    model = fit(run.method, mosaic.cells, run.seed, batch_key=run.batch)
    return Integration(
        points=model.get_latent_representation(),
        second=predicted(model, mosaic.paired, mosaic.first_only, run.source, run.target),
        first=predicted(model, mosaic.paired, mosaic.second_only, run.target, run.source),
    )


def fit(method: str, mdata: MuData, seed: int, **setup: Any) -> Any:
    """A variant by its name, trained on `mdata`."""
    return train_variant(VARIANTS[method], mdata, seed, **setup)


def train_variant(variant: Variant, mdata: MuData, seed: int, **setup: Any) -> Any:
    """A variant, trained on `mdata`."""
    from scmoe.model._scmoe import SCMOE

    kinds = prepared_kinds(mdata, list(mdata.mod))
    likelihoods = {name: variant.likelihoods[kind] for name, kind in kinds.items() if kind in variant.likelihoods}
    SCMOE.setup_mudata(mdata, likelihoods=likelihoods, **setup)
    model = SCMOE(mdata, seed=seed, **variant.network)
    model.train(accelerator="cpu", enable_progress_bar=False, plan_kwargs=variant.training)
    return model


def _unsuited(run: Run, facts: Facts) -> str:
    """A variant's likelihoods change nothing where there is no modality of their kinds, and gene tokens need RNA."""
    from scmoe.model._gene_tokens import RNA_KINDS  # loads scvi-tools, 0.1 GiB in the memory of every baseline

    likelihoods = VARIANTS[run.method].likelihoods
    alone = run.task == ANNOTATE and run.source
    kinds = {facts.kinds[run.source]} if alone else set(facts.kinds.values())
    if run.method in TOKENS and not kinds & set(RNA_KINDS):
        return "needs RNA"
    return f"needs raw counts of {' or '.join(likelihoods)}" if likelihoods and not kinds & set(likelihoods) else ""


LIBRARIES = ("scmoe.model._scmoe",)
METHODS = (
    *(
        Method(
            name=name,
            embed=embed,
            map_query=map_query,
            predict=predict,
            annotate=annotate,
            integrate=integrate,
            unsuited=_unsuited,
            libraries=LIBRARIES,
            on_request=name not in ALWAYS,
            settings=asdict(variant),
        )
        for name, variant in VARIANTS.items()
    ),
    *(
        Method(name=name, embed=embed, map_query=map_query, libraries=LIBRARIES, settings=asdict(VARIANTS["scmoe"]))
        for name in EMBEDDING_PARTS
    ),
    Method(name=SUPERVISED, annotate=annotate_supervised, libraries=LIBRARIES, settings=asdict(SUPERVISION)),
)
