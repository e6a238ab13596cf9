"""Data and settings that cannot be used: the message says where and what to do, and nothing is written."""

from collections.abc import Callable
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pytest
from mudata import MuData
from scipy import sparse

from scmoe.io._quiet import quiet_mudata


def mudata_of(**mods: ad.AnnData) -> MuData:
    with quiet_mudata():
        return MuData(mods)


def one(n_cells: int, n_features: int) -> MuData:
    return mudata_of(rna=ad.AnnData(np.random.default_rng(0).normal(size=(n_cells, n_features)).astype(np.float32)))


def same(mdata: MuData) -> MuData:
    return mdata


def without_modalities(mdata: MuData) -> MuData:
    for name in list(mdata.mod):
        del mdata.mod[name]
    return mdata


def repeated(axis: str) -> Callable[[MuData], MuData]:
    def change(mdata: MuData) -> MuData:
        adata = mdata["adt"].copy()
        names = getattr(adata, axis).to_list()
        names[1] = names[0]
        setattr(adata, axis, names)
        return mudata_of(rna=mdata["rna"].copy(), adt=adata)

    return change


def renamed(name: str) -> Callable[[MuData], MuData]:
    return lambda mdata: mudata_of(rna=mdata["rna"].copy(), **{name: mdata["adt"].copy()})


def in_no_modality(mdata: MuData) -> MuData:
    mdata.mod["rna"] = mdata["rna"][:-1].copy()
    mdata.mod["adt"] = mdata["adt"][mdata["adt"].obs_names != "cell119"].copy()
    return mdata


def entry(modality: str, rows: Any, columns: Any, value: float, layer: str | None = None) -> Callable[[MuData], MuData]:
    """Puts a value into a modality."""

    def change(mdata: MuData) -> MuData:
        values = mdata[modality].X if layer is None else mdata[modality].layers[layer]
        form = type(values) if sparse.issparse(values) else np.asarray
        values = values.toarray() if sparse.issparse(values) else values.copy()
        values[rows, columns] = value
        if layer is None:
            mdata[modality].X = form(values)
        else:
            mdata[modality].layers[layer] = form(values)
        return mdata

    return change


def column(values: Any) -> Callable[[MuData], MuData]:
    def change(mdata: MuData) -> MuData:
        mdata.obs["given"] = values if np.ndim(values) == 0 else np.resize(np.array(values, dtype=object), mdata.n_obs)
        return mdata

    return change


class Case(NamedTuple):
    change: Callable[[MuData], MuData]
    settings: dict[str, Any]
    error: type[Exception]
    match: str
    data: str = "paired"


EVERY = slice(None)


NB = {"likelihoods": {"rna": "nb"}}


def batch_of_a_modality(mdata: MuData) -> MuData:
    mdata["rna"].obs["plate"] = "a"
    return mdata


def occupied_uns(mdata: MuData) -> MuData:
    mdata.uns["mine"] = "text"
    return mdata


CASES = {
    "a table": Case(
        lambda m: m.obs, {}, TypeError, r"mdata must be a MuData or an AnnData; found a DataFrame\. Read one"
    ),
    "no modality": Case(without_modalities, {}, ValueError, "at least one modality, found none"),
    "no modality asked for": Case(same, {"modalities": []}, ValueError, "at least one modality in modalities"),
    "unknown modality": Case(same, {"modalities": ["rna", "atac"]}, KeyError, "no modality 'atac'; it has"),
    "modality without features": Case(lambda m: one(9, 0), {}, ValueError, r"mdata\['rna'\] has no features"),
    "modality without cells": Case(
        lambda m: mudata_of(rna=m["rna"].copy(), adt=m["adt"][:0].copy()),
        {},
        ValueError,
        r"mdata\['adt'\] has no cells",
    ),
    "zero cells": Case(lambda m: one(0, 9), {}, ValueError, "at least one cell"),
    "duplicate cells": Case(repeated("obs_names"), {}, ValueError, r"mdata\['adt'\] has the cell name 'cell\d+' more"),
    "duplicate features": Case(
        repeated("var_names"),
        {},
        ValueError,
        r"the feature name 'protein0' more than once\. Call .*var_names_make_unique",
    ),
    "dot in a name": Case(renamed("adt.1"), {}, ValueError, r"'adt\.1' holds '\.' or '/'.* 'adt_1'"),
    "slash in a name": Case(renamed("adt/1"), {}, ValueError, r"'adt/1' holds '\.' or '/'.* 'adt_1'"),
    "cell in no modality": Case(in_no_modality, {}, ValueError, "1 cells are in none .* the first is 'cell119'"),
    "cell in no modality asked for": Case(
        same, {"modalities": ["rna", "adt"]}, ValueError, "in none of the modalities", "ephys_only"
    ),
    "raw counts as they are": Case(
        same, {}, ValueError, r"mdata\['rna'\]\.X holds raw counts.*Run scmoe\.pp\.prepare", "raw"
    ),
    "negative counts": Case(
        entry("rna", 3, 5, -1, "counts"),
        NB,
        ValueError,
        r"layers\['counts'\].* found -1 for feature 'gene5' in cell 'cell3'",
    ),
    "fractional counts": Case(entry("rna", 3, 5, 0.5, "counts"), NB, ValueError, "found 0.5 for feature 'gene5'"),
    "fractional X as counts": Case(
        same, {"layers": {"rna": "log"}, **NB}, ValueError, r"layers\['log'\] must hold raw counts", "with_log"
    ),
    "infinite value": Case(
        entry("adt", 0, 2, np.inf),
        {},
        ValueError,
        r"mdata\['adt'\]\.X .* found inf for feature 'protein2' in cell 'cell\d",
    ),
    "infinite value, sparse": Case(
        entry("rna", 7, 2, -np.inf), {}, ValueError, "found -inf for feature 'gene2' in cell 'cell7'"
    ),
    "unknown layer": Case(same, {"layers": {"rna": "raw"}}, KeyError, "no layer 'raw'; found counts"),
    "layer of an unknown modality": Case(same, {"layers": {"atac": "x"}}, KeyError, "layers names the modality 'atac'"),
    "likelihood of an unknown modality": Case(
        same, {"likelihoods": {"atac": "nb"}}, KeyError, "likelihoods names the modality 'atac'"
    ),
    "unknown likelihood": Case(same, {"likelihoods": {"rna": "zinb"}}, ValueError, "one of gaussian, nb.*'zinb'"),
    "unknown batch key": Case(
        same, {"batch_key": "site"}, KeyError, "batch_key='site' is not a column.*cell_type, batch"
    ),
    "unknown label key": Case(same, {"labels_key": "type"}, KeyError, "labels_key='type' is not a column"),
    "one class and missing labels": Case(
        column(["T", None]), {"labels_key": "given"}, ValueError, r"at least two classes .* found \['T'\]"
    ),
    "split of other values": Case(
        column(["train", "held out"]), {"split_key": "given"}, ValueError, "found 'held out' in cell 'cell1'"
    ),
    "missing batches": Case(
        column(["1", None]), {"batch_key": "given"}, ValueError, "60 cells have none, the first is 'cell1'"
    ),
    "one class": Case(column("T"), {"labels_key": "given"}, ValueError, r"at least two classes .* found \['T'\]"),
    "one class and unlabeled cells": Case(
        column(["T", "Unknown"]), {"labels_key": "given"}, ValueError, r"at least two classes .* found \['T'\]"
    ),
    "one class in training": Case(
        column(["T"] * 119 + ["B"]),
        {"labels_key": "given", "train_kwargs": {"train_size": 0.1}},
        ValueError,
        "12 training cells have fewer than two classes of 'given'",
    ),
    "no training cell of a modality": Case(
        lambda m: mudata_of(rna=m["rna"].copy(), adt=m["adt"][:1].copy()),
        {"train_kwargs": {"train_size": 0.1}},
        ValueError,
        "No training cell has a value of the modality 'adt'",
    ),
    "more experts a token than experts": Case(same, {"top_k": 5}, ValueError, "top_k=5 .* n_experts=4. Lower top_k"),
    "width and heads": Case(
        same, {"n_hidden": 17}, ValueError, "n_hidden=17 must be a multiple of n_heads=2.* 16 would"
    ),
    "no expert": Case(same, {"n_experts": 0}, ValueError, "n_experts must be a whole number of at least 1; found 0"),
    "dropout of everything": Case(
        same, {"dropout": 1.0}, ValueError, r"dropout must be a number of at least 0 and below 1"
    ),
    "one cluster": Case(same, {"n_clusters": 1}, ValueError, "n_clusters must be None or at least 2"),
    "unknown tokenizer": Case(same, {"tokenizer": "gene"}, ValueError, "tokenizer must be one of 'program', 'patch'"),
    "unknown setting": Case(same, {"n_expert": 3}, TypeError, "no argument 'n_expert'. Did you mean 'n_experts'?"),
    "unknown training setting": Case(
        same,
        {"train_kwargs": {"plan_kwargs": {"learning": 3}}},
        TypeError,
        "TrainConfig has no argument 'learning'",
    ),
    "misplaced setting": Case(same, {"train_kwargs": {"lr": 1e-3}}, TypeError, "Pass plan_kwargs={'lr': ...}"),
    "half an epoch": Case(same, {"max_epochs": 1.5}, TypeError, "whole number of at least 1 or None; found 1.5"),
    "negative seed": Case(same, {"seed": -1}, ValueError, "seed must be a whole number .* found -1"),
    "several batch keys": Case(
        same, {"batch_key": ["batch"]}, TypeError, r"batch_key must be text or None; found \['batch'\]"
    ),
    "batch key of a modality": Case(
        batch_of_a_modality,
        {"batch_key": "plate"},
        KeyError,
        r"mdata\['rna'\]\.obs has it: mdata\.obs\['plate'\] = mdata",
    ),
    "name that files cannot hold": Case(same, {"key_added": "a/b"}, ValueError, "key_added must be a name without"),
    "results that cannot be stored": Case(
        occupied_uns, {"key_added": "mine"}, ValueError, r"uns\['mine'\] must be free for results; found a str"
    ),
    "more clusters than cells": Case(
        same, {"n_clusters": 500}, ValueError, "n_clusters=500 is more than .* cells, 120"
    ),
    "learning rate of zero": Case(
        same, {"train_kwargs": {"plan_kwargs": {"lr": 0}}}, ValueError, "lr must be a number above 0; found 0"
    ),
    "no epoch": Case(
        same, {"max_epochs": 0}, ValueError, "max_epochs must be a whole number of at least 1 or None; found 0"
    ),
    "endless epochs": Case(
        same, {"max_epochs": -1}, ValueError, "max_epochs must be a whole number of at least 1 or None; found -1"
    ),
    "empty batches": Case(
        same, {"train_kwargs": {"batch_size": 0}}, ValueError, "batch_size must be a whole number of at least 1"
    ),
    "share of training cells": Case(
        same, {"train_kwargs": {"train_size": 1.5}}, ValueError, "train_size must be a number above 0 and at most 1"
    ),
    "early stopping without validation": Case(
        same,
        {"train_kwargs": {"train_size": 1.0, "early_stopping": True}},
        ValueError,
        "early_stopping needs validation",
    ),
    "resume without a folder": Case(
        same, {"train_kwargs": {"resume": True}}, ValueError, "resume=True needs the checkpoint"
    ),
    "training that fails": Case(
        same, {"train_kwargs": {"plan_kwargs": {"lr": 1e38}}}, FloatingPointError, "Lower the learning rate"
    ),
}


@pytest.fixture
def data(fresh: Callable[[str], MuData], request: pytest.FixtureRequest) -> MuData:
    """The unspoiled data of a case."""
    name = CASES[request.param].data
    if name == "ephys_only":
        mdata = fresh("mosaic")
        mdata.mod["rna"] = mdata["rna"][mdata["rna"].obs_names != "cell1"].copy()
        return mdata
    if name == "with_log":
        mdata = fresh("paired")
        mdata["rna"].layers["log"] = mdata["rna"].X.copy()
        return mdata
    return fresh(name)


@pytest.mark.parametrize(("data", "name"), [(name, name) for name in CASES], indirect=["data"], ids=list(CASES))
def test_training_refuses(data, name, tl_train, contents):
    change, settings, error, match, _ = CASES[name]
    spoiled = change(data)
    before = contents(spoiled)
    with pytest.raises(error, match=match):
        tl_train(spoiled, **settings)
    assert contents(spoiled) == before
