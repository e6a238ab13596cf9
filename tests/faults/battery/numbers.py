"""Values that float32 cannot hold or swallows, values that say nothing, and trainings that diverge."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

import scmoe
from battery.calls import PREDICTED, PROBABILITIES, TRUTH, VALUES
from battery.judge import Case
from battery.world import N_CELLS, N_GENES, SETUP, World, fit, nothing_pulled, quiet, tl_train

FAMILY = "numbers"
tl, pp = scmoe.tl, scmoe.pp


def continuous(world: World, values: np.ndarray) -> MuData:
    """Prepared data with the modality "more", of these values, without a record."""
    mdata = world.copy()
    more = mdata["rna"][:, : values.shape[1]].copy()
    more.X, more.layers = values, {}
    more.var_names = [f"more{i}" for i in range(values.shape[1])]
    with quiet(), nothing_pulled():
        data = MuData({**{name: adata.copy() for name, adata in mdata.mod.items()}, "more": more})
    data.obs[["kind", "batch"]] = mdata.obs[["kind", "batch"]]
    data.uns["scmoe"] = mdata.uns["scmoe"]
    return data


def normal(n: int = 5) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(N_CELLS, n)) + (np.arange(N_CELLS) % 3)[:, None]


def with_one(value: float) -> np.ndarray:
    values = normal()
    values[3, 1] = value
    return values


def with_column(value: float) -> np.ndarray:
    values = normal()
    values[:, 1] = value
    return values


VALUES_OF: dict[str, tuple[np.ndarray, bool]] = {
    "one of 1e300": (with_one(1e300), False),
    "one of 3e38": (with_one(3e38), False),
    "one of 1e30": (with_one(1e30), False),
    "one of -1e300": (with_one(-1e300), False),
    "one infinite": (with_one(np.inf), False),
    "an offset of 1.7e9": (normal() + 1.7e9, False),
    "an offset of 1e16": (normal() + 1e16, False),
    "a scale of 1e300": (normal() * 1e300, False),
    "a scale of 1e-300": (normal() * 1e-300, False),
    "a constant feature": (with_column(3.0), True),
    "a constant feature of 1e9": (with_column(1e9), True),
    "constants": (np.ones((N_CELLS, 5)), True),
    "zeros": (np.zeros((N_CELLS, 5)), True),
    "a fifth missing": (np.where(np.arange(N_CELLS)[:, None] % 5 == np.arange(5), np.nan, normal()), True),
    "a scale of 1e5": (normal() * 1e5, True),
    "whole numbers": (np.round(normal() * 10).astype(np.int64), True),
    "bytes": ((normal() * 3 + 20).astype(np.uint8), False),
    "half precision": (normal().astype(np.float16), True),
    "truth values": (normal() > 0, True),
    "complex numbers": (normal() + 1j, False),
    "text": (normal().astype(str), False),
    "objects": (normal().astype(object), False),
    "dates": (normal().astype("datetime64[s]"), False),
}
"""Values of a modality, and whether they have a right result; the other ones are refused, or come out right."""


def trained(world: World, values: np.ndarray) -> Any:
    mdata = continuous(world, values)
    model = tl_train(mdata)
    return model, mdata


def finite_and_right(value: Any, world: World) -> bool:
    """Embedding and predictions are finite, and a measured column is predicted on its own scale."""
    model, mdata = value
    predicted = model.impute(["rna", "adt"], "more", mdata)
    observed = np.asarray(mdata["more"].X, float)
    observed = np.where(np.isfinite(observed), observed, np.nan)
    spread = np.maximum(np.nanstd(observed, axis=0), 1e-6 * np.abs(np.nanmean(observed, axis=0)) + 1e-300)
    near = np.abs(np.nanmean(predicted, axis=0) - np.nanmean(observed, axis=0)) < 2 * spread + 1e-6
    moves = (np.std(predicted, axis=0) > 1e-4 * spread) | (np.nanstd(observed, axis=0) == 0)
    return bool(
        np.isfinite(mdata.obsm["X_scmoe"]).all() and np.isfinite(predicted).all() and near.all() and moves.all()
    )


def of_values() -> Iterator[Case]:
    for name, (values, right) in VALUES_OF.items():
        yield Case(
            family=FAMILY,
            name=f"train on {name}",
            act=lambda w, values=values: trained(w, values),
            right=finite_and_right,
            refusable=not right,
            words=("more",),
        )
    for name, value in {"1e300": 1e300, "3e38": 3e38, "inf": np.inf, "1e12": 1e12, "-1e9": -1e9}.items():
        for verb in ("embed", "predict", "impute"):
            yield Case(
                family=FAMILY,
                name=f"{verb} of a query with {name}",
                act=lambda w, value=value, verb=verb: QUERY[verb](w.model, spoiled(w, value)),
                words=("rna", "gene1", "finite"),
                warning="WARNING.*rna",
            )


def spoiled(world: World, value: float) -> MuData:
    mdata = world.copy("bare")
    values = mdata["rna"].X.toarray().astype(np.float64)
    values[2, 1] = value
    mdata["rna"].X = sparse.csr_matrix(values)
    return mdata


QUERY: dict[str, Callable[[Any, MuData], Any]] = {
    "embed": lambda model, m: tl.embed(m, model),
    "predict": lambda model, m: model.predict(m),
    "impute": lambda model, m: model.impute("rna", "adt", m),
}
COVARIATES: dict[str, tuple[Any, bool]] = {
    "1e300": (np.r_[1e300, np.zeros(N_CELLS - 1)], False),
    "an offset of 1e17": (np.random.default_rng(0).normal(size=N_CELLS) + 1e17, False),
    "infinite": (np.r_[np.inf, np.zeros(N_CELLS - 1)], False),
    "missing": (np.r_[np.nan, np.zeros(N_CELLS - 1)], False),
    "constant": (np.ones(N_CELLS), True),
    "an offset of 1.7e9": (np.random.default_rng(0).normal(50, 5, N_CELLS) + 1.7e9, False),
    "text": (np.resize(["a", "b"], N_CELLS), False),
    "dates": (pd.date_range("2020", periods=N_CELLS).to_numpy(), False),
}


def of_covariates() -> Iterator[Case]:
    for name, (values, right) in COVARIATES.items():
        yield Case(
            family=FAMILY,
            name=f"a covariate: {name}",
            act=lambda w, values=values: covariate(w, values),
            right=lambda value, world: bool(np.isfinite(value.get_latent_representation()).all()),
            refusable=not right,
            words=("dose",),
        )


def covariate(world: World, values: Any) -> Any:
    mdata = world.copy()
    mdata.obs["dose"] = values
    return fit(mdata, setup={"continuous_covariate_keys": ["dose"]})


DIVERGING: dict[str, dict[str, Any]] = {
    "lr 1e38": {"plan_kwargs": {"lr": 1e38}},
    "lr 1e30": {"plan_kwargs": {"lr": 1e30}},
    "lr 1e20 in the last step": {"plan_kwargs": {"lr": 1e20}, "max_epochs": 1, "batch_size": 200},
    "cross_weight 1e38": {"plan_kwargs": {"cross_weight": 1e38}},
    "z_weight 1e38": {"plan_kwargs": {"z_weight": 1e38}},
    "lr 1e300": {"plan_kwargs": {"lr": 1e300}},
    "weight_decay 1e30": {"plan_kwargs": {"weight_decay": 1e30}},
    "gradient_clip 1e-300": {"plan_kwargs": {"gradient_clip": 1e-300}},
}


def of_divergence() -> Iterator[Case]:
    for name, settings in DIVERGING.items():
        yield Case(
            family=FAMILY,
            name=f"training with {name}",
            act=lambda w, settings=settings: fit(w.copy(), setup=SETUP, **settings),
            right=lambda model, world: (
                all(bool(p.isfinite().all()) for p in model.module.parameters())
                and bool(np.isfinite(model.get_latent_representation()).all())
            ),
            words=("lr", "learning rate", "weight", "gradient_clip"),
        )


def prepared_with(world: World, change: Callable[[np.ndarray], np.ndarray]) -> MuData:
    mdata = world.copy("raw")
    mdata["rna"].X = change(mdata["rna"].X.toarray().astype(np.float64))
    pp.prepare(mdata)
    return mdata


def changed(row: Any, column: Any, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[row, column] = value
        return values

    return change


EVERY = slice(None)
COUNTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], bool]] = {
    "a count of 1e300": (changed(0, 0, 1e300), False),
    "a count of 1e20": (changed(0, 0, 1e20), False),
    "an infinite count": (changed(0, 0, np.inf), False),
    "a negative count": (changed(0, 0, -1), False),
    "a missing count": (changed(0, 0, np.nan), False),
    "an empty gene": (changed(EVERY, 0, 0), True),
    "an empty cell": (changed(0, EVERY, 0), True),
    "a gene of ones": (changed(EVERY, 0, 1), True),
    "negative zeros": (lambda x: np.where(x == 0, -0.0, x), True),
    "one gene": (lambda x: np.where(np.arange(N_GENES) == 0, x, 0), True),
}


def of_counts() -> Iterator[Case]:
    for name, (change, right) in COUNTS.items():
        yield Case(
            family=FAMILY,
            name=f"prepare of {name}",
            act=lambda w, change=change: prepared_with(w, change),
            right=lambda m, world: (
                bool(np.isfinite(as_array(m["rna"].X)).any(axis=0).sum() >= N_GENES - 1)
                and not np.isinf(as_array(m["rna"].X)).any()
                and float(np.nanmax(as_array(m["rna"].X))) < 50
            ),
            refusable=not right,
            words=("rna", "gene0"),
        )


def as_array(values: Any) -> np.ndarray:
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


SCORES: dict[str, tuple[str, dict[str, Any], Callable[[Any], bool] | None, tuple[str, ...]]] = {
    "NaN among probabilities": (
        "calibration_table",
        {"probabilities": np.where(PROBABILITIES == 0.8, np.nan, PROBABILITIES)},
        None,
        ("probabilities",),
    ),
    "probabilities above 1": ("calibration_table", {"probabilities": PROBABILITIES * 3}, None, ("probabilities",)),
    "negative probabilities": ("calibration_table", {"probabilities": -PROBABILITIES}, None, ("probabilities",)),
    "probabilities of two classes": (
        "calibration_table",
        {"probabilities": PROBABILITIES[:, :2]},
        None,
        ("probabilities",),
    ),
    "NaN among confidence": (
        "coverage_accuracy",
        {"confidence": np.where(np.arange(30) == 3, np.nan, 0.5)},
        None,
        ("confidence",),
    ),
    "an infinite confidence": (
        "coverage_accuracy",
        {"confidence": np.where(np.arange(30) == 3, np.inf, 0.5)},
        None,
        ("confidence",),
    ),
    "missing groups": (
        "per_class_scores",
        {"groups": np.where(np.arange(30) % 5 == 0, np.nan, np.arange(30) % 3), "n_boot": 9},
        None,
        ("groups",),
    ),
    "missing truth": ("confusion_table", {"truth": np.where(np.arange(30) == 1, None, TRUTH)}, None, ("truth",)),
    "missing predictions": (
        "confusion_table",
        {"predicted": np.where(np.arange(30) == 1, np.nan, PREDICTED.astype(object))},
        None,
        ("predicted",),
    ),
    "unknown predictions": (
        "confusion_table",
        {"predicted": np.where(np.arange(30) == 1, "X", PREDICTED)},
        lambda table: int(np.asarray(table.select_dtypes("number")).sum()) == 30,
        ("predicted", "'X'"),
    ),
    "truth of another length": ("confusion_table", {"truth": TRUTH[:-1]}, None, ("truth",)),
    "labels twice": ("confusion_table", {"labels": ["B", "B", "NK", "T"]}, None, ("labels",)),
    "no labels": ("confusion_table", {"labels": []}, None, ("labels",)),
    "labels that lack one": ("confusion_table", {"labels": ["B", "NK"]}, None, ("labels", "'T'")),
    "no cells": ("classification_scores", {"truth": TRUTH[:0], "predicted": PREDICTED[:0]}, None, ("truth", "cell")),
    "no bootstrap": ("per_class_scores", {"n_boot": 0}, lambda t: t["f1_low"].notna().all(), ("n_boot",)),
    "a level of 1": ("per_class_scores", {"level": 1.0, "n_boot": 9}, None, ("level",)),
    "a level of 95": ("per_class_scores", {"level": 95, "n_boot": 9}, None, ("level",)),
    "n_train of 1e300": (
        "frequency_groups",
        {"n_train": {"B": 1e300, "NK": 3, "T": 2}},
        lambda t: t["B"] == "head",
        ("n_train",),
    ),
    "negative n_train": ("frequency_groups", {"n_train": {"B": -1, "NK": 3, "T": 2}}, None, ("n_train",)),
    "NaN in n_train": ("frequency_groups", {"n_train": {"B": np.nan, "NK": 3, "T": 2}}, None, ("n_train",)),
    "recall above 1": ("recall_slope", {"recall": {"B": 1.5, "NK": 0.5, "T": 0.2}}, None, ("recall",)),
    "no common class": ("recall_slope", {"recall": {"X": 0.5, "Y": 0.4}}, None, ("recall", "n_train")),
    "constant features": (
        "feature_scores",
        {"prediction": np.ones_like(VALUES)},
        lambda table: bool((table["pearson"] == 0).all()),
        ("prediction",),
    ),
    "infinite predictions": (
        "feature_scores",
        {"prediction": np.where(VALUES > 1, np.inf, VALUES)},
        lambda table: list(table["n_cells"]) == list((VALUES <= 1).sum(axis=0)),
        ("prediction",),
    ),
    "features of 1e300": (
        "feature_scores",
        {"truth": VALUES * 1e300, "prediction": VALUES * 1e300},
        lambda table: bool(np.allclose(table["pearson"], 1)),
        ("truth",),
    ),
    "features with an offset": (
        "feature_scores",
        {"truth": VALUES + 1e9, "prediction": VALUES + 1e9},
        lambda table: bool(np.allclose(table["pearson"], 1)),
        ("truth",),
    ),
}


def of_scores() -> Iterator[Case]:
    from battery.calls import call

    for name, (function, arguments, right, words) in SCORES.items():
        yield Case(
            family=FAMILY,
            name=f"{function}: {name}",
            act=lambda w, f=function, a=arguments: call(f"metrics.{f}", w, **a),
            right=None if right is None else (lambda value, world, right=right: right(value)),
            words=words,
        )


def cases() -> Iterator[Case]:
    yield from of_values()
    yield from of_covariates()
    yield from of_divergence()
    yield from of_counts()
    yield from of_scores()
