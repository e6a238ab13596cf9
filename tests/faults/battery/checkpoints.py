"""Checkpoints that are damaged, of something else, or of a training with other settings."""

import functools
import io
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from battery.judge import Case
from battery.world import NETWORK, SETUP, TRAIN, World, quiet

FAMILY = "checkpoints"
FILE = "last.ckpt"


def start(world: World, *, data: Callable[[Any], None] = lambda m: None, setup: Any = None, **network: Any) -> Any:
    """A new model, on data that may be changed."""
    import scmoe

    mdata = world.copy()
    data(mdata)
    with quiet():
        scmoe.model.SCMOE.setup_mudata(mdata, **(SETUP if setup is None else setup))
        seed = network.pop("seed", 0)
        return scmoe.model.SCMOE(mdata, seed=seed, **{**NETWORK, **network})


def resume(world: World, folder: Path, model: Any = None, **settings: Any) -> Any:
    model = model or start(world)
    model.train(**{**TRAIN, "max_epochs": 4, "checkpoint_dir": folder, "resume": True, **settings})
    return model


class Stopped(Exception):
    """Ends a training after some epochs, as a crash would."""


def interrupted(world: World) -> Path:
    """The checkpoint of a training that was to have 4 epochs and crashed after 2."""
    import lightning.pytorch as pl

    class Stop(pl.Callback):
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            if trainer.current_epoch == 2:
                raise Stopped

    folder = world.root / "interrupted"
    if not folder.exists():
        with quiet():
            try:
                start(world).train(max_epochs=4, checkpoint_dir=folder, callbacks=[Stop()], **TRAIN)
            except Stopped:
                pass
    copy = world.tmp / "interrupted"
    copy.mkdir()
    (copy / FILE).write_bytes((folder / FILE).read_bytes())
    return copy


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(share * len(content))]


def flipped(share: float) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[int(share * len(changed))] ^= 0xFF
        return bytes(changed)

    return change


def saved(value: Any) -> Callable[[bytes], bytes]:
    """A file of torch with something else in it."""

    def change(content: bytes) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue()

    return change


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """The checkpoint with something changed in it."""

    def act(content: bytes) -> bytes:
        checkpoint = torch.load(io.BytesIO(content), weights_only=True)
        change(checkpoint)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        return buffer.getvalue()

    return act


def archive(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "mine")
    return buffer.getvalue()


def first_weight(checkpoint: dict[str, Any], value: float) -> None:
    weights = checkpoint["state_dict"]
    name = next(key for key, tensor in weights.items() if tensor.is_floating_point() and tensor.numel() > 4)
    weights[name] = torch.full_like(weights[name], value)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "text": lambda content: b"not a checkpoint",
    **{f"cut at {share}": cut(share) for share in (0.05, 0.5, 0.9, 0.999)},
    **{f"a byte changed at {share}": flipped(share) for share in (0.01, 0.3, 0.6, 0.98)},
    "another archive": archive,
    "a pickle": lambda content: pickle.dumps({"a": 1}),
    "a list of torch": saved([1, 2]),
    "an empty dict": saved({}),
    "another program's": saved({"state_dict": {}, "epoch": 3, "pytorch-lightning_version": "2.0"}),
    "without weights": edited(lambda c: c.pop("state_dict")),
    "without the optimizer": edited(lambda c: c.pop("optimizer_states")),
    "without settings": edited(lambda c: c.pop("settings")),
    "settings of null": edited(lambda c: c.update(settings=None)),
    "a history of null": edited(lambda c: c.update(history=None)),
    "a weight less": edited(lambda c: c["state_dict"].pop(next(iter(c["state_dict"])))),
    "weights of NaN": edited(lambda c: first_weight(c, float("nan"))),
}
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "max_epochs": ({}, {"max_epochs": 6}, ("max_epochs",)),
    "fewer max_epochs": ({}, {"max_epochs": 1}, ("max_epochs", "epochs")),
    "precision": ({}, {"precision": "bf16-mixed"}, ("precision",)),
    "batch_size": ({}, {"batch_size": 16}, ("batch_size",)),
    "lr": ({}, {"plan_kwargs": {"lr": 1e-2}}, ("lr",)),
    "train_size": ({}, {"train_size": 0.5}, ("train_size", "cells", "split", "data")),
    "class_balance": ({}, {"class_balance": "none"}, ("class_balance",)),
    "seed": ({"seed": 1}, {}, ("seed",)),
    "n_hidden": ({"n_hidden": 16}, {}, ("n_hidden",)),
    "n_experts": ({"n_experts": 4}, {}, ("n_experts",)),
    "dropout": ({"dropout": 0.3}, {}, ("dropout",)),
    "setup": ({"setup": {}}, {}, ("batch_key", "labels", "data", "setup")),
    "values": ({"data": lambda m: m["rna"].X.data.__setitem__(0, 9)}, {}, ("data", "values")),
    "labels": (
        {"data": lambda m: m.obs.__setitem__("kind", m.obs["kind"].to_numpy()[::-1].copy())},
        {},
        ("data", "labels"),
    ),
}
"""Arguments of the model, of the training, and what the message names."""


def damaged(world: World, change: Callable[[bytes], bytes]) -> Any:
    folder = interrupted(world)
    (folder / FILE).write_bytes(change((folder / FILE).read_bytes()))
    return resume(world, folder)


def other(world: World, network: dict[str, Any], settings: dict[str, Any]) -> Any:
    return resume(world, interrupted(world), start(world, **network), **settings)


@functools.cache
def uninterrupted(world: World) -> np.ndarray:
    """The embedding by a model that was trained without interruption."""
    whole = start(world)
    with quiet():
        whole.train(**{**TRAIN, "max_epochs": 4})
    return whole.get_latent_representation()


def same_as_other(model: Any, world: World, network: dict[str, Any], settings: dict[str, Any]) -> bool:
    """Whether a resumed training is the uninterrupted one of the later settings, which then do not matter for it."""
    whole = start(world, **network)
    with quiet():
        whole.train(**{**TRAIN, "max_epochs": 4, **settings})
    same = np.array_equal(model.get_latent_representation(), whole.get_latent_representation())
    return same and bool((model.predict() == whole.predict()).all())


def same_as_uninterrupted(model: Any, world: World) -> bool:
    return np.array_equal(model.get_latent_representation(world.copy()), uninterrupted(world))


def cases() -> Iterator[Case]:
    yield Case(
        family=FAMILY,
        name="resume equals the uninterrupted run",
        act=lambda w: resume(w, interrupted(w)),
        right=same_as_uninterrupted,
        refusable=False,
    )
    yield Case(
        family=FAMILY,
        name="resume of nothing is a run from the start",
        act=lambda w: resume(w, w.tmp / "new"),
        right=same_as_uninterrupted,
    )
    for name, change in DAMAGES.items():
        yield Case(
            family=FAMILY,
            name=f"damaged: {name}",
            act=lambda w, change=change: damaged(w, change),
            right=same_as_uninterrupted,
            words=(FILE, "checkpoint"),
        )
    for name, (network, settings, words) in OTHERS.items():
        yield Case(
            family=FAMILY,
            name=f"other: {name}",
            act=lambda w, n=network, s=settings: other(w, n, s),
            right=lambda value, w, n=network, s=settings: same_as_other(value, w, n, s),
            words=words,
        )
    yield from of_places()


def file_at(world: World, *parts: str) -> Path:
    (world.tmp / "taken").write_text("mine")
    return world.tmp.joinpath("taken", *parts)


def folder_for_file(world: World) -> Any:
    folder = world.tmp / "checkpoints"
    (folder / FILE).mkdir(parents=True)
    return start(world).train(max_epochs=1, checkpoint_dir=folder, **TRAIN)


def of_places() -> Iterator[Case]:
    places: dict[str, Callable[[World], Any]] = {
        "a file in place of the folder": lambda w: start(w).train(max_epochs=1, checkpoint_dir=file_at(w), **TRAIN),
        "below a file": lambda w: start(w).train(max_epochs=1, checkpoint_dir=file_at(w, "b"), **TRAIN),
        "a folder in place of the file": folder_for_file,
        "resume without a folder": lambda w: start(w).train(max_epochs=1, resume=True, **TRAIN),
        "resume of an untouched folder of another's": lambda w: resume(w, w.folder()),
    }
    for name, act in places.items():
        yield Case(
            family=FAMILY,
            name=name,
            act=act,
            words=("checkpoint", FILE, "taken"),
            right=(lambda value, world: value.is_trained) if name.endswith("another's") else None,
        )
