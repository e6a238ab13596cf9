"""Which libraries read files here, and which wrote them: for messages."""

import json
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import h5py

LIBRARIES = ("anndata", "mudata")


def installed() -> str:
    """Such as ``anndata 0.13.4 and mudata 0.4.1``."""
    return " and ".join(f"{name} {version(name)}" for name in LIBRARIES)


def written_by(path: Path) -> str:
    """What a file or store says of its writer, such as ``mudata 0.4.1``; empty if it says nothing."""
    attributes: dict[str, object] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        if path.is_dir():
            root = path / "zarr.json"
            text = json.loads((root if root.is_file() else path / ".zattrs").read_text())
            attributes = text["attributes"] if root.is_file() else text
        else:
            with h5py.File(path, "r") as file:
                attributes = dict(file.attrs)
    name = attributes.get("encoder")
    return f"{name} {attributes.get('encoder-version', '')}".strip() if name else ""
