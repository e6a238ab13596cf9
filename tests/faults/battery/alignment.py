"""Objects of pandas in another order, of other cells or classes, and positions that are none."""

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scmoe
from battery.calls import KINDS, PREDICTED, PROBABILITIES, TRUTH, VALUES, call
from battery.judge import Case
from battery.world import N_CELLS, World

FAMILY = "alignment"
CELLS = pd.Index([f"cell{i}" for i in range(N_CELLS)])
NAMES = pd.Index([f"c{i}" for i in range(len(TRUTH))])
ORDER = np.random.default_rng(1).permutation(len(TRUTH))
MASK = pd.Series(np.arange(N_CELLS) % 3 == 0, index=CELLS)


def same(first: Any, second: Any) -> bool:
    """Whether two results are equal but for rounding."""
    if isinstance(first, pd.DataFrame | pd.Series):
        number = first.select_dtypes("number") if isinstance(first, pd.DataFrame) else first
        other = second.select_dtypes("number") if isinstance(second, pd.DataFrame) else second
        return bool(np.allclose(number.to_numpy(float), other.to_numpy(float), equal_nan=True))
    if isinstance(first, np.ndarray):
        return first.shape == second.shape and bool(np.allclose(first, second, equal_nan=True))
    return repr(first) == repr(second)


def metric(name: str, **arguments: Any) -> Any:
    return getattr(scmoe.metrics, name)(**arguments)


SERIES = {"truth": pd.Series(TRUTH, NAMES), "predicted": pd.Series(PREDICTED, NAMES)}
CONFIDENCE = np.linspace(0.2, 1, len(TRUTH))
METRICS: dict[str, tuple[str, dict[str, Any], str]] = {
    "classification_scores, predicted": ("classification_scores", {"labels": KINDS}, "predicted"),
    "confusion_table, predicted": ("confusion_table", {"labels": KINDS}, "predicted"),
    "per_class_scores, predicted": ("per_class_scores", {"labels": KINDS, "n_boot": 9}, "predicted"),
    "per_class_scores, groups": (
        "per_class_scores",
        {"labels": KINDS, "n_boot": 99, "groups": pd.Series(np.arange(30) % 7 // 2, NAMES)},
        "groups",
    ),
    "matched_accuracy, predicted": ("matched_accuracy", {}, "predicted"),
    "coverage_accuracy, predicted": (
        "coverage_accuracy",
        {"labels": KINDS, "confidence": pd.Series(CONFIDENCE, NAMES)},
        "predicted",
    ),
    "coverage_accuracy, confidence": (
        "coverage_accuracy",
        {"labels": KINDS, "confidence": pd.Series(CONFIDENCE, NAMES)},
        "confidence",
    ),
    "calibration_table, predicted": (
        "calibration_table",
        {"labels": KINDS, "probabilities": pd.DataFrame(PROBABILITIES, NAMES, KINDS)},
        "predicted",
    ),
    "calibration_table, rows": (
        "calibration_table",
        {"labels": KINDS, "probabilities": pd.DataFrame(PROBABILITIES * CONFIDENCE[:, None], NAMES, KINDS)},
        "probabilities",
    ),
}
"""Function, its other arguments, and the argument that is in another order."""


def permuted(name: str, others: dict[str, Any], argument: str) -> Any:
    arguments = {**SERIES, **others}
    return metric(name, **{**arguments, argument: arguments[argument].iloc[ORDER]})


def of_metrics() -> Iterator[Case]:
    for text, (name, others, argument) in METRICS.items():
        yield Case(
            family=FAMILY,
            name=f"{text} permuted",
            act=lambda w, n=name, o=others, a=argument: permuted(n, o, a),
            right=lambda value, w, n=name, o=others: same(value, metric(n, **{**SERIES, **o})),
            words=(argument, "index", "cells"),
        )
        yield Case(
            family=FAMILY,
            name=f"{text} of other cells",
            act=lambda w, n=name, o=others, a=argument: metric(n, **renamed({**SERIES, **o}, a)),
            words=(argument, "index", "cells"),
        )
    for name in ("calibration_table", "classification_scores"):
        frame = pd.DataFrame(PROBABILITIES, NAMES, KINDS)
        yield Case(
            family=FAMILY,
            name=f"{name}, columns permuted",
            act=lambda w, n=name, f=frame: metric(n, **SERIES, labels=KINDS, probabilities=f[list(KINDS[::-1])]),
            right=lambda value, w, n=name, f=frame: same(value, metric(n, **SERIES, labels=KINDS, probabilities=f)),
            words=("probabilities", "columns"),
        )
    truth = pd.DataFrame(VALUES, NAMES, list("abcd"))
    for text, change in {
        "rows": lambda f: f.iloc[ORDER],
        "columns": lambda f: f[list("dbca")],
    }.items():
        yield Case(
            family=FAMILY,
            name=f"feature_scores, {text} permuted",
            act=lambda w, change=change: metric("feature_scores", truth=truth, prediction=change(truth + 0.1)),
            right=lambda value, w: bool((value["pearson"] > 0.999).all()) and list(value.index) == list("abcd"),
            words=("prediction", "index", "columns"),
        )
    for text, series in {
        "n_train permuted": pd.Series({"T": 5, "B": 100, "NK": 20}),
        "n_train with more classes": pd.Series({"T": 5, "B": 100, "NK": 20, "X": 3}),
    }.items():
        yield Case(
            family=FAMILY,
            name=f"recall_slope, {text}",
            act=lambda w, s=series: call("metrics.recall_slope", w, n_train=s),
            right=lambda value, w: same(value, call("metrics.recall_slope", w)),
            words=("n_train",),
        )


def renamed(arguments: dict[str, Any], argument: str) -> dict[str, Any]:
    value = arguments[argument]
    return {**arguments, argument: value.set_axis([f"other{i}" for i in range(len(value))])}


def tcav(world: World, cells: Any) -> pd.DataFrame:
    mdata = world.mdata()
    scmoe.tl.tcav(mdata, world.model, targets="B", groupby="kind", modalities=False, cells={"mine": cells}, n_random=3)
    return mdata.uns["scmoe"]["tcav"]


def panels(world: World, cells: Any) -> np.ndarray:
    """The points of `pl.imputed`, sorted."""
    figure = scmoe.pl.imputed(
        world.mdata("results"), source="rna", target="adt", features=["CD1"], cells=cells, show=False
    )
    points = np.asarray(figure.axes[0].collections[0].get_offsets())
    plt.close("all")
    return points[np.lexsort(points.T)]


def group_targets(world: World, groups: Any) -> Any:
    """The mean attributions to the first group, which depend on who is in it."""
    mdata = world.mdata()
    target = next(iter(world.model.group_targets(groups, mdata).values()))
    return world.model.get_mean_attributions(target, mdata, n_steps=2).signed["rna"]


SHUFFLED = np.random.default_rng(2).permutation(N_CELLS)
KIND = pd.Series(np.array(KINDS)[np.arange(N_CELLS) % 3], CELLS)
GIVEN: dict[str, tuple[Callable[[World, Any], Any], pd.Series, tuple[str, ...]]] = {
    "tcav(cells=)": (tcav, MASK, ("mine", "cells")),
    "pl.imputed(cells=)": (panels, MASK, ("cells",)),
    "group_targets(groups=)": (group_targets, KIND, ("groups",)),
}


def of_cells() -> Iterator[Case]:
    for name, (ask, series, words) in GIVEN.items():
        yield Case(
            family=FAMILY,
            name=f"{name} permuted",
            act=lambda w, ask=ask, s=series: ask(w, s.iloc[SHUFFLED]),
            right=lambda value, w, ask=ask, s=series: same(value, ask(w, s)),
            words=words,
        )
        yield Case(
            family=FAMILY,
            name=f"{name} without names",  # as pandas numbers a list: by position
            act=lambda w, ask=ask, s=series: ask(w, s.reset_index(drop=True)),
            right=lambda value, w, ask=ask, s=series: same(value, ask(w, s)),
            words=words,
        )
        wrong = {
            "of other cells": series.set_axis([f"other{i}" for i in range(N_CELLS)]),
            "shorter": series.iloc[:-7],
            "with other numbers as names": series.set_axis(range(1, N_CELLS + 1)),
        }
        for text, value in wrong.items():
            yield Case(family=FAMILY, name=f"{name} {text}", act=lambda w, ask=ask, v=value: ask(w, v), words=words)
    masks = {
        "mask too short": MASK.to_numpy()[:-3],
        "mask too long": np.resize(MASK.to_numpy(), N_CELLS + 3),
        "mask of numbers": np.arange(N_CELLS),
        "mask of two columns": np.zeros((N_CELLS, 2), bool),
        "no such column": "nobody",
        "a column of text": "note",
        "an empty mask": np.zeros(N_CELLS, bool),
    }
    for name in ("tcav(cells=)", "pl.imputed(cells=)"):
        ask, _, words = GIVEN[name]
        for text, value in masks.items():
            yield Case(
                family=FAMILY,
                name=f"{name} {text}",
                act=lambda w, ask=ask, v=value: ask(w, v),
                words=(*words, "nobody", "note"),
            )


def latent(world: World, indices: Any) -> np.ndarray:
    return world.model.get_latent_representation(world.mdata(), indices=indices)


def latent_of_genes(world: World, indices: Any) -> np.ndarray:
    return world.gene_model.get_latent_representation(world.mdata("genes"), indices=indices)


def ablation(world: World, indices: Any) -> pd.DataFrame:
    mdata = world.mdata()
    scmoe.tl.ablation(mdata, world.model, indices=indices)
    return mdata.uns["scmoe"]["ablation"]


ROWS = {"get_latent_representation": latent, "XTRIMOGENE.get_latent_representation": latent_of_genes}
ROWS |= {"tl.ablation": ablation}
POSITIONS = np.flatnonzero(MASK)
MEANT: dict[str, Any] = {
    "a mask": MASK.to_numpy(),
    "a mask with names, permuted": MASK.iloc[SHUFFLED],
    "a list of a mask": MASK.tolist(),
    "names": list(CELLS[POSITIONS]),
    "an index of names": CELLS[POSITIONS],
    "numbers as decimals": POSITIONS.astype(float),
    "a Series of positions": pd.Series(POSITIONS, index=POSITIONS[::-1]),
}
"""Ways to say the same cells: they are answered so, or refused."""
NONE: dict[str, Any] = {
    "out of range": [0, 10**6],
    "below range": [0, -(10**6)],
    "halves": [0.5, 1.5],
    "NaN": [0.0, np.nan],
    "a mask too short": MASK.to_numpy()[:-3],
    "a mask too long": np.resize(MASK.to_numpy(), N_CELLS + 3),
    "unknown names": ["nobody"],
    "two dimensions": [[0, 1], [2, 3]],
    "a table": pd.DataFrame({"a": [0, 1]}),
    "a number": 3,
    "no cell": [],
}


def of_indices() -> Iterator[Case]:
    for name, ask in ROWS.items():
        for text, value in MEANT.items():
            yield Case(
                family=FAMILY,
                name=f"{name}(indices={text})",
                act=lambda w, ask=ask, v=value: ask(w, v),
                right=lambda value, w, ask=ask: same(value, ask(w, POSITIONS)),
                words=("indices",),
            )
        for text, value in NONE.items():
            yield Case(
                family=FAMILY,
                name=f"{name}(indices={text})",
                act=lambda w, ask=ask, v=value: ask(w, v),
                words=("indices", "cells"),
                right=(lambda value, w: len(value) == 0) if text == "no cell" else None,
            )


def cases() -> Iterator[Case]:
    yield from of_metrics()
    yield from of_cells()
    yield from of_indices()
