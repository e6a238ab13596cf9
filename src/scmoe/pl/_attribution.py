"""Bars of the features that a target is attributed to."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from mudata import MuData

from scmoe._keys import ATTRIBUTION, ATTRIBUTION_SUMMARY, DEFAULT_KEY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.datasets._categories import Category, names_of
from scmoe.pl._axes import figure_or_place, grid_shape, short_name
from scmoe.pl._save import finish
from scmoe.pl._style import COLUMN, DIVERGING, PAGE, SMALL, for_print
from scmoe.pl._tables import check_in_table, stored_table

FUNCTION = "scmoe.tl.attribute"
LOG_ODDS = "log-odds"
MAX_TARGETS, N_COLUMNS = 12, 3
"""Panels without `targets`, as many as fill a page, and panels in a row."""
HIGHEST = 2.0
"""Standard deviations from which on the color is the same."""
UNKNOWN = "0.6"
"""Color where tables of earlier versions do not say how high a feature is."""


@checks_arguments
@reads_anndata
@for_print
def attribution(
    mdata: MuData,
    targets: Category | Sequence[Category] | None = None,
    *,
    n_top: int = 10,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | SubFigure | None:
    """Draw the features of the largest attributions, one panel a target.

    For labels and groups the bars are mean attributions in the target's cells, in log-odds: to the right, what speaks
    for the label there. Their color says whether the feature is high or low in these cells. Predicted features are
    high in some cells and low in others, so their bars are slopes: to the right, features whose high values raise the
    prediction. Modalities stand behind the features; a panel's title gives its cells and their shares.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.attribute`.
    targets
        Which; None: the first twelve, and the figure says of how many.
    n_top
        Features a panel.
    key
        The ``key_added`` of the results.
    ax
        Axes of a grid, in whose place the panels are drawn; a new figure if None.
    show
        Show the figure and return nothing.
    save
        File to write the figure to; its ending says the format.
    return_fig
        Return the figure.

    Returns
    -------
    The figure, or the part of one that took the place of `ax`; with `return_fig` all of it; nothing with `show`.

    Raises
    ------
    KeyError
        There is no table, or no such target in it.

    Examples
    --------
    >>> scmoe.tl.attribute(mdata, model, ["B", "myeloid"])
    >>> figure = scmoe.pl.attribution(mdata, n_top=8)
    """
    table = stored_table(mdata, key, ATTRIBUTION, FUNCTION).astype({"target": str, "modality": str, "feature": str})
    summary = stored_table(mdata, key, ATTRIBUTION_SUMMARY, FUNCTION).astype({"target": str, "modality": str})
    known = list(table["target"].unique())
    names = known[:MAX_TARGETS] if targets is None else names_of(targets)
    check_in_table("target", names, known)
    n_rows, n_columns = grid_shape(len(names), N_COLUMNS)
    size = (PAGE if n_columns > 1 else COLUMN, (0.14 * n_top + 0.75) * n_rows + 0.6)
    figure = figure_or_place(ax, *size)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    norm = Normalize(-HIGHEST, HIGHEST)
    for panel, name in zip(axes.flat, names, strict=False):
        _panel(panel, name, table[table["target"] == name], summary[summary["target"] == name], norm, n_top)
    for panel in axes.flat[len(names) :]:
        panel.set_axis_off()
    if (summary[summary["target"].isin(names)]["unit"] == LOG_ODDS).any() and "level" in table:
        bar = figure.colorbar(ScalarMappable(norm, DIVERGING), ax=axes, location="bottom", shrink=0.4, aspect=30)
        bar.set_label("feature in the target's cells, standard deviations from the mean of all", fontsize=SMALL)
        bar.outline.set_visible(False)
    if len(names) < len(known) and targets is None:
        figure.suptitle(f"The first {len(names)} of {len(known)} targets", x=0.01, ha="left")
    return finish(figure, show=show, save=save, return_fig=return_fig)


def _panel(ax: Axes, name: str, table: pd.DataFrame, summary: pd.DataFrame, norm: Normalize, n_top: int) -> None:
    unit = str(summary["unit"].iloc[0])
    if unit == LOG_ODDS:
        table = table.iloc[table["attribution"].abs().argsort()[::-1]]
    table = table.head(n_top)
    values = table["attribution" if unit == LOG_ODDS else "slope"].to_numpy(dtype=float)
    rows = np.arange(len(table))[::-1]
    has_level = unit == LOG_ODDS and "level" in table
    color = plt.get_cmap(DIVERGING)(norm(table["level"].to_numpy(dtype=float))) if has_level else UNKNOWN
    ax.barh(rows, values, color=color, height=0.75, edgecolor="0.3", linewidth=0.4)
    several = len(summary) > 1
    ax.set_yticks(rows, [_feature_label(row.feature, row.modality if several else "") for row in table.itertuples()])
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set_xlabel("mean attribution, log-odds" if unit == LOG_ODDS else f"{unit}\nper standard deviation")
    ax.locator_params(axis="x", nbins=4)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    shares = ", ".join(f"{m} {share:.0%}" for m, share in zip(summary["modality"], summary["share"], strict=True))
    ax.set_title(f"{short_name(name)}\n{shares}; n = {int(summary['n_cells'].iloc[0])}", loc="left", fontsize=SMALL)


def _feature_label(feature: str, modality: str) -> str:
    """A feature and its modality, unless its name says that already, as where two modalities share a name."""
    name = short_name(feature)
    return f"{name} · {modality}" if modality and not feature.startswith(f"{modality}:") else name
