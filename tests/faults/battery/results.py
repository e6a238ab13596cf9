"""Results that are read as inputs, and things of a user's own beside results, under names like ours."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

import scmoe
from battery.judge import Case, Lost
from battery.world import SETUP, World, contents, quiet, tl_train

FAMILY = "results"
tl, pp = scmoe.tl, scmoe.pp


def by_hand(world: World) -> MuData:
    """Results of which some were corrected by hand."""
    mdata = world.copy("results")
    labels = mdata.obs["kind"].astype(str).to_numpy()
    labels[:3] = ["B", "B", "NK"]
    mdata.obs["scmoe_label"] = pd.Categorical(labels)
    mdata.obs["scmoe_cluster"] = pd.Categorical(np.resize(["0", "1", "mine"], mdata.n_obs))
    mdata.obs["scmoe_label_confidence"] = np.linspace(0, 1, mdata.n_obs)
    return mdata


def keeping(paths: tuple[str, ...], data: Callable[[World], MuData], verb: Callable[[MuData, World], Any]) -> Any:
    """An `act` that fails as lost if one of the paths, or what begins as one ending in ``/`` or ``_``, is altered."""

    def act(world: World) -> MuData:
        with quiet():
            mdata = data(world)
        groups = tuple(path for path in paths if path.endswith(("/", "_")))
        before = {path: value for path, value in contents(mdata).items() if path in paths or path.startswith(groups)}
        if not before:
            raise AssertionError(f"{paths} are not there from the start")
        try:
            verb(mdata, world)
        finally:
            after = contents(mdata)
            altered = [path for path, value in before.items() if after.get(path) != value]
            if altered:
                raise Lost(f"altered {', '.join(altered)}")
        return mdata

    return act


INPUTS: dict[str, tuple[str, Callable[[MuData, World], Any]]] = {
    "train on labels by hand": ("obs/scmoe_label", lambda m, w: tl_train(m, labels_key="scmoe_label")),
    "train on clusters as batches": ("obs/scmoe_cluster", lambda m, w: tl_train(m, batch_key="scmoe_cluster")),
    "train on clusters as labels": ("obs/scmoe_cluster", lambda m, w: tl_train(m, labels_key="scmoe_cluster")),
    "train on clusters as covariates": (
        "obs/scmoe_cluster",
        lambda m, w: tl_train(m, categorical_covariate_keys=["scmoe_cluster"]),
    ),
    "train on confidence": (
        "obs/scmoe_label_confidence",
        lambda m, w: tl_train(m, continuous_covariate_keys=["scmoe_label_confidence"]),
    ),
    "train on the denoised layer": (
        "mod/rna/layers/scmoe_denoised",
        lambda m, w: tl_train(m, layers={"rna": "scmoe_denoised"}),
    ),
    "groups of clusters, attention": ("obs/scmoe_", lambda m, w: tl.attention(m, w.model, groupby="scmoe_cluster")),
    "groups of labels, usage": (
        "obs/scmoe_",
        lambda m, w: tl.expert_usage(m, w.model, groupby="scmoe_label", n_permutations=9),
    ),
    "groups of labels, cards": (
        "obs/scmoe_",
        lambda m, w: tl.expert_cards(m, w.model, groupby="scmoe_label", n_permutations=9),
    ),
    "groups of clusters, ablation": ("obs/scmoe_", lambda m, w: tl.ablation(m, w.model, groupby="scmoe_cluster")),
    "groups of clusters, attribute": (
        "obs/scmoe_",
        lambda m, w: tl.attribute(m, w.model, groupby="scmoe_cluster", n_steps=2, n_cells=8),
    ),
    "split of labels by hand": ("obs/scmoe_", lambda m, w: pp.split(m, labels_key="scmoe_label")),
    "split into its own labels": ("obs/kind", lambda m, w: pp.split(m, labels_key="kind", key_added="kind")),
    "split into its own groups": ("obs/batch", lambda m, w: pp.split(m, group_key="batch", key_added="batch")),
    "tags into a matrix": ("mod/adt/var/", lambda m, w: pp.assign_tags(m, "adt", features=["CD0", "CD1"])),
    "niche named rna": ("mod/rna/", lambda m, w: pp.niche(m, key_added="rna")),
    "niche named adt": ("mod/adt/", lambda m, w: pp.niche(m, key_added="adt")),
    "umap keeps the embedding": ("obsm/X_scmoe", lambda m, w: tl.umap(m)),
    "cluster keeps labels": ("obs/scmoe_label", lambda m, w: tl.cluster(m, n_clusters=3, method="kmeans")),
    "impute keeps labels": ("obs/scmoe_", lambda m, w: tl.impute(m, w.model, source="rna", target="adt")),
    "denoise keeps labels": ("obs/scmoe_", lambda m, w: tl.denoise(m, w.model, modality="rna")),
}


def of_batches_under_our_name(world: World, column: str, role: str) -> Any:
    """A model that was trained with one of our columns as labels or batches, under another key."""
    mdata = by_hand(world)
    return tl_train(mdata, key_added="other", **{role: column}), mdata


def reading(column: str, role: str, verb: Callable[[Any, Any], Any]) -> Callable[[World], Any]:
    """A verb whose model reads a column that the verb would also write."""

    def act(world: World) -> Any:
        with quiet():
            model, mdata = of_batches_under_our_name(world, column, role)
        before = contents(mdata)[f"obs/{column}"]
        try:
            verb(mdata, model)
        finally:
            if contents(mdata).get(f"obs/{column}") != before:
                raise Lost(f"altered obs/{column}")
        return mdata

    return act


READING = {
    "map_query of a model of clusters as batches": ("scmoe_cluster", "batch_key", tl.map_query),
    "cluster beside a model of clusters as batches": (
        "scmoe_cluster",
        "batch_key",
        lambda m, o: tl.map_query(m, o),
    ),
    "annotate of a model of labels by hand": ("scmoe_label", "labels_key", tl.annotate),
    "map_query of a model of labels by hand": ("scmoe_label", "labels_key", tl.map_query),
    "map_query of a model of the score": ("scmoe_mapping_score", "continuous_covariate_keys", tl.map_query),
}
OWN = (
    "uns/scmoe/remark",
    "uns/scmoe/imbalance/",
    "uns/scmoe/mine/",
    "obs/scmoe_label_mine",
    "obs/scmoe_notes",
    "obsm/scmoe_gates",
    "obsm/scmoe_adt_from_flow",
    "obsm/X_scmoe_mine",
    "mod/rna/layers/scmoe_mine",
    "mod/rna/obs/scmoe_notes",
    "mod/rna/obsm/X_scmoe_mine",
    "mod/adt/obsm/scmoe_gates",
)


def with_own(world: World, data: str = "prepared") -> MuData:
    """Data with things of the user's own under names that begin as ours."""
    mdata = world.copy(data)
    n = mdata.n_obs
    mdata.uns["scmoe"] |= {"remark": "keep", "imbalance": {"rho": 3}, "mine": {"table": np.arange(3)}}
    mdata.obs["scmoe_label_mine"], mdata.obs["scmoe_notes"] = "mine", "note"
    mdata.obsm["scmoe_gates"] = np.arange(2 * n).reshape(n, 2) % 3 == 0
    mdata.obsm["scmoe_adt_from_flow"] = np.ones((n, 2))
    mdata.obsm["X_scmoe_mine"] = np.ones((n, 2))
    rna, adt = mdata["rna"], mdata["adt"]
    rna.layers["scmoe_mine"] = rna.X.copy()
    rna.obs["scmoe_notes"] = "note"
    rna.obsm["X_scmoe_mine"] = np.ones((rna.n_obs, 2))
    adt.obsm["scmoe_gates"] = np.ones((adt.n_obs, 2), bool)
    return mdata


VERBS: dict[str, Callable[[MuData, World], Any]] = {
    "train": lambda m, w: tl_train(m, **SETUP),
    "train twice": lambda m, w: (tl_train(m, **SETUP), tl_train(m)),
    "map_query": lambda m, w: tl.map_query(m, w.model),
    "map_query twice": lambda m, w: (tl.map_query(m, w.model), tl.map_query(m, w.plain_model)),
    "embed": lambda m, w: tl.embed(m, w.model),
    "annotate": lambda m, w: tl.annotate(m, w.model),
    "impute": lambda m, w: tl.impute(m, w.model, source="rna", target="adt"),
    "denoise": lambda m, w: tl.denoise(m, w.model, modality="rna"),
    "cluster": lambda m, w: (tl.embed(m, w.model), tl.cluster(m, n_clusters=3, method="kmeans")),
    "expert_usage": lambda m, w: tl.expert_usage(m, w.model, n_permutations=9),
    "prepare again": lambda m, w: pp.prepare(m),
    "split": lambda m, w: pp.split(m),
    "niche": lambda m, w: pp.niche(m),
}


def with_counts(world: World) -> MuData:
    """Raw, with layers of the user's own under the names that `prepare` writes."""
    mdata = world.copy("raw")
    rna = mdata["rna"]
    rna.layers["counts"] = rna.X.copy()
    rna.layers["X_before_prepare"] = rna.X.copy() * 3
    rna.X = rna.X.copy() * 2.5
    return mdata


def cases() -> Iterator[Case]:
    for name, (path, verb) in INPUTS.items():
        yield made(name, keeping((path,), by_hand, verb), ("key_added", "scmoe", "labels_key"))
    for name, (column, role, verb) in READING.items():
        yield made(name, reading(column, role, verb), ("key_added", column))
    for name, verb in VERBS.items():
        yield made(f"{name} beside own things", keeping(OWN, with_own, verb), ("key_added", "scmoe"))
    for layer in ("counts", "X_before_prepare"):
        path = f"mod/rna/layers/{layer}"
        yield made(f"prepare beside own {layer}", keeping((path,), with_counts, lambda m, w: pp.prepare(m)), (layer,))
    for verb in ("embed", "train", "map_query"):
        yield made(
            f"{verb} under a key of the user's",
            keeping(("uns/mine/who", "obs/note"), lambda w: w.copy(), under(verb)),
            ("mine",),
        )


def under(verb: str) -> Callable[[MuData, World], Any]:
    if verb == "train":
        return lambda m, w: tl_train(m, key_added="mine")
    return lambda m, w: getattr(tl, verb)(m, w.model, key_added="mine")


def made(name: str, act: Callable[[World], Any], words: tuple[str, ...]) -> Case:
    return Case(family=FAMILY, name=name, act=act, words=words, right=lambda value, world: True)
