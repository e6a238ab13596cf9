"""Files of published models, read without running what a pickle may hold."""

import json
import os
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from scmoe.tokens._gene_list import refuse_pickle

CONVERT_WEIGHTS = (
    "If you trust where it comes from, read it once where nothing can be harmed, with torch.load(path, "
    "weights_only=False), and save the dictionary of tensors alone with safetensors.torch.save_file(tensors, "
    "'model.safetensors')."
)
WRAPPERS = ("model_state_dict", "state_dict")
"""Entries of a checkpoint that hold the tensors."""
USES = ("gene", "cell")
"""Entries of scFoundation's file, which has a model for each use."""
PREFIXES = re.compile(r"^(?:module\.|model\.)+")
"""What training in parallel and Lightning put before the names of the tensors."""
GENE_COLUMN = "gene_name"


@dataclass(frozen=True)
class Stored:
    """The tensors of a file by name, and the settings that it holds beside them."""

    tensors: dict[str, torch.Tensor]
    settings: dict[str, Any]


def read_tensors(path: Path, use: str = USES[0]) -> Stored:
    """Tensors of a safetensors file or of a torch checkpoint, without prefixes.

    Nothing but tensors and plain values is read.

    Parameters
    ----------
    path
        The file.
    use
        Which model of a file that has one for each use; one that it lacks is replaced by another.

    Raises
    ------
    ValueError
        It is a bare pickle, holds objects that could run code, is damaged or cut short, or has no tensors.
    """
    if path.suffix in (".pkl", ".pickle"):
        raise ValueError(
            f"{path.name} is a pickle, and reading a pickle can run code: it is not opened. {CONVERT_WEIGHTS}"
        )
    content = _load_safetensors(path) if path.suffix == ".safetensors" else _load_torch(path)
    settings: dict[str, Any] = {}
    while isinstance(content, Mapping) and (
        inner := next((key for key in (use, *USES, *WRAPPERS) if key in content), None)
    ):
        settings = content.get("config", settings)
        content = content[inner]
    entries = content.items() if isinstance(content, Mapping) else ()
    tensors = {PREFIXES.sub("", str(name)): item for name, item in entries if isinstance(item, torch.Tensor)}
    if not tensors:
        names = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(
            f"{path.name} holds no tensors by name (found {names}). Name the file with the weights of the model."
        )
    return Stored(tensors, settings if isinstance(settings, dict) else {})


def _load_safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path.name} is damaged or cut short ({error}). Copy or download it again.") from error


def _load_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings(
            action="ignore", category=UserWarning
        ):  # on pickles of a kind that torch never writes
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        match = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise ValueError(
            f"{path.name} holds {match[1] if match else 'something'} beside tensors and plain values, or is damaged: "
            f"it was not read, and nothing in it was run. {CONVERT_WEIGHTS}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:  # torch has no one error for damaged files
        raise ValueError(
            f"{path.name} is damaged, cut short or no file of weights ({type(error).__name__}). Copy or download it "
            "again."
        ) from error


def read_dictionary(path: Path) -> dict[str, Any]:
    """A dictionary of genes as JSON.

    Raises
    ------
    FileNotFoundError
        There is no such file, and no pickle beside it that could be converted.
    ValueError
        It is a pickle, or no JSON object.
    """
    pickled = path.with_suffix(".pkl")
    if path.suffix == ".pkl" or (not path.exists() and pickled.exists()):
        refuse_pickle(pickled)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}, which should name the genes of the rows. Pass genes=.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be read as JSON ({error}). Copy or download it again.") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path.name} must hold one JSON object, from genes to numbers; found a {type(content).__name__}."
        )
    return content


def read_gene_list(genes: str | os.PathLike[str] | Sequence[str]) -> list[str]:
    """Names in order, given as such or as a table (.tsv) with the column ``gene_name``.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file has no such column, or a gene is named twice.
    """
    names = (
        _column(Path(genes).expanduser()) if isinstance(genes, (str, os.PathLike)) else pd.Index(list(genes), dtype=str)
    )
    if names.has_duplicates:
        repeated = names[names.duplicated()]
        raise ValueError(
            f"genes= names {repeated[0]!r} twice ({len(repeated)} such genes): it must name each row once."
        )
    return names.tolist()


def _column(path: Path) -> pd.Index:
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}. genes= is a table of genes, or their names in order.")
    table = pd.read_csv(path, sep="\t", dtype=str, na_filter=False)
    if GENE_COLUMN not in table:
        columns = ", ".join(map(str, table.columns[:5]))
        raise ValueError(f"{path.name} must be tab-separated with a column {GENE_COLUMN!r}; found {columns}.")
    return pd.Index(table[GENE_COLUMN])
