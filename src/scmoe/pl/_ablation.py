"""Heat map of what is lost when a modality, or an expert, is taken away."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import StrMethodFormatter
from mudata import MuData

from scmoe._keys import ABLATION, DEFAULT_KEY, EXPERT_ABLATION
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.explain._groups import ALL_CELLS
from scmoe.pl._heatmap import heatmap
from scmoe.pl._save import finish
from scmoe.pl._style import DIVERGING, for_print
from scmoe.pl._tables import at_layer, group_suffix, of_group, stored_table

LINEAR = 0.1
"""Relative increases up to this are drawn on a linear scale of colors, larger ones on a logarithmic."""
CHANCE = 2.0
"""Standard errors within which an increase is marked as no more than chance."""
LARGEST = 30.0
"""Times the change that is expected, from which on colors of experts do not differ."""
HOW_LABELS = {"hide": "absent", "permute": "of another cell"}


@checks_arguments
@reads_anndata
@for_print
def ablation(
    mdata: MuData,
    *,
    group: str = ALL_CELLS,
    experts: bool = False,
    layer: int = -1,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw how much the loss of each outcome (column) rises when a modality (row) is taken away, relative to the loss.

    Hatched: within two standard errors of no increase. Or, of `experts`, how much the predictions of each group (row)
    change without each expert (column), over the change that is expected without a random expert of equal load.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.ablation`.
    group
        Group of cells; default all of them. Of `experts` all groups are drawn.
    experts
        Draw what ``scmoe.tl.ablation(..., experts=True)`` has written.
    layer
        Layer with experts, counted from 0; negative numbers count from the last.
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
        If the table, the group or the layer is not there.

    Examples
    --------
    >>> scmoe.tl.ablation(mdata, model)
    >>> figure = scmoe.pl.ablation(mdata, return_fig=True)
    """
    if experts:
        found = stored_table(mdata, key, EXPERT_ABLATION, "scmoe.tl.ablation", "experts=True")
        return finish(_draw_experts(at_layer(found, layer), ax), show=show, save=save, return_fig=return_fig)
    table = of_group(stored_table(mdata, key, ABLATION, "scmoe.tl.ablation"), group)
    table = table.astype({"hidden": str, "outcome": str})
    outcomes, hidden = table["outcome"].unique(), table["hidden"].unique()
    before, rise, error = (
        table.pivot(index="hidden", columns="outcome", values=name).reindex(index=hidden, columns=outcomes)
        for name in ("loss", "increase", "standard_error")
    )
    matrix = (rise / before.where(before > 0)).rename_axis(
        index=f"modality {HOW_LABELS[str(table['how'].iloc[0])]}", columns="loss of"
    )
    highest = max(1.0, float(matrix.abs().max().max()))
    title = f"What a modality is worth{group_suffix(group)}\n{table['n_cells'].max()} cells ({table['cells'].iloc[0]})"
    ax = heatmap(
        matrix,
        cmap=DIVERGING,
        norm=SymLogNorm(LINEAR, vmin=-highest, vmax=highest),
        colorbar="increase of the loss / loss\n(hatched: within 2 s.e. of none)",
        baseline=0.0,
        title=title,
        ax=ax,
    )
    if ax.images[0].colorbar is not None:
        ax.images[0].colorbar.formatter = StrMethodFormatter("{x:g}")
    by_chance = rise.notna() & ~(rise.abs() > CHANCE * error)  # of a single cell, the error is not known
    for row, column in np.argwhere(by_chance.to_numpy()):
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="///", edgecolor="0.45", linewidth=0))
    return finish(ax, show=show, save=save, return_fig=return_fig)


def _draw_experts(table: pd.DataFrame, ax: Axes | None) -> Axes:
    table = table.astype({"group": str, "expert": int})
    groups, n_cells = table["group"].unique(), table.groupby("group")["n_cells"].max()
    ratio = (table["change"] / table["expected"].where(table["expected"] > 0)).clip(1 / LARGEST, LARGEST)
    matrix = table.assign(ratio=ratio).pivot(index="group", columns="expert", values="ratio").loc[groups]
    matrix = matrix.rename(index=lambda name: f"{name} ({n_cells[name]})").rename_axis(index="group of cells (cells)")
    ax = heatmap(
        matrix,
        cmap=DIVERGING,
        norm=LogNorm(1 / LARGEST, LARGEST),
        colorbar="change without the expert /\nwithout a random one of equal load (line: 1)",
        baseline=1.0,
        title=f"Which experts predictions depend on\ncells: {table['cells'].iloc[0]}",
        ax=ax,
    )
    return ax
