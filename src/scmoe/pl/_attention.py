"""Heat map of attention between modalities."""

from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from mudata import MuData

from scmoe._keys import ATTENTION, DEFAULT_KEY
from scmoe.explain._groups import ALL_CELLS
from scmoe.pl._heatmap import heatmap
from scmoe.pl._save import show_or_save
from scmoe.pl._tables import at_layer, one_of, stored_table


def attention(
    mdata: MuData,
    *,
    group: str = ALL_CELLS,
    layer: int = -1,
    value: Literal["ratio", "attention"] = "ratio",
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw how much attention each modality (row) pays to each modality (column).

    Attention says where a token looks, not what matters for a prediction; read it next to an ablation.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.attention`.
    group
        Group of cells; default all of them.
    layer
        Layer, counted from 0; negative numbers count from the last.
    value
        ``"ratio"``: attention over what uniform attention would give, 1 is no preference. ``"attention"``: share of the
        attention, rows sum to 1.
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
        If the table, the group or the layer is not there.
    ValueError
        If `value` is none of its options.
    """
    one_of(value, ("ratio", "attention"), "value")
    table = at_layer(stored_table(mdata, key, ATTENTION, "scmoe.tl.attention"), layer)
    groups = table["group"].astype(str)
    if group not in set(groups):
        raise KeyError(f"There is no group {group!r}; the table has {', '.join(groups.unique())}.")
    table = table[groups == group].astype({"query": str, "key": str})
    names = table["key"].unique()
    matrix = table.pivot(index="query", columns="key", values=value)
    matrix = matrix.reindex(index=[name for name in names if name in matrix.index], columns=names)
    matrix = matrix.rename_axis(index="query: tokens of", columns="key: attend to")
    norm: Normalize
    if value == "ratio":
        highest = max(2.0, float(matrix.max().max()))
        cmap, norm, baseline = "RdBu_r", TwoSlopeNorm(1.0, vmin=0.0, vmax=highest), 1.0
        label = "attention / uniform attention\n(line: no preference, 1)"
    else:
        baseline = 1 / len(names)
        cmap, norm = "viridis", Normalize(0, max(float(matrix.max().max()), 1.5 * baseline))
        label = f"share of attention, rows sum to 1\n(line: 1 / modalities, {baseline:.3g})"
    title = "Attention between modalities" + ("" if group == ALL_CELLS else f", {group}")
    ax = heatmap(matrix, cmap=cmap, norm=norm, colorbar=label, baseline=baseline, title=title, ax=ax)
    return None if show_or_save(ax.figure, show=show, save=save) else ax
