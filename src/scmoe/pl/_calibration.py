"""Whether a probability of 0.9 is right nine times out of ten."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scmoe.arguments._checked import checks_arguments
from scmoe.metrics._calibration import ALL_CELLS
from scmoe.pl._axes import axes_or_new
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, COLUMN, for_print

STYLES = {ALL_CELLS: ("0.2", "o"), "head": (COLORS[0], "s"), "middle": (COLORS[2], "D"), "tail": (COLORS[1], "^")}
MIN_CELLS = 20
"""Groups of fewer cells are not drawn: any share of a handful is chance."""
SHIFT = 0.006
"""Distance between groups, so that their intervals do not hide each other."""


@checks_arguments
@for_print
def calibration(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw how often predicted labels are right against the probability that they were given, in bins.

    On the diagonal, probabilities are what they say; below it, a model is too sure. Each bin has about as many cells.
    Bars are Wilson's 95 % intervals; the legend gives each group's cells and expected calibration error. Groups of
    fewer than 20 cells are named, not drawn.

    Parameters
    ----------
    table
        From `scmoe.metrics.calibration_table`.
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
        The table has no row, or no group of 20 cells.

    Examples
    --------
    >>> truth, predicted = mdata.obs["lineage"], mdata.obs["scmoe_label"]
    >>> labels = list(truth.cat.categories)
    >>> probabilities = mdata.obsm["scmoe_label_probability"]
    >>> table = scmoe.metrics.calibration_table(truth, predicted, probabilities, labels=labels)
    >>> ax = scmoe.pl.calibration(table)
    """
    if table.empty:
        raise ValueError(
            "table has no row: no cell has a predicted label. Draw the result of scmoe.metrics.calibration_table."
        )
    n_cells = table.groupby(table["group"].astype(str))["n_cells"].sum()
    drawn = [name for name in STYLES if n_cells.get(name, 0) >= MIN_CELLS]
    if not drawn:
        raise ValueError(
            f"No group has {MIN_CELLS} cells, the least that a calibration is drawn of; found {n_cells.to_dict()}."
        )
    ax = axes_or_new(ax, COLUMN, COLUMN)
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
    for number, name in enumerate(drawn):
        rows, (color, marker) = table[table["group"].astype(str) == name], STYLES[name]
        x, y = rows["confidence"] + SHIFT * (number - (len(drawn) - 1) / 2), rows["accuracy"]
        ax.vlines(x, rows["accuracy_low"], rows["accuracy_high"], color=color, linewidth=0.8, alpha=0.7, zorder=1)
        label = f"{name}: {n_cells[name]} cells, ECE {rows['ece'].iloc[0]:.3f}"
        ax.plot(x, y, color=color, marker=marker, markersize=3.5, linewidth=0.8, zorder=2, label=label)
    ax.set(xlim=(min(0.95, float(table["low"].min())) - 0.03, 1.03), ylim=(-0.03, 1.03))
    tiny = ", ".join(f"{name} ({n})" for name, n in n_cells.items() if n < MIN_CELLS)
    ax.set_xlabel("probability of the predicted label" + (f"\nfewer than {MIN_CELLS} cells: {tiny}" if tiny else ""))
    ax.set_ylabel("share of cells that are right, 95 % interval")
    ax.set_title("Calibration, bins of as many cells each", loc="left")
    ax.legend(frameon=False, loc="best")
    ax.spines[["top", "right"]].set_visible(False)
    return finish(ax, show=show, save=save, return_fig=return_fig)
