"""Cosines of gradients beside those of random cells, of one model or several."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import DEFAULT_KEY, GRADIENT_CONFLICT
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.pl._axes import axes_or_new, legend_beside
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, COLUMN, MARKERS, for_print
from scmoe.pl._tables import at_layer, stored_table

FUNCTION = "scmoe.tl.gradient_conflict"
DEFINITION_LABELS = {
    "target": "losses of decoding a modality",
    "source": "losses of decoding from a modality",
    "token": "tokens of a modality",
    "task": "tasks",
}


@checks_arguments
@reads_anndata
@for_print
def gradient_conflict(
    mdata: MuData,
    *,
    definition: Literal["target", "source", "token", "task"] = "target",
    layer: int = -1,
    key: str | Sequence[str] = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw how the gradients of modalities, or tasks, agree on the experts.

    A dot is the cosine of two gradients on all experts of the layer, its mean over batches; the line holds 95 % of the
    batches. 1: they pull the experts the same way; 0: they have nothing to do with each other; below 0: conflict.
    Hollow, below it: the same of random groups of cells, which differ by chance alone. What is lower than these is
    more than few cells cost.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.gradient_conflict`.
    definition
        What the gradients belong to, see there.
    layer
        Layer with experts, counted from 0; negative numbers count from the last.
    key
        The ``key_added`` of the results; of several models a list of them.
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
        If the table, the definition in it or the layer is not there.
    ValueError
        If `definition` is none of its options.

    Examples
    --------
    >>> scmoe.tl.gradient_conflict(mdata, model, n_batches=5)
    >>> ax = scmoe.pl.gradient_conflict(mdata, definition="task")
    """
    keys = [key] if isinstance(key, str) else list(key)
    tables = {name: _rows(mdata, name, definition, layer) for name in keys}
    ax = _draw(tables, f"Agreement of gradients\n{DEFINITION_LABELS[definition]}", ax)
    return finish(ax, show=show, save=save, return_fig=return_fig)


def _rows(mdata: MuData, key: str, definition: str, layer: int) -> pd.DataFrame:
    table = stored_table(mdata, key, GRADIENT_CONFLICT, FUNCTION)
    subset = table[table["definition"].astype(str) == definition]
    if subset.empty:
        stored = ", ".join(map(repr, table["definition"].astype(str).unique()))
        raise KeyError(f"mdata.uns[{key!r}] has no gradients of the definition {definition!r}; it has {stored}.")
    return at_layer(subset, layer)


def _draw(tables: Mapping[str, pd.DataFrame], title: str, ax: Axes | None) -> Axes:
    first = next(iter(tables.values()))
    pairs = list(zip(first["first"], first["second"], strict=True))
    ax = axes_or_new(ax, COLUMN + 1.2, 1.1 + 0.3 * len(tables) * len(pairs))
    for place, (key, table) in enumerate(tables.items()):
        rows = table.set_index(["first", "second"]).reindex(pairs)
        color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
        own, chance = ("gradients", "random cells") if len(tables) == 1 else (key, f"{key}, random cells")
        y = np.arange(len(pairs)) + 0.8 * (place + 0.5) / len(tables) - 0.4
        _series(ax, y, rows["cosine"], rows["low"], rows["high"], color=color, face=color, marker=marker, label=own)
        y, parts = y + 0.2 / len(tables), (rows[f"reference{end}"] for end in ("", "_low", "_high"))
        _series(ax, y, *parts, color=color, face="white", marker=marker, label=chance)
    ax.axvline(0, color="0.2", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(pairs)), [" and ".join(pair) for pair in pairs])
    n_batches = max(int(table["n_batches"].max()) for table in tables.values())
    ax.set_xlabel(f"cosine, mean and 95 % of {n_batches} batches\n(below 0: conflict)")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(pairs) - 0.4, -0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(title, loc="left")
    legend_beside(ax, centered=True)
    return ax


def _series(
    ax: Axes,
    y: NDArray[np.floating],
    middle: pd.Series,
    low: pd.Series,
    high: pd.Series,
    *,
    color: str,
    face: str,
    marker: str,
    label: str,
) -> None:
    """Dots on lines."""
    ax.hlines(y, low, high, color=color, linewidth=0.8, zorder=1)
    ax.scatter(middle, y, s=16, marker=marker, facecolor=face, edgecolor=color, label=label, zorder=2)
