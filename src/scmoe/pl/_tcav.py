"""TCAV scores with their controls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, TCAV
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.datasets._categories import Category, names_of
from scmoe.explain.concepts._cells import CONTROL
from scmoe.pl._axes import axes_or_new, legend_beside, row_offset
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, COLUMN, MARKERS, UNCLEAR, for_print
from scmoe.pl._tables import check_in_table, stored_table

NO_EFFECT = 0.5
MAX_SERIES = len(COLORS)
"""Series in a row; of more targets, concepts are the series."""


@checks_arguments
@reads_anndata
@for_print
def tcav(
    mdata: MuData,
    *,
    targets: Sequence[Category] | None = None,
    layer: str | None = None,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw the TCAV score of each concept (row) for each target (color and shape); of many targets, these are rows.

    1: the target's log-odds increase in the direction of the concept in all cells of the target; 0: they decrease in
    all; 0.5: no effect on average. Bars: standard deviation over random sets. Filled: significant after the
    correction for all tests, with a concept that can be told from random cells and, for markers, more than random
    genes do. Hollow: not significant, whatever the score. Gray: a control is significant for this target, so depth or
    the batch may be what its concepts go with. Controls are marked.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.tcav`.
    targets
        Targets to draw, in this order; default all.
    layer
        Layer to draw; may be left out if the table has one.
    key
        The ``key_added`` of the results.
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
    KeyError
        If the table, a target or the layer is not there.
    ValueError
        If the table has several layers and none is named, or no target is left.

    Examples
    --------
    >>> scmoe.tl.tcav(mdata, model, targets=["B", "myeloid"], markers={"MHC II": ["CD74"]})
    >>> ax = scmoe.pl.tcav(mdata)
    """
    table = stored_table(mdata, key, TCAV, "scmoe.tl.tcav").astype({"layer": str, "target": str, "concept": str})
    layer, table = at_layer(table, layer)
    names = list(table["target"].unique()) if targets is None else names_of(targets)
    if not names:
        raise ValueError("targets must name at least one target.")
    check_in_table("target", names, table["target"].unique())
    table = table[table["target"].isin(names)]
    is_control = table["kind"] == CONTROL
    doubted = set(table["target"][is_control & table["significant"].astype(bool)])
    concepts = [*table["concept"][~is_control].unique(), *table["concept"][is_control].unique()]
    controls = set(table["concept"][is_control])
    by_concept = len(names) <= MAX_SERIES
    row, series = ("concept", "target") if by_concept else ("target", "concept")
    rows, each = (concepts, names) if by_concept else (names, concepts[:MAX_SERIES])
    height = 1.0 + len(rows) * max(0.22, 0.11 * len(each))
    ax = axes_or_new(ax, COLUMN + 1.6, max(height, 2.0))
    for number, name in enumerate(each):
        place = table[row].map({label: i for i, label in enumerate(rows)}) + row_offset(number, len(each))
        mask = table[series] == name
        _draw_series(ax, table[mask], place[mask], number, doubted)
    ax.axvline(NO_EFFECT, color="0.6", linewidth=0.8, zorder=0)
    for between in np.arange(1, len(rows)) - 0.5:
        ax.axhline(between, color="0.9", linewidth=0.5, zorder=0)
    labels = [f"{name} (control)" if name in controls else str(name) for name in rows]
    ax.set_yticks(range(len(rows)), labels)
    ax.set(xlim=(-0.04, 1.04), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xlabel("TCAV score: share of the target's cells\nthat the concept speaks for (line: no effect)")
    ax.set_title(_title(layer, len(each), len(concepts), by_concept), loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    _add_legend(ax, [f"{name} (control)" if name in controls else str(name) for name in each], any_doubt=bool(doubted))
    return finish(ax, show=show, save=save, return_fig=return_fig)


def at_layer(table: pd.DataFrame, layer: str | None) -> tuple[str, pd.DataFrame]:
    """The layer to draw, and its rows."""
    layers = table["layer"].unique().tolist()
    if layer is None:
        if len(layers) > 1:
            raise ValueError(f"The table has the layers {', '.join(layers)}; name one of them in layer=.")
        layer = layers[0]
    check_in_table("layer", [layer], layers)
    return layer, table[table["layer"] == layer]


def _title(layer: str, n_series: int, n_concepts: int, by_concept: bool) -> str:
    """What is drawn, and whether it is all."""
    of_all = f", the first {n_series} of {n_concepts}" if not by_concept and n_series < n_concepts else ""
    return f"Concepts in layer {layer}{of_all}"


def _draw_series(ax: Axes, table: pd.DataFrame, place: pd.Series, number: int, doubted: set[str]) -> None:
    """Scores of one target, or of one concept, in their rows."""
    row = place.to_numpy(dtype=float)
    score, spread = table["score"].to_numpy(dtype=float), table["score_sd"].to_numpy(dtype=float)
    doubt = (table["target"].isin(doubted) & (table["kind"] != CONTROL)).to_numpy()
    color = np.where(doubt, UNCLEAR, COLORS[number])
    face = np.where(table["significant"].to_numpy(dtype=bool), color, "white")
    # A share lies between 0 and 1, and so do its bars.
    low, high = np.maximum(score - spread, 0), np.minimum(score + spread, 1)
    ax.hlines(row, low, high, colors=color.tolist(), linewidth=0.8, zorder=1)
    style: dict[str, Any] = {"s": 18, "marker": MARKERS[number], "linewidths": 0.9, "zorder": 2}
    ax.scatter(score, row, c=face.tolist(), edgecolors=color.tolist(), **style)


def _add_legend(ax: Axes, series: Sequence[str], *, any_doubt: bool) -> None:
    """What colors, shapes and fillings mean."""
    style: dict[str, Any] = {"linestyle": "", "markersize": 4.5}
    handles = [Line2D([], [], marker=MARKERS[i], color=COLORS[i], label=name, **style) for i, name in enumerate(series)]
    fills = [("0.3", "0.3", "significant"), ("0.3", "white", "not significant")]
    fills += [(UNCLEAR, UNCLEAR, "target with a\nsignificant control")] * any_doubt
    for color, face, label in fills:
        handles.append(Line2D([], [], marker="o", color=color, markerfacecolor=face, label=label, **style))
    legend_beside(ax, x=1.01, centered=True, handles=handles)
