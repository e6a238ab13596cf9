"""Names that are one after cleaning, or read as something else: none shows or returns the values of the other."""

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from mudata import MuData

import scmoe
from battery.judge import Case
from battery.world import N_CELLS, World, fit, nothing_pulled, quiet, tl_train, write

FAMILY = "names"
tl, pp = scmoe.tl, scmoe.pp
TWINS = ("T/NK", "T_NK", "B")


def with_labels(world: World, labels: tuple[Any, ...] = TWINS) -> MuData:
    mdata = world.copy()
    mdata.obs["twin"] = pd.Categorical(np.array(labels, dtype=object)[np.arange(N_CELLS) % 3])
    return mdata


def again(mdata: MuData, world: World) -> MuData:
    """Write to a file and read it."""
    path = world.tmp / "again.h5mu"
    write(mdata, path)
    return scmoe.datasets.read(path)


def labels_after_reading(world: World) -> bool:
    """Probabilities of twins stay those of their own label."""
    mdata = with_labels(world)
    model = fit(mdata, setup={"labels_key": "twin"}, max_epochs=8, plan_kwargs={"lr": 1e-2})
    tl.annotate(mdata, model)
    expected = model.predict(mdata, soft=True)
    stored = again(mdata, world).obsm["scmoe_label_probability"]
    order = [list(expected.columns).index(label) for label in expected]
    return np.allclose(np.asarray(stored, float), expected.to_numpy()[:, order], atol=1e-5)


def attribution_of_twins(world: World) -> bool:
    """Each twin's table is the one that it has alone."""
    mdata = with_labels(world)
    options = {"groupby": "twin", "n_steps": 2, "n_cells": 8}
    tl.attribute(mdata, world.plain_model, **options)
    both = mdata.uns["scmoe"]["attribution"]
    for label in TWINS[:2]:
        alone = with_labels(world)
        tl.attribute(alone, world.plain_model, label, **options)
        expected = alone.uns["scmoe"]["attribution"].set_index("feature")["attribution"]
        table = both[both["target"] == label].set_index("feature")["attribution"].reindex(expected.index)
        if not np.allclose(table, expected, atol=1e-6):
            return False
    return True


def groups_of_twins(world: World) -> bool:
    mdata = with_labels(world)
    tl.expert_usage(mdata, world.model, groupby="twin", n_permutations=9)
    table = again(mdata, world).uns["scmoe"]["expert_usage"]
    return set(TWINS) <= set(table["group"])


def pulled(data: dict[str, Any]) -> MuData:
    with quiet(), nothing_pulled():
        return MuData(data)


def combined(world: World, name: str) -> bool:
    """A modality that is called like two others together: predictions from it and from both are kept apart."""
    source = world.copy()
    third = source["adt"].copy()
    third.var_names = [f"third{i}" for i in range(third.n_vars)]
    mdata = pulled({"rna": source["rna"], "adt": source["adt"], name: source["rna"].copy(), "third": third})
    mdata.uns["scmoe"] = source.uns["scmoe"]
    model = tl_train(mdata)
    results = []
    for sources in (["rna", "adt"], name):
        tl.impute(mdata, model, source=sources, target="third")
        results.append(model.impute(sources, "third", mdata))
    frames = [value for key, value in mdata.obsm.items() if "third_from" in key and not key.endswith("_sd")]
    stored = [np.asarray(frame, float) for frame in frames]
    return all(any(np.allclose(result, one, atol=1e-5) for one in stored) for result in results)


def features_of_twins(world: World) -> bool:
    """Predictions of the features CD/0 and CD_0 are drawn as their own."""
    mdata = world.copy()
    names = list(mdata["adt"].var_names)
    names[:2] = ["CD/0", "CD_0"]
    mdata["adt"].var_names = names
    with nothing_pulled():
        mdata.update()
    model = tl_train(mdata)
    tl.impute(mdata, model, source="rna", target="adt")
    expected = np.asarray(model.impute("rna", "adt", mdata))[:, :2]
    for data in (mdata, again(mdata, world)):
        figure = scmoe.pl.imputed(data, source="rna", target="adt", features=["CD/0", "CD_0"], show=False)
        drawn = [np.asarray(ax.collections[0].get_offsets())[:, 1] for ax in figure.axes[:2]]
        plt.close("all")
        if not np.allclose(np.array(drawn).T, expected, atol=1e-4):
            return False
    return True


def sets_of_twins(world: World) -> bool:
    mdata = world.copy()
    sets = {"a/b": ["gene0", "gene3", "gene6"], "a_b": ["gene1", "gene4", "gene7"]}
    tl.tcav(mdata, world.model, groupby="kind", targets="B", modalities=False, gene_sets=sets, n_random=3)
    table = again(mdata, world).uns["scmoe"]["tcav"]
    return set(sets) <= set(table["concept"]) and table["cav_accuracy"].notna().all()


def models_of_twins(world: World) -> bool:
    mdata = world.copy()
    tl.expert_stability(mdata, {"a/b": world.model, "a_b": world.plain_model}, n_permutations=9)
    table = again(mdata, world).uns["scmoe"]["expert_stability"]
    return set(table["model"]) | set(table["other"]) >= {"a/b", "a_b"}


def batches_of_twins(world: World) -> bool:
    mdata = world.copy()
    mdata.obs["twin"] = np.where(np.arange(N_CELLS) % 2, "a/b", "a_b")
    model = fit(mdata, setup={"batch_key": "twin"})
    results = [model.get_normalized("rna", mdata, transform_batch=batch) for batch in ("a/b", "a_b")]
    model.save(world.tmp / "model")
    loaded = scmoe.model.SCMOE.load(world.tmp / "model", mdata)
    return np.allclose(results[0], loaded.get_normalized("rna", transform_batch="a/b"), atol=1e-5) and not np.allclose(
        *results
    )


def spaces(world: World) -> list[str]:
    """Labels that differ in a space at the end."""
    mdata = with_labels(world, ("B", "B ", "T"))
    return list(fit(mdata, setup={"labels_key": "twin"}).predict(mdata))


def keys_of_twins(world: World) -> bool:
    """Results under the keys "a" and "a_label" stay apart."""
    mdata = world.copy()
    tl.annotate(mdata, world.model, key_added="a")
    before = mdata.obs["a_label"].copy()
    tl.embed(mdata, world.plain_model, key_added="a_label")
    return mdata.obs["a_label"].equals(before)


def key_of_a_modality(world: World) -> bool:
    """Results under a key called like a modality do not replace that modality."""
    mdata = world.copy()
    before = mdata["rna"].X.copy()
    tl.embed(mdata, world.model, key_added="rna")
    return (mdata["rna"].X != before).nnz == 0 and mdata.obsm["X_rna"].shape[0] == N_CELLS


def key_of_obsm(world: World) -> bool:
    """The membership masks that mudata keeps in ``obsm`` under the names of modalities stay."""
    mdata = world.copy()
    tl.impute(mdata, world.model, source="rna", target="adt", key_added="rna")
    return mdata.obsm["rna"].dtype == bool


def shared_features(world: World) -> bool:
    """CD1 as gene and as protein: a target named "CD1" is said to be ambiguous, or the values are those of one."""
    mdata = world.copy()
    names = list(mdata["rna"].var_names)
    names[0] = "CD1"
    mdata["rna"].var_names = names
    with nothing_pulled():
        mdata.update()
    model = tl_train(mdata)
    tl.impute(mdata, model, source="rna", target="adt")
    return np.allclose(mdata.obsm["scmoe_adt_from_rna"]["CD1"], model.impute("rna", "adt", mdata)[:, 1], atol=1e-5)


RIGHT: dict[str, Callable[[World], bool]] = {
    "labels after reading": labels_after_reading,
    "attribution of twins": attribution_of_twins,
    "groups of twins": groups_of_twins,
    "features of twins": features_of_twins,
    "gene sets of twins": sets_of_twins,
    "models of twins": models_of_twins,
    "batches of twins": batches_of_twins,
    "keys of twins": keys_of_twins,
    "key of a modality": key_of_a_modality,
    "key of a membership": key_of_obsm,
    "features of two modalities": shared_features,
    **{
        f"modality {name!r}": (lambda w, name=name: combined(w, name)) for name in ("rna+adt", "rna_adt", "rna_and_adt")
    },
}


def renamed(world: World, name: Any) -> MuData:
    source = world.copy("raw")
    return pulled({name: source["rna"], "adt": source["adt"]})


def modality_called(name: str) -> Callable[[World], Any]:
    def act(world: World) -> Any:
        mdata = renamed(world, name)
        pp.prepare(mdata, kinds={name: "rna", "adt": "protein"})
        tl_train(mdata)
        return again(mdata, world)

    return act


def cell_names(world: World, names: list[Any]) -> Any:
    mdata = world.copy()
    for adata in mdata.mod.values():
        adata.obs_names = names
    return pulled({name: adata.copy() for name, adata in mdata.mod.items()})


ODD = ("RNA seq", "α-RNA", "rna:adt", "obs", "mod", "scmoe", "X", "rna_sd", "a" * 200, "", ".", "a/b", "a.b", "rna\n")


LABELS = {"None and 'nan'": ("nan", "B", "None"), "''": ("", "B", "T")}


def cases() -> Iterator[Case]:
    for name, act in RIGHT.items():
        yield Case(
            family=FAMILY,
            name=name,
            act=act,
            right=lambda value, world: bool(value),
            words=("/", "name", "key_added", "rna+adt", "twice", "modality"),
        )
    for name in ODD:
        yield Case(
            family=FAMILY,
            name=f"a modality called {name[:12]!r}",
            act=modality_called(name),
            right=lambda value, world, name=name: set(value.mod) == {name, "adt"} and "X_scmoe" in value.obsm,
            words=("modality", "name", "mdata["),
        )
    yield Case(
        family=FAMILY,
        name="labels that differ in a space",
        act=spaces,
        right=lambda value, world: set(value) <= {"B", "B ", "T"},
        words=("'B '",),
    )
    for key in ("a/b", "a.b", "", " ", "obs/x"):
        yield Case(
            family=FAMILY,
            name=f"embed(key_added={key!r})",
            act=lambda w, key=key: again(embedded(w, key), w),
            right=lambda value, world, key=key: f"X_{key}" in value.obsm,
            words=("key_added",),
        )
    for text, labels in LABELS.items():
        yield Case(
            family=FAMILY,
            name=f"labels {text}",
            act=lambda w, labels=labels: fit(with_labels(w, labels), setup={"labels_key": "twin"}).predict(),
            right=lambda value, world, labels=labels: (
                set(map(str, value)) <= set(map(str, labels)) and "1" not in labels
            ),
            words=("twin", "labels_key"),
        )


def embedded(world: World, key: str) -> MuData:
    mdata = world.copy()
    tl.embed(mdata, world.model, key_added=key)
    return mdata
