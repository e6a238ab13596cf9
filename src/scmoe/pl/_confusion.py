"""Which labels are taken for which."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from scmoe._keys import UNKNOWN_LABEL
from scmoe.arguments._checked import checks_arguments
from scmoe.pl._axes import axes_or_new
from scmoe.pl._heatmap import CHARACTER, heatmap
from scmoe.pl._save import finish
from scmoe.pl._style import COLUMN, PAGE, SMALL, for_print

LINE = 60
"""Characters of a line below the axes."""
CELL, MAX_LARGE, SMALLEST = 0.32, 16, 5.5
"""Inches of a row; rows beyond which they are smaller, and the points of their labels then."""
OTHER = "other labels"
MARGIN = 1.0
"""Inches for the color bar and what the axes are called."""


@checks_arguments
@for_print
def confusion(
    table: pd.DataFrame,
    *,
    hierarchy: Mapping[str, str] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw the share of each true label's cells that is predicted to be each label: rows sum to 1.

    So rare labels are as visible as frequent ones; the diagonal is the recall. The line in the color bar is the mean
    of the diagonal, the balanced accuracy. Rows and columns are the same labels in the same order. Labels without a
    cell have no row: predictions of them are in the column ``"other labels"``, and they are named below the axes.

    Parameters
    ----------
    table
        From `scmoe.metrics.confusion_table`.
    hierarchy
        Parent of labels, as in `scmoe.tl.annotate`: labels of one root stand together, with a line around. None: labels
        that are taken for each other stand together (average linkage).
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
        The table has no cell, or its rows are not its first columns.

    Examples
    --------
    >>> truth, predicted = mdata.obs["lineage"], mdata.obs["scmoe_label"]
    >>> labels = list(truth.cat.categories)
    >>> table = scmoe.metrics.confusion_table(truth, predicted, labels=labels)
    >>> ax = scmoe.pl.confusion(table, hierarchy={"T and NK": "lymphoid", "B": "lymphoid"})
    """
    table = table.set_axis(table.index.astype(str), axis=0).set_axis(table.columns.astype(str), axis=1)
    n_cells = table.sum(axis=1)
    names = [str(name) for name in table.index]
    if not n_cells.sum() or [str(name) for name in table.columns[: len(names)]] != names:
        raise ValueError(
            "table must hold cells by true and predicted label, as scmoe.metrics.confusion_table gives them."
        )
    order = _by_root(table, hierarchy) if hierarchy else _by_similarity(table.loc[n_cells.to_numpy() > 0])
    counts = table.loc[order, order].assign(
        **{name: table.loc[order, list(rest)].sum(axis=1) for name, rest in _rest(table, order).items()}
    )
    shares = counts.div(n_cells[order], axis=0)
    recall = float(np.diagonal(shares).mean())
    shares.index = pd.Index([f"{name} ({n_cells[name]})" for name in order], name="true label (cells)")
    absent = [name for name in names if name not in order]
    note = "\n" + fill(f"no cell: {', '.join(absent)}", LINE) if absent else ""
    large = len(order) <= MAX_LARGE
    letter = CHARACTER * (1 if large else SMALLEST / SMALL)
    beside, below = (letter * max(map(len, axis)) for axis in (shares.index, shares.columns))
    side = min(CELL * len(shares.columns), PAGE - beside - MARGIN)
    height = side + below + 0.6 + 0.12 * note.count("\n")
    ax = axes_or_new(ax, max(side + beside + MARGIN, COLUMN), max(height, 2.2))
    heatmap(
        shares.rename_axis(columns="predicted label"),
        cmap="Blues",
        norm=Normalize(0, 1),
        colorbar=f"share of the row's cells\n(line: balanced accuracy, {recall:.3g})",
        baseline=recall,
        title="Confusion of labels",
        ax=ax,
    )
    ax.set_aspect("equal")
    ax.set_xlabel(f"predicted label{note}")
    ax.set_xticks(range(len(shares.columns)), list(shares.columns), rotation=90, ha="center")
    if not large:
        ax.tick_params(labelsize=SMALLEST)
    if hierarchy:
        _frame_roots(ax, order, hierarchy)
    return finish(ax, show=show, save=save, return_fig=return_fig)


def _root(name: str, hierarchy: Mapping[str, str]) -> str:
    """The highest ancestor of a label; a circle of parents ends where it began."""
    line = [name]
    while (parent := hierarchy.get(line[-1])) is not None and parent not in line:
        line.append(parent)
    return line[-1]


def _by_root(table: pd.DataFrame, hierarchy: Mapping[str, str]) -> list[str]:
    """Labels with cells: those of one root together, roots and labels in the order of the table."""
    roots = list(dict.fromkeys(_root(str(name), hierarchy) for name in table.index))
    present = [str(name) for name, n in table.sum(axis=1).items() if n > 0]
    return sorted(present, key=lambda name: roots.index(_root(name, hierarchy)))


def _by_similarity(table: pd.DataFrame) -> list[str]:
    """Labels with cells, such that those that are taken for each other are neighbors."""
    names = [str(name) for name in table.index]
    if len(names) < 3:
        return names
    shares = table[names].div(table.sum(axis=1), axis=0).to_numpy()
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    condensed = squareform(distance.clip(0), checks=False)
    return [names[i] for i in leaves_list(linkage(condensed, "average", optimal_ordering=True))]


def _rest(table: pd.DataFrame, order: list[str]) -> dict[str, list[str]]:
    """Columns beside those of the rows that hold a cell: labels without a true cell, and declined predictions."""
    rest = [str(name) for name in table.columns if str(name) not in order and table[name].sum() > 0]
    columns = {OTHER: [name for name in rest if name != UNKNOWN_LABEL], UNKNOWN_LABEL: [UNKNOWN_LABEL]}
    return {name: names for name, names in columns.items() if set(names) & set(rest)}


def _frame_roots(ax: Axes, order: list[str], hierarchy: Mapping[str, str]) -> None:
    """A square around the labels of each root."""
    roots = [_root(name, hierarchy) for name in order]
    for root in dict.fromkeys(roots):
        start, n = roots.index(root) - 0.5, roots.count(root)
        ax.add_patch(Rectangle((start, start), n, n, fill=False, edgecolor="0.2", linewidth=0.8, zorder=4))
