"""Whether a probability of 0.9 is right nine times out of ten."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scmoe.arguments._checked import checks_arguments
from scmoe.metrics._calibration import ALL_CELLS
from scmoe.pl._axes import axes_or_new, legend_beside
from scmoe.pl._save import finish

COLORS = {ALL_CELLS: "0.2", "head": "C0", "middle": "C2", "tail": "C3"}
SMALLEST, LARGEST = 12.0, 160.0
"""Areas of the dots of a bin with one cell and of the fullest, points²."""


@checks_arguments
def calibration(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw how often predicted labels are right against the probability that they were given, in bins.

    On the diagonal, probabilities are what they say; below it, a model is too sure. The area of a dot grows with the
    cells of its bin; the legend gives each group's expected calibration error.

    Parameters
    ----------
    table
        From `scmoe.metrics.calibration_table`.
    ax
        Axes to draw into; a new figure if None.
    show
        Show the figure and return nothing.
    save
        File to write the figure to.

    Returns
    -------
    The axes, unless `show` is True.

    Raises
    ------
    ValueError
        The table has no row.
    """
    if table.empty:
        raise ValueError(
            "table has no row: no cell has a predicted label. Draw the result of scmoe.metrics.calibration_table."
        )
    ax = axes_or_new(ax, 5.6, 3.9)
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
    fullest = table["n_cells"].max()
    for name, color in COLORS.items():
        rows = table[table["group"].astype(str) == name]
        if rows.empty:
            continue
        n = rows["n_cells"]
        error = float((n * (rows["accuracy"] - rows["confidence"]).abs()).sum() / n.sum())
        area = SMALLEST + (LARGEST - SMALLEST) * n / fullest
        label = f"{name}: {n.sum()} cells, ECE {error:.3f}"
        ax.plot(rows["confidence"], rows["accuracy"], color=color, linewidth=1.2, alpha=0.5, zorder=1, label=label)
        ax.scatter(rows["confidence"], rows["accuracy"], s=area, color=color, alpha=0.7, linewidths=0, zorder=2)
    lowest = np.floor(10 * min(table["confidence"].min(), table["accuracy"].min())) / 10
    ax.set(xlim=(table["low"].min() - 0.02, 1.02), ylim=(min(lowest, table["low"].min()) - 0.03, 1.03))
    ax.set_xlabel("probability of the predicted label")
    ax.set_ylabel("share of cells that are right")
    ax.set_title("Calibration (area: cells of a bin)", loc="left", fontsize="medium")
    legend_beside(ax)
    ax.spines[["top", "right"]].set_visible(False)
    return finish(ax, show=show, save=save)
