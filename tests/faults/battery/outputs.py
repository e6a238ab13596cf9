"""Outputs where something is, that have no place, or that hold what files cannot: refused, nothing half-written."""

from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scmoe
from battery.calls import PL, call
from battery.folders import keep
from battery.judge import Case, Lost
from battery.world import World, contents

FAMILY = "outputs"
read = scmoe.datasets.read


def odd(change: Callable[[Any], Any]) -> Callable[[World], Any]:
    """Write data with something odd over an older file, which has to stay if it is refused."""

    def act(world: World) -> Any:
        mdata = world.copy()
        change(mdata)
        path = world.tmp / "old.h5mu"
        scmoe.datasets.write(world.copy(), path)
        before = path.read_bytes()
        names = sorted(each.name for each in world.tmp.iterdir())
        try:
            scmoe.datasets.write(mdata, path)
        except Exception:
            if path.read_bytes() != before or sorted(each.name for each in world.tmp.iterdir()) != names:
                raise Lost("the older file is altered, or something half-written is left") from None
            raise
        return mdata, read(path)

    return act


def came_back(value: Any, world: World) -> bool:
    """Whether what was read is what was written."""
    written, again = (contents(each) for each in value)
    skipped = ("obsmap", "varmap")
    return all(_text(again.get(path)) == _text(leaf) for path, leaf in written.items() if not path.startswith(skipped))


def _text(leaf: Any) -> Any:
    """Text and categories of text are one in files."""
    return leaf if not isinstance(leaf, tuple) or leaf[0] not in ("text", "categorical") else "text"


def put(where: str, value: Any) -> Callable[[Any], Any]:
    def change(mdata: Any) -> None:
        part, _, key = where.partition("/")
        getattr(mdata, part)[key] = value(mdata) if callable(value) and not isinstance(value, type) else value

    return change


CONTENTS: dict[str, Callable[[Any], Any]] = {
    "a column of lists": put("obs/odd", lambda m: pd.Series([[1]] * m.n_obs, index=m.obs_names)),
    "a column of mixed types": put("obs/odd", lambda m: np.resize(np.array([1, "a"], dtype=object), m.n_obs)),
    "a column of text and None": put("obs/odd", lambda m: np.resize(np.array(["a", None], dtype=object), m.n_obs)),
    "a column of dates": put("obs/odd", lambda m: pd.date_range("2020", periods=m.n_obs).to_numpy()),
    "a column called 3": lambda m: m.obs.__setitem__(3, 1.0),
    "a column of complex numbers": put("obs/odd", lambda m: np.ones(m.n_obs) * 1j),
    "a column with a slash": put("obs/a/b", lambda m: np.linspace(0, 1, m.n_obs)),
    "a function in uns": put("uns/odd", lambda m: len),
    "a set in uns": put("uns/odd", lambda m: {1, 2}),
    "None in uns": put("uns/odd", lambda m: None),
    "an object in uns": put("uns/odd", lambda m: object()),
    "a list of dicts in uns": put("uns/odd", lambda m: [{"a": 1}, {"b": 2}]),
    "a key of uns that is a number": lambda m: m.uns.__setitem__("odd", {1: 2}),
    "a key of uns with a slash": put("uns/odd", lambda m: {"a/b": 1}),
    "an empty key of uns": put("uns/odd", lambda m: {"": 1}),
    "an empty list in uns": put("uns/odd", lambda m: []),
    "an empty frame in uns": put("uns/odd", lambda m: pd.DataFrame()),
    "a frame with two columns of one name": put("uns/odd", lambda m: pd.DataFrame(np.ones((2, 2)), columns=["a", "a"])),
    "an array of objects in uns": put("uns/odd", lambda m: np.array([1, "a", None], dtype=object)),
    "a model in uns": put("uns/odd", lambda m: scmoe.model.NetworkConfig()),
    "a path in uns": put("uns/odd", lambda m: Path("a/b")),
    "a big whole number in uns": put("uns/odd", lambda m: 2**80),
    "text that is no text in uns": put("uns/odd", lambda m: "\udcff"),
    "a zero byte in uns": put("uns/odd", lambda m: "a\0b"),
    "an obsm of text": put("obsm/odd", lambda m: np.full((m.n_obs, 2), "a", dtype=object)),
    "an obsm with numbers as names": put("obsm/odd", lambda m: pd.DataFrame(np.ones((m.n_obs, 2)), m.obs_names)),
}
"""Things in a MuData: written and read again as they were, or refused with their place."""


def path_of(world: World, name: str) -> Path:
    (world.tmp / "taken").write_text("mine")
    (world.tmp / "folder.h5mu").mkdir()
    (world.tmp / "folder.h5mu" / "mine.txt").write_text("mine")
    (world.tmp / "store.zarr").mkdir()
    (world.tmp / "store.zarr" / "mine.txt").write_text("mine")
    (world.tmp / "file.zarr").write_text("mine")
    return world.tmp / name


PATHS = {
    "folder.h5mu": False,
    "store.zarr": False,
    "file.zarr": False,
    "taken/out.h5mu": False,
    "out.csv": False,
    "out": False,
    ".h5mu": False,
    "a" * 300 + ".h5mu": False,
    "out.h5ad": False,
    "new/deep/out.h5mu": True,
    "out.h5mu": True,
    "out.zarr": True,
}
"""Where to write, and whether it is a place."""
FIGURES = {
    "folder.png": (lambda w: folder(w, "folder.png"), False),
    "file.unknown": (lambda w: w.tmp / "file.unknown", False),
    "no folder/file.png": (lambda w: w.tmp / "none" / "file.png", True),
    "below a file": (lambda w: file(w) / "file.png", False),
    "an empty name": (lambda w: "", False),
    "file.png": (lambda w: w.tmp / "file.png", True),
    "file.pdf": (lambda w: str(w.tmp / "file.pdf"), True),
}


def folder(world: World, name: str) -> Path:
    (world.tmp / name).mkdir()
    return world.tmp / name


def file(world: World) -> Path:
    (world.tmp / "taken").write_text("mine")
    return world.tmp / "taken"


def cases() -> Iterator[Case]:
    for name, change in CONTENTS.items():
        yield Case(family=FAMILY, name=name, act=odd(change), right=came_back, words=("odd", "obs", "uns['odd']"))
    for name, place in PATHS.items():
        yield Case(
            family=FAMILY,
            name=f"write to {name[:20]}",
            act=lambda w, name=name: to_path(w, name),
            right=(lambda path, world: read(path).n_obs == world.copy().n_obs) if place else None,
            words=(name[:20], ".h5mu", "taken"),
        )
    for figure in ("ablation", "history", "confusion", "attribution", "imputed"):
        for name, (place, right) in FIGURES.items():
            if figure == "ablation" or name in ("folder.png", "file.unknown", "no folder/file.png"):
                yield Case(
                    family=FAMILY,
                    name=f"pl.{figure}(save={name})",
                    act=lambda w, figure=figure, place=place: drawn(w, figure, place(w)),
                    right=(lambda path, world: path.stat().st_size > 1000) if right else None,
                    words=("save", name, "folder", "taken"),
                )
    assert set(PL) >= {"ablation", "history"}


def drawn(world: World, figure: str, path: Any) -> Path:
    with chdir(world.tmp):
        call(f"pl.{figure}", world, save=path)
    return Path(path)


def to_path(world: World, name: str) -> Path:
    path = path_of(world, name)
    keep(world.tmp, lambda: scmoe.datasets.write(world.copy(), path))
    return path
