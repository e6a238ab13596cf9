"""Cells by true and predicted label: checked once, for all scores of labels."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scmoe._keys import UNKNOWN_LABEL
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import category_codes, category_names

N_SHOWN = 5
Codes = NDArray[np.integer]
Labels: TypeAlias = ArrayLike | pd.Series | pd.Categorical


@checks_arguments
def confusion_table(truth: Labels, predicted: Labels, *, labels: Sequence[str]) -> pd.DataFrame:
    """Count cells by true and predicted label.

    Parameters
    ----------
    truth
        True label of every cell, ``(n_cells,)``; each one of `labels`. Leave out cells without one.
    predicted
        Predicted label of every cell, ``(n_cells,)``; one of `labels`, or ``"Unknown"`` where a model declined to
        name one.
    labels
        All labels, in the order wanted: those of training, and those that only the cells here have. They are never
        taken from the cells, so that scores of different methods and splits are of the same labels.

    Returns
    -------
    Numbers of cells, true labels x predicted labels. A last column ``"Unknown"`` is there if a prediction is.

    Raises
    ------
    ValueError
        There are no cells, the lengths differ, a label is missing or none of `labels`, or a true label is
        ``"Unknown"``.

    Examples
    --------
    >>> confusion_table(["B", "B", "T"], ["B", "T", "T"], labels=["B", "T", "NK"]).to_numpy().tolist()
    [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    """
    names, true_code, predicted_code = as_codes(truth, predicted, labels)
    counts = count_cells(len(names), true_code, predicted_code)
    table = pd.DataFrame(counts, index=names, columns=[*names, UNKNOWN_LABEL])
    table = table if counts[:, -1].any() else table[names]
    return table.rename_axis(index="true label", columns="predicted label")


def as_codes(truth: Labels, predicted: Labels, labels: Sequence[str]) -> tuple[list[str], Codes, Codes]:
    """Labels as text, and the positions in them of each cell's true and predicted label.

    The code of a declined prediction is the number of labels.
    """
    names = [str(name) for name in labels]
    if not names or len(set(names)) < len(names) or UNKNOWN_LABEL in names:
        listing = ", ".join(names[:N_SHOWN]) + (", ..." if len(names) > N_SHOWN else "")
        raise ValueError(
            f"labels must list each label once, without {UNKNOWN_LABEL!r}; found {len(names)}: {listing or 'none'}."
        )
    check_same_cells(truth, predicted)
    true_labels, predicted_labels = (pd.Series(np.asarray(column, dtype=object)) for column in (truth, predicted))
    check_lengths(true_labels, predicted_labels)
    codes = []
    for argument, values, known in (
        ("truth", true_labels, names),
        ("predicted", predicted_labels, [*names, UNKNOWN_LABEL]),
    ):
        if values.isna().any():
            raise ValueError(f"{argument} lacks the label of {values.isna().sum()} cells; leave those cells out first.")
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


def check_lengths(truth: pd.Series, predicted: pd.Series) -> None:
    """Raise unless both have as many entries, and at least one."""
    if len(truth) != len(predicted) or len(truth) == 0:
        raise ValueError(
            f"truth and predicted must list the same cells; found {len(truth)} and {len(predicted)} entries."
        )


def check_same_cells(*tables: object) -> None:
    """Raise if pandas objects name other cells, or the same in another order: all are read by position."""
    indices = [table.index for table in tables if isinstance(table, pd.Series | pd.DataFrame)]
    indices = [index for index in indices if not isinstance(index, pd.RangeIndex)]
    for index in indices[1:]:
        if not index.equals(indices[0]):
            raise ValueError(
                "truth, predicted and probabilities must list the same cells in the same order; their indices differ. "
                "Bring one into the order of the other: predicted.loc[truth.index]."
            )


def training_counts(n_train: Mapping[str, int] | pd.Series, names: Sequence[str]) -> pd.Series:
    """Training cells of each label, in the order of `names`."""
    values = pd.Series(n_train)
    if values.empty or not pd.api.types.is_numeric_dtype(values):
        raise ValueError(
            "n_train must say how many training cells each label has, such as obs[labels_key].value_counts(); found "
            f"{'nothing' if values.empty else f'values like {values.iloc[0]!r}'}."
        )
    counts = values.astype(np.float64)
    counts.index = pd.Index(category_names(counts.index.to_series()))
    counts = counts.reindex(list(names))
    wrong = counts.index[~(np.isfinite(counts) & (counts >= 0))]
    if len(wrong):
        raise ValueError(
            f"n_train must say how many training cells each label has; found {counts[wrong[0]]} for {wrong[0]!r}. A "
            "label that training lacks has 0."
        )
    return counts
