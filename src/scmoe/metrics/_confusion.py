"""Cells by true and predicted label: checked once, for all scores of labels."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from scmoe._align import in_one_order
from scmoe._keys import UNKNOWN_LABEL
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import Category, category_codes, category_names, names_of

N_SHOWN = 5
Codes = NDArray[np.integer]
Labels: TypeAlias = ArrayLike | pd.Series | pd.Categorical


@checks_arguments
def confusion_table(truth: Labels, predicted: Labels, *, labels: Sequence[Category]) -> pd.DataFrame:
    """Count cells by true and predicted label.

    Parameters
    ----------
    truth
        True label of every cell, ``(n_cells,)``; each one of `labels`. Leave out cells without one.
    predicted
        Predicted label of every cell, ``(n_cells,)``; one of `labels`, or ``"Unknown"`` where a model declined to
        name one. If both are Series that name their cells, these are matched by name.
    labels
        All labels, in the order wanted: those of training, and those that only the cells here have. They are never
        taken from the cells, so that scores of different methods and splits are of the same labels.

    Returns
    -------
    Numbers of cells, true labels x predicted labels. A last column ``"Unknown"`` is there if a prediction is.

    Raises
    ------
    ValueError
        There are no cells, the lengths or the names of cells differ, a label is missing or none of `labels`, or a
        true label is ``"Unknown"``.

    Examples
    --------
    >>> confusion_table(["B", "B", "T"], ["B", "T", "T"], labels=["B", "T", "NK"]).to_numpy().tolist()
    [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    """
    truth, predicted = in_one_order({"truth": truth, "predicted": predicted})
    names, true_code, predicted_code = as_codes(truth, predicted, labels)
    counts = count_cells(len(names), true_code, predicted_code)
    table = pd.DataFrame(counts, index=names, columns=[*names, UNKNOWN_LABEL])
    table = table if counts[:, -1].any() else table[names]
    return table.rename_axis(index="true label", columns="predicted label")


def as_codes(truth: Labels, predicted: Labels, labels: Sequence[Category]) -> tuple[list[str], Codes, Codes]:
    """Labels as text, and the positions in them of each cell's true and predicted label, which are in one order.

    The code of a declined prediction is the number of labels.
    """
    names = names_of(labels)
    if not names or len(set(names)) < len(names) or UNKNOWN_LABEL in names:
        listing = ", ".join(names[:N_SHOWN]) + (", ..." if len(names) > N_SHOWN else "")
        raise ValueError(
            f"labels must list each label once, without {UNKNOWN_LABEL!r}; found {len(names)}: {listing or 'none'}."
        )
    true_labels, predicted_labels = cell_labels(truth, "truth"), cell_labels(predicted, "predicted")
    check_lengths(true_labels, predicted_labels)
    codes = []
    for argument, values, known in (
        ("truth", true_labels, names),
        ("predicted", predicted_labels, [*names, UNKNOWN_LABEL]),
    ):
        indices = category_codes(category_names(values), known)
        if (indices < 0).any():
            name = category_names(values).iloc[int((indices < 0).argmax())]
            remedy = "Leave those cells out first" if name == UNKNOWN_LABEL else "Add it to labels"
            if argument == "predicted":
                remedy += f"; if it is a declined answer, call it {UNKNOWN_LABEL!r}"
            n_cells = int((category_names(values) == name).sum())
            raise ValueError(
                f"{argument} has the label {name!r} in {n_cells} cells, which is none of labels. {remedy}."
            )
        codes.append(indices)
    return names, codes[0], codes[1]


def count_cells(n_labels: int, true_code: Codes, predicted_code: Codes) -> Codes:
    """Cells by true label and prediction, (n_labels, n_labels + 1); the last column counts declined predictions."""
    counts = np.zeros((n_labels, n_labels + 1), dtype=np.int64)
    np.add.at(counts, (true_code, predicted_code), 1)
    return counts


def cell_labels(values: Labels, argument: str) -> pd.Series:
    """One entry a cell, of any type, by position; an error where one is missing."""
    array = np.asarray(values, dtype=object)
    if array.ndim != 1:
        raise ValueError(f"{argument} must have one entry a cell; found the shape {array.shape}.")
    labels = pd.Series(array, name=argument)
    if labels.isna().any():
        first = int(labels.isna().argmax())
        cell = repr(values.index[first]) if isinstance(values, pd.Series) else f"number {first}"
        raise ValueError(
            f"{argument} has no entry for {labels.isna().sum()} of {len(labels)} cells, the first is {cell}; leave "
            "those cells out first."
        )
    return labels


def numbers(values: Any, argument: str) -> NDArray[np.float64]:
    """Values of an array, sparse matrix or table as an array, NaN where pandas lacks one; an error if not numbers."""
    try:
        if isinstance(values, pd.Series | pd.DataFrame):
            return values.to_numpy(np.float64, na_value=np.nan)
        return np.asarray(values.toarray() if sparse.issparse(values) else values, dtype=np.float64)
    except (TypeError, ValueError) as error:  # whatever NumPy says of text, or of rows of several lengths
        raise ValueError(f"{argument} must hold numbers, in an array or a table; found others ({error}).") from error


def check_lengths(truth: pd.Series, predicted: pd.Series) -> None:
    """Raise unless both have as many entries, and at least one."""
    if len(truth) != len(predicted):
        raise ValueError(
            f"truth and predicted must list the same cells; found {len(truth)} and {len(predicted)} entries."
        )
    if len(truth) == 0:
        raise ValueError("truth and predicted must list at least one cell; found none.")


def training_counts(n_train: Mapping[str, int] | pd.Series, names: Sequence[str]) -> pd.Series:
    """Training cells of each label, in the order of `names`."""
    values = pd.Series(n_train)
    if values.empty or not pd.api.types.is_numeric_dtype(values):
        raise ValueError(
            "n_train must say how many training cells each label has, such as obs[labels_key].value_counts(); found "
            f"{'nothing' if values.empty else f'values like {values.iloc[0]!r}'}."
        )
    counts = values.astype(np.float64)
    counts.index = index_names(counts)
    if not counts.index.is_unique:
        raise ValueError(f"n_train names {counts.index[counts.index.duplicated()][0]!r} twice. Sum its cells first.")
    counts = counts.reindex(list(names))
    wrong = counts.index[~(np.isfinite(counts) & (counts >= 0))]
    if len(wrong):
        raise ValueError(
            f"n_train must say how many training cells each label has; found {counts[wrong[0]]} for {wrong[0]!r}. A "
            "label that training lacks has 0."
        )
    return counts


def index_names(values: pd.Series) -> pd.Index:
    """The labels that a Series is of, as text."""
    return pd.Index(category_names(values.index.to_series()), dtype=object)
