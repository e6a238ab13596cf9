"""TCAV scores with their controls."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, TCAV
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.datasets._categories import Category, names_of
from scmoe.explain.concepts._cells import CONTROL
from scmoe.pl._axes import axes_or_new, legend_beside, row_offset
from scmoe.pl._save import finish
from scmoe.pl._tables import check_in_table, stored_table

NO_EFFECT = 0.5


@checks_arguments
@reads_anndata
def tcav(
    mdata: MuData,
    *,
    targets: Sequence[Category] | None = None,
    layer: str | None = None,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw the TCAV score of each concept (row) for each target (color).

    1: the target's log-odds increase in the direction of the concept in all cells of the target; 0: they decrease in
    all; 0.5: no effect on average. Bars: standard deviation over random sets. Filled: significant after the
    correction for all tests, with a concept that can be told from random cells and, for markers, more than random
    genes do. Hollow: not significant, whatever the score. Controls stand below the line.

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
        File to write the figure to.

    Returns
    -------
    The axes, unless `show` is True.

    Raises
    ------
    KeyError
        If the table, a target or the layer is not there.
    ValueError
        If the table has several layers and none is named, or no target is left.
    """
    table = stored_table(mdata, key, TCAV, "scmoe.tl.tcav").astype({"layer": str, "target": str, "concept": str})
    layer, table = at_layer(table, layer)
    names = list(table["target"].unique()) if targets is None else names_of(targets)
    if not names:
        raise ValueError("targets must name at least one target.")
    check_in_table("target", names, table["target"].unique())
    is_control = table["kind"] == CONTROL
    concepts = [*table["concept"][~is_control].unique(), *table["concept"][is_control].unique()]
    height = 1.1 + len(concepts) * max(0.34, 0.14 * len(names))
    ax = axes_or_new(ax, 6.2, max(height, 2.4))
    for number, target in enumerate(names):
        offset = row_offset(number, len(names))
        draw_target(ax, table[table["target"] == target], concepts, offset, f"C{number}")
    ax.axvline(NO_EFFECT, color="0.6", linewidth=1, zorder=0)
    n_controls = table["concept"][is_control].nunique()
    if n_controls:
        ax.axhline(len(concepts) - n_controls - 0.5, color="0.3", linewidth=0.8, linestyle=":")
    labels = [f"{name} (control)" if name in concepts[len(concepts) - n_controls :] else name for name in concepts]
    ax.set_yticks(range(len(concepts)), labels)
    ax.set(xlim=(-0.04, 1.04), ylim=(len(concepts) - 0.5, -0.5))
    ax.set_xlabel("TCAV score: share of the target's cells that the concept speaks for\n(line: no effect, 0.5)")
    ax.set_title(f"Concepts in layer {layer}", loc="left", fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    add_legend(ax, names)
    return finish(ax, show=show, save=save)


def at_layer(table: pd.DataFrame, layer: str | None) -> tuple[str, pd.DataFrame]:
    """The layer to draw, and its rows."""
    layers = table["layer"].unique().tolist()
    if layer is None:
        if len(layers) > 1:
            raise ValueError(f"The table has the layers {', '.join(layers)}; name one of them in layer=.")
        layer = layers[0]
    check_in_table("layer", [layer], layers)
    return layer, table[table["layer"] == layer]


def draw_target(ax: Axes, table: pd.DataFrame, concepts: Sequence[str], offset: float, color: str) -> None:
    """Scores of one target."""
    row = table["concept"].map({name: i for i, name in enumerate(concepts)}).to_numpy() + offset
    score, spread = table["score"].to_numpy(dtype=float), table["score_sd"].to_numpy(dtype=float)
    significant = table["significant"].to_numpy(dtype=bool)
    # A share lies between 0 and 1, and so do its bars.
    bars = np.stack([np.minimum(spread, score), np.minimum(spread, 1 - score)])
    ax.errorbar(score, row, xerr=bars, fmt="none", ecolor=color, elinewidth=1, alpha=0.6, zorder=1)
    face = [color if filled else "white" for filled in significant]
    ax.scatter(score, row, s=30, c=face, edgecolors=color, linewidths=1.3, zorder=2)


def add_legend(ax: Axes, targets: Sequence[str]) -> None:
    """What colors and fillings mean."""
    handles = [Line2D([], [], marker="o", linestyle="", color=f"C{i}", label=name) for i, name in enumerate(targets)]
    for fill, label in (("0.3", "significant"), ("white", "not significant")):
        handles.append(Line2D([], [], marker="o", linestyle="", color="0.3", markerfacecolor=fill, label=label))
    legend_beside(ax, x=1.01, centered=True, handles=handles)
