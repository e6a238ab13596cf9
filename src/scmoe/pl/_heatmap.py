"""The one way scmoe draws a labelled matrix."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from scmoe.pl._axes import axes_or_new
from scmoe.pl._style import COLUMN, MAX_HEIGHT, PAGE, SMALL, for_print

MAX_ANNOTATED = 120
"""Cells of a matrix up to which the numbers are written into it; more are unreadable."""
MAX_UNROTATED = 5
"""Characters of the longest column label up to which labels stay horizontal."""
CELL, CHARACTER, BAR = 0.34, 0.052, 1.1
"""Inches: width of a column with numbers, of a letter of labels, and of the color bar with its label."""
ROW = 0.2
"""Inches, height of a row."""


@for_print
def heatmap(
    matrix: pd.DataFrame,
    *,
    cmap: str,
    norm: Normalize,
    colorbar: str,
    baseline: float,
    title: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw `matrix` with its labels, a color bar that marks `baseline`, and numbers where there is room.

    Missing entries are left gray.
    """
    n_rows, n_columns = matrix.shape
    width = CELL * n_columns + CHARACTER * max(len(str(name)) for name in matrix.index) + BAR
    height = min(max(ROW * n_rows + 1.2, 2.0), MAX_HEIGHT)
    ax = axes_or_new(ax, float(np.clip(width, COLUMN, PAGE)), height)
    ax.set_facecolor("0.9")
    image = ax.imshow(matrix.to_numpy(dtype=float), cmap=cmap, norm=norm, aspect="auto", interpolation="none")
    labels = [str(name) for name in matrix.columns]
    rotated = max(map(len, labels), default=0) > MAX_UNROTATED
    ax.set_xticks(range(n_columns), labels, rotation=45 if rotated else 0, ha="right" if rotated else "center")
    ax.set_yticks(range(n_rows), [str(name) for name in matrix.index])
    ax.set_xlabel(str(matrix.columns.name or ""))
    ax.set_ylabel(str(matrix.index.name or ""))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(1, n_columns) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, n_rows) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    ax.set_title(title, loc="left")
    if ax.figure is not None:
        # A bar as tall as forty rows is a slab; about 3 inches are enough to read it.
        shrink = min(1.0, 3.2 / ax.figure.get_figheight()) if isinstance(ax.figure, Figure) else 1.0
        bar = ax.figure.colorbar(image, ax=ax, pad=0.02, shrink=shrink, aspect=18)
        bar.set_label(colorbar, fontsize=SMALL)
        bar.outline.set_visible(False)
        bar.ax.axhline(baseline, color="black", linewidth=1.2)
    if matrix.size <= MAX_ANNOTATED:
        _annotate(ax, matrix, cmap, norm)
    return ax


def _annotate(ax: Axes, matrix: pd.DataFrame, cmap: str, norm: Normalize) -> None:
    colors = plt.get_cmap(cmap)(norm(matrix.to_numpy(dtype=float)))
    # Relative luminance (Rec. 709): white ink on dark cells, black on light ones.
    dark = colors[..., :3] @ np.array([0.2126, 0.7152, 0.0722]) < 0.45
    for (row, column), value in np.ndenumerate(matrix.to_numpy(dtype=float)):
        if np.isfinite(value):
            ink = "white" if dark[row, column] else "black"
            ax.text(column, row, f"{value:z.2f}", ha="center", va="center", color=ink, fontsize=SMALL - 0.5)
