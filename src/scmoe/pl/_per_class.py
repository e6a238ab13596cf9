"""Scores of each label with their intervals."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scmoe.arguments._checked import checks_arguments
from scmoe.metrics._confusion import training_counts
from scmoe.metrics._frequency import GROUPS, frequency_groups
from scmoe.pl._axes import axes_or_new, legend_beside, row_offset
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, COLUMN, MARKERS, SMALL, for_print

MAX_METHODS = 6
LINE = 36
"""Characters of a line below the axis."""


@checks_arguments
@for_print
def per_class(
    tables: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    score: Literal["f1", "recall", "precision"] = "f1",
    n_train: Mapping[str, int] | pd.Series | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw a score of each label, from the most frequent to the rarest, with its interval and the cells it rests on.

    Labels that no cell has are left out, and named below the axis.

    Parameters
    ----------
    tables
        From `scmoe.metrics.per_class_scores`: one table, or up to six by name, of the same labels.
    score
        Which.
    n_train
        Training cells of each label, which then order the rows and divide them into head, middle and tail (see
        `scmoe.metrics.frequency_groups`); by default the cells that were scored order them.
    ax
        Axes to draw into; a new figure if None.
    show
        Show the figure and return nothing.
    save
        File to write the figure to; its ending says the format.
    return_fig
        Return the figure.

    Returns
    -------
    The axes; with `return_fig` their figure; nothing with `show`.

    Raises
    ------
    ValueError
        `score` is none of its options, there is no table or more than six, they are not of the same labels, no label
        has a cell, or a label is not in `n_train`.

    Examples
    --------
    >>> truth, predicted = mdata.obs["lineage"], mdata.obs["scmoe_label"]
    >>> labels = list(truth.cat.categories)
    >>> table = scmoe.metrics.per_class_scores(truth, predicted, labels=labels)
    >>> ax = scmoe.pl.per_class(table)
    """
    if not isinstance(tables, pd.DataFrame | Mapping):
        raise TypeError(f"tables must be a table, or tables by name; found a {type(tables).__name__}.")
    by_method = {"": tables} if isinstance(tables, pd.DataFrame) else dict(tables)
    first = _check_tables(by_method)
    sizes = first["support"] if n_train is None else training_counts(n_train, list(first.index))
    groups = None if n_train is None else frequency_groups(sizes)
    order = sizes[first["support"] > 0].sort_values(ascending=False, kind="stable").index
    height = 0.9 + len(order) * max(0.17, 0.1 * len(by_method))
    ax = axes_or_new(ax, COLUMN + (1.2 if len(by_method) > 1 else 0.6), max(height, 1.6))
    rows = np.arange(len(order))
    for number, (name, table) in enumerate(by_method.items()):
        offset = row_offset(number, len(by_method))
        middle, low, high = (table.loc[order, f"{score}{end}"].to_numpy(dtype=float) for end in ("", "_low", "_high"))
        color = COLORS[number] if len(by_method) > 1 else "0.25"
        ax.hlines(rows + offset, low, high, color=color, linewidth=1, alpha=0.6)
        ax.plot(middle, rows + offset, linestyle="", marker=MARKERS[number], markersize=3.5, color=color, label=name)
    ax.set_yticks(rows, [_row_label(name, sizes[name], first["support"][name], n_train is not None) for name in order])
    if groups is not None:
        _mark_groups(ax, groups[order])
    ax.set(xlim=(-0.03, 1.03), ylim=(len(order) - 0.4, -0.6))
    _describe(ax, score, first, trained=n_train is not None)
    if len(by_method) > 1:
        legend_beside(ax, x=1.16 if groups is not None else 1.0)
    return finish(ax, show=show, save=save, return_fig=return_fig)


def _row_label(name: str, size: float, support: int, trained: bool) -> str:
    """A label with its training cells, if known, and the cells that were scored."""
    return f"{name} ({size:.0f}, {support})" if trained else f"{name} ({support})"


def _check_tables(by_method: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The first of the tables, which are of the same cells."""
    if not 1 <= len(by_method) <= MAX_METHODS:
        raise ValueError(f"tables must be 1 to {MAX_METHODS}; found {len(by_method)}.")
    first = next(iter(by_method.values()))
    for name, table in by_method.items():
        if "support" not in table:
            raise ValueError(
                f"Expected tables of scmoe.metrics.per_class_scores; found columns {', '.join(map(str, table))}."
            )
        if not table["support"].reindex(first.index).equals(first["support"]) or len(table) != len(first):
            raise ValueError(f"The tables must be of the same labels and cells; {name!r} has others than the first.")
    if not (first["support"] > 0).any():
        raise ValueError("No label has a cell; there is nothing to draw.")
    return first


def _mark_groups(ax: Axes, groups: pd.Series) -> None:
    """Lines between head, middle and tail, and their names at the right."""
    for group in GROUPS:
        rows = np.flatnonzero(groups == group)
        if len(rows):
            if rows[0]:
                ax.axhline(rows[0] - 0.5, color="0.5", linewidth=0.8, linestyle=":")
            place, text = ax.get_yaxis_transform(), {"fontsize": SMALL}
            ax.text(1.01, rows.mean(), group, text, transform=place, va="center", color="0.4")


def _describe(ax: Axes, score: str, table: pd.DataFrame, *, trained: bool) -> None:
    """Text around the axes."""
    absent = ", ".join(map(str, table.index[table["support"] == 0]))
    text = f"{score if score != 'f1' else 'F1'} with its interval over cells"
    ax.set_xlabel(text + ("\n" + fill(f"no cell here: {absent}", LINE) if absent else ""))
    ax.set_title(f"Scores by label\n({'training, scored cells' if trained else 'scored cells'})", loc="left")
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
