"""Folders of models that were edited, mixed, shortened or are of something else."""

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

import scmoe
from battery.judge import Case, Lost
from battery.world import World, fit

FAMILY = "folders"
SETTINGS, WEIGHTS = "settings.json", "weights.safetensors"
Change = Callable[[Path, World], None]


def edit(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Change the settings, as an editor would."""

    def act(folder: Path, world: World) -> None:
        settings = json.loads((folder / SETTINGS).read_text())
        change(settings)
        (folder / SETTINGS).write_text(json.dumps(settings))

    return act


def put(path: tuple[str, ...], value: Any) -> Change:
    """Set one entry of the settings, however deep."""

    def change(settings: dict[str, Any]) -> None:
        for name in path[:-1]:
            settings = settings[name]
        settings[path[-1]] = value

    return edit(change)


def cut(name: str, share: float) -> Change:
    """Keep the first bytes of a file."""

    def act(folder: Path, world: World) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return act


def flip(name: str, share: float) -> Change:
    """Change one byte."""

    def act(folder: Path, world: World) -> None:
        content = bytearray((folder / name).read_bytes())
        content[int(share * len(content))] ^= 0x15
        (folder / name).write_bytes(bytes(content))

    return act


def write(name: str, content: bytes) -> Change:
    return lambda folder, world: (folder / name).write_bytes(content) and None


def other_file(name: str) -> Change:
    """Take a file of another model of the same size."""

    def act(folder: Path, world: World) -> None:
        source = world.root / "other_model"
        if not source.exists():
            fit(world.copy(), setup={"labels_key": "kind", "batch_key": "batch"}, max_epochs=3).save(source)
        shutil.copy(source / name, folder / name)

    return act


def spoil_weights(value: float, *, honest: bool) -> Change:
    """Put a number into the weights; `honest` writes the checksum that goes with them, where it is a known one."""

    def act(folder: Path, world: World) -> None:
        import hashlib

        arrays = load_file(folder / WEIGHTS)
        name = next(key for key, array in arrays.items() if array.dtype == np.float32 and array.size > 4)
        arrays[name] = np.full_like(arrays[name], value)
        save_file(arrays, folder / WEIGHTS)
        if honest:
            digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
            put(("weights_sha256",), digest)(folder, world)

    return act


def replace_by_folder(name: str) -> Change:
    def act(folder: Path, world: World) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return act


def swap_names(settings: dict[str, Any]) -> None:
    """Genes in another order: every value would go to another gene."""
    for value in settings["setup"].values():
        if isinstance(value, dict) and isinstance(value.get("rna"), list) and "gene0" in value["rna"]:
            value["rna"] = value["rna"][::-1]
            return
    raise AssertionError("the names of genes are not where they were")


DAMAGES: dict[str, Change] = {
    **{f"without {name}": (lambda f, w, name=name: (f / name).unlink()) for name in (SETTINGS, WEIGHTS)},
    **{f"{name} as a folder": replace_by_folder(name) for name in (SETTINGS, WEIGHTS)},
    **{f"{name} empty": write(name, b"") for name in (SETTINGS, WEIGHTS)},
    **{f"{name} of random bytes": write(name, bytes(range(256)) * 4) for name in (SETTINGS, WEIGHTS)},
    **{f"{name} cut at {share}": cut(name, share) for name in (SETTINGS, WEIGHTS) for share in (0.1, 0.5, 0.99)},
    **{f"{WEIGHTS} with a byte changed at {share}": flip(WEIGHTS, share) for share in (0.01, 0.5, 0.99)},
    **{f"{name} of another model": other_file(name) for name in (SETTINGS, WEIGHTS)},
    "weights of NaN": spoil_weights(np.nan, honest=False),
    "weights of NaN with their checksum": spoil_weights(np.nan, honest=True),
    "weights of inf with their checksum": spoil_weights(np.inf, honest=True),
    "settings that are a list": write(SETTINGS, b"[1, 2]"),
    "settings that are null": write(SETTINGS, b"null"),
    "settings without an entry": edit(lambda s: s.pop("config")),
    "settings without a checksum": edit(lambda s: s.pop("weights_sha256")),
    "an unknown setting": put(("config", "n_wings"), 2),
    "another width": put(("config", "n_hidden"), 16),
    "another number of heads": put(("config", "n_heads"), 4),
    "another top_k": put(("config", "top_k"), 1),
    "another dropout": put(("config", "dropout"), 0.5),
    "another gate": put(("config", "gate"), "topk_of_softmax"),
    "a width of text": put(("config", "n_hidden"), "8"),
    "labels in another order": put(("setup", "labels"), ["T", "NK", "B"]),
    "labels left out": put(("setup", "labels"), ["B", "NK"]),
    "batches in another order": put(("setup", "batches"), ["donor2", "donor1"]),
    "genes in another order": edit(swap_names),
    "another kind of modality": put(("setup", "kinds", "rna"), "protein"),
    "another likelihood": put(("setup", "likelihoods", "rna"), "nb"),
    "another labels_key": put(("setup", "labels_key"), "batch"),
    "a setup of null": put(("setup",), None),
    "a newer format": put(("format",), 99),
    "an older format": put(("format",), 1),
    "a format of text": put(("format",), "newest"),
    "another model's name": put(("model",), "XTRIMOGENE"),
    "an unknown model's name": put(("model",), "GPT"),
    "positions of cells of text": put(("train_indices",), ["a", "b"]),
    "a history of columns of unequal length": put(("history",), {"epoch": [0, 1], "train_loss": [1.0]}),
}
"""What is done to a folder; loading it is refused."""
HARMLESS: dict[str, Change] = {
    "as saved": lambda f, w: None,
    "with a note of the user's": lambda f, w: (f / "README.txt").write_text("mine") and None,
    "renamed": lambda f, w: None,
}
WORDS = (SETTINGS, WEIGHTS, "model", "folder", "label", "layers")


def load(world: World, change: Change, *, genes: bool = False) -> Any:
    folder = world.folder(genes=genes)
    change(folder, world)
    cls = scmoe.model.XTRIMOGENE if genes else scmoe.model.SCMOE
    return cls.load(folder)


def not_folders(world: World) -> dict[str, Path]:
    world.tmp.joinpath("file.txt").write_text("mine")
    world.tmp.joinpath("empty").mkdir()
    return {
        "no folder": world.tmp / "nothing",
        "a file": world.tmp / "file.txt",
        "an empty folder": world.tmp / "empty",
        "a file of data": world.file(),
        "the folder above": world.folder("up/model").parent,
        "a gene model": world.folder("genes", genes=True),
        "a checkpoint": world.checkpoint(),
    }


PLACES = (
    "no folder",
    "a file",
    "an empty folder",
    "a file of data",
    "the folder above",
    "a gene model",
    "a checkpoint",
)


def keep(path: Path, act: Callable[[], Any]) -> Any:
    """What `act` gives; everything in a folder has to be as it was if it raises."""
    before = {each: each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}
    try:
        return act()
    except Exception:
        after = {each: each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}
        if before != after:
            raise Lost(f"{path} is altered") from None
        raise


def save_over(name: str, content: dict[str, str], **options: Any) -> Callable[[World], Any]:
    """Save where something is; files of the user's are kept, saved or not."""

    def act(world: World) -> Any:
        folder = world.tmp / name
        if content:
            folder.mkdir()
        for file, text in content.items():
            (folder / file).write_text(text)
        keep(world.tmp, lambda: world.model.save(folder, **options))
        if any(file not in (SETTINGS, WEIGHTS) and not (folder / file).exists() for file in content):
            raise Lost(f"a file of the user's in {folder} is gone")
        return folder

    return act


def save_on_file(world: World) -> Any:
    (world.tmp / "taken").write_text("mine")
    return keep(world.tmp, lambda: world.model.save(world.tmp / "taken", overwrite=True))


def save_below_file(world: World) -> Any:
    (world.tmp / "taken").write_text("mine")
    return keep(world.tmp, lambda: world.model.save(world.tmp / "taken" / "model"))


def modes(world: World) -> list[int]:
    """Rights of the files of a new model, under a mask that lets a group read."""
    before = os.umask(0o027)
    try:
        world.model.save(world.tmp / "shared")
    finally:
        os.umask(before)
    return [stat.S_IMODE(path.stat().st_mode) for path in (world.tmp / "shared").iterdir()]


def loaded_is_right(value: Any, world: World) -> bool:
    data = world.copy()
    return np.array_equal(value.get_latent_representation(data), world.model.get_latent_representation(data))


SAVES: dict[str, tuple[Callable[[World], Any], bool]] = {
    "save over a model": (save_over("there", {SETTINGS: "{}", WEIGHTS: "x"}), False),
    "save over a model, overwrite": (save_over("there", {SETTINGS: "{}", WEIGHTS: "x"}, overwrite=True), True),
    "save among files of the user's": (save_over("there", {"thesis.tex": "mine"}), False),
    "save among files of the user's, overwrite": (save_over("there", {"thesis.tex": "mine"}, overwrite=True), False),
    "save over a model with a note, overwrite": (
        save_over("there", {SETTINGS: "{}", WEIGHTS: "x", "note.txt": "mine"}, overwrite=True),
        False,
    ),
    "save on a file": (save_on_file, False),
    "save below a file": (save_below_file, False),
    "save an untrained model": (lambda w: w.untrained().save(w.tmp / "new"), False),
}


def cases() -> Iterator[Case]:
    for genes in (False, True):
        for name, change in DAMAGES.items():
            if not genes or name.startswith((SETTINGS, WEIGHTS, "without", "weights of", "settings", "a newer")):
                yield Case(
                    family=FAMILY,
                    name=f"{'gene ' if genes else ''}model: {name}",
                    act=lambda w, change=change, genes=genes: load(w, change, genes=genes),
                    words=WORDS,
                )
    for name, change in HARMLESS.items():
        yield Case(
            family=FAMILY,
            name=f"model: {name}",
            act=lambda w, change=change: load(w, change),
            right=loaded_is_right,
            refusable=False,
        )
    for place in PLACES:
        yield Case(
            family=FAMILY,
            name=f"load {place}",
            act=lambda w, place=place: scmoe.model.SCMOE.load(not_folders(w)[place]),
            words=("folder", "model"),
        )
    for name, (act, right) in SAVES.items():
        yield Case(
            family=FAMILY,
            name=name,
            act=act,
            right=(lambda value, world: scmoe.model.SCMOE.load(value).is_trained) if right else None,
            refusable=not right,
            words=("there", "taken", "train"),
        )
    yield Case(
        family=FAMILY,
        name="rights of a saved model",
        act=modes,
        right=lambda value, world: set(value) == {0o640},
        refusable=False,
    )
