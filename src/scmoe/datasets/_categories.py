"""Categories of cells as text: batches, donors and labels, whatever type their columns have."""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from scmoe._keys import UNKNOWN_LABEL
from scmoe._log import logger

Category: TypeAlias = str | float | bool
"""What a batch, label or group may be called: a column may hold any of these, and stands for its text."""
_WHOLE = re.compile(r"(-?\d+)\.0+")
NO_LABEL = frozenset(
    "unknown unassigned unlabeled unlabelled unannotated undefined undetermined unclassified unspecified nan na n/a "
    "<na> none null".split()
) | {"not assigned", "not available", "-", "?"}
"""What cells without a label are called, in lower case."""


def category_names(column: pd.Series) -> pd.Series:
    """The entries of a column as text; missing entries stay missing.

    Whole numbers are written without decimals: tables turn 1 and 2 into 1.0 and 2.0 as soon as one entry is missing,
    and it is still the same batch. Text stays as it is.

    Parameters
    ----------
    column
        Of any type.

    Returns
    -------
    pandas.Series
        Text, or None where an entry is missing; the same index.
    """
    codes, values = pd.factorize(column)
    names = [_name(value) for value in np.asarray(values)]
    table = np.array([*names, None], dtype=object)  # the code of a missing entry is -1
    return pd.Series(table[codes], index=column.index, name=column.name, dtype=object)


def names_of(categories: Category | Sequence[Category]) -> list[str]:
    """One category, or several, as text, as `category_names` writes it."""
    several = [categories] if isinstance(categories, str | float | int | np.generic) else categories
    return [_name(each) for each in several]


def _name(value: Any) -> str:
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool | np.bool_)
    return str(int(value)) if is_number and np.isfinite(value) and value == int(value) else str(value)


def category_codes(names: pd.Series, known: Sequence[str]) -> np.ndarray:
    """The positions of names among known ones.

    A name is looked for as it is. If it is not there, ``"1.0"`` and ``"1"`` are the same name, unless several of the
    known ones would be meant: text files write either for the same batch.

    Parameters
    ----------
    names
        As `category_names` gives them.
    known
        Names that differ.

    Returns
    -------
    numpy.ndarray
        (n,) int64; -1: missing, or not known.
    """
    by_number: dict[str, int] = {}
    counts = Counter(map(_without_decimals, known))
    for i, name in enumerate(known):
        if counts[_without_decimals(name)] == 1:
            by_number[_without_decimals(name)] = i
    exact = {name: i for i, name in enumerate(known)}
    codes, uniques = pd.factorize(names)
    table = [exact.get(name, by_number.get(_without_decimals(name), -1)) for name in uniques]
    return np.array([*table, -1], dtype=np.int64)[codes]


def _without_decimals(name: str) -> str:
    match = _WHOLE.fullmatch(name)
    return match[1] if match else name


def label_names(column: pd.Series, unlabeled_category: Hashable = UNKNOWN_LABEL) -> pd.Series:
    """Labels as text; None in cells that have none (or an empty text) or are of the unlabeled category."""
    names = category_names(column)
    unlabeled = category_names(pd.Series([unlabeled_category])).iloc[0]
    return names.where(names.notna() & ~names.isin(["", unlabeled]), None)


def refuse_decimals(column: pd.Series, place: str, nature: str = "labels") -> None:
    """Raise for numbers that are no names: whole ones are, also where gaps turned 1 and 2 into 1.0 and 2.0."""
    if column.dtype.kind == "f" and (column.dropna() % 1 != 0).any():
        raise ValueError(f"{place} must hold {nature}; found decimal numbers. Bin them with pandas.cut.")


def report_unlabeled(column: pd.Series, unlabeled_category: str = UNKNOWN_LABEL) -> None:
    """Say how many cells have no entry in a column of labels, and which of its labels look as if they were none."""
    names = category_names(column)
    n_missing = int((names.isna() | (names == "")).sum())
    if n_missing:
        logger.info("obs[%r]: %d of %d cells have no entry and count as unlabeled", column.name, n_missing, len(column))
    sizes = label_names(column, unlabeled_category).value_counts()
    suspects = [name for name in sizes.index if name.strip().casefold() in NO_LABEL]
    if suspects:
        logger.warning(
            "obs[%r] has the label %s, which will be learned as a cell type. If these cells have no label, pass "
            "unlabeled_category=%r (--unlabeled on the command line)",
            column.name,
            " and ".join(f"{name!r} ({sizes[name]} cells)" for name in suspects),
            suspects[0],
        )
