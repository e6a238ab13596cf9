"""How many cells have a name at each level of a tree of labels, and how often it is right."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scmoe.arguments._checked import checks_arguments
from scmoe.pl._axes import axes_or_new
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, COLUMN, for_print


@checks_arguments
@for_print
def level_accuracy(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw coverage and accuracy at each level of a tree of labels.

    Bars are the shares of cells with a name at the level or a finer one, dots how often these are right, with Wilson's
    95 % interval. Of the cells that are named at this very level, a cross stands where their mean probability is, and a
    ring where their accuracy is: these agree if probabilities are what they say.

    Parameters
    ----------
    table
        From `scmoe.metrics.level_accuracy`.
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
        The table has no row.

    Examples
    --------
    >>> tree = mdata.obs[["lineage"]]
    >>> truth, names = mdata.obs["lineage"], mdata.obs["scmoe_label"]
    >>> table = scmoe.metrics.level_accuracy(
    ...     truth, names, mdata.obs["scmoe_label_confidence"], hierarchy=tree, labels=list(truth.cat.categories)
    ... )
    >>> ax = scmoe.pl.level_accuracy(table)
    """
    if table.empty:
        raise ValueError("table has no row. Draw the result of scmoe.metrics.level_accuracy.")
    ax = axes_or_new(ax, COLUMN, COLUMN)
    x = np.arange(len(table))
    ax.bar(x, table["coverage"], width=0.6, color="0.88", label="cells with a name", zorder=0)
    ax.vlines(x - 0.12, table["accuracy_low"], table["accuracy_high"], color=COLORS[0], linewidth=1, zorder=1)
    ax.plot(x - 0.12, table["accuracy"], "o", color=COLORS[0], markersize=5, label="of these right", zorder=2)
    named = x + 0.12
    ax.plot(
        named,
        table["accuracy_named"],
        "o",
        mfc="none",
        color=COLORS[1],
        markersize=5,
        label="right, named here",
        zorder=2,
    )
    ax.plot(named, table["confidence_named"], "x", color="0.2", markersize=4, label="their probability", zorder=2)
    names = [f"{level}\n({n} named)" for level, n in zip(table.index, table["n_named"], strict=True)]
    ax.set_xticks(x, names)
    ax.set(ylim=(0, 1.03), ylabel="share of cells")
    ax.set_title("Names at each level", loc="left")
    ax.legend(frameon=False, loc="lower right", ncols=2)
    ax.spines[["top", "right"]].set_visible(False)
    return finish(ax, show=show, save=save, return_fig=return_fig)
