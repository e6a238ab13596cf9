"""The folder of a model that is given as a folder, as the name of a reference model, or as a repository of the hub."""

from difflib import get_close_matches
from pathlib import Path

from scmoe.datasets._reference import SCRIPTED, SHIPPED, reference_folder
from scmoe.model.hub._contents import MODEL
from scmoe.model.hub._hub import REPOSITORY, fetch_model

WAYS = (
    "a folder that 'scmoe train' or model.save() wrote, the name of a reference model ({}), or a repository of the hub "
    "(organization/name, or organization/name@revision)"
).format(", ".join(SHIPPED))


def locate_model(name: str) -> Path:
    """The folder of a model.

    A folder that is there comes first, then a reference model, then the hub.

    Parameters
    ----------
    name
        Folder of a model or of a training, name of a reference model, or ``organization/name``, perhaps with
        ``@revision``.

    Raises
    ------
    ValueError
        There is no such model.
    ConnectionError, ImportError
        It may be one of the hub, which cannot be asked.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder / MODEL if (folder / MODEL).is_dir() else folder
    if folder.exists():
        raise ValueError(f"{name} is a file, and no model folder. Give {WAYS}.")
    if name in (*SHIPPED, *SCRIPTED):
        return reference_folder(name)
    repo_id, _, revision = name.partition("@")
    if not REPOSITORY.fullmatch(repo_id):
        near = get_close_matches(name, [*SHIPPED, *SCRIPTED], n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"There is no model folder {name}. Give {WAYS}.{hint}")
    try:
        return fetch_model(repo_id, revision=revision or None).folder
    except (ConnectionError, ImportError, ValueError) as error:
        raise type(error)(f"There is no folder {name}, so it was looked for on the hub. {error}") from error


def load_line(kind: str, name: str) -> str:
    """The line of Python that loads what `locate_model` has found."""
    repo_id, _, revision = name.partition("@")
    if Path(name).expanduser().is_dir():
        return f'scmoe.model.{kind}.load("{locate_model(name)}")'
    if name in SHIPPED:
        return f'scmoe.datasets.reference("{name}")'
    return f'scmoe.model.{kind}.from_hub("{repo_id}"' + (f', revision="{revision}")' if revision else ")")
