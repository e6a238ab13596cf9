"""How well experts of several models match."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, EXPERT_STABILITY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.explain.concepts._adjust import ALPHA
from scmoe.explain.experts._stability import MATCHED, MEAN
from scmoe.pl._axes import axes_or_new
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, COLUMN, SMALL, for_print
from scmoe.pl._tables import stored_table

COLOR = COLORS[0]
SPREAD = 0.7
"""Part of a row's height over which its experts are spread, so that they do not hide each other."""


@checks_arguments
@reads_anndata
@for_print
def expert_stability(
    mdata: MuData,
    *,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw the correlations of matched experts, one row a pair of models.

    A dot is an expert and its match, labeled with their numbers, filled where the adjusted p is below 0.05. The gray
    tick on its line is what it would be with permuted cells: the part that shared preferences for modalities, and the
    matching itself, give. Black lines are the means. The title gives the lowest and highest mutual information of
    modality and expert in these models, which needs no matching.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.expert_stability`.
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
        If the table is not there.

    Examples
    --------
    >>> other = scmoe.tl.train(mdata, seed=1, key_added="seed1")
    >>> scmoe.tl.expert_stability(mdata, {"seed 0": model, "seed 1": other}, n_permutations=99)
    >>> ax = scmoe.pl.expert_stability(mdata)
    """
    table = stored_table(mdata, key, EXPERT_STABILITY, "scmoe.tl.expert_stability")
    table = table.astype(dict.fromkeys(("statistic", "model", "other", "first", "second"), str))
    means = table[table["statistic"] == MEAN]
    n_experts = int((table["statistic"] == MATCHED).sum() / len(means))
    ax = axes_or_new(ax, COLUMN, 1.3 + (0.15 + 0.12 * n_experts) * len(means))
    for y, mean in enumerate(means.itertuples()):
        pair = (table["model"] == mean.model) & (table["other"] == mean.other) & (table["statistic"] == MATCHED)
        heights = y + np.linspace(-SPREAD / 2, SPREAD / 2, n_experts)
        _pair(ax, table[pair].sort_values("value", ascending=False), heights)
        ax.vlines(mean.value, y - 0.45, y + 0.45, color="black", linewidth=1.2, zorder=1)
    pairs = (means["model"] + "\nand " + means["other"]).tolist()
    ax.set(yticks=range(len(means)), yticklabels=pairs, ylim=(len(means) - 0.5, -0.5))
    ax.set_xlim(min(-0.05, float(table["value"].min()) - 0.05), 1.08)
    ax.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set_xlabel(f"correlation of matched experts (line: mean)\nfilled: adjusted p < {ALPHA}; tick: permuted cells")
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_title(_title(table), loc="left")
    return finish(ax, show=show, save=save, return_fig=return_fig)


def _pair(ax: Axes, experts: pd.DataFrame, heights: np.ndarray) -> None:
    value, null = (experts[name].to_numpy(dtype=float) for name in ("value", "null_mean"))
    fill = np.where(experts["p_adjusted"] < ALPHA, COLOR, "white")
    ax.hlines(heights, null, value, color="0.85", linewidth=1.5, zorder=1)
    ax.scatter(null, heights, marker="|", s=40, color="0.55", linewidths=1.5, zorder=2)
    ax.scatter(value, heights, s=16, c=fill.tolist(), edgecolors=COLOR, linewidths=1, zorder=3)
    for x, y, first, second in zip(value, heights, experts["first"], experts["second"], strict=True):
        ax.annotate(f"{first}–{second}", (x, y), (5, 0), textcoords="offset points", va="center", fontsize=SMALL - 1)


def _title(table: pd.DataFrame) -> str:
    information = table.loc[table["statistic"] == "mutual_information", "value"]
    low, high = information.min(), information.max()
    return f"Experts of {len(information)} models\nI(modality; expert): {low:.3f} to {high:.3f} nats"
