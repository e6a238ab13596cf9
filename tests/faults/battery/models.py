"""Verbs without a model, with one that is not trained, of another class, or without what is asked for."""

from collections.abc import Callable, Iterator
from typing import Any

import scmoe
from battery.calls import OF_SCMOE, OF_XTRIMOGENE, TL, Arguments, call
from battery.judge import Case
from battery.world import World

FAMILY = "models"
WITHOUT_MODEL = ("train", "pretrain", "umap", "expert_stability", "differential", "abundance")
VERBS = [name for name in TL if name not in WITHOUT_MODEL]
OTHERS: dict[str, tuple[Callable[[World], Any], tuple[str, ...]]] = {
    "None": (lambda w: None, ("model",)),
    "class": (lambda w: scmoe.model.SCMOE, ("model",)),
    "folder": (lambda w: str(w.folder()), ("load", "model")),
    "untrained": (lambda w: w.untrained(), ("train",)),
    "gene model": (lambda w: w.gene_model, ("SCMOE", "XTRIMOGENE", "gene model")),
}
PREPARING = ("save", "load", "setup_mudata", "setup_anndata", "train", "fine_tune", "predict_clusters")
UNLABELED = (
    *("tl.annotate", "SCMOE.predict", "SCMOE.get_annotation", "SCMOE.get_unknown_score"),
    *("SCMOE.get_unknown_detection", "SCMOE.label_target"),
)


def cases() -> Iterator[Case]:
    for verb in VERBS:
        for text, (make, words) in OTHERS.items():
            is_tried = text in ("class", "folder", "gene model") if verb == "cluster" else True
            if is_tried and (verb, text) != ("markers", "None"):  # its tests need no model
                yield Case(
                    family=FAMILY,
                    name=f"tl.{verb}(model={text})",
                    act=lambda world, verb=verb, make=make: call(f"tl.{verb}", world, model=make(world)),
                    words=words,
                )
    yield from untrained("SCMOE", OF_SCMOE, World.untrained)
    yield from untrained("XTRIMOGENE", OF_XTRIMOGENE, World.untrained_genes)
    for name in UNLABELED:
        yield Case(
            family=FAMILY, name=f"{name} without labels", act=lambda w, name=name: unlabeled(name, w), words=("label",)
        )
    for name, act, words in OTHER_DATA:
        yield Case(family=FAMILY, name=name, act=act, words=words)


def untrained(owner: str, table: dict[str, Arguments], make: Callable[[World], Any]) -> Iterator[Case]:
    """Every method that answers something, asked of a model that was not trained."""
    for method, arguments in table.items():
        if method not in PREPARING:
            yield Case(
                family=FAMILY,
                name=f"{owner}.{method} untrained",
                act=lambda w, method=method, arguments=arguments: getattr(make(w), method)(**arguments(w)),
                words=("train", "fine_tune"),
            )


def unlabeled(name: str, world: World) -> Any:
    if name.startswith("tl."):
        return call(name, world, model=world.plain_model)
    method = name.removeprefix("SCMOE.")
    return getattr(world.plain_model, method)(**OF_SCMOE[method](world))


def fresh_model(world: World, **network: Any) -> Any:
    return scmoe.model.SCMOE(world.copy(), **network)


OTHER_DATA: tuple[tuple[str, Callable[[World], Any], tuple[str, ...]], ...] = (
    ("SCMOE without setup", fresh_model, ("setup_mudata",)),
    ("SCMOE()", lambda w: scmoe.model.SCMOE().train(max_epochs=1), ("setup_mudata", "adata", "MuData")),
    ("SCMOE of AnnData", lambda w: scmoe.model.SCMOE(w.copy("genes")), ("setup_mudata",)),
    ("XTRIMOGENE of MuData", lambda w: scmoe.model.XTRIMOGENE(w.mdata()), ("AnnData",)),
    ("XTRIMOGENE without setup", lambda w: scmoe.model.XTRIMOGENE(w.copy("genes")), ("setup_anndata",)),
    ("setup_anndata of MuData", lambda w: scmoe.model.XTRIMOGENE.setup_anndata(w.mdata()), ("AnnData",)),
    ("gene model on MuData", lambda w: w.gene_model.get_latent_representation(w.mdata()), ("AnnData",)),
    ("pretrain on MuData", lambda w: scmoe.tl.pretrain(w.mdata(), max_epochs=1), ("AnnData",)),
    ("SCMOE(pretrained=) of a missing folder", lambda w: missing_encoder(w), ("pretrained", "missing")),
    ("map_query of a number", lambda w: scmoe.tl.map_query(3, w.model), ("MuData",)),
    ("embed of a path", lambda w: scmoe.tl.embed("data.h5mu", w.model), ("MuData",)),
    ("swapped", lambda w: scmoe.tl.embed(w.model, w.mdata()), ("MuData", "model")),
    ("expert_stability of a list", lambda w: scmoe.tl.expert_stability(w.mdata(), [w.model]), ("models",)),
    ("expert_stability of one", lambda w: scmoe.tl.expert_stability(w.mdata(), {"a": w.model}), ("models", "two")),
    ("stability of None", lambda w: scmoe.tl.expert_stability(w.mdata(), {"a": w.model, "b": None}), ("'b'",)),
    ("ddc without a head", lambda w: scmoe.tl.cluster(w.mdata(), w.model, method="ddc"), ("n_clusters", "head")),
    ("predict of a gene model without a head", lambda w: w.gene_model.predict(w.mdata("genes")), ("fine_tune",)),
    ("get_normalized_expression", lambda w: w.model.get_normalized_expression(), ("get_normalized",)),
    ("differential_abundance", lambda w: w.model.differential_abundance(w.mdata(), "kind"), ("SCMOE", "scmoe")),
)


def missing_encoder(world: World) -> Any:
    data = world.mdata()
    scmoe.model.SCMOE.setup_mudata(data)
    return scmoe.model.SCMOE(data, tokenizer="genes", pretrained=world.tmp / "missing")
