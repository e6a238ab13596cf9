"""The files of a published model: tensors, settings, and which row of its table is which gene."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from scmoe.model.genes.published._kinds import LAYOUTS, check_tensors
from scmoe.model.genes.published._read import read_dictionary, read_gene_list, read_tensors


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What the files of a published model hold.

    Parameters
    ----------
    kind
        Which model.
    file
        The file with the weights.
    tensors
        By name.
    settings
        What stands beside the tensors, in the file or in one of its own.
    rows
        Names of all rows of the table, in their order.
    """

    kind: str
    file: Path
    tensors: dict[str, Tensor]
    settings: dict[str, Any]
    rows: list[str]

    @property
    def table(self) -> Tensor:
        """One row a gene or special token."""
        return self.tensors[LAYOUTS[self.kind].table]

    @property
    def special(self) -> tuple[str, ...]:
        """Names of the rows that are no genes."""
        return tuple(name for name in self.rows if name in LAYOUTS[self.kind].special)

    @property
    def is_gene(self) -> NDArray[np.bool_]:
        """Which rows are genes."""
        return ~np.isin(self.rows, LAYOUTS[self.kind].special)

    @property
    def genes(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(np.array(self.rows, dtype=object)[self.is_gene])

    def medians(self, path: str | os.PathLike[str]) -> NDArray[np.float64]:
        """(genes,) medians from a JSON file, NaN for genes that it lacks; a ValueError if it lacks all."""
        medians = pd.Series(read_dictionary(Path(path).expanduser()), dtype=float).reindex(list(self.genes)).to_numpy()
        if np.isnan(medians).all():
            raise ValueError("medians= has none of the genes of these weights. Take the medians that belong to them.")
        return medians


def read_checkpoint(
    path: str | os.PathLike[str],
    kind: str,
    genes: str | os.PathLike[str] | Sequence[str] | None,
    use: str = "gene",
) -> Checkpoint:
    """The files of a published model; see `scmoe.model.read_published`, whose errors it raises.

    Parameters
    ----------
    path, kind, genes
        See there.
    use
        Of a file with a model for each use: which.
    """
    if kind not in LAYOUTS:
        raise ValueError(f"kind must be one of {', '.join(LAYOUTS)}; found {kind!r}.")
    layout, file = LAYOUTS[kind], _weights_file(Path(path).expanduser(), kind)
    stored = read_tensors(file, use)
    check_tensors(kind, stored.tensors, file.name)
    n_rows = len(stored.tensors[layout.table])
    if layout.dictionary is None:
        if genes is None:
            raise ValueError(
                f"{kind} does not store the names of its genes: pass genes=, their names in order or a table."
            )
        rows = [*read_gene_list(genes), *layout.special]
    else:
        dictionary = read_dictionary(file.parent / layout.dictionary if genes is None else _as_path(genes, kind))
        rows = _ordered(dictionary, layout.special, n_rows)
    if len(rows) != n_rows:
        n = len(layout.special)
        raise ValueError(
            f"{file.name} has rows for {n_rows - n} genes and {n} special tokens; found the names of "
            f"{len(rows) - n} genes. Take the list of genes that belongs to these weights."
        )
    beside = file.parent / layout.settings if layout.settings else None
    settings = read_dictionary(beside) if beside is not None and beside.exists() else stored.settings
    return Checkpoint(kind=kind, file=file, tensors=stored.tensors, settings=settings, rows=rows)


def _weights_file(path: Path, kind: str) -> Path:
    candidates = [path / name for name in LAYOUTS[kind].files] if path.is_dir() else [path]
    file = next((file for file in candidates if file.exists()), None)
    if file is None:
        names = " or ".join(LAYOUTS[kind].files)
        raise FileNotFoundError(
            f"There are no weights of {kind} at {path}. Expected a weights file, or a folder with {names}."
        )
    return file


def _as_path(genes: Any, kind: str) -> Path:
    if not isinstance(genes, (str, os.PathLike)):
        raise ValueError(
            f"For {kind}, genes= must name a JSON file from genes to rows; found a {type(genes).__name__}."
        )
    return Path(genes).expanduser()


def _ordered(rows: dict[str, Any], special: Sequence[str], n_rows: int) -> list[str]:
    """Names by their row. Special tokens that the dictionary lacks come last, in the order in which models add them."""
    by_row = {row: name for name, row in rows.items()}
    if set(by_row) != set(range(len(rows))):
        wrong = next(name for name, row in rows.items() if row not in range(len(rows)) or by_row[row] != name)
        raise ValueError(
            f"The dictionary of genes must number its {len(rows)} entries from 0, each once; found {rows[wrong]!r} "
            f"for {wrong!r}. Take the dictionary that belongs to these weights."
        )
    names = [by_row[row] for row in range(len(rows))]
    missing = [token for token in special if token not in rows]
    return names + missing[: max(n_rows - len(names), 0)]
