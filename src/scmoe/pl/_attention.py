"""Heat map of attention between modalities."""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from mudata import MuData

from scmoe._keys import ABLATION, ATTENTION, ATTENTION_TOKENS, DEFAULT_KEY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.explain._attention import MEAN, ROLLOUT
from scmoe.explain._groups import ALL_CELLS
from scmoe.pl._ablation import ablation
from scmoe.pl._axes import axes_or_new
from scmoe.pl._heatmap import heatmap
from scmoe.pl._save import finish
from scmoe.pl._style import DIVERGING, PAGE, for_print
from scmoe.pl._tables import at_layer, group_suffix, of_group, stored_table

MAX_TOKENS = 24
"""Tokens that all get a name of their own."""
TOKENS_SIZE = (4.6, 3.8)
"""Of the figure of tokens, inches."""


@checks_arguments
@reads_anndata
@for_print
def attention(
    mdata: MuData,
    *,
    group: str = ALL_CELLS,
    layer: int = -1,
    head: int | Literal["mean", "rollout"] = "mean",
    value: Literal["ratio", "attention"] = "ratio",
    beside_ablation: bool = False,
    tokens: bool = False,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw how much attention each modality (row) pays to each modality (column).

    Attention says where a token looks, not what matters for a prediction; show it next to an ablation.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.attention`.
    group
        Group of cells; default all of them.
    layer
        Layer, counted from 0; negative numbers count from the last.
    head
        ``"mean"`` over heads, the number of a head, or ``"rollout"``: attention through all layers up to this one.
    value
        ``"ratio"``: attention over what uniform attention would give, 1 is no preference. ``"attention"``: share of the
        attention, rows sum to 1.
    beside_ablation
        Draw the results of `scmoe.tl.ablation` for the same cells to the right.
    tokens
        Draw it token by token, the mean over heads (the scMoE paper's figure 4b).
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
    The axes (of the attention); with `return_fig` their figure; nothing with `show`.

    Raises
    ------
    KeyError
        If the table, the group, the layer or the head is not there, or no ablation to draw beside.
    ValueError
        If `value` is none of its options, `ax` is given for two heat maps, or `tokens` is asked for with a head or
        beside an ablation.

    Examples
    --------
    >>> scmoe.tl.attention(mdata, model)
    >>> ax = scmoe.pl.attention(mdata, save="attention.pdf")
    """
    if tokens:
        if head != MEAN or beside_ablation:
            raise ValueError("tokens=True draws the mean over heads alone. Leave head and beside_ablation out.")
        found = stored_table(mdata, key, ATTENTION_TOKENS, "scmoe.tl.attention", "tokens=True")
        ax = axes_or_new(ax, *TOKENS_SIZE)
        ax = _draw(of_group(at_layer(found, layer), group), value, f"Attention between tokens{group_suffix(group)}", ax)
        _mark_modalities(ax)
        return finish(ax, show=show, save=save, return_fig=return_fig)
    table = of_group(at_layer(stored_table(mdata, key, ATTENTION, "scmoe.tl.attention"), layer), group)
    heads = table["head"].astype(str)
    if str(head) not in set(heads):
        raise KeyError(f"There is no head {head!r}; the table has {', '.join(heads.unique())}.")
    table = table[heads == str(head)]
    if beside_ablation:
        if ax is not None:
            raise ValueError("beside_ablation=True draws two heat maps; found one ax. Leave ax out.")
        stored_table(mdata, key, ABLATION, "scmoe.tl.ablation")  # before a figure is made
        _, (ax, right) = plt.subplots(1, 2, figsize=(PAGE, 2.3), layout="constrained")
        ablation(mdata, group=group, key=key, ax=right)
    ax = _draw(table, value, _title(table, head, group), ax)
    return finish(ax, show=show, save=save, return_fig=return_fig)


def _draw(table: pd.DataFrame, value: str, title: str, ax: Axes | None) -> Axes:
    table = table.astype({"query": str, "key": str})
    names = table["key"].unique()
    matrix = table.pivot(index="query", columns="key", values=value)
    matrix = matrix.reindex(index=[name for name in names if name in matrix.index], columns=names)
    matrix = matrix.rename_axis(index="query: tokens of", columns="key: attend to")
    norm: Normalize
    if value == "ratio":
        highest = max(2.0, float(matrix.max().max()))
        cmap, norm, baseline = DIVERGING, TwoSlopeNorm(1.0, vmin=0.0, vmax=highest), 1.0
        label = "attention / uniform\n(line: no preference, 1)"
    else:
        baseline = 1 / len(names)
        cmap, norm = "viridis", Normalize(0, max(float(matrix.max().max()), 1.5 * baseline))
        label = f"attention, rows sum to 1\n(line: no preference, {baseline:.3g})"
    return heatmap(matrix, cmap=cmap, norm=norm, colorbar=label, baseline=baseline, title=title, ax=ax)


def _mark_modalities(ax: Axes) -> None:
    """Lines between modalities; of very many tokens, their names in place of those of tokens."""
    for axis, line in ((ax.xaxis, ax.axvline), (ax.yaxis, ax.axhline)):
        labels = [label.get_text().rsplit(" ", 1)[0] for label in axis.get_ticklabels()]
        starts = [i for i, name in enumerate(labels) if i == 0 or name != labels[i - 1]]
        for start in starts[1:]:
            line(start - 0.5, color="black", linewidth=1)
        if len(labels) > MAX_TOKENS:
            middles = [(start + end - 1) / 2 for start, end in pairwise([*starts, len(labels)])]
            axis.set_ticks(middles, [labels[start] for start in starts], rotation=0)
            plt.setp(axis.get_ticklabels(), ha="center" if axis is ax.xaxis else "right")
            axis.set_ticks([], minor=True)


def _title(table: pd.DataFrame, head: int | str, group: str) -> str:
    kind = {MEAN: "Attention", ROLLOUT: "Rollout of attention"}.get(str(head), f"Attention of head {head}")
    across, uniform = (f"{table[name].iloc[0]:.0%}" for name in ("across", "across_uniform"))
    return f"{kind} between modalities{group_suffix(group)}\n{across} to others (uniform: {uniform})"
