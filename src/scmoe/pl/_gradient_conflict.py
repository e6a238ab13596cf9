"""Cosines of gradients: a heat map of one model, or several models beside each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, GRADIENT_CONFLICT
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.pl._axes import axes_or_new, legend_beside
from scmoe.pl._heatmap import heatmap
from scmoe.pl._save import finish
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
def gradient_conflict(
    mdata: MuData,
    *,
    definition: Literal["target", "source", "token", "task"] = "target",
    layer: int = -1,
    key: str | Sequence[str] = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw how the gradients of modalities, or tasks, agree on the experts.

    Of one model a heat map of mean cosines. The line in the color bar is the mean cosine of random groups of cells,
    which differ by chance alone. Of several models the mean cosine of every pair, with a line over 95 % of the
    batches, and below it, hollow, the same of random groups.

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
        File to write the figure to.

    Returns
    -------
    The axes, unless `show` is True.

    Raises
    ------
    KeyError
        If the table, the definition in it or the layer is not there.
    ValueError
        If `definition` is none of its options.
    """
    keys = [key] if isinstance(key, str) else list(key)
    tables = {name: _rows(mdata, name, definition, layer) for name in keys}
    title = f"Agreement of gradients: {DEFINITION_LABELS[definition]}"
    ax = _map(tables[keys[0]], title, ax) if isinstance(key, str) else _intervals(tables, title, ax)
    return finish(ax, show=show, save=save)


def _rows(mdata: MuData, key: str, definition: str, layer: int) -> pd.DataFrame:
    table = stored_table(mdata, key, GRADIENT_CONFLICT, FUNCTION)
    subset = table[table["definition"].astype(str) == definition]
    if subset.empty:
        stored = ", ".join(map(repr, table["definition"].astype(str).unique()))
        raise KeyError(f"mdata.uns[{key!r}] has no gradients of the definition {definition!r}; it has {stored}.")
    return at_layer(subset, layer)


def _map(table: pd.DataFrame, title: str, ax: Axes | None) -> Axes:
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    matrix = pd.DataFrame(np.nan, index=names, columns=names)  # a gradient agrees with itself: nothing to see
    for row in table.itertuples():
        matrix.loc[row.first, row.second] = matrix.loc[row.second, row.first] = row.cosine
    reference = float(table["reference"].iloc[0])
    limit = 1.2 * max(float(table["cosine"].abs().max()), abs(reference), 0.05)
    return heatmap(
        matrix,
        cmap="RdBu_r",
        norm=Normalize(-limit, limit),
        colorbar=f"mean cosine over {table['n_batches'].max()} batches\n(line: random cells, {reference:.2f})",
        baseline=reference,
        title=title,
        ax=ax,
    )


def _intervals(tables: Mapping[str, pd.DataFrame], title: str, ax: Axes | None) -> Axes:
    first = next(iter(tables.values()))
    pairs = list(zip(first["first"], first["second"], strict=True))
    ax = axes_or_new(ax, 6.5, 1.4 + 0.45 * len(tables) * len(pairs))
    for place, (key, table) in enumerate(tables.items()):
        rows = table.set_index(["first", "second"]).reindex(pairs)
        y, color = np.arange(len(pairs)) + 0.8 * (place + 0.5) / len(tables) - 0.4, f"C{place}"
        for name, prefix, shift, face in (("cosine", "", 0, color), ("reference", "reference_", 0.09, "white")):
            height = y + shift * 2 / len(tables)
            ax.hlines(height, rows[f"{prefix}low"], rows[f"{prefix}high"], color=color, linewidth=1, zorder=1)
            label = key if name == "cosine" else f"{key}, random cells"
            ax.scatter(rows[name], height, s=28, facecolor=face, edgecolor=color, label=label, zorder=2)
    ax.axvline(0, color="0.2", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(pairs)), [" and ".join(pair) for pair in pairs])
    ax.invert_yaxis()
    ax.set_xlabel("cosine (below 0: conflict)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(title, loc="left", fontsize="medium")
    legend_beside(ax, centered=True)
    return ax
