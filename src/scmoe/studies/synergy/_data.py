"""Measured combinations of drugs and the expression of cell lines, read from the tables of the DeepDDS study."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe._log import logger
from scmoe.studies._data import content_hash
from scmoe.studies.synergy._molecules import canonical_smiles

LABELS, EXPRESSION = "new_labels_0_10.csv", "new_cell_features_954.csv"
"""Files of the folder."""
DRUGS = ("drug1", "drug2")
COLUMNS = (*DRUGS, "cell", "label")
SECOND_HEAD = "transcript_id"
"""Row of the expression table that names transcripts."""
N_NAMED = 3
"""Rows or cell lines that an error names."""


@dataclass(frozen=True)
class Screen:
    """Pairs of drugs in cell lines, and whether they are synergistic.

    Parameters
    ----------
    drugs
        Canonical SMILES, each drug once.
    pairs
        (n, 2) places in `drugs`, the smaller first: the order of two drugs says nothing.
    lines
        (n,) rows of `expression`.
    labels
        (n,) 1 if synergistic, else 0.
    expression
        Cell lines x genes, as in the file.
    """

    drugs: tuple[str, ...]
    pairs: NDArray[np.int64]
    lines: NDArray[np.int64]
    labels: NDArray[np.int64]
    expression: pd.DataFrame

    @property
    def content(self) -> str:
        """Hash of all of it."""
        texts = (*self.drugs, *self.expression.index, *self.expression.columns)
        return content_hash((self.pairs, self.lines, self.labels, self.expression.to_numpy()), texts)


def read_screen(folder: str | Path) -> Screen:
    """Read a folder with the two tables.

    Parameters
    ----------
    folder
        Holds ``new_labels_0_10.csv``, a row for each combination with the columns "drug1" and "drug2" (SMILES), "cell"
        and "label" (0 or 1), and ``new_cell_features_954.csv``, a row for each cell line with its name in the first
        column and a column for each gene.

    Raises
    ------
    FileNotFoundError
        There is no such folder or file.
    ValueError
        SMILES that do not parse, labels other than 0 and 1, cell lines without expression, columns that are absent or
        values that are no amounts; the message names them with their lines in the file.
    """
    labels, expression = _read(folder, LABELS), _read(folder, EXPRESSION)
    if absent := [name for name in COLUMNS if name not in labels]:
        raise ValueError(f"{LABELS} must have the columns {', '.join(COLUMNS)}; {absent[0]!r} is absent.")
    if labels.empty:
        raise ValueError(f"{LABELS} must have a row for each measured combination; it has none.")
    kinds = pd.to_numeric(labels["label"], errors="coerce")
    _refuse(labels["label"], ~kinds.isin([0, 1]), "Labels must be 1 (synergistic) or 0")
    smiles = labels[list(DRUGS)].fillna("").map(str.strip)
    canonical = canonical_smiles(pd.unique(smiles.to_numpy().ravel()))
    for name in DRUGS:
        unread = smiles[name].map(lambda text: canonical[text] is None)
        _refuse(smiles[name], unread, f"All SMILES in the column {name!r} must parse")
    profiles = _profiles(expression)
    _refuse(labels["cell"], ~labels["cell"].isin(profiles.index), f"Each cell line must have a row in {EXPRESSION}")
    profiles = profiles.loc[sorted(labels["cell"].unique())]
    drugs = tuple(sorted({text for text in canonical.values() if text is not None}))
    place = {text: drugs.index(short) for text, short in canonical.items() if short is not None}
    screen = Screen(
        drugs,
        np.sort(np.stack([smiles[name].map(place).to_numpy(np.int64) for name in DRUGS], axis=1), axis=1),
        profiles.index.get_indexer(labels["cell"]).astype(np.int64),
        kinds.to_numpy(np.int64),
        profiles,
    )
    logger.info("%s: %d combinations of %d drugs in %d cell lines", LABELS, len(kinds), len(drugs), len(profiles))
    return screen


def _read(folder: str | Path, name: str) -> pd.DataFrame:
    path = Path(folder).expanduser() / name
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}. The folder must hold {LABELS} (combinations) and {EXPRESSION} (cell lines), "
            "as the DeepDDS study names them."
        )
    try:
        return pd.read_csv(path, dtype=str)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is no table with commas between columns: {error}") from error


def _refuse(column: pd.Series, wrong: pd.Series, expected: str) -> None:
    """Name what is wrong, with its line in the file, of which the first is the head."""
    if wrong.any():
        rows = np.flatnonzero(wrong)
        named = [f"{column.iloc[row]!r} in row {row + 2}" for row in rows[:N_NAMED]]
        raise ValueError(
            f"{expected}. {LABELS}: {_listed(named, len(rows))}. Correct these rows of the file, or remove them."
        )


def _listed(named: Iterable[str], n: int) -> str:
    return ", ".join(named) + (f" and {n - N_NAMED} more" if n > N_NAMED else "")


def _profiles(table: pd.DataFrame) -> pd.DataFrame:
    """Expression as numbers, a row for each cell line."""
    table = table.set_index(table.columns[0]).drop(index=SECOND_HEAD, errors="ignore")
    if table.empty:
        raise ValueError(f"{EXPRESSION} must have a row for each cell line and a column for each gene; it has none.")
    if table.index.has_duplicates:
        raise ValueError(f"{EXPRESSION}: the cell line {table.index[table.index.duplicated()][0]!r} has two rows.")
    values = table.apply(pd.to_numeric, errors="coerce")
    if (wrong := ~(np.isfinite(values) & (values >= 0)).to_numpy()).any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"Expression must be amounts from 0 on (counts, TPM or FPKM). {EXPRESSION}: {table.iloc[row, column]!r} "
            f"for the cell line {table.index[row]!r} and the gene {table.columns[column]!r}; "
            f"{wrong.sum()} such values in all."
        )
    if len(silent := values.index[values.sum(axis=1) == 0]):
        raise ValueError(f"{EXPRESSION}: all genes are 0 in the cell line {silent[0]!r}.")
    return values
