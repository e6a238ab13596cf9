"""What may lie in a folder that comes from elsewhere: the files of a model, and text about them."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

CARD = "README.md"
WEIGHTS, SETTINGS = "weights.safetensors", "settings.json"
"""The files of a model."""
FILES = (SETTINGS, WEIGHTS)
MODEL = "model"
"""Their folder in what ``scmoe train`` writes."""
TEXTS = (CARD, "LICENSE", "LICENSE.txt", "LICENSE.md", ".gitattributes")
"""What people and the hub put beside them; it is never read."""
CODE = {
    *(".py", ".pyc", ".so", ".dll", ".sh", ".js", ".ipynb"),
    *(".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib"),
}
"""How names of code end, and of files that may run some when they are read."""


def check_names(names: Iterable[str], place: str) -> None:
    """Raise a ValueError if a repository holds anything but a model, naming the file.

    Names are compared as a whole, so that ``../settings.json`` is none of ours.
    """
    foreign = sorted(set(names) - {*FILES, *TEXTS})
    if not foreign:
        return
    name = next((each for each in foreign if is_code(each)), foreign[0])
    what = "code, or a file that may run some when it is read" if is_code(name) else "no file of a model"
    more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
    raise ValueError(
        f"{place} holds {name!r}{more}, which is {what}. A model of scmoe is {' and '.join(FILES)}, beside them at "
        f"most {CARD} and a license, so this one is not read. Ask its owner for a model as model.push_to_hub writes it."
    )


def check_folder(folder: Path) -> None:
    """Raise a ValueError if the folder of a model holds code, or its files are links that lead out of it.

    Notes and other files that run nothing may lie there. In the cache of the hub, all files are links into this cache.
    """
    home = cache_of(folder) or folder
    for entry in sorted(folder.iterdir()):
        if is_code(entry.name) and not entry.is_dir():
            raise ValueError(
                f"{folder} holds {entry.name!r}, which is code, or a file that may run some when it is read. A model "
                f"of scmoe is {' and '.join(FILES)} alone, so this one is not read. If both are what model.save wrote, "
                "move the other file elsewhere."
            )
        if entry.name in FILES and not entry.resolve().is_relative_to(home.resolve()):
            raise ValueError(
                f"{entry} is a link that leads out of the model's folder, to {entry.resolve()}, so it is not read. If "
                "that is the model, put the file itself into the folder."
            )


def cache_of(folder: Path) -> Path | None:
    """The cache of the hub that a folder belongs to, by its place: ``CACHE/models--org--name/snapshots/COMMIT``."""
    repository = folder.absolute().parent.parent
    is_snapshot = folder.absolute().parent.name == "snapshots" and repository.name.startswith("models--")
    return repository.parent if is_snapshot else None


def is_code(name: str) -> bool:
    """Whether a file is code by its name, or may run some when it is read."""
    return PurePosixPath(name).suffix.lower() in CODE
