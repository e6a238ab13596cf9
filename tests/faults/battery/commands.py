"""Commands with options and files that do not fit: one message, no traceback, nothing half-written."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from typer.testing import CliRunner

import scmoe
from battery.folders import cut, put, write
from battery.judge import Case, Lost, Reported
from battery.world import World, quiet, raw

FAMILY = "commands"


def run(*arguments: Any) -> str:
    """The output of a command; an error that it reports is raised as `Reported`, any other one as it is."""
    from scmoe.cli import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code:
        raise Reported(" ".join(result.stderr.replace("│", " ").split())[-1200:])
    return result.stdout


def data(world: World) -> Path:
    """A file of raw counts."""
    return world.file("raw")


def damaged(world: World, change: Any) -> Path:
    """A file of data, changed as `folders` changes those of models."""
    path = world.tmp / "data.h5mu"
    path.write_bytes(data(world).read_bytes())
    change(world.tmp, world)
    return path


def table(world: World) -> Path:
    path = world.tmp / "table.csv"
    pd.DataFrame({"a": [1, 2]}).to_csv(path)
    return path


def other_h5(world: World) -> Path:
    path = world.tmp / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(3)
    return path


def written(world: World, name: str, change: Callable[[Any], Any]) -> Path:
    """A file of data with something odd in it."""
    mdata = raw()
    change(mdata)
    with quiet():
        mdata.write(world.tmp / name)
    return world.tmp / name


def h5ad(world: World) -> Path:
    path = world.tmp / "data.h5ad"
    raw()["rna"].write_h5ad(path)
    return path


def no_cells(mdata: Any) -> None:
    for name in mdata.mod:
        mdata.mod[name] = mdata.mod[name][:0].copy()
    mdata.update()


def repeated_cells(mdata: Any) -> None:
    names = list(mdata["rna"].obs_names)
    mdata["rna"].obs_names = [names[1], *names[1:]]


FILES: dict[str, Callable[[World], Path]] = {
    "no file": lambda w: w.tmp / "nothing.h5mu",
    "a folder": lambda w: w.folder("data.h5mu"),
    "a table": table,
    "an empty file": lambda w: damaged(w, write("data.h5mu", b"")),
    "text": lambda w: damaged(w, write("data.h5mu", b"not HDF5")),
    "half a file": lambda w: damaged(w, cut("data.h5mu", 0.5)),
    "a tenth of a file": lambda w: damaged(w, cut("data.h5mu", 0.1)),
    "another HDF5": other_h5,
    "a model": lambda w: w.folder("other") / "weights.safetensors",
    "negative counts": lambda w: written(w, "a.h5mu", lambda m: m["rna"].X.data.__setitem__(0, -1)),
    "infinite counts": lambda w: written(w, "a.h5mu", lambda m: m["rna"].X.data.__setitem__(0, np.inf)),
}
"""Inputs that no command can use."""
WORDS_OF_FILES = (".h5", "nothing", "table.csv", "weights", "data", "rna")


def train(world: World, *options: Any, file: Path | None = None) -> Any:
    output = world.tmp / "run"
    run("train", file or data(world), "-o", output, "--epochs", 1, "--accelerator", "cpu", *options)
    return output


OPTIONS: dict[str, tuple[tuple[Any, ...], tuple[str, ...]]] = {
    "no such column, batch": (("--batch", "site"), ("--batch", "site")),
    "no such column, labels": (("--labels-key", "type"), ("--labels-key", "type")),
    "no such column, split": (("--split-key", "split"), ("--split-key", "split")),
    "labels of numbers": (("--labels-key", "age"), ("--labels-key", "age")),
    "labels all different": (("--labels-key", "note"), ("--labels-key", "note")),
    "no such modality": (("--modality", "atac"), ("atac", "--modality")),
    "no such kind": (("--kind", "rna=rnaseq"), ("--kind", "rnaseq")),
    "kind without a modality": (("--kind", "rna"), ("--kind",)),
    "kind of no modality": (("--kind", "atac=peaks"), ("--kind", "atac")),
    "no such layer": (("--layer", "rna=raw"), ("--layer", "raw")),
    "layer of no modality": (("--layer", "atac=counts"), ("--layer", "atac")),
    "too many clusters": (("--n-clusters", 10**6), ("--n-clusters",)),
    "one cluster": (("--n-clusters", 1), ("--n-clusters",)),
    "no epochs": (("--epochs", 0), ("--epochs", "--max-epochs")),
    "epochs of text": (("--epochs", "many"), ("--epochs", "--max-epochs")),
    "a negative seed": (("--seed", -1), ("--seed",)),
    "a huge seed": (("--seed", 2**40), ("--seed",)),
    "no such balance": (("--class-balance", "fair"), ("--class-balance", "fair")),
    "balance without labels": (("--class-balance", "focal"), ("--class-balance", "--labels-key")),
    "no such accelerator": (("--accelerator", "tpu"), ("--accelerator",)),
    "no such GPU": (("--accelerator", "gpu"), ("--accelerator", "GPU")),
    "no such format": (("--format", "csv"), ("--format",)),
    "one modality's format": (("--format", "h5ad"), (".h5ad",)),
    "no such option": (("--epoch", 3), ("--epochs",)),
    "no such column, use_var": (("--use-var", "mine"), ("--use-var", "mine")),
    "no top features": (("--n-top-features", 0), ("--n-top-features",)),
    "resume of nothing": (("--resume",), ("--resume",)),
    "genome of another file": (("--genome", "GRCh38"), ("--genome",)),
}
"""Options of `scmoe train`, and what the message names."""
HARMLESS = {"labels all different", "no such column, use_var", "balance without labels"}
HARMLESS |= {"genome of another file"}
"""Options that may also be taken, with a warning or because they change nothing."""


def query(world: World, command: str, *options: Any, file: Path | None = None, model: Path | None = None) -> Any:
    output = world.tmp / "out.h5mu"
    run(command, file or data(world), "--model", model or world.folder(), "-o", output, *options)
    return output


IMPUTE = ("--source", "rna", "--target", "adt")
QUERIES: dict[str, tuple[Callable[[World], Any], tuple[str, ...]]] = {
    "embed without a model": (lambda w: query(w, "embed", model=w.tmp / "none"), ("none", "model")),
    "embed with a file as model": (lambda w: query(w, "embed", model=data(w)), ("model",)),
    "embed with a gene model": (lambda w: query(w, "embed", model=w.folder("g", genes=True)), ("XTRIMOGENE",)),
    "embed with a damaged model": (lambda w: query(w, "embed", model=broken(w)), ("settings.json",)),
    "embed with a shortened model": (lambda w: query(w, "embed", model=shortened(w)), ("weights",)),
    "annotate without labels": (lambda w: query(w, "annotate", model=unlabeled(w)), ("--labels-key", "labels")),
    "annotate, coverage of 2": (lambda w: query(w, "annotate", "--coverage", 2), ("--coverage",)),
    "annotate, coverage of nan": (lambda w: query(w, "annotate", "--coverage", "nan"), ("--coverage",)),
    "annotate, label that is known": (
        lambda w: query(w, "annotate", "--coverage", 0.5, "--reject-label", "B"),
        ("--reject-label", "'B'"),
    ),
    "annotate, empty label": (lambda w: query(w, "annotate", "--reject-label", ""), ("--reject-label",)),
    "impute, no such source": (lambda w: query(w, "impute", "--source", "atac", "--target", "adt"), ("atac",)),
    "impute, no such target": (lambda w: query(w, "impute", "--source", "rna", "--target", "CD1"), ("CD1",)),
    "impute, target as source": (lambda w: query(w, "impute", "--source", "rna", "--target", "rna"), ("rna",)),
    "impute, no such batch": (
        lambda w: query(w, "impute", *IMPUTE, "--transform-batch", "x"),
        ("--transform-batch", "batch 'x'"),
    ),
    "denoise, no such modality": (lambda w: query(w, "denoise", "--modality", "atac"), ("atac",)),
    "denoise without a modality": (lambda w: query(w, "denoise"), ("--modality",)),
    "embed, no such kind": (lambda w: query(w, "embed", "--kind", "rna=x"), ("--kind", "'x'")),
    "embed, other suffix": (
        lambda w: run("embed", data(w), "--model", w.folder(), "-o", w.tmp / "out.csv"),
        (".h5mu", "out.csv"),
    ),
    "embed, output there": (lambda w: over(w), ("--overwrite",)),
    "embed, output is the input": (
        lambda w: run("embed", mine(w), "--model", w.folder(), "-o", mine(w)),
        ("--overwrite", "data.h5mu"),
    ),
}


def broken(world: World) -> Path:
    folder = world.folder()
    put(("config",), None)(folder, world)
    return folder


def shortened(world: World) -> Path:
    folder = world.folder()
    cut("weights.safetensors", 0.5)(folder, world)
    return folder


def unlabeled(world: World) -> Path:
    world.plain_model.save(world.tmp / "plain")
    return world.tmp / "plain"


def mine(world: World) -> Path:
    path = world.tmp / "data.h5mu"
    if not path.exists():
        path.write_bytes(data(world).read_bytes())
    return path


def over(world: World) -> Any:
    path = world.tmp / "out.h5mu"
    path.write_text("mine")
    try:
        return query(world, "embed")
    finally:
        if path.read_text() != "mine":
            raise Lost("the file that was there is gone")


RIGHT: dict[str, Callable[[World], Any]] = {
    "train": lambda w: train(w, "--labels-key", "kind", "--batch", "batch") / "result.h5mu",
    "train on an .h5ad": lambda w: train(w, file=h5ad(w)) / "result.h5mu",
    "embed": lambda w: query(w, "embed"),
    "map": lambda w: query(w, "map"),
    "map, adapt without new batches": lambda w: query(w, "map", "--adapt"),
    "annotate": lambda w: query(w, "annotate"),
    "impute": lambda w: query(w, "impute", *IMPUTE),
    "denoise": lambda w: query(w, "denoise", "--modality", "rna"),
    "pretrain": lambda w: pretrain(w),
    "embed of cells without a batch": lambda w: query(
        w, "embed", file=written(w, "a.h5mu", lambda m: m.obs.drop(columns="batch", inplace=True))
    ),
}


def pretrain(world: World, *options: Any, file: Path | None = None) -> Path:
    run("pretrain", file or h5ad(world), "-o", world.tmp / "genes", "--epochs", 1, *options)
    return next((world.tmp / "genes").glob("result.*"))


PRETRAIN: dict[str, tuple[Callable[[World], Any], tuple[str, ...]]] = {
    "pretrain of no modality": (lambda w: pretrain(w, "--modality", "atac", file=data(w)), ("atac",)),
    "pretrain of no layer": (lambda w: pretrain(w, "--layer", "raw"), ("raw",)),
    "pretrain of other values": (lambda w: pretrain(w, "--values", "tpm"), ("--values",)),
    "pretrain without a list": (lambda w: pretrain(w, "--vocabulary", w.tmp / "none"), ("--vocabulary", "none")),
    "pretrain of other genes": (lambda w: pretrain(w, "--vocabulary", listed(w)), ("genes", "--vocabulary")),
    "pretrain of no preset": (lambda w: pretrain(w, "--preset", "giant"), ("--preset",)),
}


def listed(world: World) -> Path:
    path = world.tmp / "genes.txt"
    path.write_text("a\nb\nc\n")
    return path


def readable(path: Any, world: World) -> bool:
    with quiet():
        data = ad.read_h5ad(path) if Path(path).suffix == ".h5ad" else scmoe.datasets.read(path)
    return data.n_obs == 96


def cases() -> Iterator[Case]:
    for name, make in FILES.items():
        yield made(f"train on {name}", lambda w, make=make: train(w, file=make(w)), WORDS_OF_FILES)
        yield made(f"embed of {name}", lambda w, make=make: query(w, "embed", file=make(w)), WORDS_OF_FILES)
    for name, change in {"no cells": no_cells, "cells twice": repeated_cells}.items():
        yield made(
            f"train on {name}",
            lambda w, change=change: train(w, file=written(w, "a.h5mu", change)),
            ("cell",),
        )
    for name, (options, words) in OPTIONS.items():
        right = (lambda value, world: value.exists()) if name in HARMLESS else None
        yield made(f"train, {name}", lambda w, options=options: train(w, *options), words, right)
    for name, (act, words) in (*QUERIES.items(), *PRETRAIN.items()):
        yield made(name, act, words)
    for name, act in RIGHT.items():
        yield Case(family=FAMILY, name=name, act=act, right=readable, refusable=False)


def made(name: str, act: Callable[[World], Any], words: tuple[str, ...], right: Any = None) -> Case:
    return Case(family=FAMILY, name=name, act=act, words=words, right=right)
