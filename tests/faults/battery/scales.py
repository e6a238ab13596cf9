"""Queries on another scale than the model's, without the record of how they were prepared."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from mudata import MuData
from scipy import sparse

import scmoe
from battery.judge import Case
from battery.world import KINDS, World

FAMILY = "scales"
tl = scmoe.tl
WARNING = r"WARNING.*(rna|adt).*(scale|count|total|logarithm|prepare|binary|z-score|standardi)"


def per_cell(counts: np.ndarray, total: float) -> np.ndarray:
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * total


def z_scores(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)


RNA: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "raw counts": lambda c: c,
    "log of counts": np.log1p,
    "a total of a million": lambda c: np.log1p(per_cell(c, 1e6)),
    "a total of 100": lambda c: np.log1p(per_cell(c, 100)),
    "no logarithm": lambda c: per_cell(c, 1e4),
    "log2": lambda c: np.log2(1 + per_cell(c, 1e4)),
    "log10": lambda c: np.log10(1 + per_cell(c, 1e4)),
    "twice the logarithm": lambda c: np.log1p(np.log1p(per_cell(c, 1e4))),
    "z-scores": lambda c: z_scores(np.log1p(per_cell(c, 1e4))),
    "clipped z-scores": lambda c: np.clip(z_scores(np.log1p(per_cell(c, 1e4))), -1, 1),
    "binary": lambda c: (c > 0).astype(float),
    "ranks": lambda c: c.argsort(axis=1).argsort(axis=1) + 0.5,
}
ADT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "raw counts": lambda c: c,
    "log of counts": np.log1p,
    "total of 10000": lambda c: np.log1p(per_cell(c, 1e4)),
    "z-scores times 10": lambda c: 10 * z_scores(np.log1p(c)),
    "binary": lambda c: (c > 0).astype(float),
}


def query(world: World, modality: str, change: Callable[[np.ndarray], np.ndarray]) -> MuData:
    """Prepared data of which one modality was scaled otherwise; nothing says how."""
    mdata = world.copy("bare")
    adata = mdata[modality]
    counts = adata.layers["counts"]
    counts = counts.toarray() if sparse.issparse(counts) else counts
    adata.X = change(counts.astype(np.float64)).astype(np.float32)
    return mdata


VERBS: dict[str, Callable[[Any, MuData], Any]] = {
    "tl.embed": lambda model, m: tl.embed(m, model),
    "tl.annotate": lambda model, m: tl.annotate(m, model),
    "tl.map_query": lambda model, m: tl.map_query(m, model),
    "tl.impute": lambda model, m: tl.impute(m, model, source="rna", target="adt"),
    "tl.denoise": lambda model, m: tl.denoise(m, model, modality="rna"),
    "tl.attention": lambda model, m: tl.attention(m, model),
    "tl.expert_usage": lambda model, m: tl.expert_usage(m, model, n_permutations=9),
    "tl.ablation": lambda model, m: tl.ablation(m, model),
    "tl.gradient_conflict": lambda model, m: tl.gradient_conflict(m, model, n_batches=2, batch_size=16),
    "tl.attribute": lambda model, m: tl.attribute(m, model, groupby="kind", n_steps=2, n_cells=8),
    "get_latent_representation": lambda model, m: model.get_latent_representation(m),
    "get_results": lambda model, m: model.get_results(m),
    "get_annotation": lambda model, m: model.get_annotation(m),
    "get_mapping_score": lambda model, m: model.get_mapping_score(m),
    "get_normalized": lambda model, m: model.get_normalized("rna", m),
    "get_router_activations": lambda model, m: model.get_router_activations(m),
    "get_attention": lambda model, m: model.get_attention(m),
    "predict": lambda model, m: model.predict(m),
    "impute": lambda model, m: model.impute("rna", "adt", m),
}
ALL = ("tl.embed", "predict")
"""Verbs that every scale is tried with; the other ones are tried with `FEW`."""
FEW = ("raw counts", "a total of a million", "z-scores")


def cases() -> Iterator[Case]:
    for verb in VERBS:
        for modality, scales in (("rna", RNA), ("adt", ADT)):
            if verb in ("impute", "tl.impute", "tl.denoise", "get_normalized") and modality == "adt":
                continue  # not read
            for name in scales if verb in ALL else [name for name in FEW if name in scales]:
                yield Case(
                    family=FAMILY,
                    name=f"{verb} of {modality} as {name}",
                    act=lambda w, v=verb, m=modality, f=scales[name]: VERBS[v](w.model, query(w, m, f)),
                    words=(modality,),
                    right=lambda value, world: False,
                    warning=WARNING,
                )
        yield Case(
            family=FAMILY,
            name=f"{verb} of the same scale without a record",
            act=lambda w, verb=verb: VERBS[verb](w.model, w.mdata("bare")),
            right=lambda value, world: True,
            refusable=False,
        )
    yield from same_scale()


KEPT: dict[str, Callable[[MuData], MuData]] = {
    "half of the cells": lambda m: m[::2].copy(),
    "five cells": lambda m: m[:5].copy(),
    "one cell": lambda m: m[:1].copy(),
    "float64": lambda m: set_x(m, m["rna"].X.astype(np.float64)),
    "dense": lambda m: set_x(m, m["rna"].X.toarray()),
    "csc": lambda m: set_x(m, sparse.csc_matrix(m["rna"].X)),
    "small noise": lambda m: set_x(m, m["rna"].X.toarray() * 1.001),
}
"""Queries on the model's own scale, which have to be answered."""


def set_x(mdata: MuData, values: Any) -> MuData:
    mdata["rna"].X = values
    return mdata


def same_scale() -> Iterator[Case]:
    for name, change in KEPT.items():
        yield Case(
            family=FAMILY,
            name=f"predict of {name}",
            act=lambda w, change=change: w.model.predict(change(w.copy("bare"))),
            right=lambda value, world: set(value) <= set(KINDS),
            refusable=False,
        )
